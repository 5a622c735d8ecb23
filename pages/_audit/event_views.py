"""The audit log on a page: events as a table, one event in full, and the result of a verification."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pandas as pd
import streamlit as st

from core.access.permissions import Action
from core.audit.canonical_json import canonical
from core.audit.proofs.verification import LogVerdict
from core.audit.row_snapshots import snapshot_row
from core.entities import Event, Outcome
from core.features.evidence.bundle_check import Proof
from core.texts import text
from pages._ui import escaping, messages
from pages._ui.texts import t, translated

# The verb for each action that changes something. The log keeps the action's code.
_VERBS: dict[str, str] = {
    Action.DATA_INGEST: text("ingested"),
    Action.RUN_TRAIN: text("trained"),
    Action.RECIPE_WRITE: text("saved the recipe"),
    Action.MODEL_REPRODUCE: text("reproduced"),
    Action.MODEL_COMPARE: text("compared"),
    Action.MODEL_EDIT: text("edited"),
    Action.MODEL_EVALUATE: text("evaluated"),
    Action.MODEL_EXPLAIN: text("explained the KPIs of"),
    Action.PROMOTION_REQUEST: text("requested promotion"),
    Action.PROMOTION_DECIDE: text("decided"),
    Action.PROMOTION_ROLLBACK: text("rolled back"),
    Action.PREDICTION_SCORE: text("scored"),
    Action.AUDIT_EXPORT: text("exported"),
    Action.RECONCILE_READ: text("checked the registry"),
    Action.RECONCILE_RESOLVE: text("resolved"),
    Action.REGISTRY_ACCEPT: text("accepted the state as found"),
    Action.JOB_CANCEL: text("cancelled"),
    Action.NOTIFICATION_SEND: text("sent a notification by"),
    Action.TRIGGER_WRITE: text("changed the schedule"),
    Action.FINDING_OPEN: text("recorded a finding"),
    Action.SETTINGS_WRITE: text("changed"),
}
_DECISIONS = {"approved": text("approved"), "rejected": text("rejected")}


def verb(event: Event) -> str:
    """Return what the actor did, such as "approved". An action without a verb keeps its code."""
    decision = event.after.get("decision")
    if event.action == Action.PROMOTION_DECIDE.value and decision:
        return translated(_DECISIONS.get(str(decision), str(decision)))
    stage = snapshot_row(event.after, "request").get("to_stage")
    if event.action == Action.PROMOTION_REQUEST.value and stage:
        return t("requested {stage}", stage=stage)
    return translated(_VERBS.get(event.action, event.action))


def recent_activity(events: Sequence[Event]) -> None:
    """Show the newest events in words, one line each."""
    rows = [
        {
            t("Time"): event.time,
            t("Actor"): event.actor,
            t("Action"): verb(event),
            t("Subject"): event.subject,
            t("Reason"): event.reason,
        }
        for event in events
    ]
    times = {t("Time"): messages.time_column(t("Time"))}
    escaping.table(pd.DataFrame(rows), column_config=times, key="overview_changes")


def events_table(events: Sequence[Event], *, key: str, on_pick: Callable[[int], None]) -> None:
    """Show one line per event, in the order given; a click on a line picks its event."""
    number, when = t("No."), t("Time")
    rows = [
        {
            number: event.sequence,
            when: event.time,
            t("Actor"): event.actor,
            t("Action"): event.action,
            t("Subject"): event.subject,
            t("Outcome"): messages.label(event.outcome),
            t("Reason"): event.reason,
            t("Role"): messages.role_labels(event.role),
            t("Channel"): event.channel,
        }
        for event in events
    ]

    def pick_row() -> None:
        selected = st.session_state[key].selection.rows
        if selected:
            on_pick(events[selected[0]].sequence)

    escaping.table(
        pd.DataFrame(rows),
        key=key,
        style=messages.coloured,
        on_select=pick_row,
        selection_mode="single-row",
        height=min(36 * (len(rows) + 1) + 3, 460),
        column_config={
            number: st.column_config.NumberColumn(format="%d", width="small"),
            when: messages.time_column(when),
        },
        alt=t("Events of the audit log, newest first"),
    )


def event_detail(event: Event, others: Sequence[Event]) -> None:
    """Show one event in full: actor, action, reason, changes, and its place in the hash chain.

    *others* are the other events of the same action.
    """
    st.subheader(t("Event {number}", number=event.sequence))
    with st.container(horizontal=True, vertical_alignment="center"):
        messages.badge(event.outcome)
        actor = f"{event.actor} ({messages.role_labels(event.role)})"
        st.caption(f"{messages.plain(actor)}: {messages.plain(event.action)}", width="content")
        st.caption(messages.local_time(event.time, seconds=True), width="content")
    if event.subject:
        escaping.text(t("{action} on {subject}", action=event.action, subject=event.subject))
    else:
        escaping.text(event.action)
    if event.reason:
        with st.chat_message("user", avatar=":material/format_quote:"):
            escaping.text(event.reason)
    _changes(event.before, event.after)
    for other in others:
        parts = {
            "number": other.sequence,
            "outcome": messages.label(other.outcome),
            "time": messages.local_time(other.time, seconds=True),
        }
        if other.outcome is Outcome.INTENT:
            st.caption(t("The action began with event {number}: {outcome}, {time}", **parts))
        else:
            st.caption(t("The action ended with event {number}: {outcome}, {time}", **parts))
    if event.outcome is Outcome.INTENT and not others:
        st.warning(
            t("No outcome is recorded: the action still runs, or its process ended in between."),
            icon=":material/warning:",
        )
    st.caption(t("Place in the hash chain"))
    escaping.code(f"hash      {event.hash}\nprevious  {event.previous}\noperation {event.operation}")


def show_verdict(verdict: LogVerdict) -> None:
    """Show the result of a verification, with the position of the first broken event."""
    if verdict.ok:
        st.success(messages.plain(verdict.detail), icon=":material/verified:")
    else:
        is_named = verdict.first_broken is None or f"vent {verdict.first_broken} " in verdict.detail
        where = "" if is_named else messages.plain(t("Event {number}:", number=verdict.first_broken)) + " "
        st.error(where + messages.plain(verdict.detail), icon=":material/gpp_bad:")
    escaping.code(f"head {verdict.chain.head}")


def show_bundle_check(proof: Proof) -> None:
    """Show what a bundle proves, and what it does not prove."""
    show = st.success if proof.signer_known else st.warning
    show(messages.plain(proof.verdict), icon=":material/verified:")
    left, right = st.columns(2)
    for column, heading, sentences in (
        (left, t("Proven"), proof.proved),
        (right, t("Not proven"), proof.not_proved),
    ):
        column.markdown(f"**{heading}**")
        for sentence in sentences:
            column.markdown(f"- {messages.plain(sentence)}")


def day_start(day: date | None) -> datetime | None:
    """Return the first moment of *day* in the viewer's time zone."""
    return None if day is None else datetime.combine(day, time.min, tzinfo=ZoneInfo(messages.viewer_zone()))


def day_end(day: date | None) -> datetime | None:
    """Return the last moment of *day* in the viewer's time zone."""
    start = day_start(None if day is None else day + timedelta(days=1))
    return None if start is None else start - timedelta(microseconds=1)


def _changes(before: Mapping[str, object], after: Mapping[str, object]) -> None:
    names = list(dict.fromkeys([*before, *after]))
    if not names:
        st.caption(t("The event records no values before or after the action."))
        return
    rows = [
        {
            t("Field"): name,
            t("Before"): _value(before.get(name)),
            t("After"): _value(after.get(name)),
            t("Change"): t("changed") if name in before and name in after and before[name] != after[name] else "",
        }
        for name in names
    ]
    escaping.table(pd.DataFrame(rows), placeholder="–", alt=t("Values before and after the action"))


def _value(value: object) -> str | None:
    if value is None:
        return None
    return value if isinstance(value, str) else canonical(value)
