"""The search for events: the filters, all kept in the address, and one page of the events that match."""

from __future__ import annotations

import streamlit as st

from core.access.permissions import Action
from core.entities import Actor, Event, Outcome
from core.features.evidence.search_events import search_audit
from core.features.history.moment import Moment
from core.features.stores import Stores
from pages._audit import event_views
from pages._ui.texts import t, tn

_PAGE = 200


def search(stores: Stores, actor: Actor, moment: Moment | None) -> None:
    """Draw the filters and show the events until *moment* that match, newest first."""
    with st.expander(t("Filters"), expanded=True, icon=":material/filter_alt:"):
        row = st.columns(4)
        text = row[0].text_input(t("Contains"), key="audit_text", bind="query-params", icon=":material/search:")
        subject = row[1].text_input(
            t("Subject"), placeholder="iris_classifier/3", key="audit_subject", bind="query-params"
        )
        name = row[2].text_input(t("Actor"), placeholder="scientist", key="audit_who", bind="query-params")
        action = row[3].selectbox(
            t("Action"), [action.value for action in Action], index=None, key="audit_did", bind="query-params"
        )
        row = st.columns(4)
        outcome = row[0].selectbox(
            t("Outcome"), [outcome.value for outcome in Outcome], index=None, key="audit_outcome", bind="query-params"
        )
        since = row[1].date_input(t("From"), value=None, key="audit_since", bind="query-params")
        until = row[2].date_input(t("Until"), value=None, key="audit_until", bind="query-params")
        before = row[3].number_input(
            t("Before event"), min_value=1, value=None, step=1, key="audit_before", bind="query-params"
        )
    events = search_audit(
        stores,
        actor,
        subject=(subject or "").strip() or None,
        event_actor=(name or "").strip() or None,
        event_action=action,
        outcome=outcome,
        since=event_views.day_start(since),
        until=event_views.day_end(until),
        text=(text or "").strip() or None,
        before_sequence=min(filter(None, (before, moment.before_sequence if moment else None)), default=None),
        limit=_PAGE + 1,
    )
    if not events:
        st.info(t("No events match these filters. Remove a filter to see more events."))
        return
    _show_page(events[:_PAGE], is_newest=before is None, has_older=len(events) > _PAGE)


def _show_page(events: tuple[Event, ...], *, is_newest: bool, has_older: bool) -> None:
    event_views.events_table(events, key="audit_table", on_pick=open_event)
    with st.container(horizontal=True, vertical_alignment="center"):
        st.caption(
            tn(
                "{n} event. Select a row to see the whole event.",
                "{n} events, newest first. Select a row to see the whole event.",
                len(events),
            ),
            width="content",
        )
        if not is_newest:
            st.button(t("Newest"), icon=":material/first_page:", on_click=_set_before, args=(None,))
        if has_older:
            st.button(t("Older"), icon=":material/chevron_right:", on_click=_set_before, args=(events[-1].sequence,))


def open_event(sequence: int | None) -> None:
    """Open an event; the address keeps its number."""
    st.session_state["audit_event"] = sequence


def _set_before(sequence: int | None) -> None:
    st.session_state["audit_before"] = sequence
