"""Tables and their versions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Table:
    """A Delta table: its registered name and its address (path, URI or catalog name)."""

    name: str
    uri: str


@dataclass(frozen=True, kw_only=True)
class TableVersion:
    """The key of a pinned table version, written TABLE@N. Version 0 is a version."""

    table: str
    version: int

    def __str__(self) -> str:
        return f"{self.table}@{self.version}"


@dataclass(frozen=True, kw_only=True)
class Field:
    """One column of a Delta schema; *type* is Delta's name of the type ("double", "array<string>").

    *physical_name* identifies the column in a table with column mapping, where a rename keeps it; else it is None.
    """

    name: str
    type: str
    nullable: bool = True
    physical_name: str | None = field(default=None, compare=False)


@dataclass(frozen=True, kw_only=True)
class CommitDetails:
    """What else the writer of a commit claims about it, with long values cut; None or {} where it says nothing.

    *parameters* are those of the operation, such as the predicate of a DELETE; *metrics* are its counts. *read_version*
    is the version on which the commit is based.
    """

    parameters: Mapping[str, str] = field(default_factory=dict)
    metrics: Mapping[str, str] = field(default_factory=dict)
    job: Mapping[str, str] = field(default_factory=dict)
    notebook: Mapping[str, str] = field(default_factory=dict)
    cluster_id: str | None = None
    isolation_level: str | None = None
    is_blind_append: bool | None = None
    read_version: int | None = None
    user_name: str | None = None
    user_id: str | None = None


@dataclass(frozen=True, kw_only=True)
class Commit:
    """One commit of a Delta log.

    *operation*, *user*, *engine*, *metadata*, *written_at* and *details* are claims of the writer. Nothing checks them.
    *timestamp* may be the time of the log file, which a copy of the table changes. *written_at* is inside the file, so
    a copy keeps it. Row counts and *written_at* are None where the writer did not report them. A row that a commit
    changes counts as added and as removed.
    """

    table: str
    version: int
    timestamp: datetime
    operation: str
    user: str | None = None
    rows_added: int | None = None
    rows_removed: int | None = None
    files_added: int = 0
    files_removed: int = 0
    engine: str | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)
    details: CommitDetails = field(default_factory=CommitDetails)
    written_at: datetime | None = None

    @property
    def key(self) -> TableVersion:
        return TableVersion(table=self.table, version=self.version)

    @property
    def claimed_by(self) -> str | None:
        """The claimed author: the log's user, else the actor that ModelLedger wrote to the metadata."""
        noted = self.metadata.get("modelledger.actor")
        return self.user or (str(noted) if noted else None)


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """A table at one version, from its log alone; no data file is read.

    *rows* is None unless every file has statistics and no file has a deletion vector. *size_bytes* is None if only
    Spark can read the log and the files are gone.
    """

    table: str
    table_id: str
    version: int
    timestamp: datetime
    rows: int | None
    files: int
    size_bytes: int | None
    schema: tuple[Field, ...]
    partition_columns: tuple[str, ...] = ()
    features: tuple[str, ...] = ()


class Readability(str, Enum):
    """Whether a version is readable, and if not, how its rows were lost."""

    READABLE = "readable"
    FILES_VACUUMED = "files vacuumed"
    FILES_CHANGED = "files changed"
    LOG_EXPIRED = "log expired"
    REFUSED = "engine refuses"
    UNKNOWN = "unknown"


@dataclass(frozen=True, kw_only=True)
class ReadVerdict:
    """The proof that a version is (or is not) readable: the log opens and every data file exists."""

    verdict: Readability
    reason: str

    @property
    def is_readable(self) -> bool:
        return self.verdict is Readability.READABLE


@dataclass(frozen=True, kw_only=True)
class FieldChange:
    name: str
    before: str
    after: str


@dataclass(frozen=True, kw_only=True)
class TableDiff:
    """The differences between the versions *before* and *after* of a table.

    *fields_renamed* are the names of a column before and after; a renamed column is neither added nor removed.
    Without a key a changed row counts once as removed and once as added, and *rows_changed* is None.
    """

    table: str
    before: int
    after: int
    fields_added: tuple[Field, ...]
    fields_removed: tuple[Field, ...]
    fields_changed: tuple[FieldChange, ...]
    fields_renamed: tuple[tuple[str, str], ...]
    rows_added: int
    rows_removed: int
    rows_changed: int | None = None
