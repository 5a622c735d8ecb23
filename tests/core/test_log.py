"""The log read from its own files: what deltalake gets silently wrong, damage, expiry, and the price of a refresh."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import deltalake
import pyarrow as pa
import pytest

from core.delta.log.log_files import File, LocalFiles, LogFiles, StoreFiles
from core.delta.log.stored_files import Damage, stored_files
from core.delta.log.table_log import Log
from core.entities import Table
from core.errors import LogCorrupt, LogExpired, StorageUnavailable, TableNotFound, VersionNotFound


class Counted(LocalFiles):
    """Local files that remember what was read."""

    def __init__(self, root: str) -> None:
        super().__init__(root)
        self.reads: list[str] = []
        self.lists = 0

    def names(self) -> list[str]:
        self.lists += 1
        return super().names()

    def read(self, name: str) -> File:
        self.reads.append(Path(name).name)
        return super().read(name)

    def read_all(self, names: Sequence[str]) -> Iterator[File]:
        return map(self.read, names)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "loans"


def log_of(place: Path, files: LogFiles | None = None) -> Log:
    return Log(Table(name="loans", uri=str(place)), files or LocalFiles(str(place)))


def append(place: Path, *times: int) -> None:
    """One commit of so many rows each."""
    for rows in times:
        deltalake.write_deltalake(str(place), pa.table({"id": list(range(rows))}), mode="append")


def commit(place: Path, version: int) -> Path:
    return place / "_delta_log" / f"{version:020d}.json"


def rewrite(path: Path, change: Any) -> None:
    """Rewrites a commit's actions; *change* takes one and returns it, another or None to drop it."""
    actions = [json.loads(line) for line in path.read_text().splitlines()]
    path.write_text("\n".join(json.dumps(new) for action in actions if (new := change(action)) is not None))


def without_commit_info(action: dict[str, Any]) -> dict[str, Any] | None:
    return None if "commitInfo" in action else action


def test_version_is_the_file_name_even_where_a_commit_lacks_commit_info(place: Path) -> None:
    """deltalake's history() labels every commit older than this one wrongly."""
    append(place, 1, 2, 3, 4)
    rewrite(commit(place, 2), without_commit_info)
    history = log_of(place).history()
    assert [c.version for c in history] == [3, 2, 1, 0]
    assert [c.rows_added for c in history] == [4, None, 2, 1]
    assert [c.operation for c in history] == ["WRITE", "unknown", "WRITE", "WRITE"]
    assert log_of(place).snapshot(2).rows == 6


def test_newest_commits_cost_no_more_files_than_asked(place: Path) -> None:
    append(place, *[1] * 12)
    deltalake.DeltaTable(str(place)).create_checkpoint()
    files = Counted(str(place))
    assert [c.version for c in log_of(place, files).history(3)] == [11, 10, 9]
    assert sorted(files.reads) == [
        "00000000000000000009.json",
        "00000000000000000010.json",
        "00000000000000000011.json",
        "_last_checkpoint",
    ]
    assert files.lists == 0


def test_refresh_reads_only_the_new_commits(place: Path) -> None:
    append(place, *[1] * 8)
    files = Counted(str(place))
    log = log_of(place, files)
    log.history()
    log.snapshots()
    listed = files.lists
    files.reads.clear()
    append(place, 5, 6)
    assert [c.rows_added for c in log.history()][:3] == [6, 5, 1]
    assert sorted(files.reads) == ["00000000000000000008.json", "00000000000000000009.json"]
    files.reads.clear()
    assert [s.rows for s in log.snapshots()][:3] == [19, 13, 8]
    assert sorted(files.reads) == ["00000000000000000008.json", "00000000000000000009.json"]
    files.reads.clear()
    log.history()
    log.snapshots()
    assert (files.reads, files.lists) == ([], listed)


def test_snapshots_of_many_versions_read_each_commit_once(place: Path) -> None:
    append(place, *[2] * 20)
    files = Counted(str(place))
    snapshots = log_of(place, files).snapshots(5)
    assert [(s.version, s.rows, s.files) for s in snapshots] == [(v, 2 * v + 2, v + 1) for v in (19, 18, 17, 16, 15)]
    assert len(files.reads) == len(set(files.reads))


