"""SparkEngine: the Delta engine on delta-spark, for data that does not fit on one machine.

It uses only SQL and DataFrames, so that it works the same on local[*], on a cluster (spark://) and over Spark Connect
(sc://), where Delta's own Python classes are not available.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, ClassVar, TypeVar

import pyarrow as pa

from core.delta import table_features
from core.delta.addresses import is_catalog_name
from core.delta.arrow_types import nullable_within
from core.delta.content_hash import Content
from core.delta.engine import TRANSACTION_KEY, DeltaEngine, WriteMode, damage_verdict, version_conflict
from core.delta.log.log_cache import Logs
from core.delta.log.stored_files import Damage, StoredFile, stored_files
from core.delta.log.table_log import Log
from core.delta.spark import content_hash, data_types, describe, jobs, storage
from core.delta.spark import scan as spark_scan
from core.delta.spark import session as spark_session
from core.delta.spark import write as spark_write
from core.delta.spark.errors import translated
from core.delta.spark.session import SparkSettings
from core.entities import Commit, Readability, ReadVerdict, Snapshot, Table
from core.errors import (
    BadParameter,
    ColumnNotFound,
    CommitConflict,
    FeatureUnsupported,
    FilesVacuumed,
    LogCorrupt,
    LogExpired,
    TableNotFound,
    TimeTravelRefused,
    VersionNotFound,
)
from core.identifiers import quote_spark
from core.texts import text
from core.uris import local_path

T = TypeVar("T")

# Smaller data is written as one file, in the order in which it was given.
_ONE_FILE_BYTES = 128 * 1024 * 1024


class SparkEngine(DeltaEngine):
    """Delta tables through Spark. The session starts with the first call that needs it."""

    name: ClassVar[str] = table_features.SPARK

    def __init__(
        self,
        master: str,
        *,
        jars: str | None = None,
        storage_options: Mapping[str, str] | None = None,
        conf: Mapping[str, str] | None = None,
    ) -> None:
        # A Connect server has its own client for the object store: ModelLedger's keys are not sent to it.
        options = {} if master.startswith("sc://") else dict(storage_options or {})
        self.settings = SparkSettings(master=master, jars=jars, conf=storage.hadoop_conf(options, dict(conf or {})))
        self._logs = Logs(storage_options)

    @property
    def session(self) -> Any:
        """The process's Spark session, opened on first use. Raises EngineUnavailable or BadSettings."""
        return spark_session.session(self.settings)

    def check(self) -> str:
        return spark_session.check(self.settings)

    # ------------------------------------------------------------------------------------------- reading

    def exists(self, table: Table) -> bool:
        log = self._log(table)
        if log is not None:
            return log.exists()
        try:
            self._sql(table, f"DESCRIBE DETAIL {data_types.identifier(table)}")
        except TableNotFound:
            return False
        except (LogCorrupt, LogExpired):
            return True
        return True

    def latest_version(self, table: Table) -> int:
        log = self._log(table)
        return self._history(table, 1)[0].version if log is None else log.latest()

    def history(self, table: Table, *, limit: int | None = None) -> tuple[Commit, ...]:
        log = self._log(table)
        return self._history(table, limit) if log is None else log.history(limit)

    def commit(self, table: Table, version: int) -> Commit | None:
        log = self._log(table)
        return super().commit(table, version) if log is None else log.commit(version)

    def snapshot(self, table: Table, *, version: int | None = None) -> Snapshot:
        log = self._log(table)
        if log is not None:
            return log.snapshot(version)
        commits = self._history(table, 1 if version is None else None)
        return self._snapshot(table, commits, commits[0].version if version is None else version)

    def snapshots(self, table: Table, *, newest: int | None = None) -> tuple[Snapshot, ...]:
        log = self._log(table)
        if log is not None:
            return log.snapshots(newest)
        commits = self._history(table, newest)
        snapshots = []
        for commit in commits:
            # Versions that Spark cannot open any more are left out, like expired ones.
            with contextlib.suppress(TimeTravelRefused, LogExpired, VersionNotFound):
                snapshots.append(self._snapshot(table, commits, commit.version))
        return tuple(snapshots)

    def readable(self, table: Table, version: int) -> ReadVerdict:
        log = self._log(table)
        try:
            with translated(table, versions=lambda: self._versions(table)):
                if log is None:
                    table_features.require_read(self.name, table, describe.features(self.session, table))
                    damage = self._missing_file(self._frame(table, version))
                else:
                    table_features.require_read(self.name, table, log.snapshot(version).features)
                    self._frame(table, version)
                    damage = log.files.find_damage(stored_files(log.data_files(version)))
        except (TimeTravelRefused, FeatureUnsupported) as error:
            return ReadVerdict(verdict=Readability.REFUSED, reason=str(error))
        except (LogExpired, VersionNotFound) as error:
            return ReadVerdict(verdict=Readability.LOG_EXPIRED, reason=str(error))
        except FilesVacuumed as error:
            return ReadVerdict(verdict=Readability.FILES_VACUUMED, reason=str(error))
        except LogCorrupt as error:
            return ReadVerdict(verdict=Readability.UNKNOWN, reason=str(error))
        if damage is not None:
            return damage_verdict(table, version, damage)
        return ReadVerdict(verdict=Readability.READABLE, reason=text("The log opens and every data file exists."))

    def read(
        self,
        table: Table,
        *,
        version: int | None = None,
        columns: Sequence[str] | None = None,
        limit: int | None = None,
        offset: int = 0,
    ) -> pa.Table:
        frame = self.frame(table, version=version, columns=columns)
        with translated(table):
            if offset:
                frame = frame.offset(offset)
            if limit is not None:
                frame = frame.limit(limit)
            return data_types.nullable_within(frame).toArrow()

    def scan(
        self, table: Table, *, version: int | None = None, columns: Sequence[str] | None = None
    ) -> Iterator[pa.RecordBatch]:
        frame = self.frame(table, version=version, columns=columns)
        with translated(table):
            for batch in spark_scan.stream(frame):
                yield batch.cast(nullable_within(batch.schema))

    def count(self, table: Table, *, version: int | None = None) -> int:
        frame = self.frame(table, version=version)
        with translated(table):
            return int(frame.count())

    def content(self, table: Table, *, version: int | None = None) -> Content:
        frame = self.frame(table, version=version)
        with translated(table):
            return content_hash.content(frame)

    def frame(self, table: Table, *, version: int | None = None, columns: Sequence[str] | None = None) -> Any:
        """Return the rows at a version as a Spark frame, for scoring and training; nothing is read yet."""
        with translated(table, versions=lambda: self._versions(table)):
            frame = self._frame(table, version)
            if columns is None:
                return frame
            unknown = [name for name in columns if name not in frame.columns]
            if unknown:
                raise ColumnNotFound(
                    "{table} has no column {unknown}. It has the columns {existing}.",
                    table=table.name,
                    unknown=", ".join(unknown),
                    existing=", ".join(frame.columns),
                    columns=unknown,
                )
            return frame.select(*[quote_spark(name) for name in columns])

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
        with translated(table):
            rows = data_types.for_spark(data)
            frame = self.session.createDataFrame(rows, schema=data_types.schema_of(rows))
            if rows.nbytes < _ONE_FILE_BYTES:
                frame = frame.coalesce(1)
        return self.write_frame(
            table,
            frame,
            mode=mode,
            metadata=metadata,
            transaction=transaction,
            expected_version=expected_version,
        )

    def write_frame(
        self,
        table: Table,
        frame: Any,
        *,
        mode: WriteMode,
        metadata: Mapping[str, str] | None = None,
        transaction: str | None = None,
        expected_version: int | None = None,
    ) -> int:
        """Write rows that are in Spark already: they go from the executors to the table. Otherwise like write().

        The expected version is checked before the write, and a commit of another writer during the write makes this
        commit fail. A commit between the check and the start of Spark's transaction is noticed afterwards, and then a
        RESTORE undoes this commit.
        """
        if mode not in ("append", "overwrite"):
            raise BadParameter("mode must be append or overwrite, not {mode!r}.", mode=mode)
        latest = self.latest_version(table) if self.exists(table) else -1
        if transaction is not None and latest >= 0:
            written = self.version_of(table, transaction)
            if written is not None:
                return written
        if expected_version is not None and latest != expected_version:
            raise version_conflict(table, expected_version, latest)
        with translated(table):
            if mode == "append" and latest >= 0:
                log = self._log(table)
                filled = log.filled_by_table() if log is not None else frozenset()
                frame = spark_write.fitting(frame, self._frame(table, None).schema, table, filled_by_table=filled)
        try:
            with translated(table):
                version = spark_write.commit(
                    self.session,
                    table,
                    frame,
                    mode=mode,
                    metadata=metadata,
                    transaction=transaction,
                    only_at=expected_version,
                )
        except CommitConflict:
            # The other writer may be an earlier attempt at the same write, which the server has continued.
            first = None if transaction is None else self.version_of(table, transaction)
            if first is None:
                raise
            return first
        finally:
            self._remove_empty_log(table)
        if version is None:
            assert transaction is not None, "Delta commits nothing only where a transaction was written before"
            first = self.version_of(table, transaction)
            if first is None:
                raise LogExpired(
                    "{table}: {transaction} was written before, but its commit is no longer in the log.",
                    table=table.name,
                    transaction=transaction,
                )
            return first
        if expected_version is not None and version != expected_version + 1:
            with translated(table):
                name = data_types.identifier(table)
                self.session.sql(f"RESTORE TABLE {name} TO VERSION AS OF {version - 1}").collect()
            raise CommitConflict(
                "{table} was at version {expected} when this was prepared, but another writer made version {current}. "
                "Version {undone}, which ModelLedger wrote after it, was undone by a RESTORE. Check the table and "
                "try again.",
                table=table.name,
                expected=expected_version,
                current=version - 1,
                undone=version,
            )
        return version

    def watch(
        self,
        work: Callable[[], T],
        *,
        report: Callable[[float, str], None],
        checkpoint: Callable[[], None],
        step: str,
        table: Table | None = None,
    ) -> T:
        """Run *work* and return its result; *report* gets its progress. If *checkpoint* raises, the Spark jobs end."""
        return jobs.watch(self.session, work, report=report, checkpoint=checkpoint, step=step, table=table)

    def version_of(self, table: Table, transaction: str) -> int | None:
        """Return the version that the write *transaction* made, or None if the log does not have it."""
        for commit in self.history(table):
            if commit.metadata.get(TRANSACTION_KEY) == transaction:
                return commit.version
        return None

    # ------------------------------------------------------------------------------------------- helpers

    def _log(self, table: Table) -> Log | None:
        """Return the table's log, or None over Connect and for catalog names, where its files cannot be read here."""
        return None if self._local(table) is None else self._logs.of(table)

    def _local(self, table: Table) -> str | None:
        """Return the table's folder if this process and Spark's driver share a disk, else None."""
        if self.settings.is_connect or is_catalog_name(table.uri):
            return None
        return local_path(table.uri)

    def _remove_empty_log(self, table: Table) -> None:
        """Remove the log folder that Delta creates before the first commit, if that commit was not written."""
        path = self._local(table)
        if path is not None and os.path.isdir(os.path.join(path, "_delta_log")) and not _holds_log(path):
            shutil.rmtree(os.path.join(path, "_delta_log"), ignore_errors=True)

    def _sql(self, table: Table, sql: str) -> pa.Table:
        with translated(table):
            return self.session.sql(sql).toArrow()

    def _frame(self, table: Table, version: int | None) -> Any:
        at = "" if version is None else f" VERSION AS OF {int(version)}"
        if version is not None and version < 0:
            raise VersionNotFound(
                "{table} has no version {version}; versions start at 0.", table=table.name, version=version
            )
        log = self._log(table)
        if log is not None:
            log.snapshot(version)  # its error names the damaged file, which Spark's error does not
        return self.session.sql(f"SELECT * FROM {data_types.identifier(table)}{at}")  # noqa: S608 - quoted

    def _history(self, table: Table, limit: int | None) -> tuple[Commit, ...]:
        with translated(table):
            return describe.history(self.session, table, limit)

    def _versions(self, table: Table) -> str:
        commits = self._history(table, None)
        return f"{commits[-1].version}–{commits[0].version}" if len(commits) > 1 else str(commits[0].version)

    def _snapshot(self, table: Table, commits: tuple[Commit, ...], version: int) -> Snapshot:
        commit = next((commit for commit in commits if commit.version == version), None)
        if commit is None:
            raise VersionNotFound(
                "{table} has versions {versions}; version {version} was requested. Pick one from its history.",
                table=table.name,
                versions=self._versions(table),
                version=version,
            )
        with translated(table):
            return describe.snapshot(self.session, table, version, commit)

    def _missing_file(self, frame: Any) -> Damage | None:
        """Return the first missing data file of *frame*, or None. Files are listed and not read."""
        files = frame.inputFiles()
        if not files:
            return None
        try:
            with translated():
                self.session.read.format("binaryFile").load(list(files)).select("path").count()
        except (TableNotFound, FilesVacuumed) as error:
            name = str(error).rsplit("/", 1)[-1].split(".parquet")[0] + ".parquet"
            return Damage(StoredFile(name, 0), None)
        return None


def _holds_log(path: str) -> bool:
    """Return whether the log below *path* has a file, such as a commit or a checkpoint."""
    log = os.path.join(path, "_delta_log")
    return os.path.isdir(log) and any(os.path.isfile(os.path.join(log, name)) for name in os.listdir(log))
