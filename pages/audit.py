"""Audit log: search, one event in full, findings, verify, sign a head, export."""

from __future__ import annotations

import functools

import streamlit as st

from core.access.permissions import Action
from core.entities import Finding, Outcome
from core.features.evidence.search_events import search_audit, show_event
from core.features.history.findings_as_of import findings_at, show_finding_at
from core.features.monitoring.findings import list_findings, show_finding
from pages._audit import event_views, finding_forms, finding_views, proof_forms
from pages._history import as_of
from pages._ui import messages, session

PAGE = 200

actor = session.require(Action.AUDIT_READ)
stores = session.stores()


def pick(sequence: int | None) -> None:
    """Opens an event; its number is in the address."""
    st.session_state["audit_event"] = sequence


def go_to(sequence: int) -> None:
    """Opens an event from another tab."""
    st.session_state["audit_tab"] = "Events"
    pick(sequence)


def pick_finding(finding_id: str) -> None:
    """Opens a finding; its id is in the address."""
    st.session_state["finding.box"] = finding_id


def older_than(sequence: int | None) -> None:
    st.session_state["audit_before"] = sequence


def search() -> None:
    """Filters, all in the address, and the events that match, newest first."""
    with st.expander("Filter", expanded=True, icon=":material/filter_alt:"):
        row = st.columns(4)
        text = row[0].text_input("Contains", key="audit_text", bind="query-params", icon=":material/search:")
        subject = row[1].text_input(
            "Subject", placeholder="iris_classifier/3", key="audit_subject", bind="query-params"
        )
        who = row[2].text_input("Who", placeholder="scientist", key="audit_who", bind="query-params")
        did = row[3].selectbox("Did", [one.value for one in Action], index=None, key="audit_did", bind="query-params")
        row = st.columns(4)
        ended = row[0].selectbox(
            "Outcome", [one.value for one in Outcome], index=None, key="audit_outcome", bind="query-params"
        )
        since = row[1].date_input("From", value=None, key="audit_since", bind="query-params")
        until = row[2].date_input("Until", value=None, key="audit_until", bind="query-params")
        before = row[3].number_input(
            "Before event", min_value=1, value=None, step=1, key="audit_before", bind="query-params"
        )
    found = search_audit(
        stores,
        actor,
        subject=(subject or "").strip() or None,
        event_actor=(who or "").strip() or None,
        event_action=did,
        outcome=ended,
        since=event_views.day_start(since),
        until=as_of.earlier(event_views.day_end(until), then),
        text=(text or "").strip() or None,
        before_sequence=before,
        limit=PAGE + 1,
    )
    if not found:
        st.info("No event matches. Everything that is done here is written down; take a filter away to see it.")
        return
    event_views.events_table(found[:PAGE], key="audit_table", on_pick=pick)
    with st.container(horizontal=True, vertical_alignment="center"):
        st.caption(f"{len(found[:PAGE])} events, newest first. Click a line for all of it.", width="content")
        last = found[:PAGE][-1].sequence
        if before:
            st.button("Newest", icon=":material/first_page:", on_click=older_than, args=(None,))
        if len(found) > PAGE:
            st.button("Older", icon=":material/chevron_right:", on_click=older_than, args=(last,))


def one() -> None:
    """The event whose number is in the address."""
    number = st.number_input("Event", min_value=1, value=None, step=1, key="audit_event", bind="query-params")
    if number is not None:
        event_views.event(*show_event(stores, actor, number))


def findings() -> None:
    """What somebody has to look into, by due date; one of them in full, with what can be done about it today."""
    if then is None:
        finding_forms.look_now(stores, actor)
    known = all_findings()
    closed_too = st.toggle("Closed ones too", key="audit_closed", bind="query-params")
    shown = [one for one in known if one.is_open or closed_too]
    if shown:
        finding_views.findings_table(shown, key="audit_findings", on_pick=pick_finding, at=then)
    else:
        finding_views.none_open(then)
    picked = finding_views.pick(shown, known, "finding", at=then)
    if picked is not None:
        view = show_finding_at(stores, actor, picked, then) if then else show_finding(stores, actor, picked)
        finding_views.one(view, key="audit_finding", on_event=go_to, at=then)
        if view.finding.is_open and then is None:
            finding_forms.close(stores, actor, view.finding)
            finding_forms.assign(stores, actor, view.finding)
    if then is None:
        finding_forms.open_by_hand(stores, actor)


@functools.cache
def all_findings() -> tuple[Finding, ...]:
    """Open and closed, as they stand or as they stood; read once in a rerun, which makes this function anew."""
    every = {"include_closed": True}
    return findings_at(stores, actor, then, **every) if then else list_findings(stores, actor, **every)


def verify() -> None:
    proof_forms.verify(stores, actor)
    proof_forms.verify_taken_away(stores, actor)


def take_away() -> None:
    proof_forms.take_away(stores, actor)


title, number = st.columns([5, 2], vertical_alignment="center")
title.title("Audit log")
then = as_of.bound()
with number, messages.telling():
    finding_views.count(all_findings(), then)
messages.said()
if "finding" in st.query_params and "audit_tab" not in st.query_params:
    # Where the address names a finding and no tab; set before the tabs are drawn, once.
    st.session_state.setdefault("audit_tab", finding_views.TAB)
tabs = st.tabs(
    ("Events", finding_views.TAB, "Verify", "Take away"), key="audit_tab", bind="query-params", on_change="rerun"
)
for tab, bodies in zip(tabs, ((search, one), (findings,), (verify,), (take_away,)), strict=True):
    if tab.open:
        with tab, messages.telling():
            for body in bodies:
                body()
