"""What the engine does wherever Spark is: each kind of master is walked through it."""

from __future__ import annotations

import pyarrow as pa
import pytest

from core.delta.delta_rs.engine import DeltaRsEngine
from core.delta.spark.engine import SparkEngine
from core.entities import Table
from core.errors import CommitConflict, VersionNotFound

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
