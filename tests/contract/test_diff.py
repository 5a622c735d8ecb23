"""Differences of two versions on every engine: a wider type and the sign of zero change no row, renames are seen."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from core.delta.diff import diff_versions
from core.delta.engine import DeltaEngine
from core.delta.spark.engine import SparkEngine
from core.entities import Field, FieldChange, Table
from core.errors import ColumnNotFound
from tests.contract.engines import DELTA_RS, SPARK, Kind, opened, parameters
from tests.foreign.handmade import HandmadeTable, column


@pytest.fixture(scope="module", params=parameters(is_spark_slow=True))
def kind(request: pytest.FixtureRequest) -> Kind:
    return request.param


@pytest.fixture(scope="module")
def engine(kind: Kind, request: pytest.FixtureRequest) -> DeltaEngine:
    return opened(kind, request)


def counts(engine: DeltaEngine, table: Table, key: str | None = None) -> tuple[int, int, int | None]:
    """Rows added, removed and changed from version 0 to 1, after a check that the way back says the same."""
    there, back = (diff_versions(engine, table, a, b, key=key) for a, b in ((0, 1), (1, 0)))
    assert (there.rows_added, there.rows_removed) == (back.rows_removed, back.rows_added)
    assert there.rows_changed == back.rows_changed
    return there.rows_added, there.rows_removed, there.rows_changed


WIDENED: dict[str, tuple[pa.DataType, pa.DataType, list[Any]]] = {
    "int to bigint": (pa.int32(), pa.int64(), [1, 2]),
    "short to double": (pa.int16(), pa.float64(), [1, 2]),
    "float to double": (pa.float32(), pa.float64(), [0.5, -0.25]),
    "decimal": (pa.decimal128(5, 2), pa.decimal128(9, 4), [Decimal("1.50"), Decimal("2.00")]),
    "bigint to double": (pa.int64(), pa.float64(), [1, 2]),
    "within a list": (pa.list_(pa.int32()), pa.list_(pa.int64()), [[1], [2, 3]]),
}


@pytest.mark.parametrize(("narrow", "wide", "values"), WIDENED.values(), ids=WIDENED)
def test_wider_type_changes_no_row(
    engine: DeltaEngine, tmp_path: Path, narrow: pa.DataType, wide: pa.DataType, values: list[Any]
) -> None:
    table = Table(name="t", uri=str(tmp_path / "t"))
    for type_ in (narrow, wide):
        engine.write(table, pa.table({"id": [1, 2], "x": pa.array(values, narrow).cast(type_)}), mode="overwrite")
    assert counts(engine, table) == (0, 0, None)
    assert counts(engine, table, "id") == (0, 0, 0)
    assert [change.name for change in diff_versions(engine, table, 0, 1).fields_changed] == ["x"]


def test_float_that_is_read_as_a_double_is_the_same_value(engine: DeltaEngine, tmp_path: Path) -> None:
    table = Table(name="t", uri=str(tmp_path / "t"))
    floats = pa.array([0.1, 3.3], pa.float32())
    for values in (floats, floats.cast(pa.float64())):
        engine.write(table, pa.table({"x": values}), mode="overwrite")
    assert counts(engine, table) == (0, 0, None)
    engine.write(table, pa.table({"x": [0.1, 3.3]}), mode="overwrite")
    assert diff_versions(engine, table, 0, 2).rows_added == 2, "0.1 is another number than the float 0.1"


def test_date_and_its_midnight_are_the_same_value(engine: DeltaEngine, tmp_path: Path) -> None:
    made = HandmadeTable(tmp_path / "t")
    days = made.add(pa.table({"d": [date(2026, 1, 31)]}))
    made.create([column("d", "date")], days)
    moments = made.add(pa.table({"d": pa.array([datetime(2026, 1, 31)], pa.timestamp("us"))}))
    gone = {"remove": {"path": days["add"]["path"], "deletionTimestamp": 1_700_000_000_000, "dataChange": True}}
    features = made.protocol(features=["timestampNtz"])
    made.commit(features, made.metadata([column("d", "timestamp_ntz")]), gone, moments)
    assert counts(engine, Table(name="t", uri=made.uri)) == (0, 0, None)


def test_sign_of_zero_and_nan_change_no_row(engine: DeltaEngine, tmp_path: Path) -> None:
    table = Table(name="t", uri=str(tmp_path / "t"))
    for zero in (0.0, -0.0):
        data = {"id": [1, 2, 3], "x": [zero, float("nan"), None], "l": [[zero], [float("nan")], None]}
        engine.write(table, pa.table(data), mode="overwrite")
    assert counts(engine, table) == (0, 0, None)
    assert counts(engine, table, "id") == (0, 0, 0)


def test_large_integer_is_not_its_rounded_double(engine: DeltaEngine, tmp_path: Path) -> None:
    table = Table(name="t", uri=str(tmp_path / "t"))
    engine.write(table, pa.table({"x": [2**53 + 1]}), mode="overwrite")
    engine.write(table, pa.table({"x": [float(2**53)]}), mode="overwrite")
    assert counts(engine, table) == (1, 1, None)


def mapped(name: str, physical: str, number: int, kind: str = "long") -> dict[str, Any]:
    names = {"delta.columnMapping.id": number, "delta.columnMapping.physicalName": physical}
    return {"name": name, "type": kind, "nullable": True, "metadata": names}


def test_renamed_column_is_a_rename_and_its_rows_are_compared(engine: DeltaEngine, tmp_path: Path) -> None:
    made = HandmadeTable(tmp_path / "t")
    mode = {"delta__columnMapping__mode": "name", "delta__columnMapping__maxColumnId": "3"}
    rows = made.add(pa.table({"col-1": [1, 2], "col-2": [10, 20]}))
    before = [mapped("id", "col-1", 1), mapped("x", "col-2", 2)]
    made.commit(made.protocol(2, 5), made.metadata(before, **mode), rows)
    # x is now called id, id is called key, and another column has the name x
    after = [mapped("key", "col-1", 1), mapped("id", "col-2", 2), mapped("x", "col-3", 3)]
    made.commit(made.metadata(after, **mode))
    made.commit(made.add(pa.table({"col-1": [3], "col-2": [30], "col-3": [1]})))
    table = Table(name="t", uri=made.uri)
    found = diff_versions(engine, table, 0, 1)
    assert found.fields_renamed == (("id", "key"), ("x", "id"))
    assert (found.fields_added, found.fields_removed, found.fields_changed) == ((Field(name="x", type="long"),), (), ())
    assert (found.rows_added, found.rows_removed) == (0, 0)
    assert diff_versions(engine, table, 1, 0).fields_renamed == (("key", "id"), ("id", "x"))
    for key in ("key", "id"):
        more = diff_versions(engine, table, 0, 2, key=key)
        assert (more.rows_added, more.rows_removed, more.rows_changed) == (1, 0, 0)
    with pytest.raises(ColumnNotFound, match="Both have: key, id"):
        diff_versions(engine, table, 0, 1, key="nowhere")


def test_other_changes_of_a_type_are_compared_as_text(engine: DeltaEngine, tmp_path: Path) -> None:
    table = Table(name="t", uri=str(tmp_path / "t"))
    engine.write(table, pa.table({"x": [1, 2]}), mode="overwrite")
    engine.write(table, pa.table({"x": ["1", "two"]}), mode="overwrite")
    assert counts(engine, table) == (1, 1, None)
    changed = diff_versions(engine, table, 0, 1).fields_changed
    assert changed == (FieldChange(name="x", before="long", after="string"),)


@pytest.mark.spark
def test_columns_that_delta_spark_renamed_and_widened(request: pytest.FixtureRequest, tmp_path: Path) -> None:
    spark = opened(SPARK, request)
    assert isinstance(spark, SparkEngine)
    table = Table(name="t", uri=str(tmp_path / "t"))
    name, run = f"delta.`{table.uri}`", spark.session.sql
    mapping = "TBLPROPERTIES('delta.columnMapping.mode' = 'name')"
    run(f"CREATE TABLE {name} (id INT, x FLOAT, k STRING) USING delta {mapping}")
    run(f"INSERT INTO {name} VALUES (1, CAST(0.1 AS FLOAT), 'a'), (2, CAST('-0.0' AS FLOAT), 'b')")
    run(f"ALTER TABLE {name} RENAME COLUMN k TO kind")
    for engine in (spark, opened(DELTA_RS, request)):
        renamed = diff_versions(engine, table, 1, 2, key="id")
        assert renamed.fields_renamed == (("k", "kind"),)
        assert (renamed.fields_added, renamed.fields_removed, renamed.fields_changed) == ((), (), ())
        assert (renamed.rows_added, renamed.rows_removed, renamed.rows_changed) == (0, 0, 0), engine.name
    run(f"ALTER TABLE {name} SET TBLPROPERTIES('delta.enableTypeWidening' = 'true')")
    run(f"ALTER TABLE {name} ALTER COLUMN id TYPE BIGINT")
    run(f"ALTER TABLE {name} ALTER COLUMN x TYPE DOUBLE")
    run(f"UPDATE {name} SET x = 0.0 WHERE id = 2")
    # The embedded engine does not read the feature: core.delta.table_features.
    widened = diff_versions(spark, table, 1, 6, key="id")
    assert [(c.name, c.before, c.after) for c in widened.fields_changed] == [
        ("id", "integer", "long"),
        ("x", "float", "double"),
    ]
    assert widened.fields_renamed == (("k", "kind"),)
    assert (widened.rows_added, widened.rows_removed, widened.rows_changed) == (0, 0, 0)
