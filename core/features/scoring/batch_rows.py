"""The rows of a prediction batch: a page, an even sample, or a stream. Never all rows are in memory at once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pyarrow as pa
import pyarrow.compute as pc

from core.access.permissions import Action
from core.entities import Actor, PredictionBatch
from core.features.stores import Stores

_KEY = "batch_id"


def batch_page(stores: Stores, actor: Actor, batch: PredictionBatch, *, offset: int, limit: int) -> pa.Table:
    """Return at most *limit* rows from *offset* on, in the engine's order. Later rows are not read.

    Raises:
        TableNotFound, DataUnreadable
    """
    stores.audit.require(actor, Action.PREDICTION_READ, batch.batch_id)
    parts: list[pa.RecordBatch] = []
    read, taken = 0, 0
    for part in stream(stores, batch):
        rows = part.slice(max(offset - read, 0), limit - taken)
        read += part.num_rows
        if rows.num_rows:
            parts.append(rows)
            taken += rows.num_rows
        if taken == limit:
            break
    return pa.Table.from_batches(parts, schema=parts[0].schema if parts else _schema(stores, batch))


def batch_sample(
    stores: Stores, actor: Actor, batch: PredictionBatch, *, columns: Sequence[str] | None = None, most: int
) -> pa.Table:
    """Return every nth row of the batch, so that there are at most *most* rows.

    Only *columns* are read; names that the table does not have are ignored.

    Raises:
        TableNotFound, DataUnreadable
    """
    stores.audit.require(actor, Action.PREDICTION_READ, batch.batch_id)
    step = max(1, -(-batch.rows // most))
    parts: list[pa.RecordBatch] = []
    read = 0
    for part in stream(stores, batch, columns=columns):
        first = -read % step
        read += part.num_rows
        if first < part.num_rows:
            parts.append(part if step == 1 else part.take(pa.array(range(first, part.num_rows, step))))
    rows = pa.Table.from_batches(parts, schema=parts[0].schema if parts else _schema(stores, batch))
    return rows if columns is None else rows.select([name for name in rows.column_names if name in columns])


def stream(stores: Stores, batch: PredictionBatch, *, columns: Sequence[str] | None = None) -> Iterator[pa.RecordBatch]:
    """Yield the batch's rows at its own version of its table. The caller must check the permission first."""
    table = stores.catalog.resolve(batch.into.table)
    selected = None
    if columns is not None:
        existing = [field.name for field in stores.engine.snapshot(table, version=batch.into.version).schema]
        selected = list(dict.fromkeys((_KEY, *(name for name in columns if name in existing))))
    for part in stores.engine.scan(table, version=batch.into.version, columns=selected):
        rows = part.filter(pc.equal(part.column(_KEY), batch.batch_id))
        if rows.num_rows:
            yield rows


def _schema(stores: Stores, batch: PredictionBatch) -> pa.Schema:
    table = stores.catalog.resolve(batch.into.table)
    return stores.engine.read(table, version=batch.into.version, limit=0).schema
