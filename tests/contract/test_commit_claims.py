"""What Delta Spark and delta-rs record about a commit reads the same in the log and in DESCRIBE HISTORY."""

from __future__ import annotations

from pathlib import Path

import deltalake
import pyarrow as pa
import pytest

from core.delta.delta_rs.engine import DeltaRsEngine
from core.delta.spark import describe
from core.delta.spark.engine import SparkEngine
from core.entities import Commit, Table
from tests.contract.engines import SPARK, opened

pytestmark = [pytest.mark.spark, pytest.mark.slow]


@pytest.fixture(scope="module")
def spark(request: pytest.FixtureRequest) -> SparkEngine:
    engine = opened(SPARK, request)
    assert isinstance(engine, SparkEngine)
    return engine


def both(spark: SparkEngine, table: Table) -> list[Commit]:
    """The commits, oldest first, after a check that both ways to read them agree on all claims."""
    from_log = DeltaRsEngine().history(table)
    from_spark = describe.history(spark.session, table, None)
    for commit, other in zip(from_log, from_spark, strict=True):
        assert commit.details == other.details
        assert (commit.rows_added, commit.rows_removed) == (other.rows_added, other.rows_removed)
        assert (commit.operation, commit.user, commit.metadata) == (other.operation, other.user, other.metadata)
    return list(from_log[::-1])


def test_claims_of_delta_spark(spark: SparkEngine, tmp_path: Path) -> None:
    table = Table(name="t", uri=str(tmp_path / "t"))
    name, run = f"delta.`{table.uri}`", spark.session.sql
    run(f"CREATE TABLE {name} (id INT, k STRING) USING delta")
    run(f"INSERT INTO {name} SELECT CAST(id AS INT), 'a' FROM range(0, 10, 1, 1)")
    run(f"UPDATE {name} SET k = 'b' WHERE id < 3")
    run(f"DELETE FROM {name} WHERE id = 9")
    run(
        f"MERGE INTO {name} t USING (SELECT CAST(id AS INT) AS id FROM range(5, 15)) s ON t.id = s.id "
        "WHEN MATCHED AND t.id = 5 THEN DELETE WHEN MATCHED THEN UPDATE SET k = 'm' "
        "WHEN NOT MATCHED THEN INSERT (id, k) VALUES (s.id, 'new') "
        "WHEN NOT MATCHED BY SOURCE AND t.id = 0 THEN UPDATE SET k = 'z'"
    )
    row = run("SELECT CAST(1 AS INT) AS id, 'w' AS k").write.format("delta").mode("overwrite")
    row.option("replaceWhere", "id = 1").option("userMetadata", "hello <b>").save(table.uri)
    rows = spark.session.read.format("delta").load(table.uri).repartition(1)
    rows.write.format("delta").mode("overwrite").option("dataChange", "false").save(table.uri)
    commits = both(spark, table)
    assert [(commit.operation, commit.rows_added, commit.rows_removed) for commit in commits] == [
        ("CREATE TABLE", None, None),
        ("WRITE", 10, None),
        ("UPDATE", 3, 3),
        ("DELETE", None, 1),
        ("MERGE", 10, 5),  # 6 inserted, 3 + 1 updated, 1 deleted; 4 copied
        ("WRITE", 1, 1),  # 13 rows of the same file copied
        ("WRITE", 0, 0),  # the same rows in another file
    ]
    merge = commits[4].details
    assert "delete" in merge.parameters["matchedPredicates"]
    assert (merge.read_version, merge.isolation_level, merge.is_blind_append) == (3, "Serializable", False)
    assert commits[5].metadata == {"userMetadata": "hello <b>"}
    assert commits[5].details.parameters["predicate"] == "id = 1"


def test_claims_of_delta_rs(spark: SparkEngine, tmp_path: Path) -> None:
    table = Table(name="t", uri=str(tmp_path / "t"))
    deltalake.write_deltalake(table.uri, pa.table({"id": [1, 2, 3], "x": ["a", "b", "c"]}))
    deltalake.DeltaTable(table.uri).update(predicate="id = 1", updates={"x": "'z'"})
    deltalake.DeltaTable(table.uri).delete("id = 2")
    source = pa.table({"id": [1, 9], "x": ["q", "r"]})
    merge = deltalake.DeltaTable(table.uri).merge(source, predicate="t.id = s.id", source_alias="s", target_alias="t")
    merge.when_matched_update({"x": "s.x"}).when_not_matched_insert({"id": "s.id", "x": "s.x"}).execute()
    deltalake.write_deltalake(table.uri, pa.table({"id": [1], "x": ["a"]}), mode="overwrite", predicate="id = 1")
    commits = both(spark, table)
    assert [(commit.operation, commit.rows_added, commit.rows_removed) for commit in commits] == [
        ("WRITE", 3, None),
        ("UPDATE", 1, 1),
        ("DELETE", None, 1),
        ("MERGE", 2, 1),
        ("WRITE", 1, None),
    ]
    assert commits[2].details.parameters == {"predicate": "id = 2"}
