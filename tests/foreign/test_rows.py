"""Rows that other writers stored: every reader of ModelLedger returns the values that were written."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pytest

from core.delta.catalog import Catalog
from core.delta.diff import diff_versions
from core.delta.engine import DeltaEngine
from core.delta.sql.query import run_query
from core.entities import Table
from tests.contract.engines import Kind, opened, parameters
from tests.foreign.handmade import HandmadeTable, column, microseconds

EPOCH = datetime(1970, 1, 1)
MICROSECOND = (datetime(1970, 1, 1, 0, 0, 1) - EPOCH) / 1_000_000


def stamp(*parts: int) -> int:
    """Microseconds since 1970 of a moment in UTC."""
    return (datetime(*parts) - EPOCH) // MICROSECOND  # type: ignore[arg-type]


# Outside of what 64-bit nanoseconds hold (1677–2262), with microseconds, and one day past the year 9999.
MOMENTS = [
    stamp(9999, 12, 31),
    stamp(1, 1, 1),
    stamp(2026, 11, 29, 1, 2, 3, 456_789),
    stamp(9999, 12, 31) + 29 * 3_600_000_000,
    None,
]


@pytest.fixture(params=parameters())
def engine(request: pytest.FixtureRequest) -> DeltaEngine:
    kind: Kind = request.param
    return opened(kind, request)


def moments_table(root: Path, *, int96: bool) -> Table:
    table = HandmadeTable(root)
    rows = pa.table({"id": pa.array(range(len(MOMENTS)), pa.int64()), "valid_to": microseconds(MOMENTS)})
    table.create([column("id", "long"), column("valid_to", "timestamp")], table.add(rows, int96=int96))
    return Table(name=root.name, uri=table.uri)


def test_timestamps_stored_as_int96_are_the_values_that_spark_wrote(engine: DeltaEngine, tmp_path: Path) -> None:
    tables = [moments_table(tmp_path / name, int96=name == "int96") for name in ("int96", "micros")]
    for table in tables:
        rows = engine.read(table).sort_by("id")
        assert rows.column("valid_to").cast(pa.int64()).to_pylist() == MOMENTS
    assert engine.content(tables[0]) == engine.content(tables[1])


def test_sql_compares_timestamps_outside_the_range_of_nanoseconds(engine: DeltaEngine, tmp_path: Path) -> None:
    moments_table(tmp_path / "int96", int96=True)
    catalog = Catalog(None, tmp_path)
    count = run_query(engine, catalog, "SELECT count(*) AS n FROM int96 WHERE valid_to > '2200-01-01'")
    assert count.rows.to_pylist() == [{"n": 2}]
    exact = run_query(engine, catalog, "SELECT valid_to FROM int96 WHERE id = 2")
    assert exact.rows.column(0).to_pylist() == [datetime(2026, 11, 29, 1, 2, 3, 456_789, tzinfo=UTC)]


def test_diff_of_the_same_moments_in_two_encodings_is_empty(engine: DeltaEngine, tmp_path: Path) -> None:
    table = HandmadeTable(tmp_path / "t")
    rows = pa.table({"id": pa.array([0], pa.int64()), "at": microseconds([stamp(9999, 12, 31)])})
    first = table.add(rows, int96=True)
    table.create([column("id", "long"), column("at", "timestamp")], first)
    table.commit({"remove": {"path": first["add"]["path"], "dataChange": True}}, table.add(rows))
    diff = diff_versions(engine, Table(name="t", uri=table.uri), 0, 1)
    assert (diff.rows_added, diff.rows_removed) == (0, 0)


def test_null_struct_with_a_required_field_is_null_in_every_reader(engine: DeltaEngine, tmp_path: Path) -> None:
    table = HandmadeTable(tmp_path / "nested")
    required = {"type": "struct", "fields": [column("a", "long", nullable=False)]}
    arrow = pa.struct([pa.field("a", pa.int64(), nullable=False)])
    rows = pa.table(
        {
            "id": pa.array([1, 2], pa.int64()),
            "list": pa.array([[{"a": 1}, None], []], pa.list_(pa.field("element", arrow))),
            "map": pa.array([[("x", None)], [("y", {"a": 2})]], pa.map_(pa.string(), pa.field("value", arrow))),
        }
    )
    fields = [
        column("id", "long"),
        column("list", {"type": "array", "elementType": required, "containsNull": True}),
        column("map", {"type": "map", "keyType": "string", "valueType": required, "valueContainsNull": True}),
    ]
    table.create(fields, table.add(rows))
    catalog = Catalog(None, tmp_path)
    expected = [
        {"id": 1, "list": [{"a": 1}, None], "map": [("x", None)]},
        {"id": 2, "list": [], "map": [("y", {"a": 2})]},
    ]
    assert engine.read(catalog.resolve("nested")).sort_by("id").to_pylist() == expected
    assert run_query(engine, catalog, "SELECT id FROM nested ORDER BY id").rows.to_pydict() == {"id": [1, 2]}
    assert run_query(engine, catalog, "SELECT * FROM nested ORDER BY id").rows.to_pylist() == expected
