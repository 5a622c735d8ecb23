"""Damaged statistics of files cost skipping, never rows."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from core.delta.catalog import Catalog
from core.delta.delta_rs.engine import DeltaRsEngine
from core.delta.engine import DeltaEngine
from core.delta.spark.engine import SparkEngine
from core.delta.sql.query import run_query
from core.entities import Readability, Table
from tests.contract.engines import Kind, opened, parameters
from tests.foreign.handmade import HandmadeTable, column

DAMAGED = {
    "nan": '{"minValues":{"id":NaN},"numRecords":2}',
    "nan-behind-the-count": '{"numRecords":2,"minValues":{"id":NaN}}',
    "cut": '{"numRec',
    "cut-behind-the-count": '{"numRecords":2,"minVal',
    "null": "null",
    "list": "[]",
    "empty": "",
    "text-count": '{"numRecords":"two"}',
    "fraction": '{"numRecords":7.5}',
    "negative": '{"numRecords":-3}',
    "wrong-types": '{"numRecords":2,"minValues":{"id":"x"},"maxValues":7}',
    "trailing": '{"numRecords":2}}',
}


@pytest.fixture(params=parameters())
def engine(request: pytest.FixtureRequest) -> DeltaEngine:
    kind: Kind = request.param
    return opened(kind, request)


@pytest.mark.parametrize("stats", DAMAGED.values(), ids=DAMAGED)
def test_damaged_statistics_cost_no_rows(
    engine: DeltaEngine, tmp_path: Path, stats: str, request: pytest.FixtureRequest
) -> None:
    if stats == DAMAGED["negative"] and isinstance(engine, SparkEngine):
        reason = "delta-spark 4.4.0 adds up the counts in statistics unchecked"
        request.applymarker(pytest.mark.xfail(strict=True, reason=reason))
    table = HandmadeTable(tmp_path / "t")
    damaged = table.add(pa.table({"id": pa.array([1, None], pa.int64())}), stats=stats)
    fine = table.add(pa.table({"id": pa.array([3], pa.int64())}), stats={"numRecords": 1})
    table.create([column("id", "long")], damaged, fine)
    place, catalog = Table(name="t", uri=table.uri), Catalog(None, tmp_path)
    ids = engine.read(place).column("id").to_pylist()
    assert sorted(ids, key=str) == [1, 3, None]
    assert engine.count(place) == 3
    assert engine.read(place, limit=2, offset=1).num_rows == 2
    assert engine.readable(place, 0).verdict is Readability.READABLE
    assert run_query(engine, catalog, "SELECT count(*) AS n FROM t").rows.to_pylist() == [{"n": 3}]
    assert run_query(engine, catalog, "SELECT id FROM t WHERE id > 1").rows.to_pylist() == [{"id": 3}]


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        ("long", pa.array([-1, 5], pa.int64())),
        ("double", pa.array([float("nan"), -1e300])),
        ("string", pa.array(["", "é"])),
        ("date", pa.array([-700_000, 2_000_000], pa.int32()).cast(pa.date32())),
        ("decimal(10,2)", pa.array([Decimal("-1.25"), Decimal("3.00")], pa.decimal128(10, 2))),
        ("timestamp", pa.array([-(10**15), 10**15], pa.int64()).cast(pa.timestamp("us", "UTC"))),
        ("binary", pa.array([b"", b"\xff"])),
    ],
)
def test_required_column_beside_a_struct_and_a_partition_is_enough(
    engine: DeltaEngine, tmp_path: Path, kind: str, values: pa.Array
) -> None:
    table = HandmadeTable(tmp_path / "t")
    rows = pa.table({"nested": pa.array([{"a": 1}, None]), "c": values})
    nested: dict[str, Any] = {"type": "struct", "fields": [column("a", "long")]}
    fields = [column("p", "string"), column("nested", nested)]
    table.create(
        [*fields, column("c", kind, nullable=False)],
        *(table.add(rows, stats='{"numRec', folder=f"p={p}", partition={"p": p}) for p in "ab"),
        partitions=["p"],
    )
    place = Table(name="t", uri=table.uri)
    assert sorted(engine.read(place, columns=["p"]).column("p").to_pylist()) == ["a", "a", "b", "b"]
    read = map(str, engine.read(place).column("c").to_pylist())  # NaN is not equal to itself
    assert sorted(read) == sorted(map(str, values.to_pylist() * 2))
    assert engine.count(place) == 4


def test_embedded_engine_refuses_damaged_statistics_beside_flags_and_names_the_other_engine(tmp_path: Path) -> None:
    """deltalake 1.6.6 cannot open such a table at all."""
    table = HandmadeTable(tmp_path / "t")
    rows = pa.table({"flag": pa.array([True]), "id": pa.array([1], pa.int64())})
    table.create([column("flag", "boolean"), column("id", "long")], table.add(rows, stats='{"numRec'))
    verdict = DeltaRsEngine().readable(Table(name="t", uri=table.uri), 0)
    assert verdict.verdict is Readability.REFUSED
    assert "statistics" in verdict.reason
    assert "MODELLEDGER_ENGINE=spark" in verdict.reason