def test_snapshots_begin_at_the_nearest_checkpoint(place: Path) -> None:
    append(place, *[1] * 10)
    deltalake.DeltaTable(str(place)).create_checkpoint()
    append(place, 1, 1)
    files = Counted(str(place))
    assert log_of(place, files).snapshot(10).rows == 11
    assert "00000000000000000000.json" not in files.reads


def test_log_cleaned_up_to_a_checkpoint_still_tells_what_it_can(place: Path) -> None:
    append(place, 1, 2, 3)
    deltalake.DeltaTable(str(place)).create_checkpoint()
    append(place, 4)
    for version in (0, 1):
        commit(place, version).unlink()
    log = log_of(place)
    assert [c.version for c in log.history()] == [3, 2]
    assert [c.version for c in log.history(50)] == [3, 2]
    assert [(s.version, s.rows) for s in log.snapshots()] == [(3, 10), (2, 6)]
    with pytest.raises(LogExpired, match=r"version 1 has expired.*versions 2–3 are available"):
        log.snapshot(1)
    with pytest.raises(VersionNotFound, match="loans has versions 2–3; version 9 was requested"):
        log.snapshot(9)


def test_cleaning_while_the_log_is_open_is_noticed(place: Path) -> None:
    append(place, 1, 2, 3)
    log = log_of(place)
    assert len(log.history()) == 3
    deltalake.DeltaTable(str(place)).create_checkpoint()
    commit(place, 0).unlink()
    append(place, 4)
    assert [c.version for c in log.history()] == [3, 2, 1]
    assert log.snapshot().rows == 10


def test_log_of_checkpoints_alone_has_expired_and_exists(place: Path) -> None:
    append(place, 1)
    deltalake.DeltaTable(str(place)).create_checkpoint()
    commit(place, 0).unlink()
    assert log_of(place).exists()
    with pytest.raises(LogExpired):
        log_of(place).history()


def test_begin_without_a_checkpoint_has_expired(place: Path) -> None:
    append(place, 1, 2, 3)
    commit(place, 0).unlink()
    with pytest.raises(LogExpired, match="begins with version 1"):
        log_of(place).snapshots()
    with pytest.raises(LogExpired):
        log_of(place).snapshot(2)


def test_dangling_checkpoint_hint_is_only_a_hint(place: Path) -> None:
    """deltalake will not open such a table although all its commits are there."""
    append(place, 1, 2)
    (place / "_delta_log" / "_last_checkpoint").write_text('{"version":7,"size":1}')
    assert [c.version for c in log_of(place).history()] == [1, 0]
    assert log_of(place).snapshot().rows == 3
    (place / "_delta_log" / "_last_checkpoint").write_text("{no json")
    assert log_of(place).latest() == 1


def test_empty_last_commit_is_corrupt_and_older_versions_are_not(place: Path) -> None:
    """deltalake opens such a table with rows missing."""
    append(place, 1, 2, 3)
    commit(place, 2).write_bytes(b"")
    log = log_of(place)
    with pytest.raises(LogCorrupt, match=r"00000000000000000002\.json is empty"):
        log.snapshot()
    with pytest.raises(LogCorrupt, match=r"00000000000000000002\.json"):
        log.history()
    assert log.snapshot(1).rows == 3
    assert log.exists()


@pytest.mark.parametrize(
    "text", ['{"add": {"pa', "no json", "[1]", '{"add": null}', '{"add": {"path": "x"}}', '{"add": 3}']
)
def test_damaged_commit_is_named(place: Path, text: str) -> None:
    append(place, 1, 2)
    with commit(place, 1).open("a") as file:
        file.write("\n" + text)
    with pytest.raises(LogCorrupt, match=r"loans: _delta_log/00000000000000000001\.json"):
        log_of(place).snapshot()


def test_blank_lines_and_carriage_returns_are_no_damage(place: Path) -> None:
    append(place, 2)
    path = commit(place, 0)
    path.write_bytes(b"\n" + path.read_bytes().replace(b"\n", b"\r\n\r\n") + b"\n")
    assert log_of(place).snapshot().rows == 2


