"""Checkpoints in every layout of the protocol: one file, several parts, and version 2 with sidecars."""

from __future__ import annotations

import json
from pathlib import Path
from uuid import UUID

import deltalake
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from core.delta.log.checkpoint import checkpoints
from core.delta.log.log_files import LocalFiles
from core.delta.log.table_log import Log
from core.entities import Table
from core.errors import LogCorrupt, LogExpired


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """Five commits of 1 to 5 rows, a checkpoint at 4, the JSON up to it cleaned away, and one commit of 6 behind."""
    place = tmp_path / "loans"
    for rows in range(1, 6):
        deltalake.write_deltalake(str(place), pa.table({"id": list(range(rows))}), mode="append")
    deltalake.DeltaTable(str(place)).create_checkpoint()
    deltalake.write_deltalake(str(place), pa.table({"id": list(range(6))}), mode="append")
    for version in range(5):
        (place / "_delta_log" / f"{version:020d}.json").unlink()
    return place


def classic(place: Path) -> Path:
    return place / "_delta_log" / f"{4:020d}.checkpoint.parquet"


def log_of(place: Path) -> Log:
    return Log(Table(name="loans", uri=str(place)), LocalFiles(str(place)))


def assert_whole(place: Path) -> None:
    newest, oldest = log_of(place).snapshots()
    assert (newest.version, newest.rows, newest.files) == (5, 21, 6)
    assert (oldest.version, oldest.rows, oldest.files) == (4, 15, 5)
    assert [(field.name, field.type) for field in oldest.schema] == [("id", "long")]
    assert oldest.table_id == deltalake.DeltaTable(str(place)).metadata().id


def test_one_file(place: Path) -> None:
    assert_whole(place)


def test_several_parts(place: Path) -> None:
    whole = pq.read_table(classic(place))
    classic(place).unlink()
    parts = (whole.slice(0, 3), whole.slice(3))
    for number, part in enumerate(parts, start=1):
        pq.write_table(part, place / "_delta_log" / f"{4:020d}.checkpoint.{number:010d}.{2:010d}.parquet")
    (place / "_delta_log" / "_last_checkpoint").write_text('{"version":4,"size":7,"parts":2}')
    assert_whole(place)


def test_parts_of_which_one_is_missing_are_no_checkpoint(place: Path) -> None:
    classic(place).rename(place / "_delta_log" / f"{4:020d}.checkpoint.{1:010d}.{2:010d}.parquet")
    with pytest.raises(LogExpired):
        log_of(place).snapshot()


@pytest.mark.parametrize("top", ["json", "parquet"])
def test_version_2_with_sidecars(place: Path, top: str) -> None:
    whole = pq.read_table(classic(place)).to_pylist()
    classic(place).unlink()
    (place / "_delta_log" / "_last_checkpoint").unlink()
    adds = [
        {"path": row["add"]["path"], "size": row["add"]["size"], "stats": row["add"]["stats"]}
        for row in whole
        if row["add"]
    ]
    sidecars = place / "_delta_log" / "_sidecars"
    sidecars.mkdir()
    for number, half in enumerate((adds[:2], adds[2:])):
        pq.write_table(pa.table({"add": half}), sidecars / f"part-{number}.parquet")
    metadata = next(row["metaData"] for row in whole if row["metaData"])
    actions = [
        {"checkpointMetadata": {"version": 4}},
        {
            "protocol": {
                "minReaderVersion": 3,
                "minWriterVersion": 7,
                "readerFeatures": ["v2Checkpoint"],
                "writerFeatures": ["v2Checkpoint"],
            }
        },
        {"metaData": {"id": metadata["id"], "schemaString": metadata["schemaString"], "partitionColumns": []}},
        *(
            {"sidecar": {"path": f"part-{number}.parquet", "sizeInBytes": 1, "modificationTime": 1}}
            for number in (0, 1)
        ),
    ]
    path = place / "_delta_log" / f"{4:020d}.checkpoint.{UUID(int=7)}.{top}"
    if top == "json":
        path.write_text("\n".join(map(json.dumps, actions)))
    else:
        pq.write_table(pa.Table.from_pylist(actions, schema=_union(actions)), path)
    newest, oldest = log_of(place).snapshots()
    assert (newest.rows, newest.files, oldest.rows, oldest.files) == (21, 6, 15, 5)
    assert "v2Checkpoint" in oldest.features
    (sidecars / "part-1.parquet").unlink()
    with pytest.raises(LogCorrupt, match=r"needs _delta_log/_sidecars/part-1\.parquet, which is missing"):
        log_of(place).snapshot()


def _union(actions: list[dict[str, object]]) -> pa.Schema:
    return pa.unify_schemas([pa.Table.from_pylist([action]).schema for action in actions], promote_options="permissive")


def test_counts_in_parsed_statistics_are_read(place: Path) -> None:
    rows = pq.read_table(classic(place)).to_pylist()
    for row in rows:
        if row["add"]:
            count = json.loads(row["add"].pop("stats"))["numRecords"]
            row["add"] = {"path": row["add"]["path"], "size": row["add"]["size"], "stats_parsed": {"numRecords": count}}
    kept = [{key: row[key] for key in ("add", "metaData", "protocol")} for row in rows]
    for row in kept:
        if row["metaData"]:
            row["metaData"] = {key: row["metaData"][key] for key in ("id", "schemaString", "partitionColumns")}
    pq.write_table(pa.Table.from_pylist(kept), classic(place))
    assert log_of(place).snapshot(4).rows == 15


def test_damaged_checkpoint_is_named(place: Path) -> None:
    classic(place).write_bytes(b"PAR1 and no more")
    with pytest.raises(LogCorrupt, match=r"00000000000000000004\.checkpoint\.parquet is damaged"):
        log_of(place).snapshot()
    assert [commit.version for commit in log_of(place).history()] == [5]


def test_only_names_of_the_protocol_are_checkpoints() -> None:
    names = [f"{3:020d}.checkpoint.parquet", f"{4:020d}.checkpoint.tmp", "4.checkpoint.parquet", f"{5:020d}.json"]
    assert checkpoints(names) == {3: (f"{3:020d}.checkpoint.parquet",)}
