"""Cached readers. A key is what the answer depends on and nothing per user: who may see it is asked before."""

from __future__ import annotations

import streamlit as st

from core.entities import Actor
from core.services import overview as service
from core.services.stores import Stores

# What happens through ModelLedger changes the log's head, which is in the key; what is changed in MLflow behind its
# back does not, and is seen after this many seconds.
_TTL_S = 5


def overview(stores: Stores, actor: Actor) -> service.Overview:
    """The overview as of the log's head; the same for everybody who may see it."""
    sequence, head = stores.audit.head()
    live = tuple((job.id, job.status.value) for job in stores.jobs.list(live_only=True))
    return _overview(stores, actor, stores.settings.database, sequence, head, live)


@st.cache_data(ttl=_TTL_S, max_entries=32, show_spinner=False)
def _overview(
    _stores: Stores, _actor: Actor, database: str, sequence: int, head: str, live: tuple[tuple[str, str], ...]
) -> service.Overview:
    """*_actor* is not in the key: whoever comes here has passed the page's guard, and all of them see the same."""
    return service.overview(_stores, _actor)
