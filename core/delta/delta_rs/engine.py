"""DeltaRsEngine: the embedded Delta engine on deltalake (delta-rs), in this process, without Java.

deltalake 1.6.6 silently gets some things wrong, so this module does not use it for them: versions, row counts and
snapshots come from the log's own files, rows come from its SQL, which supports deletion vectors and column mapping, and
data is never cast on append.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, ClassVar
from urllib.parse import unquote_to_bytes

import deltalake
import pyarrow as pa

from core.delta import table_features
from core.delta.arrow_types import Rows, check_new, fitting, nullable_within, plain_schema, read_batches
from core.delta.content_hash import Content, content_of, type_name
from core.delta.delta_rs.errors import translated
from core.delta.delta_rs.select_rows import count, select
from core.delta.delta_rs.shadow_logs import ShadowLogs
from core.delta.engine import DeltaEngine, WriteMode, commit_metadata, damage_error, damage_verdict, version_conflict
from core.delta.log.log_cache import Logs
from core.delta.log.stored_files import stored_files
from core.delta.log.table_log import Log
from core.entities import Commit, Readability, ReadVerdict, Snapshot, Table
from core.errors import (
    BadParameter,
    ColumnNotFound,
    CommitConflict,
    CoreError,
    DataUnreadable,
    EngineFailed,
    FeatureUnsupported,
    FilesVacuumed,
    LogCorrupt,
    LogExpired,
    SchemaMismatch,
    StorageUnavailable,
    VersionNotFound,
    first_line,
)
from core.identifiers import quote_ansi
from core.texts import text
from core.uris import local_path

# Opening a version takes 4 ms, and lineage needs many versions: a version that opened is taken as readable for this
# long. Whether its files exist is checked each time.
_TRUST_S = 30.0


class DeltaRsEngine(DeltaEngine):
    """The embedded engine. Safe to share between threads, but not after fork(): start processes with spawn."""

    name: ClassVar[str] = table_features.DELTA_RS

    def __init__(self, storage_options: Mapping[str, str] | None = None) -> None:
        self._storage_options = dict(storage_options or {})
        self._logs = Logs(storage_options)
        self._opened: dict[tuple[str, int], float] = {}
        self._shadow_logs = ShadowLogs()

    # ------------------------------------------------------------------------------------------- the log

    def log(self, table: Table) -> Log:
        """Return the table's log, with what it has read so far."""
        return self._logs.of(table)

    def exists(self, table: Table) -> bool:
        return self.log(table).exists()

    def latest_version(self, table: Table) -> int:
        return self.log(table).latest()

    def history(self, table: Table, *, limit: int | None = None) -> tuple[Commit, ...]:
        return self.log(table).history(limit)

    def commit(self, table: Table, version: int) -> Commit | None:
        return self.log(table).commit(version)

    def snapshot(self, table: Table, *, version: int | None = None) -> Snapshot:
        return self.log(table).snapshot(version)

    def snapshots(self, table: Table, *, newest: int | None = None) -> tuple[Snapshot, ...]:
        return self.log(table).snapshots(newest)

    def readable(self, table: Table, version: int) -> ReadVerdict:
        log = self.log(table)
        try:
            files = log.data_files(version)
            snapshot = log.snapshot(version)
        except (LogExpired, VersionNotFound) as error:
            return ReadVerdict(verdict=Readability.LOG_EXPIRED, reason=str(error))
        except LogCorrupt as error:
            return ReadVerdict(verdict=Readability.UNKNOWN, reason=str(error))
        damage = log.files.find_damage(stored_files(files))
        if damage is not None:
            return damage_verdict(table, version, damage)
        if time.monotonic() - self._opened.get((table.uri, version), -_TRUST_S) >= _TRUST_S:
            try:
                table_features.require_read(self.name, table, snapshot.features)
                self._open(table, version)
            except (DataUnreadable, EngineFailed) as error:
                return ReadVerdict(verdict=Readability.REFUSED, reason=str(error))
            self._opened[table.uri, version] = time.monotonic()
        return ReadVerdict(verdict=Readability.READABLE, reason=text("The log opens and every data file exists."))

    # ------------------------------------------------------------------------------------------- the rows

    def read(
        self,
        table: Table,
        *,
        version: int | None = None,
        columns: Sequence[str] | None = None,
        limit: int | None = None,
        offset: int = 0,
    ) -> pa.Table:
        reader = self._reader(table, version, columns, limit, offset)
        schema = reader.schema
        return pa.Table.from_batches(list(reader), schema)

    def scan(
        self, table: Table, *, version: int | None = None, columns: Sequence[str] | None = None
    ) -> Iterator[pa.RecordBatch]:
        yield from self._reader(table, version, columns, None, 0)

    def count(self, table: Table, *, version: int | None = None) -> int:
        snapshot = self.snapshot(table, version=version)
        if snapshot.rows is not None:
            return snapshot.rows
        table_features.require_read(self.name, table, snapshot.features)
        with self._reading(table, snapshot.version):
            return count(self._open(table, snapshot.version), snapshot)

    def content(self, table: Table, *, version: int | None = None) -> Content:
        reader = self._reader(table, version, None, None, 0)
        return content_of(reader.schema, reader)

    def _reader(
        self, table: Table, version: int | None, columns: Sequence[str] | None, limit: int | None, offset: int
    ) -> _Reader:
        snapshot = self.snapshot(table, version=version)
        table_features.require_read(self.name, table, snapshot.features)
        names = [field.name for field in snapshot.schema]
        unknown = [name for name in columns or () if name not in names]
        if unknown:
            raise ColumnNotFound(
                "{table}@{version} has no column {unknown}. It has the columns {existing}.",
                table=table.name,
                version=snapshot.version,
                unknown=", ".join(unknown),
                existing=", ".join(names),
                columns=unknown,
            )
        if columns is not None and not columns:
            raise BadParameter("Name at least one column, or leave columns out to read all.")
        listed = ", ".join(quote_ansi(name) for name in (columns or names))
        paging = "" if limit is None else f" LIMIT {int(limit)}"
        if offset:
            paging += f" OFFSET {int(offset)}"
        with self._reading(table, snapshot.version):
            reader = select(self._open(table, snapshot.version), snapshot, listed, paging)
        return _Reader(reader, self, table, snapshot.version)

    def _open(self, table: Table, version: int) -> Any:
        address = _address(table)
        try:
            delta_table = self._open_at(address, table, version)
        except (EngineFailed, LogCorrupt):
            # deltalake needs a checkpoint that is there; the commits alone say the same.
            commits = self._shadow_logs.folder(address, version) if local_path(table.uri) is not None else None
            if commits is None:
                raise
            delta_table = self._open_at(commits, table, version)
        opened = int(delta_table.version())
        if opened != version:
            raise LogCorrupt(
                "{table}: version {version} opens as version {opened}; a commit file is damaged.",
                table=table.name,
                version=version,
                opened=opened,
            )
        return delta_table

    def _open_at(self, address: str, table: Table, version: int) -> Any:
        with translated(table):
            return deltalake.DeltaTable(address, version=version, storage_options=self._storage_options)

    @contextmanager
    def _reading(self, table: Table, version: int) -> Iterator[None]:
        """Translate errors while rows are read. Raises FilesVacuumed if a data file is missing."""
        try:
            with translated(table):
                yield
        except (EngineFailed, StorageUnavailable, FilesVacuumed) as error:
            log = self.log(table)
            damage = log.files.find_damage(stored_files(log.data_files(version)))
            if damage is None:
                raise
            raise damage_error(table, version, damage) from error

    # ------------------------------------------------------------------------------------------- writing

    def write(
        self,
        table: Table,
        data: pa.Table | pa.RecordBatchReader,
        *,
        mode: WriteMode,
        metadata: Mapping[str, str] | None = None,
        transaction: str | None = None,
        expected_version: int | None = None,
    ) -> int:
        if mode not in ("append", "overwrite"):
            raise BadParameter("mode must be append or overwrite, not {mode!r}.", mode=mode)
        while True:
            latest = self.latest_version(table) if self.exists(table) else -1
            if transaction is not None and latest >= 0 and (first := self._first_write(table, transaction)) is not None:
                return first
            if expected_version is not None and latest != expected_version:
                raise version_conflict(table, expected_version, latest)
            try:
                return self._commit(table, data, mode, metadata, transaction, expected_version, latest)
            except CommitConflict:
                if transaction is not None and (first := self._first_write(table, transaction)) is not None:
                    return first
                if expected_version is not None:
                    current = self.latest_version(table) if self.exists(table) else -1
                    raise version_conflict(table, expected_version, current) from None
                # Two writers created the table at once: the second one appends now. A stream cannot be read twice.
                if latest >= 0 or not isinstance(data, pa.Table) or not self.exists(table):
                    raise

    def _commit(
        self,
        table: Table,
        data: pa.Table | pa.RecordBatchReader,
        mode: WriteMode,
        metadata: Mapping[str, str] | None,
        transaction: str | None,
        expected_version: int | None,
        latest: int,
    ) -> int:
        rows = Rows(data)
        keeps_schema = False
        if latest >= 0:
            current = self.snapshot(table, version=latest)
            table_features.require_written(self.name, table, current.features)
            # deltalake refuses to set the columns of a table with column mapping, even to the same columns.
            keeps_schema = mode == "append" or ("columnMapping" in current.features and _is_same(current, rows.schema))
        if keeps_schema:
            filled = self.log(table).filled_by_table() if mode == "append" else frozenset()
            fitting(table, current.schema, rows.schema, filled_by_table=filled)
        else:
            check_new(table, rows.schema)
        properties = deltalake.CommitProperties(
            custom_metadata=commit_metadata(metadata, transaction) or None,
            # A retry would make a later version than the expected one; for a new table version 0 would be returned.
            max_commit_retries=0 if expected_version is not None or latest < 0 else None,
            app_transactions=[deltalake.Transaction(transaction, 1)] if transaction is not None else None,
        )
        try:
            with translated(table, is_write=True):
                if latest >= 0:
                    target = self._open(table, latest)
                    target_schema = pa.schema(target.schema().to_arrow()) if keeps_schema else None
                    deltalake.write_deltalake(
                        target,
                        rows.reader(target_schema),
                        mode=mode,
                        schema_mode=None if keeps_schema else "overwrite",
                        commit_properties=properties,
                    )
                    return int(target.version())
                deltalake.write_deltalake(
                    _address(table),
                    rows.reader(),
                    mode="error",
                    storage_options=self._storage_options,
                    commit_properties=properties,
                )
                return 0
        except EngineFailed as error:
            if isinstance(rows.error, CoreError):
                raise rows.error from error
            if rows.error is not None:
                raise SchemaMismatch(
                    "{table} cannot be written: {cause}.", table=table.name, cause=first_line(rows.error)
                ) from error
            raise

    def _first_write(self, table: Table, transaction: str) -> int | None:
        log = self.log(table)
        if not log.exists() or log.transaction_version(transaction) is None:
            return None
        version = log.version_that_wrote(transaction)
        if version is None:
            raise LogExpired(
                "{table}: {transaction} was written before, but its commit is no longer in the log.",
                table=table.name,
                transaction=transaction,
            )
        return version


