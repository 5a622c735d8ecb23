"""The contract that every Delta engine keeps: delta_rs.py (embedded) and spark.py (scale)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from typing import ClassVar, Literal

import pyarrow as pa

from core.delta.content_hash import Content
from core.entities import Commit, ReadVerdict, Snapshot, Table

WriteMode = Literal["append", "overwrite"]

# Key in the metadata of a commit for the name of the write. An engine that cannot read the log's txn actions finds
# an earlier write by this key.
TRANSACTION_KEY = "transaction"


def commit_metadata(metadata: Mapping[str, str] | None, transaction: str | None) -> dict[str, str]:
    """Return *metadata* of a commit with the name of its transaction; a value that is already there stays."""
    named = {} if transaction is None else {TRANSACTION_KEY: transaction}
    return {**named, **(metadata or {})}


class DeltaEngine(ABC):
    """Reads and writes Delta tables. Every method takes a resolved Table; messages use its name.

    Common errors: TableNotFound, VersionNotFound (message names the versions there are), LogCorrupt,
    LogExpired, FilesVacuumed, FeatureUnsupported, StorageUnavailable, EngineUnavailable.
    version=None means the latest; version 0 is a version (compare with None).
    """

    name: ClassVar[str]

    def check(self) -> str:
        """What it runs on, in a few words. Starts nothing.

        Raises EngineUnavailable or BadSettings: what it needs is not on this machine, or nobody answers elsewhere.
        """
        return "in this process"

    @abstractmethod
    def exists(self, table: Table) -> bool:
        """Whether there is a Delta log at the table's URI (even a corrupt or expired one)."""

    @abstractmethod
    def latest_version(self, table: Table) -> int:
        """The newest version number. Note that VACUUM and OPTIMIZE write versions too."""

    @abstractmethod
    def history(self, table: Table, *, limit: int | None = None) -> tuple[Commit, ...]:
        """Commits newest first, at most *limit*; the version is the log file's name, never a count."""

    @abstractmethod
    def snapshot(self, table: Table, *, version: int | None = None) -> Snapshot:
        """The table at one version, from the log alone."""

    @abstractmethod
    def snapshots(self, table: Table, *, newest: int | None = None) -> tuple[Snapshot, ...]:
        """Snapshots of the *newest* versions (all if None), newest first, in one walk over the log."""

    @abstractmethod
    def readable(self, table: Table, version: int) -> ReadVerdict:
        """Whether the version's rows can still be shown: the log opens and every data file exists.

        Never raises for a lost version; raises TableNotFound and StorageUnavailable.
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
        """Rows at a version, in the engine's order. Raises ColumnNotFound for an unknown column."""

    @abstractmethod
    def scan(
        self, table: Table, *, version: int | None = None, columns: Sequence[str] | None = None
    ) -> Iterator[pa.RecordBatch]:
        """The same rows as a stream of Arrow record batches, for what may not fit in memory."""

    @abstractmethod
    def count(self, table: Table, *, version: int | None = None) -> int:
        """Rows at a version: from the log where it knows, else counted."""

    @abstractmethod
    def content(self, table: Table, *, version: int | None = None) -> Content:
        """SHA-256 of a version's schema and rows, and how many rows: hashed where the rows are, the same on any engine.

        Raises FeatureUnsupported for a column type that has no digest.
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
        """Writes one commit and returns its version; makes the table where there is none.

        *metadata* goes flat into commitInfo. *transaction* names the write: a second write with the same
        name writes nothing and returns the version of the first (exactly once).
        *expected_version*: CommitConflict if the table has moved on since (-1: must not exist yet).
        Append keeps the table's schema (SchemaMismatch otherwise); overwrite may change it.
        """
