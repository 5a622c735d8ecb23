"""One commit file of a Delta log: its actions, and what the writer claims of it as a Commit."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import orjson

from core.delta.log.log_files import File
from core.entities import Commit
from core.errors import LogCorrupt

UNKNOWN_OPERATION = "unknown"

# Metric names of both writers (Spark's, delta-rs's). An operation that reports none of them leaves the count unknown.
_ADDED = ("numTargetRowsInserted", "num_target_rows_inserted", "numOutputRows", "num_added_rows", "num_output_rows")
_REMOVED = ("numTargetRowsDeleted", "num_target_rows_deleted", "numDeletedRows", "num_deleted_rows")
_UPDATED = ("numUpdatedRows", "num_updated_rows")

# Keys of commitInfo that the protocol's writers use; every other one is the author's own.
_STANDARD = frozenset(
    {
        "timestamp",
        "inCommitTimestamp",
        "operation",
        "operationParameters",
        "operationMetrics",
        "engineInfo",
        "clientVersion",
        "isolationLevel",
        "isBlindAppend",
        "readVersion",
        "txnId",
        "userId",
        "userName",
        "userMetadata",
        "notebook",
        "job",
        "clusterId",
        "tags",
        "version",
    }
)


def actions(file: File, name: str, table: str) -> list[dict[str, Any]]:
    """The actions of a commit file, in order. Raises LogCorrupt, naming the file."""
    data = file.data.strip()
    if not data:
        raise LogCorrupt(f"{table}: {name} is empty; the commit was never finished or was cut off.", file=name)
    try:
        # One call for all lines: line feeds stand only between actions, inside strings they are escaped.
        found = orjson.loads(b"[" + data.replace(b"\n", b",") + b"]")
    except orjson.JSONDecodeError:
        found = _line_by_line(data, name, table)
    for action in found:
        if type(action) is not dict:
            raise LogCorrupt(f"{table}: {name} holds a line that is no action.", table=table, file=name)
    return found  # type: ignore[no-any-return]


def _line_by_line(data: bytes, name: str, table: str) -> list[Any]:
    """Slower, forgiving empty lines, and able to say which line is wrong."""
    found: list[Any] = []
    for number, line in enumerate(data.split(b"\n"), start=1):
        if not line.strip():
            continue
        try:
            found.append(orjson.loads(line))
        except orjson.JSONDecodeError as error:
            raise LogCorrupt(
                f"{table}: {name} is damaged at line {number}: {error}. Restore the file from a backup.",
                table=table,
                file=name,
                line=number,
            ) from error
    return found


def to_commit(table: str, version: int, found: list[dict[str, Any]], modified_s: float) -> Commit:
    """The commit as its actions tell it; commitInfo is optional, and the writer's claim."""
    info: Mapping[str, Any] = {}
    added = removed = 0
    for action in found:
        if "add" in action:
            added += 1
        elif "remove" in action:
            removed += 1
        elif "commitInfo" in action:
            info = action["commitInfo"] or {}
    operation = info.get("operation") or UNKNOWN_OPERATION
    metadata = claimed(info)
    rows_added, rows_removed = rows_of(operation, info.get("operationMetrics") or {})
    return Commit(
        table=table,
        version=version,
        timestamp=commit_time(info, modified_s),
        operation=operation,
        user=info.get("userName") or info.get("userId") or taken_user(metadata),
        rows_added=rows_added,
        rows_removed=rows_removed,
        files_added=added,
        files_removed=removed,
        engine=info.get("engineInfo") or info.get("clientVersion"),
        metadata=metadata,
    )


def commit_time(info: Mapping[str, Any], modified_s: float) -> datetime:
    """The in-commit timestamp where the table has them, else when the file was written. UTC, milliseconds."""
    stamp = info.get("inCommitTimestamp")
    milliseconds = int(stamp) if stamp is not None else int(modified_s * 1000)
    return datetime.fromtimestamp(milliseconds / 1000, UTC)


def rows_of(operation: str, metrics: Mapping[str, Any]) -> tuple[int | None, int | None]:
    """Rows added and removed, as a commit's metrics claim them; None for what they do not tell."""
    if not metrics:
        return None, None
    updated = number_of(metrics, _UPDATED)
    if operation == "UPDATE":
        return updated, updated
    removed = number_of(metrics, _REMOVED)
    # numOutputRows of a DELETE are rows that were copied, not added.
    return (None if operation == "DELETE" else number_of(metrics, _ADDED)), removed


def number_of(metrics: Mapping[str, Any], names: tuple[str, ...]) -> int | None:
    """The first of the metrics *names* that is there, or None."""
    for name in names:
        if name in metrics:
            try:
                return int(metrics[name])
            except (TypeError, ValueError):
                return None  # a claim that is no number tells nothing
    return None


def taken_user(metadata: dict[str, Any]) -> str | None:
    """The user that stands in Spark's userMetadata, taken out of it: delta-rs writes the same claim flat."""
    name, number = metadata.pop("userName", None), metadata.pop("userId", None)
    return str(name or number) if name or number else None


def claimed(info: Mapping[str, Any]) -> dict[str, Any]:
    """What the author said besides: delta-rs writes it flat, Spark as one text, which is JSON where we wrote it."""
    own = {key: value for key, value in info.items() if key not in _STANDARD}
    text = info.get("userMetadata")
    if not text:
        return own
    try:
        value = json.loads(text) if isinstance(text, str) else text
    except ValueError:
        value = None
    return own | (value if isinstance(value, dict) else {"userMetadata": text})
