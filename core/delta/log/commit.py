"""Read one commit file of a Delta log: its actions, and the commit as its writer describes it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import orjson

from core.delta.log.log_files import File
from core.entities import Commit, CommitDetails
from core.errors import LogCorrupt

UNKNOWN_OPERATION = "unknown"

# Metric names of Spark and of delta-rs. If an operation reports none of them, its row count is unknown.
_ADDED = ("numTargetRowsInserted", "num_target_rows_inserted", "numOutputRows", "num_added_rows", "num_output_rows")
_REMOVED = ("numTargetRowsDeleted", "num_target_rows_deleted", "numDeletedRows", "num_deleted_rows")
_UPDATED = ("numUpdatedRows", "num_updated_rows", "numTargetRowsUpdated", "num_target_rows_updated")
_UPDATED_PARTS = ("numTargetRowsMatchedUpdated", "numTargetRowsNotMatchedBySourceUpdated")
_COPIED = ("numCopiedRows", "num_copied_rows")
_COUNTED_WITH_COPIES = ("numOutputRows", "num_output_rows")
# Delta Spark commits with this isolation level if no row changes: a rewrite with dataChange=false.
_WITHOUT_CHANGES = "SnapshotIsolation"

_MOST_ENTRIES = 100
_LONGEST_VALUE = 10_000

# Keys of commitInfo that writers of the protocol use; every other key is the user's metadata.
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


def read_actions(file: File, name: str, table: str) -> list[dict[str, Any]]:
    """Return the actions of a commit file, in order. Raises LogCorrupt, which names the file."""
    data = file.data.strip()
    if not data:
        raise LogCorrupt(
            "{table}: {file} is empty; the commit was not finished or the file was cut off.", table=table, file=name
        )
    try:
        # One call for all lines: a line feed stands only between actions, because JSON escapes it inside strings.
        parsed = orjson.loads(b"[" + data.replace(b"\n", b",") + b"]")
    except orjson.JSONDecodeError:
        parsed = _line_by_line(data, name, table)
    for action in parsed:
        if type(action) is not dict:
            raise LogCorrupt("{table}: {file} contains a line that is not an action.", table=table, file=name)
    return parsed  # type: ignore[no-any-return]


def _line_by_line(data: bytes, name: str, table: str) -> list[Any]:
    """Parse each line on its own: slower, but empty lines are accepted and an error names the line."""
    parsed: list[Any] = []
    for number, line in enumerate(data.split(b"\n"), start=1):
        if not line.strip():
            continue
        try:
            parsed.append(orjson.loads(line))
        except orjson.JSONDecodeError as error:
            raise LogCorrupt(
                "{table}: {file} is damaged at line {line}: {cause}. Restore the file from a backup.",
                table=table,
                file=name,
                line=number,
                cause=str(error),
            ) from error
    return parsed


def commit_info(actions: list[dict[str, Any]]) -> Mapping[str, Any]:
    """Return the commitInfo of a commit: free-form, optional, and only the writer's claim. {} without one."""
    return next((_mapping(action["commitInfo"]) for action in actions if "commitInfo" in action), {})


def to_commit(table: str, version: int, actions: list[dict[str, Any]], timestamp: datetime) -> Commit:
    """Return the commit that *actions* describe."""
    info = commit_info(actions)
    added = removed = 0
    for action in actions:
        if "add" in action:
            added += 1
        elif "remove" in action:
            removed += 1
    operation = str(info.get("operation") or UNKNOWN_OPERATION)
    metadata = user_metadata(info)
    claimed = take_user(metadata)
    files = [action.get("add") or action.get("remove") for action in actions if "add" in action or "remove" in action]
    changes_rows = not files or any(_mapping(file).get("dataChange") is not False for file in files)
    rows_added, rows_removed = row_counts(
        operation, _mapping(info.get("operationMetrics")), info.get("isolationLevel"), changes_rows=changes_rows
    )
    return Commit(
        table=table,
        version=version,
        timestamp=timestamp,
        operation=operation,
        user=_text(info.get("userName") or info.get("userId")) or next(filter(None, claimed), None),
        rows_added=rows_added,
        rows_removed=rows_removed,
        files_added=added,
        files_removed=removed,
        engine=_text(info.get("engineInfo") or info.get("clientVersion")),
        metadata=metadata,
        written_at=written_at(info),
        details=details(info, *claimed),
    )


