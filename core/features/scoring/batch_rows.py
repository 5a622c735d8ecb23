"""The rows of a prediction batch without all of them in memory: a page of them, and an even sample."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pyarrow as pa
import pyarrow.compute as pc

from core.access.permissions import Action
from core.entities import Actor, PredictionBatch
from core.features.stores import Stores

_KEY = "batch_id"


def batch_page(stores: Stores, actor: Actor, batch: PredictionBatch, *, offset: int, limit: int) -> pa.Table:
    """At most *limit* rows of the batch from *offset* on, in the engine's order; what lies behind them is not read.

    Raises TableNotFound, DataUnreadable.
    """
    stores.audit.require(actor, Action.PREDICTION_READ, batch.batch_id)
    parts: list[pa.RecordBatch] = []
    passed, found = 0, 0
    for part in stream(stores, batch):
        rows = part.slice(max(offset - passed, 0), limit - found)
        passed += part.num_rows
        if rows.num_rows:
            parts.append(rows)
            found += rows.num_rows
        if found == limit:
            break
    return pa.Table.from_batches(parts, schema=parts[0].schema if parts else _schema(stores, batch))


def batch_sample(
    stores: Stores, actor: Actor, batch: PredictionBatch, *, columns: Sequence[str] | None = None, most: int
) -> pa.Table:
    """Every nth row of the batch, at most *most* in all: every row where there are no more than that.

    *columns*: only these are read (those that the table has). Raises TableNotFound, DataUnreadable.
    """
    stores.audit.require(actor, Action.PREDICTION_READ, batch.batch_id)
    step = max(1, -(-batch.rows // most))
    parts: list[pa.RecordBatch] = []
    passed = 0
    for part in stream(stores, batch, columns=columns):
        first = -passed % step
        passed += part.num_rows
        if first < part.num_rows:
            parts.append(part if step == 1 else part.take(pa.array(range(first, part.num_rows, step))))
    rows = pa.Table.from_batches(parts, schema=parts[0].schema if parts else _schema(stores, batch))
    return rows if columns is None else rows.select([name for name in rows.column_names if name in columns])


def stream(stores: Stores, batch: PredictionBatch, *, columns: Sequence[str] | None = None) -> Iterator[pa.RecordBatch]:
    """The batch's rows as they were written, at its own version of its table. Whoever calls has asked who may."""
    table = stores.catalog.resolve(batch.into.table)
    wanted = None
    if columns is not None:
        there = [field.name for field in stores.engine.snapshot(table, version=batch.into.version).schema]
        wanted = list(dict.fromkeys((_KEY, *(name for name in columns if name in there))))
    for part in stores.engine.scan(table, version=batch.into.version, columns=wanted):
        mine = part.filter(pc.equal(part.column(_KEY), batch.batch_id))
        if mine.num_rows:
            yield mine


def _schema(stores: Stores, batch: PredictionBatch) -> pa.Schema:
    table = stores.catalog.resolve(batch.into.table)
    return stores.engine.read(table, version=batch.into.version, limit=0).schema
