"""Export rows as CSV: a version of a table or a prediction batch. Formulas and invisible characters are escaped."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator

import pyarrow as pa
import pyarrow.csv as pa_csv

from core.access.permissions import Action
from core.delta.wide_times import replace_wide_times
from core.entities import Actor, PredictionBatch
from core.escaping import cell, cells
from core.features.scoring.batch_rows import stream
from core.features.stores import Stores

# Limits the memory that an export holds, to some hundred megabytes. The table itself has all rows.
MOST_ROWS = 250_000


def version_csv(stores: Stores, actor: Actor, table: str, version: int, *, most: int = MOST_ROWS) -> bytes:
    """Return the first *most* rows of a version as CSV: UTF-8 with a header line, times in UTC, nested values as JSON.

    Raises:
        TableNotFound, VersionNotFound, DataUnreadable
    """
    resolved, pinned = stores.pin(table, version)
    stores.audit.require(actor, Action.DATA_READ, str(pinned))
    schema = stores.engine.read(resolved, version=version, limit=0).schema
    return _to_csv(schema, stores.engine.scan(resolved, version=version), most)


def batch_csv(stores: Stores, actor: Actor, batch: PredictionBatch, *, most: int = MOST_ROWS) -> bytes:
    """Return the first *most* rows of a batch in the same form. Raises TableNotFound, DataUnreadable."""
    stores.audit.require(actor, Action.PREDICTION_READ, batch.batch_id)
    resolved = stores.catalog.resolve(batch.into.table)
    schema = stores.engine.read(resolved, version=batch.into.version, limit=0).schema
    return _to_csv(schema, stream(stores, batch), most)


def _to_csv(schema: pa.Schema, batches: Iterator[pa.RecordBatch], most: int) -> bytes:
    """Convert one batch after the other, so that memory holds only the CSV text and one batch."""
    out = io.BytesIO()
    # Escaping can give two columns the same name: Arrow keeps both.
    escaped = pa.schema([(cell(field.name), _csv_type(field.type)) for field in schema])
    left = most
    with pa_csv.CSVWriter(out, escaped) as writer:
        for batch in batches:
            rows = batch.slice(0, left)
            left -= rows.num_rows
            writer.write_batch(pa.RecordBatch.from_arrays([_escape(column) for column in rows.columns], schema=escaped))
            if not left:
                break
    return out.getvalue()


def _csv_type(kind: pa.DataType) -> pa.DataType:
    return kind if _is_plain(kind) else pa.string()


def _is_plain(kind: pa.DataType) -> bool:
    return bool(
        pa.types.is_integer(kind)
        or pa.types.is_floating(kind)
        or pa.types.is_boolean(kind)
        or pa.types.is_decimal(kind)
        or pa.types.is_date(kind)
        or pa.types.is_timestamp(kind)
        or pa.types.is_time(kind)
    )


def _escape(column: pa.Array) -> pa.Array:
    if _is_plain(column.type):
        return column
    values = replace_wide_times(column).to_pylist()
    return pa.array([None if value is None else _escaped_text(value) for value in values], pa.string())


def _escaped_text(value: object) -> str:
    if isinstance(value, str):
        return cell(value)
    if isinstance(value, bytes):
        return value.hex()
    return json.dumps(cells(value), ensure_ascii=False, default=str)
