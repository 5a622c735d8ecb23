"""Ingest: preview a file, check it against the table's schema, and save it as a new version."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from core.access.permissions import Action
from core.delta.engine import WriteMode
from core.entities import Actor, Table
from core.errors import BadFile, SchemaMismatch, first_line
from core.features.data.file_reader import open_rows
from core.features.stores import Stores
from core.learning.artifact_files import file_sha256
from core.texts import text

_PREVIEW_ROWS = 20


@dataclass(frozen=True, kw_only=True)
class ColumnCheck:
    """One column of the file compared with the table. A type is None if that side has no such column."""

    name: str
    file_type: str | None
    table_type: str | None
    fits: bool
    note: str


@dataclass(frozen=True, kw_only=True)
class IngestPreview:
    """The contents of a file and whether it can be saved. *version* is the table's latest, None for a new table."""

    table: str
    version: int | None
    rows: int
    columns: tuple[ColumnCheck, ...]
    sample: pa.Table

    @property
    def fits(self) -> bool:
        return all(column.fits for column in self.columns)

    @property
    def problems(self) -> tuple[str, ...]:
        return tuple(f"{column.name}: {column.note}" for column in self.columns if not column.fits)


@dataclass(frozen=True, kw_only=True)
class IngestResult:
    """The new *version* of a table, and the number of rows that the ingest added."""

    table: str
    version: int
    rows_added: int


def preview_file(
    stores: Stores, actor: Actor, *, table: str, path: Path, name: str, mode: WriteMode = "append"
) -> IngestPreview:
    """Read and check a file; nothing is written. *name* is the file's name in messages, never a path to open.

    Raises:
        BadFile, BadName, Forbidden
    """
    stores.audit.require(actor, Action.DATA_INGEST, table)
    target = stores.catalog.place(table)
    version, schema = _latest(stores, target)
    with open_rows(stores.settings, path, name=name, as_text=_text_columns(schema, mode)) as data:
        return IngestPreview(
            table=target.name,
            version=version,
            rows=data.num_rows,
            columns=_check_columns(data, schema if mode == "append" else None),
            # take() copies the rows; a slice would keep all rows in memory.
            sample=data.take(pa.array(range(min(_PREVIEW_ROWS, data.num_rows)))),
        )


def ingest_file(
    stores: Stores,
    actor: Actor,
    *,
    table: str,
    path: Path,
    name: str,
    mode: WriteMode = "append",
    reason: str = "",
    expected_version: int | None = None,
) -> IngestResult:
    """Save a CSV or Parquet file as the table's next version; a table that does not exist is created.

    *expected_version* is the version of the preview (-1 for a new table).

    Raises:
        CommitConflict: the table has a newer version than *expected_version*.
        BadFile, BadName, SchemaMismatch, Forbidden: nothing was written.
    """
    with stores.audit.recording(actor, Action.DATA_INGEST, table, reason=reason, before={"file": name}) as record:
        _, schema = _latest(stores, stores.catalog.place(table))
        with open_rows(stores.settings, path, name=name, as_text=_text_columns(schema, mode)) as data:
            digest = file_sha256(path)
            source = {"modelledger.source": name, "modelledger.source_sha256": digest}
            result = _write(stores, actor, table, data, mode, source, record.operation, expected_version)
        record.subject = f"{result.table}@{result.version}"
        record.after = {"rows_added": result.rows_added, "mode": mode, "file": name, "file_sha256": digest}
    return result


def ingest_data(
    stores: Stores,
    actor: Actor,
    *,
    table: str,
    data: pa.Table,
    source: str,
    mode: WriteMode = "append",
    reason: str = "",
) -> IngestResult:
    """Save rows in memory as the table's next version; *source* names their origin."""
    with stores.audit.recording(actor, Action.DATA_INGEST, table, reason=reason, before={"source": source}) as record:
        metadata = {"modelledger.source": source}
        result = _write(stores, actor, table, data, mode, metadata, record.operation, None)
        record.subject = f"{result.table}@{result.version}"
        record.after = {"rows_added": result.rows_added, "mode": mode, "source": source}
    return result