@pytest.mark.parametrize("hinted", [False, True])
def test_gap_between_commits_is_named(place: Path, hinted: bool) -> None:
    append(place, 1, 2)
    if hinted:
        deltalake.DeltaTable(str(place)).create_checkpoint()
    append(place, 3, 4, 5)
    commit(place, 3).unlink()
    requests: list[Any] = [Log.snapshot, Log.latest, lambda log: log.snapshot(4), lambda log: log.data_files(3)]
    for ask in requests:
        with pytest.raises(LogCorrupt, match=r"00000000000000000003\.json is missing"):
            ask(log_of(place))
    log = log_of(place)
    assert [(c.version, c.rows_added) for c in log.history()] == [(2, 3), (1, 2), (0, 1)]
    assert [c.version for c in log.history(1)] == [2]
    assert log.snapshot(2).rows == 6
    assert [s.version for s in log.snapshots()] == [2, 1, 0]


def test_gap_that_comes_while_the_log_is_open_is_named(place: Path) -> None:
    append(place, 1)
    log = log_of(place)
    log.history()
    append(place, 2, 3)
    missing = commit(place, 1).read_bytes()
    commit(place, 1).unlink()
    assert [c.version for c in log.history()] == [0]
    with pytest.raises(LogCorrupt, match=r"00000000000000000001\.json is missing"):
        log.latest()
    commit(place, 1).write_bytes(missing)
    assert log.latest() == 2
    assert [c.version for c in log.history()] == [2, 1, 0]


def test_table_made_anew_at_the_same_place_is_noticed(place: Path) -> None:
    append(place, 1, 2, 3)
    log = log_of(place)
    assert log.snapshot().rows == 6
    shutil.rmtree(place)
    with pytest.raises(TableNotFound):
        log.history()
    append(place, 9)
    assert [c.rows_added for c in log.history()] == [9]
    assert log.snapshot().rows == 9


def test_rows_are_unknown_unless_every_file_tells_them(place: Path) -> None:
    """deltalake's count() counts such a file as empty."""

    def without_statistics(action: dict[str, Any]) -> dict[str, Any]:
        action.get("add", {}).pop("stats", None)
        return action

    append(place, 1, 2)
    rewrite(commit(place, 1), without_statistics)
    log = log_of(place)
    assert (log.snapshot(0).rows, log.snapshot(1).rows, log.snapshot(1).files) == (1, None, 2)


def test_rows_are_unknown_below_a_deletion_vector_and_its_file_is_needed(place: Path) -> None:
    """The id and the name of its file are those of the protocol's own example."""
    vector = {
        "storageType": "u",
        "pathOrInlineDv": "ab^-aqEH.-t@S}K{vb[*k^",
        "offset": 4,
        "sizeInBytes": 40,
        "cardinality": 1,
    }

    def hide(action: dict[str, Any]) -> dict[str, Any]:
        if "add" in action:
            action["add"]["deletionVector"] = vector
        return action

    append(place, 3)
    rewrite(commit(place, 0), hide)
    log = log_of(place)
    assert log.snapshot().rows is None
    (_, stored) = stored_files(log.data_files(0))
    assert stored.name == "ab/deletion_vector_d2c639aa-8816-431a-aaf6-d3fe2512ff61.bin"


def test_in_commit_timestamp_of_a_table_that_uses_them_is_preferred_to_the_file_time(place: Path) -> None:
    def stamped(action: dict[str, Any]) -> dict[str, Any]:
        if "commitInfo" in action:
            action["commitInfo"]["inCommitTimestamp"] = 1_700_000_000_123
        return action

    def with_the_feature(action: dict[str, Any]) -> dict[str, Any]:
        if "metaData" in action:
            action["metaData"]["configuration"] = {
                "delta.enableInCommitTimestamps": "true",
                "delta.inCommitTimestampEnablementVersion": "1",
            }
        if "protocol" in action:
            return {"protocol": {"minReaderVersion": 1, "minWriterVersion": 7, "writerFeatures": ["inCommitTimestamp"]}}
        return action

    append(place, 1, 1)
    rewrite(commit(place, 0), with_the_feature)
    rewrite(commit(place, 1), stamped)
    os.utime(commit(place, 0), (1_600_000_000, 1_600_000_000))
    newest, oldest = log_of(place).history()
    assert newest.timestamp == datetime(2023, 11, 14, 22, 13, 20, 123_000, tzinfo=UTC)
    assert oldest.timestamp == datetime(2020, 9, 13, 12, 26, 40, tzinfo=UTC)
    assert log_of(place).snapshot(1).timestamp == newest.timestamp


