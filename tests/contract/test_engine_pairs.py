"""What one engine writes, the other reads as the same: history, rows, schema, difference, verdict, at every version."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from core.delta.content_hash import content_sha256
from core.delta.diff import diff_versions
from core.delta.engine import DeltaEngine
from core.entities import Field, FieldChange, Table
from core.errors import SchemaMismatch, VersionNotFound
from tests.contract.engines import DELTA_RS, SPARK, Kind, opened

Opener = Callable[[Kind], DeltaEngine]


def _marks(writer: Kind, reader: Kind) -> list[pytest.MarkDecorator]:
    """What Spark reads of itself is a slow test: test_delta_engine.py has the same operations on one engine."""
    if SPARK not in (writer, reader):
        return []
    return [pytest.mark.spark, pytest.mark.slow] if writer is reader else [pytest.mark.spark]


PAIRS = [
    pytest.param((writer, reader), id=f"{writer.name} to {reader.name}", marks=_marks(writer, reader))
    for writer in (DELTA_RS, SPARK)
    for reader in (DELTA_RS, SPARK)
]

LOANS = pa.schema(
    [
        ("id", pa.int64()),
        ("größe_€", pa.decimal128(10, 2)),
        ("at", pa.timestamp("us", "UTC")),
        ("local", pa.timestamp("us")),
        ("day", pa.date32()),
        ("名前", pa.string()),
        ("score", pa.float64()),
        ("tags", pa.list_(pa.string())),
        ("owner", pa.struct([("é", pa.int32())])),
    ]
)

# The hour from 02:00 to 03:00 of 31 March 2024 was never on a clock in Berlin; a time without a zone may name it.
ONE: dict[str, Any] = {
    "id": 1,
    "größe_€": Decimal("12345678.90"),
    "at": datetime(2024, 3, 31, 2, 30, 0, 123456, tzinfo=UTC),
    "local": datetime(2024, 3, 31, 2, 30, 0, 654321),
    "day": date(2024, 2, 29),
    "名前": "Zoë <b>",
    "score": 0.1,
    "tags": ["a", None],
    "owner": {"é": 7},
}
TWO: dict[str, Any] = {**dict.fromkeys(LOANS.names), "id": 2}
THREE: dict[str, Any] = {
    "id": 3,
    "größe_€": Decimal("-0.01"),
    "at": datetime(1900, 1, 1, tzinfo=UTC),
    "local": datetime(9999, 12, 31, 23, 59, 59, 999999),
    "day": date(1582, 10, 4),
    "名前": "",
    "score": float("-inf"),
    "tags": [],
    "owner": {"é": None},
}
FOUR: dict[str, Any] = {**ONE, "id": 4, "名前": "'; DROP TABLE loans; --"}
NINE: dict[str, Any] = {"id": 9, "名前": "new", "score": "high", "neu": True}

# 0 make, 1 append, 2 delete where id = 2, 3 overwrite with other columns.
ROWS = ([ONE, TWO], [ONE, TWO, THREE, FOUR], [ONE, THREE, FOUR], [NINE])
FIELDS = (
    Field(name="id", type="long"),
    Field(name="größe_€", type="decimal(10,2)"),
    Field(name="at", type="timestamp"),
    Field(name="local", type="timestamp_ntz"),
    Field(name="day", type="date"),
    Field(name="名前", type="string"),
    Field(name="score", type="double"),
    Field(name="tags", type="array<string>"),
    Field(name="owner", type="struct<é:integer>"),
)
LAST_FIELDS = (
    Field(name="id", type="long"),
    Field(name="名前", type="string"),
    Field(name="score", type="string"),
    Field(name="neu", type="boolean"),
)


@pytest.fixture(scope="module")
def engine_of(request: pytest.FixtureRequest) -> Opener:
    """Each engine, opened when it is first asked for: a pair without Spark starts no Java."""
    engines: dict[str, DeltaEngine] = {}

    def get(kind: Kind) -> DeltaEngine:
        if kind.name not in engines:
            engines[kind.name] = opened(kind, request)
        return engines[kind.name]

    return get


@pytest.fixture(scope="module")
def made(engine_of: Opener, tmp_path_factory: pytest.TempPathFactory) -> Callable[[Kind], Table]:
    """The table of four versions by either writer; each is made once."""
    tables: dict[str, Table] = {}

    def get(kind: Kind) -> Table:
        if kind.name not in tables:
            table = Table(name="loans", uri=str(tmp_path_factory.mktemp(kind.name) / "Kredite ü"))
            make(engine_of(kind), table)
            tables[kind.name] = table
        return tables[kind.name]

    return get


def make(engine: DeltaEngine, table: Table) -> None:
    claim = {"userName": "Zoë", "modelledger.actor": "Zoë <b>", "source": '{"file": "a,b=c.csv"}'}
    engine.write(table, pa.Table.from_pylist([ONE, TWO], LOANS), mode="append", metadata=claim)
    engine.write(table, pa.Table.from_pylist([THREE, FOUR], LOANS), mode="append", transaction="batch-7")
    delete(engine, table, "id = 2")
    last = pa.schema([("id", pa.int64()), ("名前", pa.string()), ("score", pa.string()), ("neu", pa.bool_())])
    engine.write(table, pa.Table.from_pylist([NINE], last), mode="overwrite", metadata={"modelledger.actor": "x"})


def delete(engine: DeltaEngine, table: Table, where: str) -> None:
    """By the writer's own library: the contract has no deletes."""
    if engine.name == DELTA_RS.name:
        import deltalake

        deltalake.DeltaTable(table.uri).delete(where)
    else:
        engine.session.sql(f"DELETE FROM delta.`{table.uri}` WHERE {where}").collect()  # type: ignore[attr-defined]


