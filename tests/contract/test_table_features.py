"""Each table feature, on tables that Spark made: read by both engines, written to by those that say so, or refused."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from core.delta import table_features
from core.delta.delta_rs.engine import DeltaRsEngine
from core.delta.engine import DeltaEngine
from core.delta.table_features import FEATURES, Support
from core.entities import Readability, Table
from core.errors import FeatureUnsupported, TimeTravelRefused
from tests.contract.engines import SPARK, opened

pytestmark = pytest.mark.spark

# How each feature comes into a table; {t} is the table. Rows are always (1, "a") and (2, "b") in the end, and 0 → 1 → 2
# or more versions. What a writer must be handed is id and name.
MAKE: dict[str, tuple[str, ...]] = {
    "deletionVectors": (
        "CREATE TABLE {t} (id BIGINT, name STRING) USING delta TBLPROPERTIES ('delta.enableDeletionVectors' = 'true')",
        "INSERT INTO {t} SELECT /*+ COALESCE(1) */ * FROM VALUES (1L, 'a'), (2L, 'b'), (3L, 'c')",
        "DELETE FROM {t} WHERE id = 3",
    ),
    "columnMapping": (
        "CREATE TABLE {t} (id BIGINT, old STRING) USING delta TBLPROPERTIES ('delta.columnMapping.mode' = 'name')",
        "INSERT INTO {t} VALUES (1L, 'a'), (2L, 'b')",
        "ALTER TABLE {t} RENAME COLUMN old TO name",
    ),
    "v2Checkpoint": (
        "CREATE TABLE {t} (id BIGINT, name STRING) USING delta "
        "TBLPROPERTIES ('delta.checkpointPolicy' = 'v2', 'delta.checkpointInterval' = '2')",
        "INSERT INTO {t} VALUES (1L, 'a')",
        "INSERT INTO {t} VALUES (2L, 'b')",
    ),
    "rowTracking": (
        "CREATE TABLE {t} (id BIGINT, name STRING) USING delta TBLPROPERTIES ('delta.enableRowTracking' = 'true')",
        "INSERT INTO {t} VALUES (1L, 'a'), (2L, 'b')",
    ),
    "changeDataFeed": (
        "CREATE TABLE {t} (id BIGINT, name STRING) USING delta TBLPROPERTIES ('delta.enableChangeDataFeed' = 'true')",
        "INSERT INTO {t} VALUES (1L, 'a'), (2L, 'x')",
        "UPDATE {t} SET name = 'b' WHERE id = 2",
    ),
    "generatedColumns": (),  # made by DataFrames' builder alone: below
}
ROWS = [{"id": 1, "name": "a"}, {"id": 2, "name": "b"}]


@pytest.fixture(scope="module")
def spark(request: pytest.FixtureRequest) -> DeltaEngine:
    return opened(SPARK, request)


def made(spark: DeltaEngine, feature: str, place: Path) -> Table:
    table = Table(name=feature, uri=str(place / feature))
    for statement in MAKE[feature]:
        spark.session.sql(statement.format(t=f"delta.`{table.uri}`")).collect()  # type: ignore[attr-defined]
    return table


@pytest.mark.parametrize("feature", [name for name in MAKE if MAKE[name]])
def test_a_feature_is_read_alike_and_written_or_refused_by_its_name(
    spark: DeltaEngine, feature: str, tmp_path: Path
) -> None:
    table = made(spark, feature, tmp_path)
    engines: tuple[DeltaEngine, ...] = (spark, DeltaRsEngine())
    latest = spark.latest_version(table)
    assert feature in spark.snapshot(table).features
    for engine in engines:
        assert FEATURES[feature][engine.name] is not Support.NONE
        rows = sorted(engine.read(table).to_pylist(), key=lambda row: row["id"])
        assert rows == ROWS, engine.name
        assert engine.count(table) == 2
        assert [commit.version for commit in engine.history(table)] == list(range(latest, -1, -1))
        verdicts = {engine.readable(table, version).verdict for version in range(latest + 1)}
        assert verdicts == {Readability.READABLE}
    same = [engine.content(table).sha256 for engine in engines]
    assert same[0] == same[1]
    assert [c.operation for c in spark.history(table)] == [c.operation for c in DeltaRsEngine().history(table)]
    for engine in engines:
        before = spark.latest_version(table)
        more = engine.read(table, limit=1)
        if FEATURES[feature][engine.name] is Support.FULL:
            assert engine.write(table, more, mode="append") > before
            assert [one.count(table) for one in engines] == [engine.count(table)] * 2
        else:
            with pytest.raises(FeatureUnsupported, match=feature) as refused:
                engine.write(table, more, mode="append")
            assert f"which {engine.name} cannot write to" in str(refused.value)
            assert spark.latest_version(table) == before


def test_a_generated_column_is_filled_by_its_table(spark: DeltaEngine, tmp_path: Path) -> None:
    """DeltaTable's builder is Spark's only way to make one outside a catalog."""
    from delta.tables import DeltaTable

    table = Table(name="generated", uri=str(tmp_path / "generated"))
    builder = DeltaTable.create(spark.session).location(table.uri).addColumn("id", "BIGINT")  # type: ignore[attr-defined]
    builder.addColumn("double_id", "BIGINT", generatedAlwaysAs="id * 2").execute()
    for value in (1, 2):
        spark.session.sql(f"INSERT INTO delta.`{table.uri}` (id) VALUES ({value}L)").collect()  # type: ignore[attr-defined]
    for engine in (spark, DeltaRsEngine()):
        assert "generatedColumns" in engine.snapshot(table).features
        rows = sorted(engine.read(table).to_pylist(), key=lambda row: row["id"])
        assert rows == [{"id": 1, "double_id": 2}, {"id": 2, "double_id": 4}]
        assert engine.history(table)[0].rows_added == 1


def test_time_travel_past_the_retention_is_refused_by_spark_and_read_by_delta_rs(
    spark: DeltaEngine, tmp_path: Path
) -> None:
    table = Table(name="old", uri=str(tmp_path / "old"))
    name = f"delta.`{table.uri}`"
    retention = "'delta.deletedFileRetentionDuration' = 'interval 1 second'"
    spark.session.sql(f"CREATE TABLE {name} (id BIGINT) USING delta TBLPROPERTIES ({retention})").collect()  # type: ignore[attr-defined]
    for value in (1, 2):
        spark.session.sql(f"INSERT INTO {name} VALUES ({value}L)").collect()  # type: ignore[attr-defined]
    time.sleep(2)  # the retention, and its whole second
    verdict = spark.readable(table, 1)
    assert verdict.verdict is Readability.REFUSED
    assert "delta.deletedFileRetentionDuration" in verdict.reason
    with pytest.raises(TimeTravelRefused, match="Read it with the embedded engine, or raise that table property"):
        spark.read(table, version=1)
    embedded = DeltaRsEngine()
    assert embedded.readable(table, 1).verdict is Readability.READABLE
    assert embedded.read(table, version=1).to_pylist() == [{"id": 1}]
    assert [engine.count(table) for engine in (spark, embedded)] == [2, 2]


def test_every_feature_that_the_issue_names_is_in_the_table_of_support() -> None:
    assert set(MAKE) <= set(FEATURES)
    assert {engine for support in FEATURES.values() for engine in support} == {
        table_features.DELTA_RS,
        table_features.SPARK,
    }
