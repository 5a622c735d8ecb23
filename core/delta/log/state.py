"""The state of a table while its log is replayed: files, schema, features, and running totals."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

import orjson

from core.delta.spark.data_types import type_name
from core.entities import Field, Snapshot
from core.errors import LogCorrupt
from core.uris import logged_path

# Where writers put the count first (all known ones do) the rest of the statistics need not be parsed.
_ROWS_FIRST = re.compile(r'\{"numRecords":(\d+)[,}]')

# What a writer of an old protocol version may use, by the protocol's own table.
_IMPLIED_BY_WRITER = {
    2: ("appendOnly", "invariants"),
    3: ("checkConstraints",),
    4: ("changeDataFeed", "generatedColumns"),
    5: ("columnMapping",),
    6: ("identityColumns",),
}

# Keys of a column's metadata by which the protocol tells that the table fills it.
_GENERATED = "delta.generationExpression"
_IDENTITY = "delta.identity.start"

FileKey = tuple[str, str]


class DataFile(NamedTuple):
    """One file of a version; *rows* is None where statistics lack or a deletion vector hides rows."""

    size: int
    rows: int | None


class State:
    """Mutable: apply() moves it by one commit. Totals are kept, so that a snapshot costs no walk over the files."""

    def __init__(self, table: str) -> None:
        self.table = table
        self.version = -1
        self.files: dict[FileKey, DataFile] = {}
        self.transactions: dict[str, int] = {}
        self._size = 0
        self._rows = 0
        self._unknown = 0
        self._metadata: Mapping[str, Any] = {}
        self._schema: tuple[Field, ...] = ()
        self._features: tuple[str, ...] = ()

    def apply(self, version: int, actions: Iterable[Mapping[str, Any]], name: str) -> None:
        """Moves the state to *version*. Raises LogCorrupt, naming the file."""
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
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise LogCorrupt(
                f"{self.table}: {name} holds an action that cannot be understood: {error!r}.",
                table=self.table,
                file=name,
            ) from error
        self.version = version

    def add(self, add: Mapping[str, Any]) -> None:
        vector = add.get("deletionVector")
        key = (add["path"], _vector_id(vector))
        self._forget(key)
        entry = DataFile(int(add["size"]), None if key[1] else _rows(add))
        self.files[key] = entry
        self._size += entry.size
        if entry.rows is None:
            self._unknown += 1
        else:
            self._rows += entry.rows

    def remove(self, remove: Mapping[str, Any]) -> None:
        self._forget((remove["path"], _vector_id(remove.get("deletionVector"))))

    def describe(self, metadata: Mapping[str, Any]) -> None:
        text = metadata["schemaString"]
        if text != self._metadata.get("schemaString"):
            self._schema = tuple(
                Field(name=field["name"], type=type_name(field["type"]), nullable=bool(field.get("nullable", True)))
                for field in orjson.loads(text)["fields"]
            )
        self._metadata = metadata

    def require(self, protocol: Mapping[str, Any]) -> None:
        """Keeps the table's features, also those that an old protocol version implies."""
        writer = int(protocol.get("minWriterVersion") or 1)
        named = {*(protocol.get("readerFeatures") or ()), *(protocol.get("writerFeatures") or ())}
        if writer < 7:
            named |= {name for least, names in _IMPLIED_BY_WRITER.items() if writer >= least for name in names}
        self._features = tuple(sorted(named))

    def snapshot(self, timestamp: datetime) -> Snapshot:
        """Raises LogCorrupt where the log never said what the table is."""
        if not self._metadata:
            raise LogCorrupt(
                f"{self.table}: no commit up to version {self.version} says what the table's columns are.",
                table=self.table,
                version=self.version,
            )
        return Snapshot(
            table=self.table,
            table_id=str(self._metadata.get("id") or ""),
            version=self.version,
            timestamp=timestamp,
            rows=None if self._unknown else self._rows,
            files=len(self.files),
            size_bytes=self._size,
            schema=self._schema,
            partition_columns=tuple(self._metadata.get("partitionColumns") or ()),
            features=self._features,
        )

    def made_by_table(self) -> frozenset[str]:
        """Columns that the table fills where a writer leaves them out: generated ones and identities."""
        found = set()
        for field in orjson.loads(self._metadata["schemaString"])["fields"]:
            described = field.get("metadata") or {}
            if _GENERATED in described or _IDENTITY in described:
                found.add(field["name"])
        return frozenset(found)

    def _forget(self, key: FileKey) -> None:
        entry = self.files.pop(key, None)
        if entry is None:
            return
        self._size -= entry.size
        if entry.rows is None:
            self._unknown -= 1
        else:
            self._rows -= entry.rows


def _vector_id(vector: Mapping[str, Any] | None) -> str:
    """The protocol's key of a deletion vector; a file with another vector is another logical file."""
    if not vector or vector.get("storageType") is None:
        return ""
    return f"{vector['storageType']}{vector['pathOrInlineDv']}@{vector.get('offset')}"


def _rows(add: Mapping[str, Any]) -> int | None:
    text = add.get("stats")
    if not text:
        parsed = add.get("stats_parsed")
        count = parsed.get("numRecords") if parsed else None
        return None if count is None else int(count)
    if first := _ROWS_FIRST.match(text):
        return int(first[1])
    try:
        statistics = orjson.loads(text)
    except orjson.JSONDecodeError:
        return None  # statistics are a hint to planners: what cannot be read is not known
    count = statistics.get("numRecords") if isinstance(statistics, dict) else None
    return count if isinstance(count, int) and not isinstance(count, bool) else None


_Z85 = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#"


def stored_files(keys: Iterable[FileKey]) -> Iterator[str]:
    """Names in storage of data files and of deletion vectors that lie in files: relative to the table, or absolute."""
    vectors: set[str] = set()
    for path, vector in keys:
        yield logged_path(path)
        if vector[:1] == "p":
            vectors.add(logged_path(vector[1:].rpartition("@")[0]))
        elif vector[:1] == "u":
            named = vector[1:].rpartition("@")[0]
            prefix, text = named[:-20], named[-20:]
            where = f"{prefix}/" if prefix else ""
            vectors.add(f"{where}deletion_vector_{UUID(bytes=_from_z85(text))}.bin")
    yield from sorted(vectors)


def _from_z85(text: str) -> bytes:
    """ZeroMQ's base 85, in which the protocol writes UUIDs: five characters for four bytes."""
    found = b""
    for start in range(0, len(text), 5):
        number = 0
        for character in text[start : start + 5]:
            number = number * 85 + _Z85.index(character)
        found += number.to_bytes(4, "big")
    return found
