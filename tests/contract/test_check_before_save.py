"""The check before a save, on every engine: the same columns fit and the same warnings are given."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

from core.delta.engine import DeltaEngine
from core.entities import Table
from core.features.data.check_before_save import check_file
from core.features.data.file_formats.csv_format import FileReport
from core.features.data.file_reader import FileRows
from tests.contract.engines import Kind, opened, parameters
from tests.foreign.handmade import HandmadeTable, column


@pytest.fixture(scope="module", params=parameters(is_spark_slow=True))
def kind(request: pytest.FixtureRequest) -> Kind:
    return request.param


@pytest.fixture(scope="module")
def engine(kind: Kind, request: pytest.FixtureRequest) -> DeltaEngine:
    return opened(kind, request)


def test_columns_and_rows_are_compared_with_the_latest_version(engine: DeltaEngine, tmp_path: Path) -> None:
    table = Table(name="t", uri=str(tmp_path / "t"))
    stored = {"id": [1, 2, 3], "x": [1.0, 2.0, 3.0], "kind": ["a", "b", "a"], "tags": [["x"], None, []]}
    engine.write(table, pa.table(stored), mode="append")
    schema = engine.read(table, version=0, limit=0).schema
    data = pa.table({"id": [3, 4, 4], "x": [3.0, 900.0, 900.0], "kind": ["a", "c", "c"], "tags": [[], ["y"], ["y"]]})
    rows = FileRows(table=data.cast(schema), report=FileReport())
    check = check_file(engine, table, 0, schema, rows, mode="append", new=False)
    assert all(column.fits for column in check.columns)
    assert [(warning.kind, warning.column) for warning in check.warnings] == [
        ("out_of_range", "x"),
        ("new_values", "kind"),
        ("repeated_rows", None),
        ("rows_in_table", None),
    ]
    assert check.compared_rows == 3


def test_missing_column_is_a_warning_or_a_refusal(engine: DeltaEngine, tmp_path: Path) -> None:
    made = HandmadeTable(tmp_path / "strict")
    made.create([column("id", "long"), column("a", "string"), column("b", "string", nullable=False)])
    table = Table(name="strict", uri=made.uri)
    schema = engine.read(table, version=0, limit=0).schema
    rows = FileRows(table=pa.table({"id": [1]}), report=FileReport())
    check = check_file(engine, table, 0, schema, rows, mode="append", new=False)
    assert [(column.name, column.fits, column.warning) for column in check.columns] == [
        ("id", True, None),
        ("a", True, "missing_column"),
        ("b", False, None),
    ]