def partitioned(engine: DeltaEngine, table: Table, data: pa.Table, by: list[str]) -> None:
    if engine.name == DELTA_RS.name:
        import deltalake

        deltalake.write_deltalake(table.uri, data, partition_by=by)
    else:
        frame = engine.session.createDataFrame(data)  # type: ignore[attr-defined]
        frame.write.format("delta").partitionBy(*by).save(table.uri)


@pytest.fixture(params=PAIRS)
def pair(request: pytest.FixtureRequest, engine_of: Opener) -> tuple[DeltaEngine, DeltaEngine, Kind]:
    """Writer, reader, and the writer's kind."""
    writer, reader = request.param
    return engine_of(writer), engine_of(reader), writer


@pytest.fixture
def reader(pair: tuple[DeltaEngine, DeltaEngine, Kind]) -> DeltaEngine:
    return pair[1]


@pytest.fixture
def table(pair: tuple[DeltaEngine, DeltaEngine, Kind], made: Callable[[Kind], Table]) -> Table:
    return made(pair[2])


def by_id(data: pa.Table) -> list[dict[str, Any]]:
    return sorted(data.to_pylist(), key=lambda row: row["id"])


def test_history_is_the_same(reader: DeltaEngine, table: Table) -> None:
    history = reader.history(table)
    assert [(c.version, c.operation, c.rows_added, c.rows_removed) for c in history] == [
        (3, "WRITE", 1, None),
        (2, "DELETE", None, 1),
        (1, "WRITE", 2, None),
        (0, "WRITE", 2, None),
    ]
    assert [(c.files_added, c.files_removed) for c in history] == [(1, 2), (1, 1), (1, 0), (1, 0)]
    assert [c.timestamp for c in history] == sorted((c.timestamp for c in history), reverse=True)


def test_user_and_metadata_are_as_the_writer_claimed(reader: DeltaEngine, table: Table) -> None:
    history = reader.history(table)
    assert [c.user for c in history] == [None, None, None, "Zoë"]
    assert [dict(c.metadata) for c in history] == [
        {"modelledger.actor": "x"},
        {},
        {"transaction": "batch-7"},
        {"modelledger.actor": "Zoë <b>", "source": '{"file": "a,b=c.csv"}'},
    ]


@pytest.mark.parametrize("version", range(4))
def test_rows_of_every_version_are_the_same(reader: DeltaEngine, table: Table, version: int) -> None:
    read = reader.read(table, version=version)
    assert by_id(read) == ROWS[version]
    scanned = pa.Table.from_batches(list(reader.scan(table, version=version)))
    assert by_id(scanned) == ROWS[version]
    assert reader.count(table, version=version) == len(ROWS[version])
    if version < 3:
        assert [field.type for field in read.schema][:7] == LOANS.types[:7]
        expected = pa.Table.from_pylist(ROWS[version], LOANS)
        assert content_sha256(read.schema, read.to_batches()) == content_sha256(LOANS, expected.to_batches())


def test_snapshots_are_the_same(reader: DeltaEngine, table: Table) -> None:
    snapshots = reader.snapshots(table)
    assert [(s.version, s.rows, s.files) for s in snapshots] == [(3, 1, 1), (2, 3, 2), (1, 4, 2), (0, 2, 1)]
    assert [s.schema for s in snapshots] == [LAST_FIELDS, FIELDS, FIELDS, FIELDS]
    assert {s.partition_columns for s in snapshots} == {()}
    assert "timestampNtz" in snapshots[-1].features


