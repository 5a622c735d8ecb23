"""Audit log: search, one event in full, findings, verification, signed heads and export."""

from __future__ import annotations

import functools

import streamlit as st

from core.access.permissions import Action
from core.entities import Finding
from core.features.evidence.search_events import show_event
from core.features.history.findings_as_of import findings_at, show_finding_at
from core.features.history.moment import event_name
from core.features.monitoring.findings import list_findings, show_finding
from pages._audit import event_search, event_views, finding_forms, finding_views, proof_forms
from pages._ui import messages, session
from pages._ui.moment import chosen
from pages._ui.texts import t

actor = session.require(Action.AUDIT_READ)
stores = session.stores()
moment = session.moment()
at = moment.time if moment else None


def open_event_in_tab(sequence: int) -> None:
    """Open an event from another tab."""
    st.session_state["audit_tab"] = t("Events")
    event_search.open_event(sequence)


def open_finding(finding_id: str) -> None:
    """Open a finding; the address keeps its id."""
    st.session_state["finding.box"] = finding_id


def search() -> None:
    event_search.search(stores, actor, moment)


def event() -> None:
    """Show the event whose number is in the address."""
    number = st.number_input(t("Event"), min_value=1, value=None, step=1, key="audit_event", bind="query-params")
    if number is None:
        return
    if moment is not None and number > moment.sequence:
        st.info(t("Event {number} was recorded after this moment.", number=number))
        return
    found, others = show_event(stores, actor, number)
    event_views.event_detail(found, [other for other in others if not moment or other.sequence <= moment.sequence])
    st.button(
        t("Show every page as of this event"),
        icon=":material/history:",
        on_click=chosen.choose,
        args=(event_name(number),),
        key="audit_as_of",
    )


def findings() -> None:
    """Show the findings by due date, and one of them in full with its forms. An earlier moment has no forms."""
    if moment is None:
        finding_forms.compare_form(stores, actor)
    known = all_findings()
    with_closed = st.toggle(t("Include closed findings"), key="audit_closed", bind="query-params")
    listed = [finding for finding in known if finding.is_open or with_closed]
    shown = finding_views.filtered(listed, known)
    if shown:
        is_many = moment is None and session.may(actor, Action.RECONCILE_RESOLVE)
        selected = finding_views.findings_table(
            shown, key="audit_findings", on_pick=open_finding, at=at, is_many=is_many
        )
        if moment is None:
            finding_forms.close_several_form(stores, actor, shown, selected)
    elif listed:
        st.info(t("No finding matches. Change the filters."))
    else:
        finding_views.empty_state(at)
    finding_id = finding_views.pick(shown, known, "finding", at=at)
    if finding_id is not None:
        view = show_finding_at(stores, actor, finding_id, moment) if moment else show_finding(stores, actor, finding_id)
        finding_views.detail(view, key="audit_finding", on_event=open_event_in_tab, at=at)
        if view.finding.is_open and moment is None:
            finding_forms.close_form(stores, actor, view.finding)
            finding_forms.assign_form(stores, actor, view.finding)
    if moment is None:
        finding_forms.open_form(stores, actor)


@functools.cache
def all_findings() -> tuple[Finding, ...]:
    """Return open and closed findings, present or at the moment. Each rerun reads them once."""
    options = {"include_closed": True}
    return findings_at(stores, actor, moment, **options) if moment else list_findings(stores, actor, **options)


def verify() -> None:
    """Draw the forms that verify the log, which always concern the whole log."""
    if moment is not None:
        st.info(t("A verification concerns the whole log. Go back to now to verify the log or a bundle."))
        return
    proof_forms.verify_log_form(stores, actor)
    proof_forms.verify_bundle_form(stores, actor)


def export() -> None:
    """Draw the downloads; each export is an event of the present."""
    if moment is not None:
        st.info(t("An export has the whole log and is recorded in the log. Go back to now to export."))
        return
    proof_forms.export_form(stores, actor)


title, badge = st.columns([5, 2], vertical_alignment="center")
title.title(t("Audit log"))
with badge, messages.show_errors():
    finding_views.count_badge(all_findings(), at)
messages.show_notification()
if "finding" in st.query_params and "audit_tab" not in st.query_params:
    # The address names a finding and no tab. The state must be set before the tabs are drawn.
    st.session_state.setdefault("audit_tab", t("Findings"))
tabs = st.tabs(
    (t("Events"), t("Findings"), t("Verify"), t("Export")), key="audit_tab", bind="query-params", on_change="rerun"
)
for tab, bodies in zip(tabs, ((search, event), (findings,), (verify,), (export,)), strict=True):
    if tab.open:
        with tab, messages.show_errors():
            for body in bodies:
                body()
