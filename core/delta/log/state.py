"""State: a table while its log is replayed, with files, schema, features and running totals."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

import orjson

from core.delta.log.stored_files import DataFile, FileKey, vector_end, vector_key
from core.delta.schema_json import type_name
from core.entities import Field, Snapshot
from core.errors import LogCorrupt

# All known writers put the count first, so that the rest of the statistics need not be parsed.
_ROWS_FIRST = re.compile(r'\{"numRecords":(\d+)[,}]')

# The features that an old writer version implies. Source: Delta protocol, "Valid Feature Names in Table Features".
_IMPLIED_BY_WRITER = {
    2: ("appendOnly", "invariants"),
    3: ("checkConstraints",),
    4: ("changeDataFeed", "generatedColumns"),
    5: ("columnMapping",),
    6: ("identityColumns",),
}

# Keys in a column's metadata that mark a column which the table fills.
_GENERATED = "delta.generationExpression"
_IDENTITY = "delta.identity.start"

_MAPPING_MODE = "delta.columnMapping.mode"
_PHYSICAL_NAME = "delta.columnMapping.physicalName"

IN_COMMIT_TIMESTAMP = "inCommitTimestamp"
_ENABLES_IN_COMMIT_TIMES = "delta.enableInCommitTimestamps"
_IN_COMMIT_TIMES_FROM = "delta.inCommitTimestampEnablementVersion"


class State:
    """The state of one table; apply() moves it by one commit. Running totals make a snapshot cheap."""

    def __init__(self, table: str) -> None:
        self.table = table
        self.version = -1
        self.files: dict[FileKey, DataFile] = {}
        self.transactions: dict[str, int] = {}
        self._size = 0
        self._rows = 0
        self._uncounted_files = 0
        self._metadata: Mapping[str, Any] = {}
        self._properties: Mapping[str, Any] = {}
        self._schema: tuple[Field, ...] = ()
        self._partition_columns: tuple[str, ...] = ()
        self._features: tuple[str, ...] = ()

    def apply(self, version: int, actions: Iterable[Mapping[str, Any]], name: str) -> None:
        """Move the state to *version* by *actions* of the file *name*. Raises LogCorrupt, which names the file."""
        try:
            for action in actions:
                if "add" in action:
                    self.add(action["add"])
                elif "remove" in action:
                    self.remove(action["remove"])
                elif "metaData" in action:
                    self.describe(action["metaData"])
                elif "protocol" in action:
                    self.require(action["protocol"])
                elif "txn" in action:
                    self.transactions[action["txn"]["appId"]] = int(action["txn"]["version"])
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError, RecursionError) as error:
            raise LogCorrupt(
                "{table}: {file} contains an action that cannot be read: {cause}.",
                table=self.table,
                file=name,
                cause=repr(error),
            ) from error
        self.version = version

    def add(self, add: Mapping[str, Any]) -> None:
        vector = add.get("deletionVector")
        key = (add["path"], vector_key(vector))
        self._forget(key)
        entry = DataFile(int(add["size"]), None if key[1] else _rows(add), vector_end(vector))
        self.files[key] = entry
        self._size += entry.size
        if entry.rows is None:
            self._uncounted_files += 1
        else:
            self._rows += entry.rows

    def remove(self, remove: Mapping[str, Any]) -> None:
        self._forget((remove["path"], vector_key(remove.get("deletionVector"))))

    def describe(self, metadata: Mapping[str, Any]) -> None:
        text = metadata.get("schemaString")
        if text is None:  # Delta Live Tables write version 0 without columns
            self._schema = ()
        # A checkpoint has the properties as pairs.
        properties = dict(metadata.get("configuration") or {})
        is_mapped = properties.get(_MAPPING_MODE) in ("name", "id")
        was_mapped = self._properties.get(_MAPPING_MODE) in ("name", "id")
        if text is not None and (text != self._metadata.get("schemaString") or is_mapped != was_mapped):
            self._schema = tuple(_field(field, is_mapped=is_mapped) for field in orjson.loads(text)["fields"])
        self._properties = properties
        self._partition_columns = tuple(metadata.get("partitionColumns") or ())
        self._metadata = metadata

    def require(self, protocol: Mapping[str, Any]) -> None:
        """Set the table's features, including those that an old protocol version implies."""
        writer = int(protocol.get("minWriterVersion") or 1)
        named = {*(protocol.get("readerFeatures") or ()), *(protocol.get("writerFeatures") or ())}
        if writer < 7:
            named |= {name for least, names in _IMPLIED_BY_WRITER.items() if writer >= least for name in names}
        self._features = tuple(sorted(named))

    def snapshot(self, timestamp: datetime) -> Snapshot:
        """Return the table at this version. Raises LogCorrupt if no commit described the table's columns."""
        self.require_columns()
        return Snapshot(
            table=self.table,
            table_id=str(self._metadata.get("id") or ""),
            version=self.version,
            timestamp=timestamp,
            rows=None if self._uncounted_files else self._rows,
            files=len(self.files),
            size_bytes=self._size,
            schema=self._schema,
            partition_columns=self._partition_columns,
            features=self._features,
        )

    @property
    def has_columns(self) -> bool:
        """Return whether a commit up to this version describes the table's columns."""
        return self._metadata.get("schemaString") is not None

    def require_columns(self) -> None:
        """Raise LogCorrupt unless a commit described the table's columns."""
        if not self.has_columns:
            raise LogCorrupt(
                "{table}: no commit up to version {version} describes the table's columns. Pick a later version.",
                table=self.table,
                version=self.version,
            )

    def in_commit_times_from(self) -> int | None:
        """Return the first version whose in-commit timestamp counts, or None if the table does not use them.

        Source: Delta protocol, "In-Commit Timestamps".
        """
        if IN_COMMIT_TIMESTAMP not in self._features or self._properties.get(_ENABLES_IN_COMMIT_TIMES) != "true":
            return None
        start = str(self._properties.get(_IN_COMMIT_TIMES_FROM) or "")
        return int(start) if start.isdecimal() else 0

    def filled_by_table(self) -> frozenset[str]:
        """Return the columns that the table fills if a writer leaves them out: generated and identity columns."""
        names = set()
        for field in orjson.loads(self._metadata["schemaString"])["fields"]:
            metadata = field.get("metadata") or {}
            if _GENERATED in metadata or _IDENTITY in metadata:
                names.add(field["name"])
        return frozenset(names)

    def _forget(self, key: FileKey) -> None:
        entry = self.files.pop(key, None)
        if entry is None:
            return
        self._size -= entry.size
        if entry.rows is None:
            self._uncounted_files -= 1
        else:
            self._rows -= entry.rows


def _field(field: Mapping[str, Any], *, is_mapped: bool) -> Field:
    physical = (field.get("metadata") or {}).get(_PHYSICAL_NAME) if is_mapped else None
    return Field(
        name=field["name"],
        type=type_name(field["type"]),
        nullable=bool(field.get("nullable", True)),
        physical_name=None if physical is None else str(physical),
    )


def _rows(add: Mapping[str, Any]) -> int | None:
    """Return the number of rows in the statistics of a file.

    Statistics are optional: if they cannot be read, the count is unknown.
    """
    text = add.get("stats")
    if not text:
        statistics = add.get("stats_parsed")
    elif not isinstance(text, str):
        return None
    elif (first := _ROWS_FIRST.match(text)) and text.endswith("}"):
        return int(first[1])
    else:
        try:
            statistics = orjson.loads(text)
        except orjson.JSONDecodeError:
            return None
    count = statistics.get("numRecords") if isinstance(statistics, Mapping) else None
    return count if isinstance(count, int) and not isinstance(count, bool) and count >= 0 else None
