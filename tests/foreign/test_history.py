"""Histories that other writers left: times by Delta's rules, and logs that cannot be understood."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import deltalake
import pyarrow as pa
import pytest

from core.delta.catalog import Catalog
from core.delta.delta_rs.engine import DeltaRsEngine
from core.delta.engine import DeltaEngine
from core.delta.log.log_files import LocalFiles, LogFiles, StoreFiles
from core.delta.log.table_log import Log
from core.delta.spark import describe
from core.delta.spark.engine import SparkEngine
from core.delta.sql.query import run_query
from core.entities import Actor, Table
from core.errors import LogCorrupt, VersionNotFound
from core.features.admin.doctor import check_stores
from core.features.data import browse
from core.features.stores import Stores
from tests.contract.engines import SPARK, Kind, opened, parameters
from tests.foreign.handmade import HandmadeTable, column

FIELDS = [column("id", "long")]
NOON = datetime(2026, 11, 29, 12, tzinfo=UTC)
USES_IN_COMMIT_TIMES = {"delta__enableInCommitTimestamps": "true"}


@pytest.fixture(params=parameters())
def engine(request: pytest.FixtureRequest) -> DeltaEngine:
    kind: Kind = request.param
    return opened(kind, request)


def milliseconds(moment: datetime) -> int:
    return round(moment.timestamp() * 1000)


def table_with_file_times(root: Path, *offsets_ms: int) -> HandmadeTable:
    """A table with one commit and one row per offset; each log file's time is noon plus its offset."""
    table = HandmadeTable(root)
    for version, offset_ms in enumerate(offsets_ms):
        rows = table.add(pa.table({"id": pa.array([version], pa.int64())}))
        table.create(FIELDS, rows) if version == 0 else table.commit(rows)
        at_ns = (milliseconds(NOON) + offset_ms) * 1_000_000
        os.utime(table.log_file(version), ns=(at_ns, at_ns))
    return table


def offsets_ms(times: list[datetime]) -> list[int]:
    return [milliseconds(time) - milliseconds(NOON) for time in times]


@pytest.mark.parametrize("is_store", [False, True])
def test_commit_is_at_least_one_millisecond_later_than_the_commit_before(tmp_path: Path, is_store: bool) -> None:
    table = table_with_file_times(tmp_path / "t", 123, 50, 124, 5_000, 5_000, 7_000)
    files: LogFiles = StoreFiles(Path(table.uri).as_uri()) if is_store else LocalFiles(table.uri)
    log = Log(Table(name="t", uri=table.uri), files)
    expected = [123, 124, 125, 5_000, 5_001, 7_000]
    assert offsets_ms([commit.timestamp for commit in log.history(1)]) == [7_000]
    assert offsets_ms([log.snapshot(version).timestamp for version in (4, 2, 0)]) == [5_001, 125, 123]
    assert offsets_ms([commit.timestamp for commit in log.history()]) == expected[::-1]


def test_newest_commits_alone_have_the_times_of_the_whole_history(tmp_path: Path) -> None:
    table = table_with_file_times(tmp_path / "t", 9_000, 1_000, 2_000)
    fresh = [Log(Table(name="t", uri=table.uri), LocalFiles(table.uri)) for _ in range(2)]
    assert offsets_ms([commit.timestamp for commit in fresh[0].history(1)]) == [9_002]
    assert offsets_ms([fresh[1].snapshot().timestamp]) == [9_002]


def test_timestamp_as_of_follows_the_adjusted_times(engine: DeltaEngine, tmp_path: Path) -> None:
    table_with_file_times(tmp_path / "t", 9_000, 1_000, 20_000)
    catalog = Catalog(None, tmp_path)

    def version_at(offset_ms: int) -> int:
        at = (NOON + timedelta(milliseconds=offset_ms)).isoformat()
        return run_query(engine, catalog, f"SELECT * FROM t TIMESTAMP AS OF '{at}'").versions_read[0].version

    assert [version_at(offset) for offset in (9_000, 9_001, 19_999, 20_000)] == [0, 1, 1, 2]
    with pytest.raises(VersionNotFound, match="2026-11-29 12:00:09"):
        version_at(8_999)


