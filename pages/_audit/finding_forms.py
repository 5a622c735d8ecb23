"""Forms for findings: compare now, open, assign, close or review. Each is one call of a service."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import streamlit as st

from core.access.permissions import Action
from core.entities import Actor, Finding, Look, Severity
from core.features.monitoring.baseline import INSPECTOR
from core.features.monitoring.findings import (
    ClosedFindings,
    assign_finding,
    close_finding,
    close_findings,
    inspect_registry,
    last_inspection,
    open_finding,
)
from core.features.promotion.review import EMERGENCY_ROLLBACK
from core.features.stores import Stores
from pages._audit import event_views, finding_views
from pages._promotions import promotion_forms
from pages._promotions.single_press import SinglePressForm
from pages._ui import messages, session
from pages._ui.texts import t, tn

# The worker can be a little late: the warning appears after this many missed comparisons.
_MISSED = 3


def compare_form(stores: Stores, actor: Actor) -> None:
    """Show when the registry was last compared, and a button that compares it now."""
    last = last_inspection(stores, actor)
    every_s = stores.settings.inspect_every_s
    with st.container(horizontal=True, vertical_alignment="center"):
        is_pressed = st.button(t("Compare now"), icon=":material/search_check:", key="findings_look")
        if last is None:
            st.caption(t("Not compared yet. The worker compares at its start, and then on a schedule."))
        else:
            actor_name = t("the worker") if last.by == INSPECTOR.name else messages.plain(last.by)
            st.caption(
                t(
                    "Last comparison: {time}, by {actor}: {result}.",
                    time=messages.local_time(last.at, seconds=True),
                    actor=actor_name,
                    result=_result(last),
                ),
                width="content",
            )
    if last is not None and every_s and datetime.now(UTC) - last.at > timedelta(seconds=_MISSED * every_s):
        st.warning(
            t(
                "The worker is set to compare every {seconds:g} s, but has not done so. Check that "
                "`python -m core worker` runs and that MLflow answers it.",
                seconds=every_s,
            ),
            icon=":material/schedule:",
        )
    if is_pressed:
        with messages.show_errors(), st.spinner(t("Comparing the registry with the audit log and the decisions")):
            opened = inspect_registry(stores, actor)
            if opened:
                titles = "; ".join(finding_views.title(finding) for finding in opened)
                messages.notify(t("New findings: {titles}.", titles=titles))
            else:
                messages.notify(t("No new findings. Every difference is already recorded."))
            st.rerun()


def open_form(stores: Stores, actor: Actor) -> None:
    """Let an auditor open a finding."""
    if not session.may(actor, Action.FINDING_OPEN):
        st.caption(t("Only auditors can open a finding by hand."))
        return
    with st.expander(t("Open a finding"), icon=":material/add:"):
        form = SinglePressForm("findings_open")
        with form:
            row = st.columns(3)
            subject = row[0].text_input(
                t("Subject"), placeholder=t("iris_classifier/3, a table or a person"), max_chars=300
            )
            severities = [*Severity]
            severity = row[1].selectbox(t("Severity"), severities, format_func=messages.label)
            owner = row[2].text_input(t("Owner"), value="manager", max_chars=200)
            detail = promotion_forms.reason_field(t("What must be looked into"))
            is_pressed = form.button(t("Open finding"), type="primary", icon=":material/add:")
        if is_pressed:
            with form.answer(t("Opening the finding")):
                finding = open_finding(
                    stores, actor, subject=subject, detail=detail, severity=severity, owner=owner or "manager"
                )
                form.notify(
                    t(
                        "Finding opened: {title}. Owner: {owner}. Due {due}.",
                        title=finding_views.title(finding),
                        owner=finding.owner,
                        due=finding_views.due(finding),
                    )
                )


def assign_form(stores: Stores, actor: Actor, finding: Finding) -> None:
    """Let an auditor change the owner or the due date, with a reason."""
    if not session.may(actor, Action.FINDING_OPEN):
        st.caption(t("Only auditors can change the owner or the due date."))
        return
    day = finding.due.astimezone(ZoneInfo(messages.viewer_zone())).date()
    form = SinglePressForm(f"findings_assign_{finding.id}")
    with form:
        left, right = st.columns(2)
        owner = left.text_input(t("Owner"), value=finding.owner, max_chars=200)
        chosen = right.date_input(t("Due (end of the day)"), value=day, format="YYYY-MM-DD")
        reason = promotion_forms.reason_field()
        is_pressed = form.button(t("Change owner or due date"), icon=":material/person_edit:")
    if is_pressed:
        with form.answer(t("Changing the finding")):
            due = finding.due if chosen == day else event_views.day_end(chosen)
            assigned = assign_finding(stores, actor, finding.id, owner=owner, due=due or finding.due, reason=reason)
            form.notify(
                t(
                    "Finding changed: {title}. Owner: {owner}. Due {due}.",
                    title=finding_views.title(assigned),
                    owner=assigned.owner,
                    due=finding_views.due(assigned),
                )
            )


def close_form(stores: Stores, actor: Actor, finding: Finding) -> None:
    """Let a manager close the finding; a manager other than the actor reviews a rollback by one person."""
    is_review = finding.kind == EMERGENCY_ROLLBACK
    if not session.may(actor, Action.RECONCILE_RESOLVE):
        if is_review:
            st.caption(t("A manager other than the one who rolled back reviews the rollback."))
        else:
            st.caption(t("Only managers can close a finding."))
        return
    if is_review and (person := promotion_forms.own_decision(stores, actor, finding.opened_by)):
        st.info(
            t("{person} rolled back without a second approval; another manager must review it.", person=person),
            icon=":material/group:",
        )
        return
    form = SinglePressForm(f"findings_close_{finding.id}")
    with form:
        reason = promotion_forms.reason_field(t("Result of the investigation"))
        label = t("Mark as reviewed") if is_review else t("Close finding")
        is_pressed = form.button(label, type="primary", icon=":material/task_alt:")
        if not is_review:
            st.caption(t("Closing repairs nothing. A difference that disappears and returns becomes a new finding."))
    if is_pressed:
        with form.answer(t("Closing the finding")):
            title = finding_views.title(close_finding(stores, actor, finding.id, reason=reason))
            form.notify(
                t("Finding reviewed: {title}.", title=title)
                if is_review
                else t("Finding closed: {title}.", title=title)
            )


def close_several_form(stores: Stores, actor: Actor, shown: Sequence[Finding], chosen: Sequence[Finding]) -> None:
    """Let a manager close the *chosen* findings, or else all that are *shown*, with one reason."""
    opened = [finding for finding in chosen or shown if finding.is_open]
    if len(opened) < 2 or not session.may(actor, Action.RECONCILE_RESOLVE):
        return
    with st.expander(t("Close several findings"), icon=":material/done_all:", expanded=len(chosen) > 1):
        if chosen:
            st.caption(t("The chosen rows are closed with one reason. Each closing is an event of its own."))
        else:
            st.caption(t("All open findings in the table are closed with one reason. Choose rows to close only those."))
        form = SinglePressForm("findings_close_several")
        with form:
            reason = promotion_forms.reason_field(t("Result of the investigation"))
            label = tn("Close {n} finding", "Close {n} findings", len(opened))
            is_pressed = form.button(label, type="primary", icon=":material/done_all:")
        if is_pressed:
            with form.answer(t("Closing the findings")):
                done = close_findings(stores, actor, [finding.id for finding in opened], reason=reason)
                form.notify(_closing_result(done))


def _closing_result(done: ClosedFindings) -> str:
    result = tn("{n} finding closed.", "{n} findings closed.", len(done.closed))
    if not done.refused:
        return result
    reasons = " ".join(dict.fromkeys(done.refused.values()))
    return t("{result} Not closed: {number}. {reasons}", result=result, number=len(done.refused), reasons=reasons)


def _result(last: Look) -> str:
    if last.seen == 0:
        return t("no difference")
    return tn("{n} difference, {new} new", "{n} differences, {new} new", last.seen, new=last.new)
