"""Ingests: a file is looked at first, checked against the table's schema, then saved as a new Delta version."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from core.access.permissions import Action
from core.delta.engine import WriteMode
from core.entities import Actor, Table
from core.errors import BadFile, SchemaMismatch, first_line
from core.features.data.file_reader import parsed
from core.features.stores import Stores

_PREVIEW_ROWS = 20


@dataclass(frozen=True, kw_only=True)
class ColumnCheck:
    """One column against the table's schema. *found* or *wanted* is None where that side lacks it."""

    name: str
    found: str | None
    wanted: str | None
    fits: bool
    note: str


@dataclass(frozen=True, kw_only=True)
class IngestPreview:
    """What a file holds and whether it can be saved. *version* is the table's latest, None for a new table."""

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
    table: str
    version: int
    rows_added: int


def preview_file(
    stores: Stores, actor: Actor, *, table: str, path: Path, name: str, mode: WriteMode = "append"
) -> IngestPreview:
    """Reads the file and checks it; writes nothing. *name* is what the file is called, never a path to open.

    Raises BadFile, BadName, Forbidden.
    """
    stores.audit.require(actor, Action.DATA_INGEST, table)
    place = stores.catalog.place(table)
    version, fields = _latest(stores, place)
    with parsed(stores.settings, path, name=name, as_text=_texts(fields, mode)) as data:
        return IngestPreview(
            table=place.name,
            version=version,
            rows=data.num_rows,
            columns=_checked(data, fields if mode == "append" else None),
            # Taken, not sliced: a slice would hold on to all rows.
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
    """Saves a CSV or Parquet file as the table's next version; makes the table where there is none.

    *expected_version*: what the preview saw (-1 for a new table); CommitConflict where the table moved on since.
    Raises BadFile, BadName, SchemaMismatch, CommitConflict, Forbidden; then nothing was written.
    """
    with stores.audit.recording(actor, Action.DATA_INGEST, table, reason=reason, before={"file": name}) as record:
        _, fields = _latest(stores, stores.catalog.place(table))
        with parsed(stores.settings, path, name=name, as_text=_texts(fields, mode)) as data:
            with path.open("rb") as content:
                digest = hashlib.file_digest(content, "sha256").hexdigest()
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
    """The same for rows in memory; *source* says where they are from."""
    with stores.audit.recording(actor, Action.DATA_INGEST, table, reason=reason, before={"source": source}) as record:
        told = {"modelledger.source": source}
        result = _write(stores, actor, table, data, mode, told, record.operation, None)
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
        raise BadFile("The file has a header and no rows, so there is nothing to save.")
    place = stores.catalog.place(table)
    version, fields = _latest(stores, place)
    rows = data.num_rows
    # A stream either way: the rows may lie in a file that is larger than what memory should hold.
    fitted = _fitted(data, fields, place.name) if mode == "append" and fields is not None else data.to_reader()
    metadata = {"modelledger.actor": actor.name, "modelledger.operation": operation, **source}
    written = stores.engine.write(
        place,
        fitted,
        mode=mode,
        metadata=metadata,
        expected_version=expected_version if expected_version is not None else -1 if version is None else version,
    )
    return IngestResult(table=place.name, version=written, rows_added=rows)


def _latest(stores: Stores, table: Table) -> tuple[int | None, pa.Schema | None]:
    """The table's latest version and its columns as Arrow types."""
    if not stores.engine.exists(table):
        return None, None
    version = stores.engine.latest_version(table)
    return version, stores.engine.read(table, version=version, limit=0).schema


def _texts(fields: pa.Schema | None, mode: WriteMode) -> list[str]:
    """Columns that the table keeps as text: a file's 1.50 or TRUE must not become 1.5 or true on the way."""
    if fields is None or mode != "append":
        return []
    return [field.name for field in fields if pa.types.is_string(field.type)]


def _checked(data: pa.Table, wanted: pa.Schema | None) -> tuple[ColumnCheck, ...]:
    if wanted is None:
        return tuple(
            ColumnCheck(name=f.name, found=str(f.type), wanted=None, fits=True, note="new column") for f in data.schema
        )
    checks = [_check(data, field) for field in wanted]
    extra = [
        ColumnCheck(name=f.name, found=str(f.type), wanted=None, fits=False, note="the table has no such column")
        for f in data.schema
        if f.name not in wanted.names
    ]
    return (*checks, *extra)


def _check(data: pa.Table, wanted: pa.Field) -> ColumnCheck:
    if wanted.name not in data.column_names:
        note = "missing; its rows will be null" if wanted.nullable else "missing, and the table does not take nulls"
        return ColumnCheck(name=wanted.name, found=None, wanted=str(wanted.type), fits=wanted.nullable, note=note)
    column = data.column(wanted.name)
    found, told = str(column.type), str(wanted.type)
    if column.null_count and not wanted.nullable:
        note = f"{column.null_count} values are missing, and the table does not take nulls"
        return ColumnCheck(name=wanted.name, found=found, wanted=told, fits=False, note=note)
    if column.type == wanted.type:
        return ColumnCheck(name=wanted.name, found=found, wanted=told, fits=True, note="as in the table")
    try:
        for chunk in column.chunks:
            chunk.cast(wanted.type)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        note = f"does not fit: {first_line(error)}"
        return ColumnCheck(name=wanted.name, found=found, wanted=told, fits=False, note=note)
    return ColumnCheck(name=wanted.name, found=found, wanted=told, fits=True, note=f"is saved as {told}, without loss")


def _fitted(data: pa.Table, wanted: pa.Schema, table: str) -> pa.RecordBatchReader:
    """*data* with the table's columns, order and types. Raises SchemaMismatch, naming every column that differs."""
    problems = [f"{column.name} ({column.note})" for column in _checked(data, wanted) if not column.fits]
    if problems:
        raise SchemaMismatch(
            f"The file does not fit {table}: {'; '.join(problems)}. Correct the file, or overwrite the table.",
            table=table,
        )
    return pa.RecordBatchReader.from_batches(wanted, (_cast(batch, wanted) for batch in data.to_batches()))


def _cast(batch: pa.RecordBatch, wanted: pa.Schema) -> pa.RecordBatch:
    names = batch.schema.names
    columns = [
        batch.column(names.index(f.name)).cast(f.type) if f.name in names else pa.nulls(batch.num_rows, f.type)
        for f in wanted
    ]
    return pa.RecordBatch.from_arrays(columns, schema=wanted)
