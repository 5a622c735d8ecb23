"""The same engine on a real standalone cluster and over a real Spark Connect server."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

from core.delta.delta_rs import DeltaRsEngine
from core.delta.spark import SparkEngine
from core.entities import Table
from core.errors import CommitConflict, VersionNotFound

pytestmark = pytest.mark.spark

FIRST = pa.table({"id": [1, 2, 3], "name": ["a", "b", "c"]})
SECOND = pa.table({"id": [4], "name": ["d"]})


def walk(engine: SparkEngine, table: Table) -> None:
    """Writes, travels, counts, writes once, and is read by the other engine."""
    assert engine.write(table, FIRST, mode="append", metadata={"modelledger.actor": "x"}) == 0
    assert engine.write(table, SECOND, mode="append", transaction="once") == 1
    assert engine.write(table, SECOND, mode="append", transaction="once") == 1
    assert engine.latest_version(table) == 1
    assert sorted(engine.read(table, version=0).column("id").to_pylist()) == [1, 2, 3]
    assert engine.count(table) == 4
    assert [(c.version, c.rows_added) for c in engine.history(table)] == [(1, 1), (0, 3)]
    assert engine.history(table)[1].metadata["modelledger.actor"] == "x"
    assert engine.readable(table, 0).is_readable
    with pytest.raises(CommitConflict):
        engine.write(table, SECOND, mode="append", expected_version=0)
    with pytest.raises(VersionNotFound, match="0–1"):
        engine.snapshot(table, version=9)
    other = DeltaRsEngine()
    assert other.count(table) == 4
    assert sorted(other.read(table).column("name").to_pylist()) == ["a", "b", "c", "d"]


def test_on_a_standalone_cluster(cluster: object, tmp_path: Path) -> None:
    walk(SparkEngine(cluster.url), Table(name="t", uri=str(tmp_path / "t")))  # type: ignore[attr-defined]


def test_over_spark_connect(connect_url: str, tmp_path: Path) -> None:
    walk(SparkEngine(connect_url), Table(name="t", uri=str(tmp_path / "t")))