def _write(
    stores: Stores,
    actor: Actor,
    table: str,
    data: pa.Table,
    mode: WriteMode,
    source: dict[str, str],
    operation: str,
    expected_version: int | None,
) -> IngestResult:
    if data.num_rows == 0:
        raise BadFile("The file has a header but no rows, so there is nothing to save.")
    target = stores.catalog.place(table)
    version, schema = _latest(stores, target)
    rows = data.num_rows
    # Always a stream: the rows may be in a file that is larger than memory.
    stream = _fit(data, schema, target.name) if mode == "append" and schema is not None else data.to_reader()
    metadata = {"modelledger.actor": actor.name, "modelledger.operation": operation, **source}
    written = stores.engine.write(
        target,
        stream,
        mode=mode,
        metadata=metadata,
        expected_version=expected_version if expected_version is not None else -1 if version is None else version,
    )
    return IngestResult(table=target.name, version=written, rows_added=rows)


def _latest(stores: Stores, table: Table) -> tuple[int | None, pa.Schema | None]:
    """Return the table's latest version and its Arrow schema; None and None if the table does not exist."""
    if not stores.engine.exists(table):
        return None, None
    version = stores.engine.latest_version(table)
    return version, stores.engine.read(table, version=version, limit=0).schema


def _text_columns(schema: pa.Schema | None, mode: WriteMode) -> list[str]:
    """Return the text columns of the table: a 1.50 or TRUE in the file must not become 1.5 or true."""
    if schema is None or mode != "append":
        return []
    return [field.name for field in schema if pa.types.is_string(field.type)]


def _check_columns(data: pa.Table, schema: pa.Schema | None) -> tuple[ColumnCheck, ...]:
    """Compare the columns of *data* with the table's *schema*; None means that the table gets a new schema."""
    if schema is None:
        return tuple(_check(field, None, fits=True, note=text("new column")) for field in data.schema)
    checks = [_check_column(data, field) for field in schema]
    extra = [field for field in data.schema if field.name not in schema.names]
    note = text("the table has no such column")
    return (*checks, *(_check(field, None, fits=False, note=note) for field in extra))


def _check_column(data: pa.Table, field: pa.Field) -> ColumnCheck:
    if field.name not in data.column_names:
        if field.nullable:
            return _check(None, field, fits=True, note=text("missing in the file; its values will be null"))
        return _check(None, field, fits=False, note=text("missing in the file, and the table does not allow null"))
    column, file_field = data.column(field.name), data.schema.field(field.name)
    if column.null_count and not field.nullable:
        note = text("{count} values are missing, and the table does not allow null", count=column.null_count)
        return _check(file_field, field, fits=False, note=note)
    if column.type == field.type:
        return _check(file_field, field, fits=True, note=text("same type as in the table"))
    try:
        for chunk in column.chunks:
            chunk.cast(field.type)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        return _check(file_field, field, fits=False, note=text("does not fit: {reason}", reason=first_line(error)))
    return _check(file_field, field, fits=True, note=text("saved as {type} without loss", type=str(field.type)))


def _check(file_field: pa.Field | None, table_field: pa.Field | None, *, fits: bool, note: str) -> ColumnCheck:
    file_type = None if file_field is None else str(file_field.type)
    table_type = None if table_field is None else str(table_field.type)
    name = next(field.name for field in (file_field, table_field) if field is not None)
    return ColumnCheck(name=name, file_type=file_type, table_type=table_type, fits=fits, note=note)


def _fit(data: pa.Table, schema: pa.Schema, table: str) -> pa.RecordBatchReader:
    """Return *data* with the table's columns, order and types. Raises SchemaMismatch, which names every problem."""
    problems = [f"{column.name} ({column.note})" for column in _check_columns(data, schema) if not column.fits]
    if problems:
        raise SchemaMismatch(
            "The file does not fit {table}: {problems}. Correct the file, or overwrite the table.",
            table=table,
            problems="; ".join(problems),
        )
    return pa.RecordBatchReader.from_batches(schema, (_cast(batch, schema) for batch in data.to_batches()))


def _cast(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    names = batch.schema.names
    columns = [
        batch.column(names.index(field.name)).cast(field.type)
        if field.name in names
        else pa.nulls(batch.num_rows, field.type)
        for field in schema
    ]
    return pa.RecordBatch.from_arrays(columns, schema=schema)
