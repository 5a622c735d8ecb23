"""Read history and snapshots by SQL, for tables whose log this process cannot read: over Connect and in catalogs."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from core.delta.log import commit as log_commit
from core.delta.spark import data_types
from core.delta.spark.errors import translated
from core.entities import Commit, Snapshot, Table
from core.errors import CoreError, EngineUnavailable, FilesVacuumed, JobCancelled, TableNotFound

_LOG = logging.getLogger(__name__)

# Metric names of both writers. A commit that reports none of them is shown with 0 files.
_FILES_ADDED = ("numAddedFiles", "numTargetFilesAdded", "numFiles", "num_added_files", "num_target_files_added")
_FILES_REMOVED = ("numRemovedFiles", "numTargetFilesRemoved", "num_removed_files", "num_target_files_removed")
# This writer puts user metadata beside Delta's own keys in commitInfo, where DESCRIBE HISTORY does not show it.
_FLAT_WRITER = "delta-rs"


def history(session: Any, table: Table, limit: int | None) -> tuple[Commit, ...]:
    """Return DESCRIBE HISTORY, newest first; user metadata of the embedded engine is read from the commit files."""
    sql = f"DESCRIBE HISTORY {data_types.identifier(table)}"
    rows = session.sql(sql if limit is None else f"{sql} LIMIT {limit}").toArrow().to_pylist()
    flat = [int(row["version"]) for row in rows if str(row.get("engineInfo") or "").startswith(_FLAT_WRITER)]
    commit_infos = _commit_infos(session, table, flat) if flat else {}
    newest_first = sorted(rows, key=lambda row: -row["version"])
    return tuple(to_commit(table.name, row, commit_infos.get(int(row["version"]), {})) for row in newest_first)


def features(session: Any, table: Table) -> tuple[str, ...]:
    """Return the features of the newest version. Raises Spark's error if there is no such table."""
    return tuple(sorted(_detail(session, table).get("tableFeatures") or ()))


def snapshot(session: Any, table: Table, version: int, commit: Commit) -> Snapshot:
    """Return the table at *version* as Spark reads it; its size comes from the files, if they still exist.

    Partition columns and features are those of the newest version: Spark does not report others.
    """
    detail = _detail(session, table)
    with translated(table):
        frame = session.sql(f"SELECT * FROM {data_types.identifier(table)} VERSION AS OF {version}")  # noqa: S608 - quoted
        schema = data_types.fields(frame.schema)
        files = list(frame.inputFiles())
    rows, size = _totals(session, frame, files)
    return Snapshot(
        table=table.name,
        table_id=str(detail["id"]),
        version=version,
        timestamp=commit.timestamp,
        rows=rows,
        files=len(files),
        size_bytes=size,
        schema=schema,
        partition_columns=tuple(detail["partitionColumns"] or ()),
        features=tuple(sorted(detail.get("tableFeatures") or ())),
    )


def location(session: Any, table: Table) -> str:
    """Return the location of the table's files."""
    return str(_detail(session, table)["location"])


def to_commit(table: str, row: Mapping[str, Any], commit_info: Mapping[str, Any]) -> Commit:
    """Return the commit in a row of DESCRIBE HISTORY; *commit_info* is its commitInfo, {} if it was not read."""
    # Arrow returns maps as lists of pairs.
    metrics = dict(row.get("operationMetrics") or {})
    operation = str(row.get("operation") or log_commit.UNKNOWN_OPERATION)
    metadata = log_commit.user_metadata({**commit_info, "userMetadata": row.get("userMetadata")})
    claimed = log_commit.take_user(metadata)
    rows_added, rows_removed = log_commit.row_counts(operation, metrics, row.get("isolationLevel"))
    return Commit(
        table=table,
        version=int(row["version"]),
        timestamp=_utc(row["timestamp"]),
        operation=operation,
        user=row.get("userName") or row.get("userId") or next(filter(None, claimed), None),
        rows_added=rows_added,
        rows_removed=rows_removed,
        files_added=log_commit.metric(metrics, _FILES_ADDED) or 0,
        files_removed=log_commit.metric(metrics, _FILES_REMOVED) or 0,
        engine=row.get("engineInfo"),
        metadata=metadata,
        written_at=log_commit.written_at(commit_info),
        details=log_commit.details(
            {**row, "operationParameters": dict(row.get("operationParameters") or {}), "operationMetrics": metrics},
            *claimed,
        ),
    )


def _detail(session: Any, table: Table) -> dict[str, Any]:
    rows: list[dict[str, Any]] = session.sql(f"DESCRIBE DETAIL {data_types.identifier(table)}").toArrow().to_pylist()
    return rows[0]


def _totals(session: Any, frame: Any, files: list[str]) -> tuple[int | None, int | None]:
    """Return rows and bytes. Rows come from the log's statistics if it has them; None if the files are gone."""
    if not files:
        return 0, 0
    try:
        with translated():
            listed = session.read.format("binaryFile").load(files).selectExpr("sum(length) AS size").toArrow()
            size: int | None = int(listed.to_pylist()[0]["size"])
    except (FilesVacuumed, TableNotFound):
        size = None
    try:
        with translated():
            return int(frame.count()), size
    except FilesVacuumed:
        return None, size


def _commit_infos(session: Any, table: Table, versions: Iterable[int]) -> dict[int, Mapping[str, Any]]:
    """Return the commitInfo of *versions* from the commit files, which Spark can read and this process cannot."""
    try:
        with translated(table):
            log = f"{location(session, table)}/_delta_log"
            lines = (
                session.read.format("text")
                .load([f"{log}/{version:020d}.json" for version in versions])
                .where("value LIKE '{\"commitInfo\"%'")
                .selectExpr("_metadata.file_name AS name", "value")
                .toArrow()
                .to_pylist()
            )
    except (EngineUnavailable, JobCancelled):
        raise
    except CoreError as error:
        # A catalog may forbid reading a table's folder directly; the rest of the history is complete.
        _LOG.warning("%s: the user metadata of delta-rs commits cannot be read over Spark. %s", table.name, error)
        return {}
    return {int(line["name"].split(".")[0]): json.loads(line["value"])["commitInfo"] or {} for line in lines}


def _utc(value: datetime) -> datetime:
    return value.astimezone(UTC) if value.tzinfo else value.replace(tzinfo=UTC)
