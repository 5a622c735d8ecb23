"""Prediction batches: list them and find one, from the metadata of their commits."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime

from core.access.permissions import Action
from core.entities import Actor, Commit, Event, Outcome, PredictionBatch, Table, TableVersion
from core.errors import BatchNotFound
from core.features.history.moment import Moment
from core.features.scoring.batch_metadata import BATCH
from core.features.stores import Stores


def list_batches(
    stores: Stores, actor: Actor, *, into: str | None = None, at: Moment | None = None
) -> tuple[PredictionBatch, ...]:
    """Return all batches, newest first, from the metadata of their commits; no rows are read.

    With *at*, those whose scoring was recorded by that moment.
    """
    stores.audit.require(actor, Action.PREDICTION_READ, into or "")
    scored = _scorings(stores, at)
    names = {into} if into else {str(event.after["into"]).rpartition("@")[0] for event in scored}
    batches = [batch for name in sorted(names) for batch in _batches_of(stores, name)]
    if at is not None:
        recorded = {event.after.get("batch") for event in scored}
        batches = [batch for batch in batches if batch.batch_id in recorded]
    return tuple(sorted(batches, key=lambda batch: batch.time, reverse=True))


def find_batch(stores: Stores, actor: Actor, batch_id: str) -> PredictionBatch:
    """Return the batch of that id. Raises BatchNotFound."""
    for batch in list_batches(stores, actor):
        if batch.batch_id == batch_id:
            return batch
    raise BatchNotFound("There is no prediction batch {batch!r}; choose a batch from the list.", batch=batch_id)


def _scorings(stores: Stores, at: Moment | None) -> list[Event]:
    """Return the events of all scorings that wrote to a table."""
    scored = stores.audit.search(
        action=Action.PREDICTION_SCORE.value,
        outcome=Outcome.SUCCESS.value,
        before_sequence=at.before_sequence if at else None,
        limit=None,
    )
    return [event for event in scored if event.after.get("into")]


def _batches_of(stores: Stores, name: str) -> Iterator[PredictionBatch]:
    table = stores.catalog.registered().by_name.get(name)
    if table is None:
        return  # the table was dropped; the audit log still names its batches
    yield from batches_in(stores, table)


def batches_in(stores: Stores, table: Table) -> Iterator[PredictionBatch]:
    """Yield the batches in *table*, newest first. The caller must check the permission first."""
    for commit in stores.engine.history(table):
        if BATCH in commit.metadata:
            yield _batch_of(commit)


def _batch_of(commit: Commit) -> PredictionBatch:
    raw = commit.metadata[BATCH]
    fields = json.loads(raw) if isinstance(raw, str) else raw
    return PredictionBatch(
        batch_id=fields["batch_id"],
        model=fields["model"],
        model_version=fields["model_version"],
        run_id=fields["run_id"],
        source=TableVersion(table=fields["source_table"], version=fields["source_version"]),
        into=commit.key,
        rows=fields["rows"],
        time=datetime.fromisoformat(fields["time"]),
        actor=fields["actor"],
        source_table_id=fields.get("source_table_id") or None,
    )
