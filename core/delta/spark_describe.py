"""A table's history and snapshots by SQL, for logs that this process cannot read itself: Connect, catalogs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from core.delta import spark_types
from core.delta.log_commit import taken_user
from core.entities import Commit, Snapshot, Table

# Metric names of both writers. An operation that reports none of them leaves the count unknown.
_ADDED = ("numTargetRowsInserted", "numOutputRows", "num_added_rows", "num_output_rows")
_REMOVED = ("numTargetRowsDeleted", "numDeletedRows", "num_deleted_rows", "num_target_rows_deleted")
_FILES_ADDED = ("numAddedFiles", "numTargetFilesAdded", "numFiles", "num_added_files")
_FILES_REMOVED = ("numRemovedFiles", "numTargetFilesRemoved", "num_removed_files")


def history(session: Any, table: Table, limit: int | None) -> tuple[Commit, ...]:
    """DESCRIBE HISTORY, newest first."""
    sql = f"DESCRIBE HISTORY {spark_types.identifier(table)}"
    rows = session.sql(sql if limit is None else f"{sql} LIMIT {limit}").toArrow().to_pylist()
    return tuple(_commit(table, row) for row in sorted(rows, key=lambda row: -row["version"]))


def snapshot(session: Any, table: Table, version: int, commit: Commit) -> Snapshot:
    """The table at *version*: what DESCRIBE DETAIL tells, and its files with their rows as Spark finds them."""
    name = spark_types.identifier(table)
    detail = session.sql(f"DESCRIBE DETAIL {name}").toArrow().to_pylist()[0]
    frame = session.sql(f"SELECT * FROM {name} VERSION AS OF {version}")  # noqa: S608 - quoted
    totals = (
        frame.selectExpr("_metadata.file_path AS path", "_metadata.file_size AS size")
        .groupBy("path", "size")
        .count()
        .selectExpr("count(*) AS files", "coalesce(sum(size), 0) AS size", "coalesce(sum(count), 0) AS rows")
        .toArrow()
        .to_pylist()[0]
    )
    return Snapshot(
        table=table.name,
        table_id=str(detail["id"]),
        version=version,
        timestamp=commit.timestamp,
        rows=int(totals["rows"]),
        files=int(totals["files"]),
        size_bytes=int(totals["size"]),
        schema=spark_types.fields(frame.schema),
        partition_columns=tuple(detail["partitionColumns"] or ()),
        features=tuple(sorted(detail.get("tableFeatures") or ())),
    )


def _commit(table: Table, row: Mapping[str, Any]) -> Commit:
    metrics = _mapping(row.get("operationMetrics"))
    operation = str(row.get("operation") or "")
    metadata = claimed(row.get("userMetadata"))
    return Commit(
        table=table.name,
        version=int(row["version"]),
        timestamp=_utc(row["timestamp"]),
        operation=operation,
        user=row.get("userName") or row.get("userId") or taken_user(metadata),
        rows_added=_number(metrics, _ADDED) if operation not in ("DELETE", "UPDATE") else _updated(metrics),
        rows_removed=_number(metrics, _REMOVED),
        files_added=_number(metrics, _FILES_ADDED) or 0,
        files_removed=_number(metrics, _FILES_REMOVED) or 0,
        engine=row.get("engineInfo"),
        metadata=metadata,
    )


def claimed(text: str | None) -> dict[str, Any]:
    """userMetadata as a mapping: what we write there is JSON, what others write is kept under its own name."""
    if not text:
        return {}
    try:
        value = json.loads(text)
    except ValueError:
        return {"userMetadata": text}
    return value if isinstance(value, dict) else {"userMetadata": text}


def _mapping(value: Any) -> dict[str, str]:
    # Arrow hands maps over as lists of pairs.
    return dict(value) if value else {}


def _number(metrics: Mapping[str, str], names: tuple[str, ...]) -> int | None:
    for name in names:
        if name in metrics:
            return int(metrics[name])
    return None


def _updated(metrics: Mapping[str, str]) -> int | None:
    return _number(metrics, ("numUpdatedRows",))


def _utc(value: datetime) -> datetime:
    return value.astimezone(UTC) if value.tzinfo else value.replace(tzinfo=UTC)
