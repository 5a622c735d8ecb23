"""The check before a save: the columns and rows of a file against the latest version of its table."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pyarrow as pa

from core.delta.engine import DeltaEngine, WriteMode
from core.entities import Table
from core.errors import DataUnreadable, EngineFailed
from core.features.data.check_columns import ColumnCheck, check_columns
from core.features.data.check_rows import IngestWarning, check_rows, not_compared
from core.features.data.file_reader import FileRows
from core.texts import text


@dataclass(frozen=True, kw_only=True)
class FileCheck:
    """The check of a file. *warnings* block nothing. *compared_rows*: how many of the table's rows were compared."""

    columns: tuple[ColumnCheck, ...]
    warnings: tuple[IngestWarning, ...]
    compared_rows: int


def check_file(
    engine: DeltaEngine,
    table: Table,
    version: int | None,
    schema: pa.Schema | None,
    rows: FileRows,
    *,
    mode: WriteMode,
    new: bool,
) -> FileCheck:
    """Compare a file with *version* of its table, which has *schema*; both are None for a table that does not exist.

    *new*: a person said that the table is new.
    """
    is_append = mode == "append"
    columns = check_columns(rows.table, schema, rows.report, is_append=is_append)
    warnings = [IngestWarning(kind=c.warning, column=c.name, message=c.note) for c in columns if c.warning]
    if version is None and not new:
        message = text("{table} does not exist; the save creates it", table=table.name)
        warnings.insert(0, IngestWarning(kind="new_table", column=None, message=message))
    compared = 0
    is_added = schema is None or (is_append and all(column.fits for column in columns))
    data = _comparable(rows.table, schema, is_added=is_added)
    try:
        stored = () if version is None else _stored(engine, table, version, data.schema)
        found = check_rows(data, stored, all_rows=None if is_added else rows.table)
    except (DataUnreadable, EngineFailed) as error:
        warnings.append(not_compared(error))
    else:
        warnings += [w for w in found.warnings if w.column is None or w.column in rows.table.column_names]
        compared = found.compared_rows
    return FileCheck(columns=columns, warnings=tuple(warnings), compared_rows=compared)


def in_types_of(schema: pa.Schema, data: pa.Table) -> pa.RecordBatchReader:
    """Return *data* as a stream with the columns, order and types of *schema*; a column that is missing is null."""
    return pa.RecordBatchReader.from_batches(schema, (_cast(batch, schema) for batch in data.to_batches()))


def _comparable(data: pa.Table, schema: pa.Schema | None, *, is_added: bool) -> pa.Table:
    """Return the rows as the table would have them; if they are not added, the columns that have the table's types."""
    if schema is None:
        return data
    if is_added:
        return in_types_of(schema, data).read_all()
    types = {field.name: field.type for field in data.schema}
    return data.select([field.name for field in schema if types.get(field.name) == field.type])


def _stored(engine: DeltaEngine, table: Table, version: int, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    if schema.names:
        for batch in engine.scan(table, version=version, columns=schema.names):
            yield batch.select(schema.names).cast(schema)


def _cast(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    names = batch.schema.names
    columns = [
        batch.column(names.index(field.name)).cast(field.type)
        if field.name in names
        else pa.nulls(batch.num_rows, field.type)
        for field in schema
    ]
    return pa.RecordBatch.from_arrays(columns, schema=schema)
