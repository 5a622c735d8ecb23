"""Ingest: preview a file, check it against the table, and save it as a new version."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import pyarrow as pa

from core.access.permissions import Action
from core.delta.engine import WriteMode
from core.entities import Actor, Table
from core.errors import BadFile, CommitConflict, SchemaMismatch
from core.features.data.check_before_save import FileCheck, check_file, in_types_of
from core.features.data.check_columns import ColumnCheck, check_columns
from core.features.data.check_rows import IngestWarning
from core.features.data.file_formats.csv_format import CsvFormat, FileReport
from core.features.data.file_reader import open_rows
from core.features.stores import Stores
from core.learning.artifact_files import file_sha256

_PREVIEW_ROWS = 20


@dataclass(frozen=True, kw_only=True)
class IngestPreview:
    """The contents of a file and whether it can be saved. *version* is the table's latest, None for a new table."""

    table: str
    version: int | None
    rows: int
    report: FileReport
    check: FileCheck
    sample: pa.Table

    @property
    def columns(self) -> tuple[ColumnCheck, ...]:
        return self.check.columns

    @property
    def warnings(self) -> tuple[IngestWarning, ...]:
        return self.check.warnings

    @property
    def fits(self) -> bool:
        return all(column.fits for column in self.columns)

    @property
    def problems(self) -> tuple[str, ...]:
        return tuple(f"{column.name}: {column.note}" for column in self.columns if not column.fits)


@dataclass(frozen=True, kw_only=True)
class IngestResult:
    """The new *version* of a table, the number of rows that the ingest added, its warnings, and how a CSV was read."""

    table: str
    version: int
    rows_added: int
    warnings: tuple[IngestWarning, ...] = ()
    format: CsvFormat | None = None


def preview_file(
    stores: Stores,
    actor: Actor,
    *,
    table: str,
    path: Path,
    name: str,
    mode: WriteMode = "append",
    chosen: CsvFormat | None = None,
    new: bool = False,
) -> IngestPreview:
    """Read and check a file; nothing is written. *name* is the file's name in messages, never a path to open.

    *chosen* is the format of a CSV file as far as a person chose it. *new*: the table must not exist yet.

    Raises:
        CommitConflict: the table exists although it is *new*.
        BadFile, BadName, Forbidden
    """
    stores.audit.require(actor, Action.DATA_INGEST, table)
    target = stores.catalog.place(table)
    version, schema = _latest(stores, target, new=new)
    with open_rows(stores.settings, path, name=name, chosen=chosen, schema=schema, is_append=mode == "append") as rows:
        return IngestPreview(
            table=target.name,
            version=version,
            rows=rows.table.num_rows,
            report=rows.report,
            check=check_file(stores.engine, target, version, schema, rows, mode=mode, new=new),
            # take() copies the rows; a slice would keep all rows in memory.
            sample=rows.table.take(pa.array(range(min(_PREVIEW_ROWS, rows.table.num_rows)))),
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
    chosen: CsvFormat | None = None,
    new: bool = False,
    strict: bool = False,
) -> IngestResult:
    """Save a CSV or Parquet file as the table's next version; a table that does not exist is created.

    *expected_version* is the version of the preview (-1 for a new table). *new*: the table must not exist yet. *strict*
    refuses a file with warnings. The audit log keeps the warnings.

    Raises:
        CommitConflict: the table has a newer version than *expected_version*, or exists although it is *new*.
        BadFile, BadName, SchemaMismatch, Forbidden: nothing was written.
    """
    with stores.audit.recording(actor, Action.DATA_INGEST, table, reason=reason, before={"file": name}) as record:
        target = stores.catalog.place(table)
        version, schema = _latest(stores, target, new=new)
        is_append = mode == "append"
        with open_rows(stores.settings, path, name=name, chosen=chosen, schema=schema, is_append=is_append) as rows:
            if is_append and schema is not None:
                _require_fit(check_columns(rows.table, schema, rows.report, is_append=True), target.name)
            warnings = check_file(stores.engine, target, version, schema, rows, mode=mode, new=new).warnings
            if strict and warnings:
                raise _refused(name, warnings)
            digest = file_sha256(path)
            source = {"modelledger.source": name, "modelledger.source_sha256": digest}
            if expected_version is None:
                expected_version = -1 if version is None else version
            result = _write(stores, actor, table, rows.table, mode, source, record.operation, expected_version)
        record.subject = f"{result.table}@{result.version}"
        record.after = {"rows_added": result.rows_added, "mode": mode, "file": name, "file_sha256": digest}
        if rows.report.format is not None:
            record.after["format"] = rows.report.format.to_json()
        if warnings:
            record.after["warnings"] = [str(warning) for warning in warnings]
    return replace(result, warnings=warnings, format=rows.report.format)


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
    stream = data.to_reader()
    if mode == "append" and schema is not None:
        _require_fit(check_columns(data, schema, FileReport(), is_append=True), target.name)
        stream = in_types_of(schema, data)
    metadata = {"modelledger.actor": actor.name, "modelledger.operation": operation, **source}
    written = stores.engine.write(
        target,
        stream,
        mode=mode,
        metadata=metadata,
        expected_version=expected_version if expected_version is not None else -1 if version is None else version,
    )
    return IngestResult(table=target.name, version=written, rows_added=rows)


def _latest(stores: Stores, table: Table, *, new: bool = False) -> tuple[int | None, pa.Schema | None]:
    """Return the table's latest version and its Arrow schema; None and None if the table does not exist.

    Raises:
        CommitConflict: the table exists although it is *new*.
    """
    if not stores.engine.exists(table):
        return None, None
    version = stores.engine.latest_version(table)
    if new:
        raise CommitConflict(
            "{table} exists and is at version {current}; nothing was written. Choose another name, or add to the "
            "table.",
            table=table.name,
            expected=-1,
            current=version,
        )
    return version, stores.engine.read(table, version=version, limit=0).schema


def _require_fit(columns: tuple[ColumnCheck, ...], table: str) -> None:
    """Raise SchemaMismatch, which names every problem, unless all *columns* fit."""
    problems = [f"{column.name} ({column.note})" for column in columns if not column.fits]
    if problems:
        raise SchemaMismatch(
            "The file does not fit {table}: {problems}. Correct the file, or overwrite the table.",
            table=table,
            problems="; ".join(problems),
        )


def _refused(name: str, warnings: tuple[IngestWarning, ...]) -> BadFile:
    return BadFile(
        "{file} was not saved, because it has warnings: {warnings}. Correct the file, or save it without --strict.",
        file=name,
        warnings="; ".join(map(str, warnings)),
    )
