"""Forms about findings: look now, open one by hand, another owner or due date, close or review. One call each."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import streamlit as st

from core.access.permissions import Action
from core.entities import Actor, Finding, Look, Severity
from core.features.monitoring.baseline import INSPECTOR
from core.features.monitoring.findings import (
    assign_finding,
    close_finding,
    inspect_registry,
    last_inspection,
    open_finding,
)
from core.features.promotion.review import EMERGENCY_ROLLBACK
from core.features.stores import Stores
from pages._audit import event_views, finding_views
from pages._promotions import promotion_forms
from pages._ui import messages, session

_OPENED = "findings_opened"
# The worker may be a little late: two passes may be missed before it is told.
_MISSED = 3


def look_now(stores: Stores, actor: Actor) -> None:
    """When the registry was compared last, and the button that does it now; an outage is told."""
    last = last_inspection(stores, actor)
    every_s = stores.settings.inspect_every_s
    with st.container(horizontal=True, vertical_alignment="center"):
        pressed = st.button("Look now", icon=":material/search_check:", key="findings_look")
        if last is None:
            st.caption("Nobody has looked yet. The worker looks when it starts, and then on a schedule.")
        else:
            by = "the worker" if last.by == INSPECTOR.name else messages.plain(last.by)
            told = f"Looked at last {messages.local(last.at, seconds=True)} by {by}: {_seen(last)}."
            st.caption(told, width="content")
    if last is not None and every_s and datetime.now(UTC) - last.at > timedelta(seconds=_MISSED * every_s):
        st.warning(
            f"The worker should look every {every_s:g} s and has not: see that `python -m core worker` runs and that "
            "MLflow answers it.",
            icon=":material/schedule:",
        )
    if pressed:
        with messages.telling(), st.spinner("Comparing the registry with log and decisions"):
            new = inspect_registry(stores, actor)
            told = "; ".join(finding_views.words(one) for one in new)
            messages.say(f"New: {told}." if new else "Nothing new: all that differs is known already.")
            st.rerun()


def open_by_hand(stores: Stores, actor: Actor) -> None:
    """An auditor's own finding."""
    if not session.may(actor, Action.FINDING_OPEN):
        st.caption("An auditor opens a finding by hand.")
        return
    number = st.session_state.setdefault(_OPENED, 0)
    with st.expander("Open a finding by hand", icon=":material/add:"), st.form(f"findings_open_{number}"):
        row = st.columns(3)
        subject = row[0].text_input("About", placeholder="iris_classifier/3, a table, a person", max_chars=300)
        severities = list(Severity)
        severity = row[1].selectbox("Severity", severities, format_func=messages.word)
        owner = row[2].text_input("Owner", value="manager", max_chars=200)
        detail = promotion_forms.reason("What is to be looked into")
        if st.form_submit_button("Open", type="primary", icon=":material/add:"):
            with messages.telling():
                done = open_finding(
                    stores, actor, subject=subject, detail=detail, severity=severity, owner=owner or "manager"
                )
                st.session_state[_OPENED] = number + 1
                messages.say(
                    f"Opened: {finding_views.words(done)}; {done.owner} has it, due {finding_views.due(done)}."
                )
                st.rerun()


def assign(stores: Stores, actor: Actor, finding: Finding) -> None:
    """Another owner or due date, with a reason."""
    if not session.may(actor, Action.FINDING_OPEN):
        st.caption("An auditor gives it to another owner or moves its due date.")
        return
    day = finding.due.astimezone(ZoneInfo(messages.viewer_zone())).date()
    with st.form(f"findings_assign_{finding.id}"):
        left, right = st.columns(2)
        owner = left.text_input("Owner", value=finding.owner, max_chars=200)
        chosen = right.date_input("Due (end of the day)", value=day, format="YYYY-MM-DD")
        why = promotion_forms.reason()
        if st.form_submit_button("Change owner or due date", icon=":material/person_edit:"):
            with messages.telling():
                until = finding.due if chosen == day else event_views.day_end(chosen)
                done = assign_finding(stores, actor, finding.id, owner=owner, due=until or finding.due, reason=why)
                messages.say(f"{finding_views.words(done)}: {done.owner} has it, due {finding_views.due(done)}.")
                st.rerun()


def close(stores: Stores, actor: Actor, finding: Finding) -> None:
    """Closes it with what was found out; a rollback by one person is reviewed so, by somebody else."""
    is_review = finding.kind == EMERGENCY_ROLLBACK
    if not session.may(actor, Action.RECONCILE_RESOLVE):
        st.caption("A manager other than who rolled back reviews it." if is_review else "A manager closes it.")
        return
    if is_review and (who := promotion_forms.own(stores, actor, finding.opened_by)):
        st.info(f"{who} rolled it back alone; another manager has to review it.", icon=":material/group:")
        return
    with st.form(f"findings_close_{finding.id}"):
        why = promotion_forms.reason("What was found out")
        if st.form_submit_button(
            "Reviewed: close it" if is_review else "Close", type="primary", icon=":material/task_alt:"
        ):
            with messages.telling():
                done = close_finding(stores, actor, finding.id, reason=why)
                messages.say(f"{finding_views.words(done)} is {'reviewed' if is_review else 'closed'}.")
                st.rerun()
        if not is_review:
            st.caption("Nothing is repaired by it. What goes away and comes back later is a new finding.")


def _seen(last: Look) -> str:
    if last.seen == 0:
        return "no difference"
    return f"{last.seen} {'difference' if last.seen == 1 else 'differences'}, {last.new or 'none'} of them new"