def test_claims_of_both_writers_get_the_same_names(place: Path) -> None:
    append(place, 1)
    info = {
        "operation": "MERGE",
        "userName": "ann",
        "engineInfo": "Apache-Spark/4.1 Delta-Lake/4.1",
        "operationMetrics": {"numTargetRowsInserted": "3", "numTargetRowsDeleted": "2", "numOutputRows": "9"},
        "userMetadata": '{"modelledger.actor": "ann"}',
        "ticket": 7,
    }
    commit(place, 1).write_text(json.dumps({"commitInfo": info}))
    found = log_of(place).history(1)[0]
    assert (found.user, found.rows_added, found.rows_removed) == ("ann", 3, 2)
    assert found.details.user_name == "ann"
    assert dict(found.metadata) == {"modelledger.actor": "ann", "ticket": 7}


def test_folder_without_a_log_is_no_table(place: Path) -> None:
    place.mkdir()
    assert not log_of(place).exists()
    with pytest.raises(TableNotFound, match="loans"):
        log_of(place).history()


def test_object_store_tells_the_same_as_plain_files(place: Path) -> None:
    append(place, *[1] * 5)
    deltalake.DeltaTable(str(place)).create_checkpoint()
    append(place, 2)
    plain, store = log_of(place), log_of(place, StoreFiles(place.as_uri()))
    assert store.history() == plain.history()
    assert store.history(2) == plain.history(2)
    assert store.snapshots() == plain.snapshots()
    append(place, 3)
    assert store.latest() == 6
    assert store.history() == plain.history()
    files = list(stored_files(store.data_files(6)))
    assert store.files.find_damage(files) is None
    (place / files[2].name).unlink()
    assert store.files.find_damage(files) == Damage(files[2], None) == plain.files.find_damage(files)
    many = [*files[:2] * 50, files[2]]
    assert store.files.find_damage(many) == Damage(files[2], None)
    assert store.files.find_damage(files[:2] * 50) is None


def test_storage_that_does_not_answer_is_named() -> None:
    options = {
        "AWS_ENDPOINT_URL": "http://127.0.0.1:9",
        "AWS_ALLOW_HTTP": "true",
        "AWS_ACCESS_KEY_ID": "a",
        "AWS_SECRET_ACCESS_KEY": "secret-of-mine",
        "AWS_REGION": "x",
        "AWS_S3_ALLOW_UNSAFE_RENAME": "true",
    }
    log = Log(Table(name="far", uri="s3://bucket/far"), StoreFiles("s3://bucket/far", options))
    with pytest.raises(StorageUnavailable, match="s3://bucket/far does not answer") as caught:
        log.history()
    assert "secret-of-mine" not in str(caught.value)


def test_file_of_a_shallow_clone_is_decoded_once(place: Path) -> None:
    """A clone names its source's files by URI; a partition folder's own name holds percent signs (d=10%3A20)."""
    append(place, 1)
    source = place.parent / "source" / "d=2026-11-05 10%3A20" / "part-0.parquet"
    source.parent.mkdir(parents=True)
    (stored,) = stored_files(log_of(place).data_files(0))
    (place / stored.name).rename(source)

    def points_at_the_source(action: dict[str, Any]) -> dict[str, Any]:
        if "add" in action:
            action["add"]["path"] = source.as_uri()
        return action

    rewrite(commit(place, 0), points_at_the_source)
    log = log_of(place)
    assert log.files.find_damage(stored_files(log.data_files(0))) is None
    source.unlink()
    found = log.files.find_damage(stored_files(log.data_files(0)))
    assert found is not None
    assert (found.file.name, found.found_bytes) == (str(source), None)