@pytest.mark.spark
def test_times_are_those_that_spark_reports(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    engine = opened(SPARK, request)
    assert isinstance(engine, SparkEngine)
    table = table_with_file_times(tmp_path / "t", 123, 50, 124, 5_000, 5_000, 7_000)
    place = Table(name="t", uri=table.uri)
    reported = describe.history(engine.session, place, None)
    assert [commit.timestamp for commit in engine.history(place)] == [commit.timestamp for commit in reported]


@pytest.mark.parametrize(
    ("features", "configuration", "expected"),
    [
        (None, {}, [0, 10, 20]),
        (["inCommitTimestamp"], {}, [0, 10, 20]),
        (["inCommitTimestamp"], {"delta__enableInCommitTimestamps": "false"}, [0, 10, 20]),
        (None, USES_IN_COMMIT_TIMES, [0, 10, 20]),
        (["inCommitTimestamp"], USES_IN_COMMIT_TIMES, [1_000, 1_001, 1_002]),
        (
            ["inCommitTimestamp"],
            USES_IN_COMMIT_TIMES | {"delta__inCommitTimestampEnablementVersion": "2"},
            [0, 10, 1_002],
        ),
    ],
)
@pytest.mark.parametrize("limit", [1, None])
def test_in_commit_timestamps_count_from_the_version_that_enabled_them(
    tmp_path: Path, features: list[str] | None, configuration: dict[str, str], expected: list[int], limit: int | None
) -> None:
    table = HandmadeTable(tmp_path / "t")
    for version in range(3):
        info = {"commitInfo": {"operation": "WRITE", "inCommitTimestamp": milliseconds(NOON) + 1_000 + version}}
        described = [table.protocol(features=features), table.metadata(FIELDS, **configuration)]
        table.commit(info, *(described if version == 0 else []))
        at_ns = (milliseconds(NOON) + version * 10) * 1_000_000
        os.utime(table.log_file(version), ns=(at_ns, at_ns))
    log = Log(Table(name="t", uri=table.uri), LocalFiles(table.uri))
    assert offsets_ms([commit.timestamp for commit in log.history(limit)]) == expected[::-1][:limit]
    assert offsets_ms([snapshot.timestamp for snapshot in log.snapshots(limit)]) == expected[::-1][:limit]


def test_history_changes_when_the_table_ceases_to_use_in_commit_timestamps(tmp_path: Path) -> None:
    table = HandmadeTable(tmp_path / "t")
    info = {"commitInfo": {"inCommitTimestamp": milliseconds(NOON) + 1_000}}
    protocol = table.protocol(features=["inCommitTimestamp"])
    table.commit(info, protocol, table.metadata(FIELDS, **USES_IN_COMMIT_TIMES))
    os.utime(table.log_file(0), (NOON.timestamp(), NOON.timestamp()))
    log = Log(Table(name="t", uri=table.uri), LocalFiles(table.uri))
    assert offsets_ms([log.history()[-1].timestamp]) == [1_000]
    table.commit(table.metadata(FIELDS))
    assert offsets_ms([log.history()[-1].timestamp]) == [0]


@pytest.mark.parametrize("value", ["soon", [], {}, 10**40, -(10**17), "NaN"])
def test_in_commit_timestamp_that_is_not_a_time_is_named(tmp_path: Path, value: Any) -> None:
    table = HandmadeTable(tmp_path / "t")
    info = {"commitInfo": {"inCommitTimestamp": value}}
    table.commit(info, table.protocol(features=["inCommitTimestamp"]), table.metadata(FIELDS, **USES_IN_COMMIT_TIMES))
    for read in (Log.history, Log.snapshot):
        with pytest.raises(LogCorrupt):
            read(Log(Table(name="t", uri=table.uri), LocalFiles(table.uri)))


NOT_UNDERSTOOD: dict[str, list[dict[str, Any]]] = {
    "time": [{"commitInfo": {"inCommitTimestamp": "soon"}}],
    "removed": [{"remove": 5}],
    "metadata": [{"metaData": None}],
    "schema": [{"metaData": {"schemaString": "{"}}],
    "properties": [{"metaData": {"schemaString": '{"fields": []}', "configuration": 7}}],
    "protocol": [{"protocol": {"minReaderVersion": 1, "minWriterVersion": "many"}}],
    "size": [{"add": {"path": "a.parquet", "size": "large", "partitionValues": {}, "dataChange": True}}],
}


def test_table_that_cannot_be_understood_hides_no_other_table(stores: Stores, scientist: Actor) -> None:
    root = stores.settings.home / "tables"
    for name, actions in NOT_UNDERSTOOD.items():
        broken = HandmadeTable(root / name)
        features = broken.protocol(features=["inCommitTimestamp"])
        broken.commit(features, broken.metadata(FIELDS, **USES_IN_COMMIT_TIMES), *actions)
    fine = HandmadeTable(root / "fine")
    fine.create(FIELDS, fine.add(pa.table({"id": pa.array([1, 2], pa.int64())})))
    listed = {table.name: table for table in browse.list_tables(stores, scientist)}
    assert set(listed) == {"fine", *NOT_UNDERSTOOD}
    assert (listed["fine"].rows, listed["fine"].problem) == (2, None)
    for name in NOT_UNDERSTOOD:
        assert "00000000000000000000.json" in (listed[name].problem or ""), name
    checked = {check.name: check for check in check_stores(stores)}
    assert [name for name in listed if checked[f"table {name}"].ok] == ["fine"]


def test_free_form_commit_info_never_ends_a_history(tmp_path: Path) -> None:
    table = HandmadeTable(tmp_path / "t")
    table.create(FIELDS, {"commitInfo": {"operation": 7, "userName": 12, "operationMetrics": [], "engineInfo": {}}})
    table.commit({"commitInfo": ["WRITE"]})
    table.commit({"commitInfo": {"inCommitTimestamp": "soon", "operationMetrics": {"numOutputRows": "many"}}})
    log = Log(Table(name="t", uri=table.uri), LocalFiles(table.uri))
    assert [(commit.operation, commit.user) for commit in log.history()] == [
        ("unknown", None),
        ("unknown", None),
        ("7", "12"),
    ]


def checkpointed(root: Path, *, damage: bytes | None) -> Log:
    """A log of versions 0 to 3 with a checkpoint at version 2, whose file contains *damage* (None: as written)."""
    place = root / "t"
    for number in range(4):
        deltalake.write_deltalake(str(place), pa.table({"id": [number]}), mode="append")
        if number == 2:
            deltalake.DeltaTable(str(place)).create_checkpoint()
    if damage is not None:
        (place / "_delta_log" / f"{2:020d}.checkpoint.parquet").write_bytes(damage)
    return Log(Table(name="t", uri=str(place)), LocalFiles(str(place)))


@pytest.mark.parametrize("damage", [b"", b"PAR1 and no more"])
def test_damaged_checkpoint_is_not_needed_where_all_commits_exist(
    tmp_path: Path, damage: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    expected = checkpointed(tmp_path / "fine", damage=None).snapshots()
    log = checkpointed(tmp_path / "damaged", damage=damage)
    with caplog.at_level("WARNING"):
        assert log.snapshot().rows == 4
    assert "checkpoint.parquet is damaged" in caplog.text
    assert [(s.version, s.rows) for s in log.snapshots()] == [(s.version, s.rows) for s in expected]
    assert [commit.version for commit in log.history()] == [3, 2, 1, 0]


def test_damaged_checkpoint_of_a_log_that_was_cleaned_up_is_named(tmp_path: Path) -> None:
    log = checkpointed(tmp_path, damage=b"PAR1 and no more")
    (tmp_path / "t" / "_delta_log" / f"{0:020d}.json").unlink()
    with pytest.raises(LogCorrupt, match=r"checkpoint\.parquet is damaged"):
        log.snapshot()


def test_timestamp_as_of_answers_before_a_missing_commit_and_not_after_it(tmp_path: Path) -> None:
    """delta-spark reads no version of such a table (DELTA_VERSIONS_NOT_CONTIGUOUS)."""
    engine = DeltaRsEngine()
    table = table_with_file_times(tmp_path / "t", 0, 1_000, 2_000, 3_000)
    table.log_file(2).unlink()
    catalog = Catalog(None, tmp_path)
    assert [commit.version for commit in engine.history(catalog.resolve("t"))] == [1, 0]
    early = run_query(engine, catalog, "SELECT id FROM t TIMESTAMP AS OF '2026-11-29T12:00:00.500'")
    assert early.versions_read[0].version == 0
    with pytest.raises(LogCorrupt, match=r"00000000000000000002\.json is missing"):
        run_query(engine, catalog, "SELECT id FROM t TIMESTAMP AS OF '2026-11-30'")


DATABRICKS = {
    "timestamp": milliseconds(NOON),
    "userId": "6114923361174",
    "userName": "zoe@example.org",
    "operation": "MERGE",
    "operationParameters": {
        "predicate": '["(t.id = s.id)"]',
        "matchedPredicates": '[{"predicate":"(s.gone = true)","actionType":"delete"},{"actionType":"update"}]',
        "notMatchedPredicates": '[{"actionType":"insert"}]',
        "notMatchedBySourcePredicates": "[]",
    },
    "job": {"jobId": "71", "jobName": "nightly <b>", "jobRunId": "903", "runId": "901", "triggerType": "periodic"},
    "notebook": {"notebookId": "4410"},
    "clusterId": "1128-063000-abcd123",
    "readVersion": 0,
    "isolationLevel": "WriteSerializable",
    "isBlindAppend": False,
    "operationMetrics": {
        "numTargetRowsInserted": "1",
        "numTargetRowsMatchedUpdated": "2",
        "numTargetRowsNotMatchedBySourceUpdated": "1",
        "numTargetRowsUpdated": "3",
        "numTargetRowsDeleted": "1",
        "numTargetRowsCopied": "9",
        "numOutputRows": "13",
    },
    "engineInfo": "Databricks-Runtime/17.3.x-scala2.13",
    "txnId": "a-1",
    "userMetadata": "month end",
}


def test_commit_tells_all_that_its_writer_recorded(tmp_path: Path, engine: DeltaEngine) -> None:
    made = HandmadeTable(tmp_path / "t")
    made.create(FIELDS)
    made.commit({"commitInfo": DATABRICKS}, made.add(pa.table({"id": pa.array([1], pa.int64())})))
    commit = engine.history(Table(name="t", uri=made.uri))[0]
    assert (commit.operation, commit.user, commit.engine) == ("MERGE", "zoe@example.org", DATABRICKS["engineInfo"])
    assert (commit.rows_added, commit.rows_removed) == (4, 4), "an updated row counts as added and as removed"
    assert commit.metadata == {"userMetadata": "month end"}
    claims = commit.details
    assert claims.parameters == DATABRICKS["operationParameters"]
    assert claims.metrics == DATABRICKS["operationMetrics"]
    assert (claims.job, claims.notebook) == (DATABRICKS["job"], DATABRICKS["notebook"])
    assert (claims.cluster_id, claims.isolation_level) == ("1128-063000-abcd123", "WriteSerializable")
    assert (claims.is_blind_append, claims.read_version) == (False, 0)
    assert (claims.user_name, claims.user_id) == ("zoe@example.org", "6114923361174")


@pytest.mark.parametrize(
    ("operation", "metrics", "rows"),
    [
        # a replaceWhere of Delta Spark 4.4.0: one row replaced, 13 rows of the same file copied
        ("WRITE", {"numOutputRows": "14", "numCopiedRows": "13", "numDeletedRows": "1"}, (1, 1)),
        ("WRITE", {"num_added_rows": "3"}, (3, None)),
        ("MERGE", {"num_target_rows_inserted": 1, "num_target_rows_updated": 2, "num_target_rows_copied": 7}, (3, 2)),
        ("MERGE", {"numTargetRowsMatchedUpdated": "2", "numTargetRowsNotMatchedBySourceUpdated": "1"}, (3, 3)),
        ("UPDATE", {"numUpdatedRows": "3", "numCopiedRows": "2"}, (3, 3)),
        ("DELETE", {"numDeletedRows": "1", "numCopiedRows": "4", "numOutputRows": "4"}, (None, 1)),
        ("RESTORE", {"numRestoredFiles": "2", "numRemovedFiles": "1"}, (None, None)),
        ("TRUNCATE", {"numRemovedFiles": "2"}, (None, None)),
    ],
)
def test_changed_rows_count_twice_and_copied_rows_never(
    tmp_path: Path, operation: str, metrics: dict[str, Any], rows: tuple[int | None, int | None]
) -> None:
    made = HandmadeTable(tmp_path / "t")
    info = {"operation": operation, "operationMetrics": metrics}
    made.create(FIELDS, {"commitInfo": info}, made.add(pa.table({"id": pa.array([1], pa.int64())})))
    commit = DeltaRsEngine().history(Table(name="t", uri=made.uri))[0]
    assert (commit.rows_added, commit.rows_removed) == rows


def test_rewrite_that_changes_no_data_adds_and_removes_no_rows(tmp_path: Path) -> None:
    made = HandmadeTable(tmp_path / "t")
    add = made.add(pa.table({"id": pa.array([1], pa.int64())}))
    add["add"]["dataChange"] = False
    info = {"operation": "WRITE", "operationMetrics": {"numOutputRows": "1"}}
    made.create(FIELDS, {"commitInfo": info}, add)
    commit = DeltaRsEngine().history(Table(name="t", uri=made.uri))[0]
    assert (commit.rows_added, commit.rows_removed) == (0, 0)


@pytest.mark.parametrize(
    "info",
    [
        {"operationParameters": {"predicate": "x" * 5_000_000}},
        {"operationParameters": {f"k{n}": "v" for n in range(100_000)}},
        {"operationParameters": ["no", "mapping"], "job": 7, "notebook": "x", "operationMetrics": "many"},
        {"operationParameters": {"version": 2, "all": True, "gone": None, "list": [1, {"a": None}]}},
        {"clusterId": {"a": 1}, "isolationLevel": ["x"], "isBlindAppend": "yes", "readVersion": "1e9"},
        {"readVersion": True, "userName": {"a": "b"}, "userId": 7},
    ],
)
def test_claims_of_any_shape_and_size_are_shown_within_bounds(tmp_path: Path, info: dict[str, Any]) -> None:
    made = HandmadeTable(tmp_path / "t")
    made.create(FIELDS, {"commitInfo": info})
    details = DeltaRsEngine().history(Table(name="t", uri=made.uri))[0].details
    assert len(details.parameters) <= 100
    assert all(len(name) <= 10_000 and len(value) <= 10_000 for name, value in details.parameters.items())
    assert details.is_blind_append is None
    assert details.read_version is None
    if "version" in (info.get("operationParameters") or {}):
        assert details.parameters == {"version": "2", "all": "true", "list": '[1, {"a": null}]'}
