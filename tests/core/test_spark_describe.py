"""A row of DESCRIBE HISTORY tells the same commit as the log's own file does; metrics as both writers wrote them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from core.delta.log.commit import to_commit
from core.delta.spark import describe

AT = datetime(2026, 3, 31, 6, tzinfo=UTC)

# As delta-rs 1.6.6 and Delta Spark 4.4.0 wrote them for the same work, and what was done: rows added, rows removed.
WRITTEN: dict[str, tuple[str | None, dict[str, Any], tuple[int | None, int | None], tuple[int, int]]] = {
    "delta-rs write": ("WRITE", {"num_added_files": "1", "num_added_rows": "4"}, (4, None), (1, 0)),
    "delta-rs update": (
        "UPDATE",
        {"num_added_files": "1", "num_removed_files": "1", "num_updated_rows": "2", "num_copied_rows": "2"},
        (2, 2),
        (1, 1),
    ),
    "delta-rs merge": (
        "MERGE",
        {
            "num_target_rows_inserted": "1",
            "num_target_rows_updated": "1",
            "num_target_rows_deleted": "0",
            "num_target_files_added": "1",
            "num_target_files_removed": "1",
            "num_output_rows": "5",
        },
        (2, 1),
        (1, 1),
    ),
    "delta-rs delete": (
        "DELETE",
        {"num_deleted_rows": "1", "num_removed_files": "1", "num_added_files": "1", "num_copied_rows": "4"},
        (None, 1),
        (1, 1),
    ),
    "spark update": (
        "UPDATE",
        {"numRemovedFiles": "1", "numCopiedRows": "2", "numAddedFiles": "1", "numUpdatedRows": "2"},
        (2, 2),
        (1, 1),
    ),
    "spark merge": (
        "MERGE",
        {
            "numTargetRowsInserted": "1",
            "numTargetRowsDeleted": "0",
            "numTargetRowsUpdated": "1",
            "numOutputRows": "4",
            "numTargetFilesAdded": "1",
            "numTargetFilesRemoved": "1",
        },
        (2, 1),
        (1, 1),
    ),
    "a metric that is no number": ("WRITE", {"numOutputRows": "many", "numFiles": "1"}, (None, None), (1, 0)),
    "nothing told": (None, {}, (None, None), (0, 0)),
}


@pytest.mark.parametrize(("operation", "metrics", "rows", "files"), WRITTEN.values(), ids=WRITTEN)
def test_counts_are_those_that_the_log_tells(
    operation: str | None, metrics: dict[str, Any], rows: tuple[int | None, int | None], files: tuple[int, int]
) -> None:
    row = {"version": 3, "timestamp": AT, "operation": operation, "operationMetrics": list(metrics.items())}
    info = {"operation": operation, "operationMetrics": metrics}
    moved = [{"add": {}}] * files[0] + [{"remove": {}}] * files[1]
    told = describe.to_commit("loans", row, {})
    assert (told.rows_added, told.rows_removed) == rows
    assert (told.files_added, told.files_removed) == files
    assert told == to_commit("loans", 3, [{"commitInfo": info}, *moved], AT)
    assert told.operation == (operation or "unknown")


def test_what_an_author_says_is_the_same_from_either_writer() -> None:
    row = {"version": 0, "timestamp": AT, "operation": "WRITE", "operationMetrics": [], "engineInfo": "x"}
    flat = {
        "operation": "WRITE",
        "engineInfo": "x",
        "userName": "Zoë",
        "transaction": "b-1",
        "modelledger.actor": "Zoë",
    }
    by_rs = describe.to_commit("loans", {**row, "userName": "Zoë"}, flat)
    text = '{"userName": "Zoë", "transaction": "b-1", "modelledger.actor": "Zoë"}'
    by_spark = describe.to_commit("loans", {**row, "userMetadata": text}, {})
    assert by_rs == by_spark
    assert by_rs.user == "Zoë"
    assert by_rs.metadata == {"transaction": "b-1", "modelledger.actor": "Zoë"}


def test_text_that_is_no_json_is_kept_under_its_own_name() -> None:
    row = {"version": 0, "timestamp": AT, "operation": "WRITE", "operationMetrics": None, "userMetadata": "by hand"}
    assert describe.to_commit("loans", row, {}).metadata == {"userMetadata": "by hand"}
