"""The audit log on a page: events as a table, one with its before and after, and what a verification found."""

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
from pages._ui import escaping, messages

# What was done, in the words of those who did it; the log keeps the action's own name.
_DID: dict[str, str] = {
    Action.DATA_INGEST: "ingested",
    Action.RUN_TRAIN: "trained",
    Action.RECIPE_WRITE: "wrote the recipe",
    Action.MODEL_REPRODUCE: "made it again",
    Action.PROMOTION_REQUEST: "asked for a stage",
    Action.PROMOTION_DECIDE: "decided",
    Action.PROMOTION_ROLLBACK: "rolled back",
    Action.PREDICTION_SCORE: "scored",
    Action.AUDIT_EXPORT: "took away",
    Action.RECONCILE_READ: "noted",
    Action.RECONCILE_RESOLVE: "resolved",
    Action.JOB_CANCEL: "cancelled",
    Action.TRIGGER_WRITE: "changed the schedule",
    Action.FINDING_OPEN: "wrote a finding",
    Action.SETTINGS_WRITE: "changed",
}


def did(event: Event) -> str:
    """What *event* tells, in a word or two: "approved", "asked for Production". An unknown action is its own name."""
    if event.action == Action.PROMOTION_DECIDE.value and event.after.get("decision"):
        return str(event.after["decision"])
    to = snapshot_row(event.after, "request").get("to_stage")
    if event.action == Action.PROMOTION_REQUEST.value and to:
        return f"asked for {to}"
    return _DID.get(event.action, event.action)


def lately(events: Sequence[Event]) -> None:
    """The newest events in words, one line each."""
    rows = [
        {"When": event.time, "Who": event.actor, "Did": did(event), "To": event.subject, "Why": event.reason}
        for event in events
    ]
    escaping.table(pd.DataFrame(rows), column_config={"When": messages.time_column("When")}, key="overview_changes")


def events_table(events: Sequence[Event], *, key: str, on_pick: Callable[[int], None]) -> None:
    """One line per event, newest first; a click picks one."""
    rows = [
        {
            "No.": event.sequence,
            "Time": event.time,
            "Who": event.actor,
            "Did": event.action,
            "To": event.subject,
            "Outcome": messages.word(event.outcome),
            "Reason": event.reason,
            "As": messages.roles(event.role),
            "By way of": event.channel,
        }
        for event in events
    ]

    def picked() -> None:
        chosen = st.session_state[key].selection.rows
        if chosen:
            on_pick(events[chosen[0]].sequence)

    escaping.table(
        pd.DataFrame(rows),
        key=key,
        style=messages.coloured,
        on_select=picked,
        selection_mode="single-row",
        height=min(36 * (len(rows) + 1) + 3, 460),
        column_config={
            "No.": st.column_config.NumberColumn(format="%d", width="small"),
            "Time": messages.time_column("Time"),
        },
        alt="Events of the audit log, newest first",
    )


def event(found: Event, others: Sequence[Event]) -> None:
    """One event in full: who, what, why, what changed, and its place in the chain."""
    st.subheader(f"Event {found.sequence}")
    with st.container(horizontal=True, vertical_alignment="center"):
        messages.badge(found.outcome)
        who = f"{found.actor} ({messages.roles(found.role)})"
        st.caption(f"{messages.plain(who)}: {messages.plain(found.action)}", width="content")
        st.caption(messages.local(found.time, seconds=True), width="content")
    escaping.text(f"{found.action} on {found.subject or 'nothing in particular'}")
    if found.reason:
        with st.chat_message("user", avatar=":material/format_quote:"):
            escaping.text(found.reason)
    _changes(found.before, found.after)
    for other in others:
        word = "began with" if other.outcome is Outcome.INTENT else "ended with"
        st.caption(
            f"The same action {word} event {other.sequence}: {messages.word(other.outcome)}, "
            f"{messages.local(other.time, seconds=True)}"
        )
    if found.outcome is Outcome.INTENT and not others:
        st.warning("No outcome was written: it is still going on, or it died.", icon=":material/warning:")
    st.caption("Place in the chain")
    escaping.code(f"hash      {found.hash}\nprevious  {found.previous}\noperation {found.operation}")


def verdict(found: LogVerdict) -> None:
    """What a verification found, with the position."""
    if found.ok:
        st.success(messages.plain(found.detail), icon=":material/verified:")
    else:
        named = found.first_broken is None or f"vent {found.first_broken} " in found.detail
        where = "" if named else f"Event {found.first_broken}: "
        st.error(messages.plain(where + found.detail), icon=":material/gpp_bad:")
    escaping.code(f"head {found.chain.head}")


def bundle(proof: Proof) -> None:
    """What a bundle proved, and what it did not."""
    told = st.success if proof.signer_known else st.warning
    told(messages.plain(proof.verdict), icon=":material/verified:")
    left, right = st.columns(2)
    for place, title, sentences in ((left, "Proven", proof.proved), (right, "Not proven", proof.not_proved)):
        place.markdown(f"**{title}**")
        for sentence in sentences:
            place.markdown(f"- {messages.plain(sentence)}")


def day_start(day: date | None) -> datetime | None:
    """The beginning of *day* where the viewer is."""
    return None if day is None else datetime.combine(day, time.min, tzinfo=ZoneInfo(messages.viewer_zone()))


def day_end(day: date | None) -> datetime | None:
    """The last moment of *day* where the viewer is."""
    start = day_start(None if day is None else day + timedelta(days=1))
    return None if start is None else start - timedelta(microseconds=1)


def _changes(before: Mapping[str, object], after: Mapping[str, object]) -> None:
    names = list(dict.fromkeys([*before, *after]))
    if not names:
        st.caption("Nothing was noted of before and after.")
        return
    rows = [
        {
            "What": name,
            "Before": _shown(before.get(name)),
            "After": _shown(after.get(name)),
            "": "changed" if name in before and name in after and before[name] != after[name] else "",
        }
        for name in names
    ]
    escaping.table(pd.DataFrame(rows), placeholder="–", alt="What was before and what is after")


def _shown(value: object) -> str | None:
    if value is None:
        return None
    return value if isinstance(value, str) else canonical(value)
