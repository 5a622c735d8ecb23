"""DeltaEngine: the contract of both Delta engines, delta_rs/engine.py (embedded) and spark/engine.py."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from typing import ClassVar, Literal

import pyarrow as pa

from core.delta.content_hash import Content
from core.delta.log.stored_files import Damage
from core.entities import Commit, Readability, ReadVerdict, Snapshot, Table, TableVersion
from core.errors import CommitConflict, DataUnreadable, FilesChanged, FilesVacuumed
from core.texts import text

WriteMode = Literal["append", "overwrite"]

# Key in the metadata of a commit for the name of the write. An engine that cannot read the log's txn actions finds
# an earlier write by this key.
TRANSACTION_KEY = "transaction"


def commit_metadata(metadata: Mapping[str, str] | None, transaction: str | None) -> dict[str, str]:
    """Return *metadata* of a commit with the name of its transaction; a value that is already there stays."""
    named = {} if transaction is None else {TRANSACTION_KEY: transaction}
    return {**named, **(metadata or {})}


def damage_verdict(table: Table, version: int, damage: Damage) -> ReadVerdict:
    """Return the verdict on a version that needs a file which is missing or has changed."""
    data = str(TableVersion(table=table.name, version=version))
    if damage.found_bytes is None:
        return ReadVerdict(
            verdict=Readability.FILES_VACUUMED,
            reason=text("{data}: {file} is missing in storage.", data=data, file=damage.short_name),
        )
    return ReadVerdict(
        verdict=Readability.FILES_CHANGED,
        reason=text(
            "{data}: {file} has {found} bytes in storage and {logged} bytes in the log: the file was cut or replaced.",
            data=data,
            file=damage.short_name,
            found=damage.found_bytes,
            logged=damage.file.size_bytes,
        ),
    )


def damage_error(table: Table, version: int, damage: Damage) -> DataUnreadable:
    """Return the error for a read that failed because a file is missing or has changed."""
    if damage.found_bytes is None:
        return FilesVacuumed(
            "{table}@{version} is in the history, but its rows are gone: {name} is no longer in storage (VACUUM "
            "removes old files). Pick a newer version, or restore the file from a backup.",
            table=table.name,
            version=version,
            name=damage.short_name,
            file=damage.file.name,
        )
    return FilesChanged(
        "{table}@{version}: {name} has {found} bytes in storage and {logged} bytes in the log: the file was cut or "
        "replaced. Restore the file from a backup.",
        table=table.name,
        version=version,
        name=damage.short_name,
        found=damage.found_bytes,
        logged=damage.file.size_bytes,
        file=damage.file.name,
    )


class DeltaEngine(ABC):
    """Reads and writes Delta tables. Every method takes a resolved Table; messages use its name.

    Common errors: TableNotFound, VersionNotFound (the message lists the existing versions), LogCorrupt, LogExpired,
    FilesVacuumed, FeatureUnsupported, StorageUnavailable, EngineUnavailable.
    version=None means the latest. Version 0 is falsy: compare with None.
    """

    name: ClassVar[str]

    def check(self) -> str:
        """Return where the engine runs, in a few words. Starts nothing.

        Raises:
            EngineUnavailable, BadSettings: something that the engine needs is missing or does not answer.
        """
        return text("in this process")

    @abstractmethod
    def exists(self, table: Table) -> bool:
        """Return whether there is a Delta log at the table's URI, even a corrupt or expired one."""

    @abstractmethod
    def latest_version(self, table: Table) -> int:
        """Return the newest version. VACUUM and OPTIMIZE write versions too."""

    @abstractmethod
    def history(self, table: Table, *, limit: int | None = None) -> tuple[Commit, ...]:
        """Return the commits, newest first, at most *limit*. A version is the name of a log file, never a count."""

    def commit(self, table: Table, version: int) -> Commit | None:
        """Return the commit of *version*, or None if the log no longer has it. Raises VersionNotFound."""
        commits = self.history(table)
        if version > commits[0].version:
            self.snapshot(table, version=version)  # raises VersionNotFound, which lists the versions
        return next((commit for commit in commits if commit.version == version), None)

    @abstractmethod
    def snapshot(self, table: Table, *, version: int | None = None) -> Snapshot:
        """Return the table at one version; only the log is read."""

    @abstractmethod
    def snapshots(self, table: Table, *, newest: int | None = None) -> tuple[Snapshot, ...]:
        """Return the snapshots of the *newest* versions (all if None), newest first, in one walk over the log."""

    @abstractmethod
    def readable(self, table: Table, version: int) -> ReadVerdict:
        """Return whether the version's rows can be read: the log opens and every data file exists.

        A lost version is a verdict and not an error. Raises TableNotFound and StorageUnavailable.
        """

    @abstractmethod
    def read(
        self,
        table: Table,
        *,
        version: int | None = None,
        columns: Sequence[str] | None = None,
        limit: int | None = None,
        offset: int = 0,
    ) -> pa.Table:
        """Return the rows at a version, in the engine's order. Raises ColumnNotFound for an unknown column."""

    @abstractmethod
    def scan(
        self, table: Table, *, version: int | None = None, columns: Sequence[str] | None = None
    ) -> Iterator[pa.RecordBatch]:
        """Yield the same rows as Arrow record batches, for tables that may not fit in memory."""

    @abstractmethod
    def count(self, table: Table, *, version: int | None = None) -> int:
        """Return the number of rows at a version, from the log if the log has it, else counted."""

    @abstractmethod
    def content(self, table: Table, *, version: int | None = None) -> Content:
        """Return the SHA-256 of a version's schema and rows, and the number of rows. It is the same on every engine.

        Raises FeatureUnsupported for a column type that cannot be hashed.
        """

    @abstractmethod
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
        """Write one commit and return its version; create the table if it does not exist.

        *metadata* goes into commitInfo. *transaction* names the write: a second write with the same name writes nothing
        and returns the version of the first. *expected_version* is the version on which the write is based; -1 means
        that the table must not exist yet.

        Raises:
            CommitConflict: the table is not at *expected_version*, or another writer committed first.
            SchemaMismatch: appended rows do not have the table's schema. An overwrite may change the schema.
        """


def version_conflict(table: Table, expected: int, current: int) -> CommitConflict:
    """Return the error for a table at version *current* instead of *expected*; -1 means that it does not exist."""
    if expected < 0:
        return CommitConflict(
            "{table} did not exist when this was prepared and is now at version {current}; nothing was written. Check "
            "the table and try again.",
            table=table.name,
            expected=expected,
            current=current,
        )
    if current < 0:
        return CommitConflict(
            "{table} was at version {expected} when this was prepared and does not exist now; nothing was written. "
            "Check the table and try again.",
            table=table.name,
            expected=expected,
            current=current,
        )
    return CommitConflict(
        "{table} was at version {expected} when this was prepared and is now at version {current}; nothing was "
        "written. Check the table and try again.",
        table=table.name,
        expected=expected,
        current=current,
    )
