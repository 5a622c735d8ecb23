"""The verdict on versions that other writers left: whether this engine can return the rows, and why not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from core.delta.delta_rs.engine import DeltaRsEngine
from core.delta.engine import DeltaEngine
from core.delta.spark.engine import SparkEngine
from core.entities import Readability, Table
from core.errors import LogCorrupt
from tests.contract.engines import SPARK, Kind, opened, parameters
from tests.foreign.handmade import HandmadeTable, column

FIELDS = [column("id", "long")]


@pytest.fixture(params=parameters())
def engine(request: pytest.FixtureRequest) -> DeltaEngine:
    kind: Kind = request.param
    return opened(kind, request)


def ids(*values: int) -> pa.Table:
    return pa.table({"id": pa.array(values, pa.int64())})


def live_table(root: Path) -> Table:
    """A Delta Live Table of Databricks: version 0 describes the table without its columns."""
    table = HandmadeTable(root)
    first: dict[str, Any] = table.metadata(FIELDS)
    del first["metaData"]["schemaString"]
    table.commit(table.protocol(), first)
    table.commit(table.metadata(FIELDS), table.add(ids(1, 2), stats={"numRecords": 2}))
    table.commit(table.add(ids(3), stats={"numRecords": 1}))
    return Table(name="live", uri=table.uri)


def test_live_table_without_columns_at_first_has_a_history_and_later_versions(
    engine: DeltaEngine, tmp_path: Path
) -> None:
    table = live_table(tmp_path / "live")
    assert [commit.version for commit in engine.history(table)] == [2, 1, 0]
    assert [(snapshot.version, snapshot.rows) for snapshot in engine.snapshots(table)] == [(2, 3), (1, 2)]
    assert [field.name for field in engine.snapshot(table, version=1).schema] == ["id"]
    with pytest.raises(LogCorrupt, match="no commit up to version 0 describes the table's columns"):
        engine.snapshot(table, version=0)
    verdict = engine.readable(table, 0)
    assert (verdict.verdict, "describes the table's columns" in verdict.reason) == (Readability.UNKNOWN, True)


def test_embedded_engine_refuses_the_rows_of_a_live_table_with_the_reason(
    tmp_path: Path,
) -> None:
    verdict = DeltaRsEngine().readable(live_table(tmp_path / "live"), 2)
    assert verdict.verdict is Readability.REFUSED
    assert "Delta Live Tables" in verdict.reason
    assert "MODELLEDGER_ENGINE=spark" in verdict.reason


@pytest.mark.spark
def test_spark_reads_the_rows_of_a_live_table(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    engine = opened(SPARK, request)
    assert isinstance(engine, SparkEngine)
    table = live_table(tmp_path / "live")
    assert engine.readable(table, 2).verdict is Readability.READABLE
    assert sorted(engine.read(table).column("id").to_pylist()) == [1, 2, 3]
