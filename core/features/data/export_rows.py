"""Rows to take away: a table's version or a prediction batch as CSV; nothing in it is a formula, nothing hides."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator

import pyarrow as pa
import pyarrow.csv as pa_csv

from core.access.permissions import Action
from core.entities import Actor, PredictionBatch
from core.escaping import cell, cells
from core.features.scoring.batch_rows import stream
from core.features.stores import Stores

# Some hundred megabytes at most are held while a browser fetches them; the table itself holds all of them.
MOST_ROWS = 250_000


def version_csv(stores: Stores, actor: Actor, table: str, version: int, *, most: int = MOST_ROWS) -> bytes:
    """The first *most* rows of a version, UTF-8, with a header line; times are UTC, lists and the like are JSON.

    Raises TableNotFound, VersionNotFound, DataUnreadable.
    """
    resolved, pinned = stores.pin(table, version)
    stores.audit.require(actor, Action.DATA_READ, str(pinned))
    schema = stores.engine.read(resolved, version=version, limit=0).schema
    return _written(schema, stores.engine.scan(resolved, version=version), most)


def batch_csv(stores: Stores, actor: Actor, batch: PredictionBatch, *, most: int = MOST_ROWS) -> bytes:
    """The first *most* rows of a batch, written as those of a table are. Raises TableNotFound, DataUnreadable."""
    stores.audit.require(actor, Action.PREDICTION_READ, batch.batch_id)
    resolved = stores.catalog.resolve(batch.into.table)
    schema = stores.engine.read(resolved, version=batch.into.version, limit=0).schema
    return _written(schema, stream(stores, batch), most)


def _written(schema: pa.Schema, parts: Iterator[pa.RecordBatch], most: int) -> bytes:
    """One part after the other, so that nothing but the text itself is held."""
    out = io.BytesIO()
    # Two columns may differ in nothing but what is made visible: Arrow keeps both.
    named = pa.schema([(cell(field.name), _as(field.type)) for field in schema])
    left = most
    with pa_csv.CSVWriter(out, named) as writer:
        for part in parts:
            rows = part.slice(0, left)
            left -= rows.num_rows
            writer.write_batch(pa.RecordBatch.from_arrays([_inert(column) for column in rows.columns], schema=named))
            if not left:
                break
    return out.getvalue()


def _as(kind: pa.DataType) -> pa.DataType:
    return kind if _is_written_as_it_is(kind) else pa.string()


def _is_written_as_it_is(kind: pa.DataType) -> bool:
    return bool(
        pa.types.is_integer(kind)
        or pa.types.is_floating(kind)
        or pa.types.is_boolean(kind)
        or pa.types.is_decimal(kind)
        or pa.types.is_date(kind)
        or pa.types.is_timestamp(kind)
        or pa.types.is_time(kind)
    )


def _inert(column: pa.Array) -> pa.Array:
    if _is_written_as_it_is(column.type):
        return column
    return pa.array([None if value is None else _text(value) for value in column.to_pylist()], pa.string())


def _text(value: object) -> str:
    if isinstance(value, str):
        return cell(value)
    if isinstance(value, bytes):
        return value.hex()
    return json.dumps(cells(value), ensure_ascii=False, default=str)
