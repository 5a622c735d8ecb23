"""Delta tables written by hand: Parquet files and JSON actions, as any writer of the protocol may leave them."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pyarrow as pa
import pyarrow.parquet as pq


def column(name: str, kind: Any, *, nullable: bool = True, **metadata: Any) -> dict[str, Any]:
    """One field of a schema string; *kind* is Delta's word or a nested type."""
    return {"name": name, "type": kind, "nullable": nullable, "metadata": metadata}


class HandmadeTable:
    """A table below *root*. Each call of commit() writes the next log file with exactly the given actions."""

    def __init__(self, root: Path, *, first: int = 0) -> None:
        self.root = root
        self.uri = str(root)
        self._next = first
        self._files = 0
        (root / "_delta_log").mkdir(parents=True)

    def commit(self, *actions: Mapping[str, Any], text: str | None = None, version: int | None = None) -> int:
        """Writes *actions* (or *text* as it is) as a commit and returns its version."""
        number = self._next if version is None else version
        lines = "\n".join(json.dumps(action) for action in actions) if text is None else text
        (self.root / "_delta_log" / f"{number:020d}.json").write_text(lines + "\n", encoding="utf-8")
        self._next = number + 1
        return number

    def create(self, fields: Sequence[Mapping[str, Any]], *actions: Mapping[str, Any], **described: Any) -> int:
        """Writes a commit with protocol and metadata, followed by *actions*."""
        return self.commit(self.protocol(), self.metadata(fields, **described), *actions)

    def protocol(self, reader: int = 1, writer: int = 2, *, features: Sequence[str] | None = None) -> dict[str, Any]:
        """The protocol action; *features* makes it a table of version (3, 7)."""
        if features is None:
            return {"protocol": {"minReaderVersion": reader, "minWriterVersion": writer}}
        named = {"readerFeatures": list(features), "writerFeatures": list(features)}
        return {"protocol": {"minReaderVersion": 3, "minWriterVersion": 7, **named}}

    def metadata(
        self,
        fields: Sequence[Mapping[str, Any]],
        *,
        table_id: str = "5fba94ed-9794-4965-ba6e-6ee3c0d22af9",
        partitions: Sequence[str] = (),
        **configuration: str,
    ) -> dict[str, Any]:
        """The metaData action."""
        return {
            "metaData": {
                "id": table_id,
                "format": {"provider": "parquet", "options": {}},
                "schemaString": json.dumps({"type": "struct", "fields": list(fields)}),
                "partitionColumns": list(partitions),
                "configuration": {name.replace("__", "."): value for name, value in configuration.items()},
                "createdTime": 1_700_000_000_000,
            }
        }

    def add(
        self,
        rows: pa.Table,
        *,
        stats: str | Mapping[str, Any] | None = None,
        int96: bool = False,
        folder: str = "",
        partition: Mapping[str, str | None] | None = None,
        encode: bool = True,
    ) -> dict[str, Any]:
        """Writes *rows* as a Parquet file, without Arrow's own schema in it, and returns its add action."""
        name = f"{folder}{'/' if folder else ''}part-{self._files:05d}.parquet"
        self._files += 1
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(rows, path, store_schema=False, use_deprecated_int96_timestamps=int96)
        added: dict[str, Any] = {
            "path": quote(name, safe="/=") if encode else name,
            "partitionValues": dict(partition or {}),
            "size": os.path.getsize(path),
            "modificationTime": 1_700_000_000_000,
            "dataChange": True,
        }
        if stats is not None:
            added["stats"] = stats if isinstance(stats, str) else json.dumps(stats)
        return {"add": added}

    def log_file(self, version: int) -> Path:
        return self.root / "_delta_log" / f"{version:020d}.json"


def microseconds(values: Sequence[int | None], *, utc: bool = True) -> pa.Array:
    """Timestamps by their microseconds since 1970, also such as Python's datetime cannot hold."""
    return pa.array(values, pa.int64()).cast(pa.timestamp("us", "UTC" if utc else None))
