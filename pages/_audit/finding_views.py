"""Findings on a page: their titles and due dates, the table, the summary, and one finding in full."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from datetime import UTC, datetime

import pandas as pd
import streamlit as st
from babel.dates import format_timedelta

from core.delta.catalog import split_version
from core.entities import Finding, Severity
from core.errors import BadName
from core.escaping import visible
from core.features.monitoring import data_watch, reconcile, registry_watch
from core.features.monitoring.baseline import INSPECTOR
from core.features.monitoring.findings import BY_HAND, FindingView
from core.features.promotion.review import EMERGENCY_ROLLBACK
from core.texts import text
from pages._audit import event_views
from pages._ui import escaping, links, messages, pickers
from pages._ui.texts import language, t, tn, translated

# The title of each kind of finding that core records.
TITLES = {
    reconcile.STAGE: text("Stage changed outside ModelLedger"),
    reconcile.SEVERAL: text("Several versions in Production"),
    reconcile.MISSING: text("Version deleted from the registry"),
    reconcile.TAMPERED_DECISION: text("Decision changed bypassing the log"),
    reconcile.TAMPERED_FINDING: text("Finding changed bypassing the log"),
    reconcile.UNFINISHED_REQUEST: text("Decision unfinished"),
    reconcile.UNFINISHED_ACTION: text("Action unfinished"),
    registry_watch.RUN_GONE: text("Run deleted"),
    registry_watch.NUMBER_GONE: text("Version deleted from the registry"),
    registry_watch.REPLACED: text("Version replaced under the same number"),
    registry_watch.METRIC: text("Metric changed after its run"),
    registry_watch.DATA_VERSION_CHANGED: text("Data version changed after training"),
    data_watch.REPLACED_DATA: text("Training data replaced under the same name"),
    registry_watch.TAG: text("Tag changed outside ModelLedger"),
    registry_watch.ARTIFACT: text("Model files replaced"),
    registry_watch.ARTIFACT_MISSING: text("Model files missing"),
    data_watch.REPLACED_DATA: text("Training data replaced"),
    registry_watch.SERVING_ALIAS: text("Alias of the Production version moved"),
    registry_watch.ALIAS: text("Alias moved"),
    EMERGENCY_ROLLBACK: text("Rolled back by one person"),
    BY_HAND: text("Opened by hand"),
}
_UNFINISHED = (reconcile.UNFINISHED_REQUEST, reconcile.UNFINISHED_ACTION)
_OF_A_MODEL = (reconcile.SEVERAL, registry_watch.SERVING_ALIAS, registry_watch.ALIAS)
_VERSION = re.compile(r"(?P<model>.+)/(?P<number>\d+)")
_BY_SEVERITY = tuple(Severity)
_ANY = "any"
_FILTERED_FROM = 5


def kind(finding: Finding) -> str:
    """Return the title of the kind of finding."""
    return translated(TITLES.get(finding.kind, finding.kind))


def title(finding: Finding) -> str:
    """Return the kind and the subject."""
    return f"{kind(finding)}: {finding.subject}"


def due(finding: Finding, at: datetime | None = None) -> str:
    """Return the time until the due date, seen from *at* (default: now): "in 3 days", "overdue by 5 hours"."""
    if not finding.is_open:
        return t("closed")
    moment = at or datetime.now(UTC)
    duration = format_timedelta(finding.due - moment, granularity="hour", threshold=1.5, locale=language())
    if finding.is_overdue(moment):
        return t("overdue by {duration}", duration=duration)
    return t("in {duration}", duration=duration)


def count_badge(findings: Sequence[Finding], at: datetime | None = None) -> None:
    """Show how many findings are open and overdue at *at* (default: now), in the colour of the highest severity."""
    opened = [finding for finding in findings if finding.is_open]
    if not opened:
        st.badge(t("no open finding"), icon=":material/check:", color="green")
        return
    overdue = sum(finding.is_overdue(at or datetime.now(UTC)) for finding in opened)
    label = tn("{n} open finding", "{n} open findings", len(opened))
    if overdue:
        label = t("{findings}, {overdue} overdue", findings=label, overdue=overdue)
    messages.badge(_worst(opened).severity, label)


def empty_state(at: datetime | None) -> None:
    """Explain an empty list of findings."""
    if at is not None:
        st.info(t("No finding was open at that moment."))
        return
    st.info(
        t(
            "No open findings. A finding is opened when the registry or a run differs from the recorded decisions, "
            "when a rollback by one person needs a review, or by an auditor. It stays open until a manager closes it "
            "with a reason."
        )
    )


def filtered(findings: Sequence[Finding], known: Sequence[Finding]) -> Sequence[Finding]:
    """Draw filters by severity, kind and subject; return those of *findings* that match.

    No filter is drawn where few findings are *known*, closed ones included.
    """
    if len(known) <= _FILTERED_FROM:
        return findings
    kinds = sorted({finding.kind for finding in known}, key=lambda name: TITLES.get(name, name))
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        severity = pickers.choose_word(
            t("Severity"),
            {_ANY: text("any severity")} | {each.value: messages.label(each) for each in Severity},
            "findings_severity",
        )
        kind_name = pickers.choose_word(
            t("Kind"),
            {_ANY: text("any kind")} | {name: visible(translated(TITLES.get(name, name))) for name in kinds},
            "findings_kind",
        )
        subject = st.text_input(
            t("Subject contains"), key="findings_subject", bind="query-params", icon=":material/search:", width=230
        )
        gone = st.toggle(t("Only no longer seen"), key="findings_gone", bind="query-params")
    return [
        finding
        for finding in findings
        if severity in (_ANY, finding.severity.value)
        and kind_name in (_ANY, finding.kind)
        and (subject or "").strip().casefold() in finding.subject.casefold()
        and (not gone or finding.gone is not None)
    ]


def findings_table(
    findings: Sequence[Finding],
    *,
    key: str,
    on_pick: Callable[[str], None],
    at: datetime | None = None,
    is_many: bool = False,
) -> list[Finding]:
    """Show one line per finding, in the order given, seen from *at* (default: now); a click on a line picks it.

    With *is_many* several lines can be chosen. Return the chosen ones.
    """
    opened, closed_by = t("Opened"), t("Closed by")
    rows = [
        {
            t("Severity"): messages.label(finding.severity),
            t("Finding"): kind(finding),
            t("Subject"): finding.subject,
            t("Due"): due(finding, at),
            t("Owner"): finding.owner,
            t("Expected"): finding.expected or None,
            t("Found"): finding.found or finding.detail,
            opened: finding.opened_at,
            closed_by: finding.closed_by,
            t("Id"): finding.id,
        }
        for finding in findings
    ]

    def pick_row() -> None:
        selected = st.session_state[key].selection.rows
        if len(selected) == 1:
            on_pick(findings[selected[0]].id)

    has_closed = any(not finding.is_open for finding in findings)
    event = escaping.table(
        pd.DataFrame(rows),
        style=messages.coloured,
        key=key,
        on_select=pick_row,
        selection_mode="multi-row" if is_many else "single-row",
        placeholder="–",
        height=min(36 * (len(rows) + 1) + 3, 330),
        column_order=[name for name in rows[0] if name != closed_by or has_closed],
        column_config={opened: messages.time_column(opened)},
        alt=t("Findings, by due date"),
    )
    return [findings[row] for row in event.selection.rows if row < len(findings)]


def pick(shown: Sequence[Finding], known: Sequence[Finding], key: str, *, at: datetime | None = None) -> str | None:
    """Return the id of the finding that the address names or that is chosen among *shown*.

    The address can name any finding of *known*.
    """
    linked = st.query_params.get(key)
    offered = [*shown, *(finding for finding in known if finding.id == linked and finding not in shown)]
    labels = {
        finding.id: f"{messages.label(finding.severity)} · {title(finding)} · {due(finding, at)}" for finding in offered
    }
    return pickers.choose(t("Finding"), list(labels), key, labels=labels, index=None)


def detail(view: FindingView, *, key: str, on_event: Callable[[int], None], at: datetime | None = None) -> None:
    """Show all of a finding, seen from *at* (default: now): what differs, owner, due date, history and events."""
    finding = view.finding
    st.subheader(messages.plain(title(finding)))
    with st.container(horizontal=True, vertical_alignment="center"):
        messages.badge(finding.severity)
        _due_badge(finding, at or datetime.now(UTC))
        facts = [t("owner: {name}", name=messages.plain(finding.owner))]
        if finding.is_open:
            facts.append(t("due {time}", time=messages.local_time(finding.due)))
        st.caption(" · ".join(facts), width="content")
    if finding.detail:
        escaping.text(finding.detail)
    if finding.expected or finding.found:
        left, right = st.columns(2)
        for column, heading, content in (
            (left, t("Expected"), finding.expected),
            (right, t("Found"), finding.found),
        ):
            column.markdown(f"**{heading}**")
            escaping.code(content, at=column)
    st.caption(" · ".join(_history(finding, is_today=at is None)))
    if finding.closed_by:
        st.caption(
            t(
                "Closed by {name}, {time}, with this reason:",
                name=messages.plain(finding.closed_by),
                time=messages.local_time(finding.closed_at),
            )
        )
        with st.chat_message("user", avatar=":material/format_quote:"):
            escaping.text(finding.reason or "")
    related_links(finding, view.run_id)
    if view.events:
        st.markdown(f"**{t('Events of this finding in the audit log')}**")
        event_views.events_table(view.events, key=f"{key}_events_{finding.id}", on_pick=on_event)


def related_links(finding: Finding, run_id: str | None = None) -> None:
    """Draw links to the subject of the finding."""
    with st.container(horizontal=True):
        version = _VERSION.fullmatch(finding.subject)
        if version:
            model, number = version["model"], version["number"]
            links.link("models", t("Show model version"), models_model=model, models_version=number)
        elif finding.kind in _OF_A_MODEL:
            links.link("models", t("Show model"), models_model=finding.subject)
        if finding.kind == EMERGENCY_ROLLBACK:
            links.link("promotions", t("Show rollback"), promotions_request=finding.id)
        elif finding.kind in _UNFINISHED:
            links.link("promotions", t("Resolve"), promotions_tab=t("Differences"))
        elif version:
            links.link("promotions", t("Show decisions"), promotions_model=version["model"])
        if run_id and finding.kind != registry_watch.RUN_GONE:
            links.link("runs", t("Show run"), runs=run_id)
        with suppress(BadName):
            table_name, data = split_version(finding.subject)
            if data is not None:
                links.link("tables", t("Show data version"), tables_table=table_name, tables_version=str(data))


def summary(findings: Sequence[Finding], *, most: int = 3, border: bool = False, at: datetime | None = None) -> None:
    """Show the first *most* findings, each as a line with a link (with *border* as a card), then how many there are.

    *at* is the time from which the due dates are seen (default: now).
    """
    moment = at or datetime.now(UTC)
    for finding in findings[:most]:
        with st.container(horizontal=True, vertical_alignment="center", gap="small", border=border):
            messages.badge(finding.severity)
            st.markdown(messages.plain(title(finding)), width="content")
            remaining = due(finding, moment)
            st.caption(remaining if finding.is_overdue(moment) else t("due {time}", time=remaining), width="content")
            link(finding, t("Show finding"))
    if len(findings) > most:
        links.link("audit", t("All {number} open findings", number=len(findings)), audit_tab=t("Findings"))


def link(finding: Finding, label: str) -> None:
    """Draw a link to the finding. *label* is Markdown."""
    links.link("audit", label, audit_tab=t("Findings"), finding=finding.id)


def open_label(findings: Iterable[Finding]) -> str | None:
    """Return the highest severity and the number of open findings for a table cell; None where none is open."""
    opened = [finding for finding in findings if finding.is_open]
    if not opened:
        return None
    return t("{severity}, {number} open", severity=messages.label(_worst(opened).severity), number=len(opened))


def emergency_finding(findings: Iterable[Finding], request_id: str) -> Finding | None:
    """Return the finding of a rollback by one person, open or closed; None where the request is no such rollback."""
    return next(
        (finding for finding in findings if finding.kind == EMERGENCY_ROLLBACK and finding.id == request_id), None
    )


def review_label(finding: Finding | None) -> str | None:
    """Return for a table cell whether somebody else has reviewed a rollback by one person."""
    if finding is None:
        return None
    if finding.is_open:
        return t("▲ by one person, review pending")
    return t("● reviewed by {name}", name=visible(finding.closed_by))


def review_badge(finding: Finding) -> None:
    """Show the same as a badge beside a model or a decision."""
    if finding.is_open:
        st.badge(t("rolled back by one person, review pending"), icon=":material/warning:", color="orange")
    else:
        st.badge(
            t("reviewed by {name}", name=messages.plain(finding.closed_by)), icon=":material/check:", color="green"
        )


def _worst(findings: Sequence[Finding]) -> Finding:
    return min(findings, key=lambda finding: _BY_SEVERITY.index(finding.severity))


def _due_badge(finding: Finding, at: datetime) -> None:
    label = due(finding, at)
    if not finding.is_open:
        st.badge(label, icon=":material/check:", color="green")
    elif finding.is_overdue(at):
        st.badge(label, icon=":material/alarm:", color="red")
    else:
        st.badge(label, icon=":material/schedule:", color="gray")


def _history(finding: Finding, *, is_today: bool) -> list[str]:
    opener = t("ModelLedger") if finding.opened_by == INSPECTOR.name else messages.plain(finding.opened_by)
    facts = [t("Opened by {name}, {time}", name=opener, time=messages.local_time(finding.opened_at))]
    if is_today and finding.kind not in (BY_HAND, EMERGENCY_ROLLBACK):
        facts.append(t("last seen {time}", time=messages.local_time(finding.last_seen)))
    if finding.gone is not None:
        facts.append(t("not seen since {time}", time=messages.local_time(finding.gone)))
    return facts
