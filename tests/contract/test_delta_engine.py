"""The contract of core.delta.engine, kept by every engine on real tables."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from core.delta.content_hash import content_of, content_sha256
from core.delta.engine import DeltaEngine
from core.entities import Field, Readability, Table
from core.errors import (
    BadParameter,
    ColumnNotFound,
    CommitConflict,
    FilesVacuumed,
    LogCorrupt,
    SchemaMismatch,
    TableNotFound,
    VersionNotFound,
)
from tests.contract.engines import Kind, opened, parameters


@pytest.fixture(scope="module", params=parameters())
def kind(request: pytest.FixtureRequest) -> Kind:
    return request.param


@pytest.fixture(scope="module")
def engine(kind: Kind, request: pytest.FixtureRequest) -> DeltaEngine:
    return opened(kind, request)


@pytest.fixture
def table(tmp_path: Path) -> Table:
    """A place where no table is yet."""
    return Table(name="loans", uri=str(tmp_path / "loans"))


def rows(*ids: int) -> pa.Table:
    return pa.table({"id": pa.array(ids, pa.int64()), "name": pa.array([f"n{i}" for i in ids], pa.string())})


def ids(data: pa.Table) -> list[int]:
    return sorted(data.column("id").to_pylist())


@pytest.fixture(scope="module")
def seen(engine: DeltaEngine, tmp_path_factory: pytest.TempPathFactory) -> Table:
    """Three versions, for tests that only look."""
    table = Table(name="loans", uri=str(tmp_path_factory.mktemp("seen") / "loans"))
    three_versions(engine, table)
    return table


def three_versions(engine: DeltaEngine, table: Table) -> None:
    """0: rows 1, 2; 1: also 3; 2: 9 alone, with another schema."""
    engine.write(table, rows(1, 2), mode="append")
    engine.write(table, rows(3), mode="append")
    engine.write(table, pa.table({"id": pa.array([9], pa.int64())}), mode="overwrite")


def test_first_write_makes_version_0_and_each_write_one_more(engine: DeltaEngine, table: Table) -> None:
    assert not engine.exists(table)
    assert engine.write(table, rows(1), mode="append") == 0
    assert engine.exists(table)
    assert engine.latest_version(table) == 0
    assert engine.write(table, rows(2), mode="append") == 1
    assert engine.latest_version(table) == 1


def test_every_version_shows_the_rows_it_had(engine: DeltaEngine, seen: Table) -> None:
    assert ids(engine.read(seen, version=0)) == [1, 2]
    assert ids(engine.read(seen, version=1)) == [1, 2, 3]
    assert engine.read(seen).to_pydict() == {"id": [9]}
    assert engine.read(seen, version=1).column_names == ["id", "name"]
    assert engine.read(seen, version=1).schema.field("name").type == pa.string()


def test_one_commit_is_that_of_the_history(engine: DeltaEngine, seen: Table) -> None:
    commits = engine.history(seen)
    assert [engine.commit(seen, commit.version) for commit in commits] == list(commits)
    with pytest.raises(VersionNotFound):
        engine.commit(seen, 3)


def test_history_is_newest_first_and_tells_what_each_commit_did(engine: DeltaEngine, table: Table) -> None:
    before = datetime.now(UTC) - timedelta(seconds=2)
    engine.write(table, rows(1, 2), mode="append", metadata={"modelledger.actor": "Zoë <b>"})
    engine.write(table, rows(3), mode="append")
    newest, oldest = engine.history(table)
    assert (newest.version, oldest.version) == (1, 0)
    assert (newest.rows_added, oldest.rows_added) == (1, 2)
    assert newest.operation == "WRITE"
    assert oldest.metadata["modelledger.actor"] == "Zoë <b>"
    assert "modelledger.actor" not in newest.metadata
    assert newest.engine
    assert newest.table == "loans"
    assert before <= oldest.timestamp <= newest.timestamp <= datetime.now(UTC) + timedelta(seconds=2)
    assert engine.history(table, limit=1) == (newest,)


def test_snapshot_tells_schema_rows_and_files_of_any_version(engine: DeltaEngine, seen: Table) -> None:
    first = engine.snapshot(seen, version=0)
    assert (first.version, first.rows, first.files) == (0, 2, 1)
    assert [(field.name, field.type) for field in first.schema] == [("id", "long"), ("name", "string")]
    assert first.size_bytes == sum(path.stat().st_size for path in [_only_file_of(engine, seen, 0)])
    latest = engine.snapshot(seen)
    assert (latest.version, latest.rows, [field.name for field in latest.schema]) == (2, 1, ["id"])
    assert latest.table_id == first.table_id != ""


def _only_file_of(engine: DeltaEngine, table: Table, version: int) -> Path:
    """The file that version 0 added, found by its commit and not by the engine."""
    log = (Path(table.uri) / "_delta_log" / f"{version:020d}.json").read_text().splitlines()
    (name,) = [json.loads(line)["add"]["path"] for line in log if '"add"' in line]
    return Path(table.uri) / name


def test_snapshots_of_many_versions_are_those_of_each(engine: DeltaEngine, seen: Table) -> None:
    assert engine.snapshots(seen) == tuple(engine.snapshot(seen, version=v) for v in (2, 1, 0))
    assert [snapshot.version for snapshot in engine.snapshots(seen, newest=2)] == [2, 1]


def test_count_scan_and_read_agree(engine: DeltaEngine, seen: Table) -> None:
    assert engine.count(seen, version=1) == 3
    assert engine.count(seen) == 1
    batches = list(engine.scan(seen, version=1, columns=["id"]))
    assert ids(pa.Table.from_batches(batches)) == [1, 2, 3]


def test_content_digest_is_that_of_the_rows_that_were_written(engine: DeltaEngine, table: Table) -> None:
    engine.write(table, rows(3, 1), mode="append")
    engine.write(table, rows(2), mode="append")
    stored = engine.read(table)
    assert content_sha256(stored.schema, stored.to_batches()) == content_sha256(
        rows(1).schema, rows(1, 2, 3).to_batches()
    )


def test_digest_made_where_the_rows_are_is_that_of_the_rows(engine: DeltaEngine, table: Table) -> None:
    """Expected is the hash over what was written, made here; null, NaN, -0.0 and every kind of type among it."""
    nan, other_nan = np.array([0x7FF8000000000000, 0xFFF8000000000123], dtype=np.uint64).view(np.float64)
    kinds = {
        "int": (pa.int32(), [1, None, -(2**31)]),
        "double": (pa.float64(), [-0.0, nan, float("-inf")]),
        "float": (pa.float32(), [float("nan"), 0.1, None]),
        "text": (pa.string(), ["é", "e\u0301", None]),
        "bytes": (pa.binary(), [b"\x00\xff", b"", None]),
        "dec": (pa.decimal128(38, 18), [Decimal("99999999999999999999.000000000000000001"), Decimal("-0.5"), None]),
        "at": (pa.timestamp("us", "UTC"), [datetime(2024, 3, 31, 2, 30, 0, 1, tzinfo=UTC), None, None]),
        "local": (pa.timestamp("us"), [datetime(2024, 3, 31, 2, 30, 0, 1), datetime(1900, 1, 1), None]),
        "day": (pa.date32(), [date(1582, 10, 4), date(2024, 2, 29), None]),
        "flag": (pa.bool_(), [True, False, None]),
        "list": (pa.list_(pa.list_(pa.float64())), [[[1.0, None], None, []], [], None]),
        "struct": (
            pa.struct([("a", pa.int64()), ("b", pa.struct([("c", pa.string())]))]),
            [{"a": 1, "b": {"c": ""}}, {"a": None, "b": None}, None],
        ),
        "map": (pa.map_(pa.string(), pa.int64()), [[("b", 1), ("a", None)], [], None]),
    }
    data = pa.table({name: pa.array(values, kind) for name, (kind, values) in kinds.items()})
    engine.write(table, data, mode="append")
    engine.write(table, data.slice(1), mode="append")
    assert engine.content(table, version=0) == content_of(data.schema, data.to_batches())
    both = pa.concat_tables([data.slice(1), data])
    assert engine.content(table) == content_of(data.schema, both.to_batches())
    assert engine.content(table).rows == 5
    # The same numbers in another dress: 0.0 for -0.0, and a NaN of other bits.
    dress = data.set_column(1, "double", pa.array([0.0, other_nan, float("-inf")]))
    assert engine.content(table, version=0).sha256 == content_sha256(dress.schema, dress.to_batches())


def test_digest_of_many_rows_in_many_parts_is_that_of_the_rows(engine: DeltaEngine, table: Table) -> None:
    data = pa.table({"id": pa.array(range(100_000)), "name": [f"n{number % 977}" for number in range(100_000)]})
    for part in range(4):
        engine.write(table, data.slice(part * 25_000, 25_000), mode="append")
    shuffled = data.take(np.random.default_rng(3).permutation(100_000))
    assert engine.content(table) == content_of(shuffled.schema, shuffled.to_batches())


def test_digest_of_no_rows_is_that_of_the_schema(engine: DeltaEngine, table: Table) -> None:
    engine.write(table, rows(), mode="append")
    assert engine.content(table) == content_of(rows().schema, [])


def test_pages_of_rows_are_disjoint_and_whole(engine: DeltaEngine, table: Table) -> None:
    engine.write(table, rows(*range(10)), mode="append")
    pages = [engine.read(table, limit=4, offset=offset) for offset in (0, 4, 8, 12)]
    assert [page.num_rows for page in pages] == [4, 4, 2, 0]
    assert ids(pa.concat_tables(pages)) == list(range(10))


def test_columns_are_read_in_the_order_asked(engine: DeltaEngine, table: Table) -> None:
    engine.write(table, rows(1), mode="append")
    assert engine.read(table, columns=["name", "id"]).column_names == ["name", "id"]


def test_unknown_column_is_named_with_those_there_are(engine: DeltaEngine, table: Table) -> None:
    engine.write(table, rows(1), mode="append")
    with pytest.raises(ColumnNotFound, match=r"nme.*id, name"):
        engine.read(table, columns=["nme"])


@pytest.mark.parametrize("ask", ["history", "latest_version", "snapshot", "read", "count", "content"])
def test_table_that_does_not_exist_is_named(engine: DeltaEngine, table: Table, ask: str) -> None:
    with pytest.raises(TableNotFound, match="loans"):
        getattr(engine, ask)(table)


@pytest.mark.parametrize("version", [-1, 3, 99])
@pytest.mark.parametrize("ask", ["snapshot", "read", "count", "content"])
def test_version_that_does_not_exist_is_named_with_those_there_are(
    engine: DeltaEngine, seen: Table, ask: str, version: int
) -> None:
    with pytest.raises(VersionNotFound, match=r"loans has") as caught:
        getattr(engine, ask)(seen, version=version)
    assert version < 0 or "0–2" in str(caught.value)


def test_append_of_another_schema_is_refused_and_changes_nothing(engine: DeltaEngine, table: Table) -> None:
    engine.write(table, rows(1), mode="append")
    with pytest.raises(SchemaMismatch, match=r"missing name.*not in the table: nme"):
        engine.write(table, pa.table({"id": [1], "nme": ["x"]}), mode="append")
    # deltalake of itself would store 1.5 as 1 without a word.
    with pytest.raises(SchemaMismatch, match="id is long and was given as double"):
        engine.write(table, pa.table({"id": [1.5], "name": ["x"]}), mode="append")
    assert engine.latest_version(table) == 0
    assert ids(engine.read(table)) == [1]


def test_append_finds_columns_by_name(engine: DeltaEngine, table: Table) -> None:
    engine.write(table, rows(1), mode="append")
    engine.write(table, pa.table({"name": ["n2"], "id": pa.array([2], pa.int64())}), mode="append")
    assert sorted(engine.read(table).to_pylist(), key=lambda row: row["id"]) == rows(1, 2).to_pylist()


def test_overwrite_may_change_the_schema(engine: DeltaEngine, seen: Table) -> None:
    assert engine.snapshot(seen).schema == (Field(name="id", type="long"),)


def test_unknown_mode_is_refused(engine: DeltaEngine, table: Table) -> None:
    with pytest.raises(BadParameter, match="append or overwrite"):
        engine.write(table, rows(1), mode="upsert")  # type: ignore[arg-type]


def test_expected_version_that_is_no_more_is_a_conflict(engine: DeltaEngine, table: Table) -> None:
    engine.write(table, rows(1), mode="append", expected_version=-1)
    with pytest.raises(CommitConflict, match="nothing was written"):
        engine.write(table, rows(2), mode="append", expected_version=-1)
    engine.write(table, rows(2), mode="append", expected_version=0)
    with pytest.raises(CommitConflict, match="nothing was written"):
        engine.write(table, rows(3), mode="overwrite", expected_version=0)
    assert ids(engine.read(table)) == [1, 2]
    assert engine.latest_version(table) == 1


def test_named_write_happens_exactly_once(engine: DeltaEngine, table: Table) -> None:
    assert engine.write(table, rows(1), mode="append", transaction="batch-7") == 0
    assert engine.write(table, rows(2), mode="append", transaction="batch-8") == 1
    assert engine.write(table, rows(1), mode="append", transaction="batch-7") == 0
    assert engine.latest_version(table) == 1
    assert ids(engine.read(table)) == [1, 2]


def test_stream_of_batches_is_written_like_a_table(engine: DeltaEngine, table: Table) -> None:
    data = rows(*range(100))
    reader = pa.RecordBatchReader.from_batches(data.schema, iter(data.to_batches(max_chunksize=7)))
    engine.write(table, reader, mode="append")
    assert ids(engine.read(table)) == list(range(100))


def test_names_and_values_of_any_kind_come_back(engine: DeltaEngine, table: Table) -> None:
    data = pa.table(
        {
            "text": pa.array(["<b>é</b>", None, "🙂"]),
            "dec": pa.array([Decimal("1.10"), None, Decimal("-2.00")], pa.decimal128(10, 2)),
            "day": pa.array([date(1970, 1, 1), None, date(2024, 2, 29)]),
            "at": pa.array([datetime(2024, 1, 1, 12, tzinfo=UTC), None, None], pa.timestamp("us", "UTC")),
            "list": pa.array([[1, None], [], None], pa.list_(pa.int64())),
            "struct": pa.array([{"a": 1}, None, {"a": None}], pa.struct([("a", pa.int64())])),
            "bytes": pa.array([b"\x00", None, b""]),
            "a.b": pa.array([True, False, None]),
            "`x`_'y'_<b>": pa.array([1, None, 3]),
        }
    )
    engine.write(table, data, mode="append")
    stored = engine.read(table)
    assert pa.Table.from_batches(list(engine.scan(table))).to_pylist() == data.to_pylist()
    assert engine.read(table, columns=["a.b"]).to_pydict() == {"a.b": [True, False, None]}
    assert engine.content(table) == content_of(data.schema, data.to_batches())
    assert stored.to_pylist() == data.to_pylist()
    assert content_sha256(stored.schema, stored.to_batches()) == content_sha256(data.schema, data.to_batches())


def test_part_of_a_table_with_nested_columns_is_written(engine: DeltaEngine, table: Table) -> None:
    """deltalake of itself ends the whole process at such a slice of structs, pyspark fails at one of lists."""
    values = [{"a": {"b": str(number)}} for number in range(5)]
    lists = [[1.0], None, [None], [], None, [2.0, 3.0]]
    maps = pa.array([[("k", number)] for number in range(5)] + [None], pa.map_(pa.string(), pa.int64()))
    data = pa.table({"id": pa.array(range(6)), "s": [*values, None], "l": lists, "m": maps})
    engine.write(table, data.slice(2, 2), mode="append")
    engine.write(table, data.slice(4), mode="append")
    found = sorted(engine.read(table).to_pylist(), key=lambda row: row["id"])
    assert found == data.slice(2).to_pylist()


def test_numbers_that_are_none_are_kept_apart_from_null(engine: DeltaEngine, table: Table) -> None:
    engine.write(table, pa.table({"x": pa.array([float("nan"), float("inf"), None])}), mode="append")
    found: list[Any] = engine.read(table).column("x").to_pylist()
    assert str(found) == "[nan, inf, None]"


def test_readable_version_says_so(engine: DeltaEngine, seen: Table) -> None:
    for version in (0, 1, 2):
        assert engine.readable(seen, version).is_readable


def test_version_whose_file_is_gone_is_told_and_not_shown(engine: DeltaEngine, table: Table) -> None:
    engine.write(table, rows(1), mode="append")
    engine.write(table, rows(2), mode="overwrite")
    lost = _only_file_of(engine, table, 0)
    lost.unlink()
    verdict = engine.readable(table, 0)
    assert verdict.verdict is Readability.FILES_VACUUMED
    assert lost.name in verdict.reason
    with pytest.raises(FilesVacuumed):
        engine.read(table, version=0)
    with pytest.raises(FilesVacuumed):
        list(engine.scan(table, version=0))
    with pytest.raises(FilesVacuumed):
        engine.content(table, version=0)
    assert engine.readable(table, 1).is_readable
    assert ids(engine.read(table)) == [2]


def test_version_that_never_was_is_not_readable(engine: DeltaEngine, table: Table) -> None:
    engine.write(table, rows(1), mode="append")
    assert engine.readable(table, 7).verdict is Readability.LOG_EXPIRED


def test_readable_of_no_table_raises(engine: DeltaEngine, table: Table) -> None:
    with pytest.raises(TableNotFound):
        engine.readable(table, 0)


def test_damaged_commit_is_named_and_the_table_still_exists(engine: DeltaEngine, table: Table) -> None:
    three_versions(engine, table)
    log = Path(table.uri) / "_delta_log"
    (log / f"{2:020d}.json").write_text('{"add": {"path"')
    (log / f".{2:020d}.json.crc").unlink(missing_ok=True)  # Hadoop's own checksum would name another fault
    assert engine.exists(table)
    with pytest.raises(LogCorrupt, match="loans"):
        engine.read(table)
