"""Cached readers. The keys hold everything that an answer depends on, and nothing of the user.

The page's guard has checked the permission before.
"""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd
import streamlit as st

from core.entities import Actor, PredictionBatch, Stage
from core.features.history.moment import Moment
from core.features.history.stage_timeline import Timelines
from core.features.history.stage_timeline import stage_timelines as read_timelines
from core.features.monitoring import overview as service
from core.features.open_requests.pending_for import latest_change
from core.features.promotion.roll_back import RollbackPreview, preview_rollback
from core.features.scoring.batch_rows import batch_sample as read_sample
from core.features.stores import Stores

# Every action in ModelLedger changes the log's head, which is part of the key. A change made directly in MLflow does
# not; it appears after this many seconds.
_TTL_S = 5
# The files of models and tables change without a sign in log or registry.
_CHECKED_S = 60
# Immutable data can still be lost (vacuumed); the loss appears after this many seconds.
_KEPT_S = 300


def overview(stores: Stores, actor: Actor) -> service.Overview:
    """Return the overview as of the log's head. It is the same for everybody who may see it."""
    sequence, head = stores.audit.head()
    live = tuple((job.id, job.status.value) for job in stores.jobs.list(live_only=True))
    return _overview(stores, actor, stores.settings.database, sequence, head, live)


@st.cache_data(ttl=_TTL_S, max_entries=32, show_spinner=False)
def _overview(
    _stores: Stores, _actor: Actor, database: str, sequence: int, head: str, live: tuple[tuple[str, str], ...]
) -> service.Overview:
    """*_actor* is not in the key: every actor has passed the page's guard, and all see the same."""
    return service.overview(_stores, _actor)


def rollback_preview(stores: Stores, actor: Actor, model: str, to: int, stages: Mapping[int, Stage]) -> RollbackPreview:
    """Return the preview of a rollback. Its checks load the model, so they run once a minute or after a change."""
    change = latest_change(stores, actor)
    return _rollback_preview(stores, actor, stores.settings.database, change, model, to, tuple(stages.items()))


@st.cache_data(ttl=_CHECKED_S, max_entries=32, show_spinner=False)
def _rollback_preview(
    _stores: Stores,
    _actor: Actor,
    database: str,
    change: int,
    model: str,
    to: int,
    stages: tuple[tuple[int, Stage], ...],
) -> RollbackPreview:
    """*_actor* is not in the key, as in `_overview`."""
    return preview_rollback(_stores, _actor, model, to=to)


def stage_timelines(stores: Stores, actor: Actor, until: Moment | None = None) -> Timelines:
    """Return the stages of all models as of the log's head, up to *until*. They are the same for everybody."""
    sequence, head = stores.audit.head()
    return _stage_timelines(stores, actor, stores.settings.database, sequence, head, until)


@st.cache_data(ttl=_TTL_S, max_entries=32, show_spinner=False)
def _stage_timelines(
    _stores: Stores, _actor: Actor, database: str, sequence: int, head: str, until: Moment | None
) -> Timelines:
    """*_actor* is not in the key, as in `_overview`."""
    return read_timelines(_stores, _actor, until=until)


def batch_sample(
    stores: Stores, actor: Actor, batch: PredictionBatch, columns: tuple[str, ...] | None, most: int
) -> pd.DataFrame:
    """Return an even sample of at most *most* rows of a batch. A batch is one version of its table and immutable."""
    uri = stores.catalog.resolve(batch.into.table).uri
    return _batch_sample(stores, actor, batch, uri, batch.batch_id, batch.into.version, columns, most)


@st.cache_data(ttl=_KEPT_S, max_entries=8, show_spinner=False)
def _batch_sample(
    _stores: Stores,
    _actor: Actor,
    _batch: PredictionBatch,
    uri: str,
    batch_id: str,
    version: int,
    columns: tuple[str, ...] | None,
    most: int,
) -> pd.DataFrame:
    """*_actor* is not in the key, as in `_overview`."""
    frame: pd.DataFrame = read_sample(_stores, _actor, _batch, columns=columns, most=most).to_pandas()
    return frame