class _Reader:
    """A stream of rows in plain Arrow types; errors on the way are translated as in _reading."""

    def __init__(self, reader: pa.RecordBatchReader, engine: DeltaRsEngine, table: Table, version: int) -> None:
        self.schema = nullable_within(plain_schema(reader.schema))
        self._reader, self._engine, self._table, self._version = reader, engine, table, version

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        with self._engine._reading(self._table, self._version):
            yield from read_batches(self.schema, self._reader)


def _is_same(snapshot: Snapshot, schema: pa.Schema) -> bool:
    """Return whether *schema* has the table's columns, in the table's order and types."""
    return [(field.name, field.type) for field in snapshot.schema] == [
        (field.name, type_name(field.type)) for field in schema if not pa.types.is_null(field.type)
    ]


def _address(table: Table) -> str:
    """Return the table's address for deltalake, which decodes a local path once more than it should.

    Raises FeatureUnsupported, before anything is written, if the decoded path would be another path.
    """
    path = local_path(table.uri)
    if path is None:
        return table.uri
    resolved = os.path.realpath(path)
    if unquote_to_bytes(resolved) != os.fsencode(resolved):
        raise FeatureUnsupported(
            "{table}: {engine} cannot open {path}, because the path contains a percent sign before two hexadecimal "
            "digits. Rename the folder, or use the spark engine (MODELLEDGER_ENGINE=spark).",
            table=table.name,
            engine=table_features.DELTA_RS,
            path=resolved,
        )
    return path
