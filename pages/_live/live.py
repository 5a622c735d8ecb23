"""Live: counts of what is pending in navigation and title, and a page that reruns itself after a change."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count

import streamlit as st

from core.entities import Actor
from core.features.open_requests.pending_for import Pending, latest_change, pending_for
from core.features.stores import Stores
from pages._ui import messages, session

# A change is shown within this time and that of a rerun. A tick is one query.
EVERY_S = 10.0
_COUNTED = "live.counted"


def counts(actor: Actor) -> dict[str, int]:
    """Return how much is pending for *actor*, by the page that shows it. Counted again after each change."""
    stores, pages = session.stores(), {}
    with messages.show_errors():
        now = (latest_change(stores, actor), actor)
        counted: tuple[object, Pending] | None = st.session_state.get(_COUNTED)
        if counted is None or counted[0] != now:
            counted = st.session_state[_COUNTED] = (now, pending_for(stores, actor))
        pages = {"promotions": counted[1].requests, "audit": counted[1].findings}
    return pages


def watch(stores: Stores, actor: Actor) -> None:
    """Rerun the page after a new request, decision or finding. Called before the page reads its data.

    A rerun keeps what a person is typing, and it waits for a run of the page that decides something at the moment.
    """
    with st.container(), messages.show_errors():
        _tick(stores, actor, latest_change(stores, actor), count())


@st.fragment(run_every=EVERY_S)
def _tick(stores: Stores, actor: Actor, drawn: int, ticks: Iterator[int]) -> None:
    """Compare the log with *drawn*, the state that the page shows. The first tick is within the page's own run."""
    if next(ticks) == 0:
        return
    with messages.show_errors():
        if latest_change(stores, actor) != drawn:
            st.rerun()