def written_at(info: Mapping[str, Any]) -> datetime | None:
    """Return the time at which the writer claims to have written a commit; None if it is missing or not a time."""
    claimed = info.get("inCommitTimestamp", info.get("timestamp"))
    if isinstance(claimed, int) and not isinstance(claimed, bool) and claimed > 0:
        with suppress(ValueError, OverflowError, OSError):
            return datetime.fromtimestamp(claimed / 1000, tz=UTC)
    return None


def details(info: Mapping[str, Any], user_name: str | None, user_id: str | None) -> CommitDetails:
    """Return the claims in a commitInfo, or in a row of DESCRIBE HISTORY, which has the same names.

    *user_name* and *user_id* are those of the user's metadata, for a writer that puts the user there.
    """
    blind, base = info.get("isBlindAppend"), info.get("readVersion")
    return CommitDetails(
        parameters=_texts(info.get("operationParameters")),
        metrics=_texts(info.get("operationMetrics")),
        job=_texts(info.get("job")),
        notebook=_texts(info.get("notebook")),
        cluster_id=_bounded(info.get("clusterId")),
        isolation_level=_bounded(info.get("isolationLevel")),
        is_blind_append=blind if isinstance(blind, bool) else None,
        read_version=base if isinstance(base, int) and not isinstance(base, bool) else None,
        user_name=_bounded(info.get("userName")) or user_name,
        user_id=_bounded(info.get("userId")) or user_id,
    )


def row_counts(
    operation: str, metrics: Mapping[str, Any], isolation_level: object = None, *, changes_rows: bool = True
) -> tuple[int | None, int | None]:
    """Return the rows added and removed that a commit's metrics claim; None if the metrics do not report them.

    A changed row counts as added and as removed, a copied row as neither. *changes_rows* is false if every file of the
    commit is marked as dataChange=false.
    """
    if not metrics:
        return None, None
    if not changes_rows or isolation_level == _WITHOUT_CHANGES:
        return 0, 0
    updated = metric(metrics, _UPDATED)
    if updated is None:
        parts = [metric(metrics, (name,)) for name in _UPDATED_PARTS]
        updated = sum(part or 0 for part in parts) if any(part is not None for part in parts) else None
    removed = metric(metrics, _REMOVED)
    added = metric(metrics, _ADDED)
    if operation == "UPDATE":
        return updated, updated
    if operation == "DELETE":  # its numOutputRows are copied rows
        return None, removed
    if operation == "MERGE":
        return _plus(added, updated), _plus(removed, updated)
    # A WRITE that replaces some rows reports the copied rows of rewritten files as output.
    if added is not None and any(name in metrics for name in _COUNTED_WITH_COPIES):
        added = max(0, added - (metric(metrics, _COPIED) or 0))
    return added, removed


def _plus(count: int | None, updated: int | None) -> int | None:
    return count if updated is None else (count or 0) + updated


def metric(metrics: Mapping[str, Any], names: tuple[str, ...]) -> int | None:
    """Return the first metric of *names* that is present, or None."""
    for name in names:
        if name in metrics:
            try:
                return int(metrics[name])
            except (TypeError, ValueError, OverflowError):
                return None  # not a number, so the count is unknown
    return None


def take_user(metadata: dict[str, Any]) -> tuple[str | None, str | None]:
    """Remove the user's name and id from Spark's userMetadata and return them; delta-rs has them in commitInfo."""
    name, number = metadata.pop("userName", None), metadata.pop("userId", None)
    return _bounded(name), _bounded(number)


def user_metadata(info: Mapping[str, Any]) -> dict[str, Any]:
    """Return the user's metadata: delta-rs writes it flat, Spark as one text, which is JSON if ModelLedger wrote it."""
    own = {key: value for key, value in info.items() if key not in _STANDARD}
    text = info.get("userMetadata")
    if not text:
        return own
    try:
        value = json.loads(text) if isinstance(text, str) else text
    except ValueError:
        value = None
    return own | (value if isinstance(value, dict) else {"userMetadata": text})


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _texts(value: Any) -> dict[str, str]:
    """Return the entries of a mapping as texts, without nulls."""
    entries = list(_mapping(value).items())[:_MOST_ENTRIES]
    texts = {_bounded(name) or "": _bounded(item) for name, item in entries}
    return {name: text for name, text in texts.items() if text is not None}


def _bounded(value: Any) -> str | None:
    """Return a claim as text of limited length, other types than text as JSON; None for nothing."""
    if value is None or value == "":
        return None
    try:
        text = value if isinstance(value, str) else json.dumps(value, default=str, ensure_ascii=False)
    except RecursionError:
        return "…"
    return text if len(text) <= _LONGEST_VALUE else text[: _LONGEST_VALUE - 1] + "…"


def _text(value: Any) -> str | None:
    return str(value) if value else None