def test_differences_are_the_same(reader: DeltaEngine, table: Table) -> None:
    appended = diff_versions(reader, table, 0, 1)
    assert (appended.rows_added, appended.rows_removed, appended.rows_changed) == (2, 0, None)
    deleted = diff_versions(reader, table, 1, 2, key="id")
    assert (deleted.rows_added, deleted.rows_removed, deleted.rows_changed) == (0, 1, 0)
    assert (deleted.fields_added, deleted.fields_removed, deleted.fields_changed) == ((), (), ())
    replaced = diff_versions(reader, table, 2, 3, key="id")
    assert (replaced.rows_added, replaced.rows_removed, replaced.rows_changed) == (1, 3, 0)
    assert replaced.fields_added == (Field(name="neu", type="boolean"),)
    assert [field.name for field in replaced.fields_removed] == ["größe_€", "at", "local", "day", "tags", "owner"]
    assert replaced.fields_changed == (FieldChange(name="score", before="double", after="string"),)


def test_every_version_is_readable_and_no_other(reader: DeltaEngine, table: Table) -> None:
    assert [reader.readable(table, version).verdict.value for version in range(5)] == ["readable"] * 4 + ["log expired"]
    with pytest.raises(VersionNotFound, match="0–3"):
        reader.read(table, version=4)


def test_write_that_the_other_engine_named_is_not_done_again(
    pair: tuple[DeltaEngine, DeltaEngine, Kind], tmp_path: Path
) -> None:
    writer, reader, _ = pair
    table = Table(name="t", uri=str(tmp_path / "t"))
    data = pa.table({"id": pa.array([1], pa.int64())})
    assert writer.write(table, data, mode="append") == 0
    assert writer.write(table, data, mode="append", transaction="batch-7") == 1
    assert reader.write(table, data, mode="append", transaction="batch-7") == 1
    assert reader.latest_version(table) == 1
    assert reader.write(table, data, mode="append", transaction="batch-8") == 2
    assert writer.count(table) == 3


def test_partitions_are_read_and_appended_to(pair: tuple[DeltaEngine, DeltaEngine, Kind], tmp_path: Path) -> None:
    writer, reader, _ = pair
    table = Table(name="t", uri=str(tmp_path / "t"))
    schema = pa.schema([("id", pa.int64()), ("Städte", pa.string()), ("day", pa.date32()), ("x", pa.decimal128(5, 1))])
    first = [
        {"id": 1, "Städte": "Köln/Ost a=b %20 #?", "day": date(2024, 2, 29), "x": Decimal("1.5")},
        {"id": 2, "Städte": None, "day": None, "x": None},
        {"id": 3, "Städte": "北京", "day": date(1900, 1, 1), "x": Decimal("-9999.9")},
    ]
    more = {"id": 4, "Städte": "Köln/Ost a=b %20 #?", "day": date(2024, 3, 1), "x": Decimal("0.0")}
    partitioned(writer, table, pa.Table.from_pylist(first, schema), ["Städte", "day"])
    assert reader.snapshot(table).partition_columns == ("Städte", "day")
    assert by_id(reader.read(table)) == first
    assert reader.readable(table, 0).is_readable
    assert reader.write(table, pa.Table.from_pylist([more], schema), mode="append") == 1
    for engine in (writer, reader):
        assert by_id(engine.read(table, version=0)) == first
        assert by_id(engine.read(table, version=1)) == [*first, more]
        assert engine.snapshot(table).rows == 4
        assert engine.snapshot(table).partition_columns == ("Städte", "day")
        assert engine.readable(table, 1).is_readable


def test_both_refuse_the_same_data(pair: tuple[DeltaEngine, DeltaEngine, Kind], tmp_path: Path) -> None:
    writer, reader, _ = pair
    table = Table(name="t", uri=str(tmp_path / "t"))
    writer.write(table, pa.table({"local": pa.array([datetime(2024, 1, 1)], pa.timestamp("us"))}), mode="append")
    zoned = pa.table({"local": pa.array([datetime(2024, 1, 1, tzinfo=UTC)], pa.timestamp("us", "UTC"))})
    with pytest.raises(SchemaMismatch, match="local is timestamp_ntz and was given as timestamp"):
        reader.write(table, zoned, mode="append")
    assert reader.latest_version(table) == 0
