"""Findings on a page: what they are called, by when they are due, as a table, in short, and one in full."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Literal

import pandas as pd
import streamlit as st
from babel.dates import format_timedelta

from core.delta.catalog import split_version
from core.entities import Finding, Severity
from core.errors import BadName
from core.escaping import visible
from core.features.monitoring import reconcile, registry_watch
from core.features.monitoring.baseline import INSPECTOR
from core.features.monitoring.findings import BY_HAND, FindingView
from core.features.promotion.review import EMERGENCY_ROLLBACK
from pages._audit import event_views
from pages._ui import escaping, links, messages, pickers

TAB = "Findings"
# What a person reads for each kind that core knows.
WORDS = {
    reconcile.STAGE: "Stage changed outside ModelLedger",
    reconcile.SEVERAL: "Several versions in Production",
    reconcile.MISSING: "Version deleted from the registry",
    reconcile.TAMPERED_DECISION: "Decision changed bypassing the log",
    reconcile.TAMPERED_FINDING: "Finding changed bypassing the log",
    reconcile.UNFINISHED_REQUEST: "Decision begun and not ended",
    reconcile.UNFINISHED_ACTION: "Action begun and not ended",
    registry_watch.RUN_GONE: "Run deleted",
    registry_watch.NUMBER_GONE: "Version deleted from the registry",
    registry_watch.REPLACED: "Version replaced under its number",
    registry_watch.METRIC: "Metric changed after its run",
    registry_watch.DATA_VERSION_CHANGED: "Data version changed after training",
    registry_watch.TAG: "Tag changed outside ModelLedger",
    registry_watch.ARTIFACT: "Model files replaced",
    registry_watch.SERVING_ALIAS: "Alias of what serves moved",
    registry_watch.ALIAS: "Alias moved",
    EMERGENCY_ROLLBACK: "Rolled back by one person",
    BY_HAND: "Opened by hand",
}
_UNFINISHED = (reconcile.UNFINISHED_REQUEST, reconcile.UNFINISHED_ACTION)
_OF_A_MODEL = (reconcile.SEVERAL, registry_watch.SERVING_ALIAS, registry_watch.ALIAS)
_VERSION = re.compile(r"(?P<model>.+)/(?P<number>\d+)")
_ORDER = tuple(Severity)


def words(finding: Finding) -> str:
    """What it is and what it is about."""
    return f"{WORDS.get(finding.kind, finding.kind)}: {finding.subject}"


def due(finding: Finding, at: datetime | None = None) -> str:
    """By when, seen from *at* (default: now): "in 3 days", "overdue by 5 hours"; of a closed one that it is closed."""
    if not finding.is_open:
        return "closed"
    moment = at or datetime.now(UTC)
    told = format_timedelta(finding.due - moment, granularity="hour", threshold=1.5, locale="en")
    return f"overdue by {told}" if finding.is_overdue(moment) else f"in {told}"


def count(findings: Sequence[Finding], at: datetime | None = None) -> None:
    """How many of them are open, in the colour of the worst; late is what was so *at* that moment (default: now)."""
    opened = [one for one in findings if one.is_open]
    if not opened:
        st.badge("no open finding", icon=":material/check:", color="green")
        return
    late = sum(one.is_overdue(at or datetime.now(UTC)) for one in opened)
    worst = min(opened, key=lambda one: _ORDER.index(one.severity))
    told = f"{_number(len(opened))}, {late} overdue" if late else _number(len(opened))
    messages.badge(worst.severity, told)


def none_open(at: datetime | None) -> None:
    """What an empty list means."""
    if at is not None:
        st.info("No finding was open then.")
        return
    st.info(
        "No finding is open. A finding is opened where the registry or a run is not what was decided and logged here, "
        "where a rollback by one person waits for a review, and by an auditor by hand; it stays until a manager closes "
        "it with a reason."
    )


def findings_table(
    findings: Sequence[Finding], *, key: str, on_pick: Callable[[str], None], at: datetime | None = None
) -> None:
    """One line per finding, in the order given, as seen from *at* (default: now); a click picks one."""
    rows = [
        {
            "Severity": messages.word(one.severity),
            "What": WORDS.get(one.kind, one.kind),
            "About": one.subject,
            "Due": due(one, at),
            "Owner": one.owner,
            "Expected": one.expected or None,
            "Found": one.found or one.detail,
            "Opened": one.opened_at,
            "Closed by": one.closed_by,
            "Id": one.id,
        }
        for one in findings
    ]

    def picked() -> None:
        chosen = st.session_state[key].selection.rows
        if chosen:
            on_pick(findings[chosen[0]].id)

    escaping.table(
        pd.DataFrame(rows),
        style=messages.coloured,
        key=key,
        on_select=picked,
        selection_mode="single-row",
        placeholder="–",
        height=min(36 * (len(rows) + 1) + 3, 330),
        column_order=[name for name in rows[0] if name != "Closed by" or any(not one.is_open for one in findings)],
        column_config={"Opened": messages.time_column("Opened")},
        alt="Findings, by due date",
    )


def pick(shown: Sequence[Finding], known: Sequence[Finding], key: str, *, at: datetime | None = None) -> str | None:
    """The finding that the address names, or that is picked among *shown*; one of *known* may be named as well."""
    asked = st.query_params.get(key)
    offered = [*shown, *(one for one in known if one.id == asked and one not in shown)]
    told = {one.id: f"{messages.word(one.severity)} · {words(one)} · {due(one, at)}" for one in offered}
    return pickers.choose("Finding", list(told), key, words=told, index=None)


def one(view: FindingView, *, key: str, on_event: Callable[[int], None], at: datetime | None = None) -> None:
    """All of a finding: what was expected and what was found, who has to look into it by when, and what was done.

    *at* is the moment that it is looked at (default: now).
    """
    found = view.finding
    st.subheader(messages.plain(words(found)))
    with st.container(horizontal=True, vertical_alignment="center"):
        messages.badge(found.severity)
        icon, color = _due_mark(found, at or datetime.now(UTC))
        st.badge(due(found, at), icon=icon, color=color)
        owner = f"owner: {messages.plain(found.owner)}"
        st.caption(f"{owner} · due {messages.local(found.due)}" if found.is_open else owner, width="content")
    if found.detail:
        escaping.text(found.detail)
    if found.expected or found.found:
        left, right = st.columns(2)
        for place, title, text in ((left, "Expected", found.expected), (right, "Found", found.found)):
            place.markdown(f"**{title}**")
            escaping.code(text, at=place)
    st.caption(" · ".join(_history(found, is_today=at is None)))
    if found.closed_by:
        st.caption(f"Closed by {messages.plain(found.closed_by)}, {messages.local(found.closed_at)}, with these words:")
        with st.chat_message("user", avatar=":material/format_quote:"):
            escaping.text(found.reason or "")
    lead_on(found, view.run_id)
    if view.events:
        st.markdown("**Its events in the audit log**")
        event_views.events_table(view.events, key=f"{key}_events_{found.id}", on_pick=on_event)


def lead_on(finding: Finding, run_id: str | None = None) -> None:
    """Links to what it is about."""
    with st.container(horizontal=True):
        version = _VERSION.fullmatch(finding.subject)
        if version:
            model, number = version["model"], version["number"]
            links.link("models", "The model version", models_model=model, models_version=number)
        elif finding.kind in _OF_A_MODEL:
            links.link("models", "The model", models_model=finding.subject)
        if finding.kind == EMERGENCY_ROLLBACK:
            links.link("promotions", "The rollback", promotions_request=finding.id)
        elif finding.kind in _UNFINISHED:
            links.link("promotions", "Resolve it", promotions_tab="Differences")
        elif version:
            links.link("promotions", "Its decisions", promotions_model=version["model"])
        if run_id and finding.kind != registry_watch.RUN_GONE:
            links.link("runs", "Its run", runs=run_id)
        with suppress(BadName):
            table_name, data = split_version(finding.subject)
            if data is not None:
                links.link("tables", "The data version", tables_table=table_name, tables_version=str(data))


def brief(findings: Sequence[Finding], *, most: int = 3, border: bool = False, at: datetime | None = None) -> None:
    """The first few, each as a line that leads to it (with *border* as a card); then how many there are.

    *at* is the moment that they are looked at (default: now): the links lead to how they stood then.
    """
    moment = at or datetime.now(UTC)
    then = {"as_of": f"{at:%Y-%m-%d}"} if at else {}
    for finding in findings[:most]:
        with st.container(horizontal=True, vertical_alignment="center", gap="small", border=border):
            messages.badge(finding.severity)
            st.markdown(messages.plain(words(finding)), width="content")
            told = due(finding, moment)
            st.caption(told if finding.is_overdue(moment) else f"due {told}", width="content")
            link(finding, "Look into it", **then)
    if len(findings) > most:
        links.link("audit", f"All {len(findings)} open findings", audit_tab=TAB, **then)


def link(finding: Finding, label: str, **address: str) -> None:
    """A link to the finding. *label* is Markdown."""
    links.link("audit", label, audit_tab=TAB, finding=finding.id, **address)


def marks(findings: Iterable[Finding]) -> str | None:
    """How many are open and how bad the worst is, for a cell; None where there is none."""
    opened = [one for one in findings if one.is_open]
    if not opened:
        return None
    worst = min(opened, key=lambda one: _ORDER.index(one.severity))
    return f"{messages.word(worst.severity)}, {len(opened)} open"


def emergency(findings: Iterable[Finding], request_id: str) -> Finding | None:
    """The finding of a rollback by one person, open or closed; None where the request is no such rollback."""
    return next((one for one in findings if one.kind == EMERGENCY_ROLLBACK and one.id == request_id), None)


def review_word(finding: Finding | None) -> str | None:
    """Whether a rollback by one person was looked at by somebody else."""
    if finding is None:
        return None
    return "▲ by one person, waits for a review" if finding.is_open else f"● reviewed by {visible(finding.closed_by)}"


def review_badge(finding: Finding) -> None:
    """The same beside a model or a decision."""
    if finding.is_open:
        st.badge("rolled back by one person, waits for a review", icon=":material/warning:", color="orange")
    else:
        st.badge(f"reviewed by {messages.plain(finding.closed_by)}", icon=":material/check:", color="green")


def _number(number: int) -> str:
    return "1 open finding" if number == 1 else f"{number} open findings"


def _due_mark(finding: Finding, at: datetime) -> tuple[str, Literal["green", "red", "gray"]]:
    """Return the icon and the colour of the due date."""
    if not finding.is_open:
        return ":material/check:", "green"
    return (":material/alarm:", "red") if finding.is_overdue(at) else (":material/schedule:", "gray")


def _history(finding: Finding, *, is_today: bool) -> list[str]:
    who = "ModelLedger's own pass" if finding.opened_by == INSPECTOR.name else messages.plain(finding.opened_by)
    told = [f"Opened by {who}, {messages.local(finding.opened_at)}"]
    if is_today and finding.kind not in (BY_HAND, EMERGENCY_ROLLBACK):
        told.append(f"last seen {messages.local(finding.last_seen)}")
    if finding.gone is not None:
        told.append(f"not seen any more since {messages.local(finding.gone)}")
    return told
