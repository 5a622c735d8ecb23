"""Audit log: search, one event in full, findings, verify, sign a head, export."""

from __future__ import annotations

import tempfile
from pathlib import Path

import streamlit as st

from core.entities import Outcome
from core.permissions import Action
from core.services.attest import head_on_paper, sign_head, verify_against
from core.services.findings import list_findings, show_finding
from core.services.prove import export_audit, search_audit, show_event
from pages.shared import asof, audit_views, finding_forms, finding_views, messages, session

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
        since=audit_views.day_start(since),
        until=asof.earlier(audit_views.day_end(until), then),
        text=(text or "").strip() or None,
        before_sequence=before,
        limit=PAGE + 1,
    )
    if not found:
        st.info("No event matches. Everything that is done here is written down; take a filter away to see it.")
        return
    audit_views.events_table(found[:PAGE], key="audit_table", on_pick=pick)
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
        audit_views.event(*show_event(stores, actor, number))


def findings() -> None:
    """What somebody has to look into, by due date; one of them in full, with what can be done about it."""
    if then is not None:
        st.caption("Findings are shown as they stand now.")
    finding_forms.look_now(stores, actor)
    known = list_findings(stores, actor, include_closed=True)
    closed = sum(not one.is_open for one in known)
    closed_too = st.toggle(f"Closed ones too ({closed})", key="audit_closed", bind="query-params")
    shown = [one for one in known if one.is_open or closed_too]
    if shown:
        finding_views.table(shown, key="audit_findings", on_pick=pick_finding)
    else:
        st.info(
            "No finding is open. A finding is opened where the registry or a run is not what was decided and logged "
            "here, where a rollback by one person waits for a review, and by an auditor by hand; it stays until a "
            "manager closes it with a reason."
        )
    picked = finding_views.pick(shown, known, "finding")
    if picked is not None:
        view = show_finding(stores, actor, picked)
        finding_views.one(view, key="audit_finding", on_event=go_to)
        if view.finding.is_open:
            finding_forms.close(stores, actor, view.finding)
            finding_forms.assign(stores, actor, view.finding)
    finding_forms.open_by_hand(stores, actor)


def verify() -> None:
    """Recomputes the whole chain and compares it with what was kept elsewhere."""
    st.write(
        "Recomputes the hash of every event from its content and the hash before it. With a head or an export that was "
        "kept elsewhere it also finds what the chain alone cannot: a tail cut off, or a log rewritten from the start."
    )
    kept = st.file_uploader("Heads and exports kept elsewhere", accept_multiple_files=True, key="audit_kept")
    only_new = st.toggle("Only what was appended since the last verification", key="audit_only_new")
    if st.button("Verify", type="primary", icon=":material/verified:", key="audit_verify"):
        bar = st.progress(0.0, text="reading")
        texts = [file.getvalue().decode("utf-8", errors="replace") for file in kept or []]
        found = verify_against(
            stores,
            actor,
            texts,
            incremental=only_new,
            on_progress=lambda seen, total: bar.progress(seen / max(total, 1), text=f"{seen:,} of {total:,} events"),
        )
        bar.empty()
        audit_views.verdict(found)


def exported(ending: str) -> bytes:
    """The whole log as a file's content; it is written down that it was taken."""
    with tempfile.TemporaryDirectory(prefix="modelledger-") as folder:
        file = Path(folder) / f"audit{ending}"
        export_audit(stores, actor, file)
        return file.read_bytes()


def take_away() -> None:
    """The log and its head as files; that they were taken is written down."""
    if not session.may(actor, Action.AUDIT_EXPORT):
        st.info("An auditor or a manager takes the log away.")
        return
    st.write("Whoever keeps a copy elsewhere can prove later that this log was not rewritten.")
    with st.container(horizontal=True):
        for word, ending in (("JSON lines", ".jsonl"), ("CSV", ".csv")):
            label, name = f"All events as {word}", f"audit-log{ending}"
            st.download_button(
                label, lambda e=ending: exported(e), name, icon=":material/download:", key=f"audit_export{ending}"
            )
        st.download_button(
            "Signed head, to print",
            lambda: head_on_paper(sign_head(stores, actor)),
            "audit-head.txt",
            icon=":material/signature:",
            key="audit_head",
        )


title, number = st.columns([5, 2], vertical_alignment="center")
title.title("Audit log")
with number, messages.telling():
    finding_views.count(list_findings(stores, actor))
then = asof.bound()
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
