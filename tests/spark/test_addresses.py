"""Tables whose log this process does not read: Spark tells of them. And tables by URI and by name of a catalog."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import uuid4

import deltalake
import pyarrow as pa
import pytest

from core.delta.delta_rs.engine import DeltaRsEngine
from core.delta.log.table_log import Log
from core.delta.spark import thrift_server
from core.delta.spark import write as spark_write
from core.delta.spark.engine import SparkEngine
from core.entities import Readability, Table
from core.errors import CommitConflict, TableNotFound

pytestmark = [pytest.mark.spark, pytest.mark.slow]


class Asking(SparkEngine):
    """As over Connect: whatever it knows of a table it asks of Spark."""

    def _log(self, table: Table) -> Log | None:
        return None


@pytest.fixture(scope="module")
def spark(java: None) -> SparkEngine:
    return SparkEngine("local[2]")


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder for tables."""
    folder = tmp_path / "tables"
    folder.mkdir()
    return folder


@pytest.fixture(scope="module")
def asking(spark: SparkEngine) -> Asking:
    """In the session of *spark*."""
    return Asking(spark.settings.master)


def rows(*ids: int) -> pa.Table:
    return pa.table({"id": pa.array(ids, pa.int64()), "name": pa.array([f"n{i}" for i in ids], pa.string())})


def ids(data: pa.Table) -> list[int]:
    return sorted(data.column("id").to_pylist())


def test_version_whose_files_are_gone_hides_no_other(asking: Asking, place: Path) -> None:
    table = Table(name="loans", uri=str(place / "Kredite ü"))
    embedded = DeltaRsEngine()
    embedded.write(table, rows(1, 2), mode="append")
    lost = next(Path(table.uri).glob("*.parquet"))
    embedded.write(table, rows(3), mode="overwrite")
    lost.unlink()
    verdict = asking.readable(table, 0)
    assert (verdict.verdict, lost.name in verdict.reason) == (Readability.FILES_VACUUMED, True)
    assert asking.readable(table, 1).is_readable
    assert asking.readable(table, 7).verdict is Readability.LOG_EXPIRED
    newest, oldest = asking.snapshots(table)
    assert (newest.version, newest.rows, newest.files) == (1, 1, 1)
    assert newest.size_bytes == embedded.snapshot(table).size_bytes
    assert (oldest.version, oldest.files, oldest.size_bytes) == (0, 1, None)
    assert [field.name for field in oldest.schema] == ["id", "name"]
    with pytest.raises(TableNotFound):
        asking.readable(Table(name="none", uri=str(place / "none")), 0)


def test_version_that_spark_refuses_is_told_and_left_out_of_the_list(asking: Asking, place: Path) -> None:
    table = Table(name="old", uri=str(place / "old"))
    retention = {"delta.deletedFileRetentionDuration": "interval 1 second"}
    deltalake.write_deltalake(table.uri, rows(1), configuration=retention)
    deltalake.write_deltalake(table.uri, rows(2), mode="append")
    time.sleep(2)  # the retention, and its whole second
    verdict = asking.readable(table, 0)
    assert verdict.verdict is Readability.REFUSED
    assert "delta.deletedFileRetentionDuration" in verdict.reason
    assert [snapshot.version for snapshot in asking.snapshots(table)] == [1]


def test_history_of_the_embedded_engines_table_is_told_whole(asking: Asking, place: Path) -> None:
    table = Table(name="loans", uri=str(place / "loans"))
    embedded = DeltaRsEngine()
    claim = {"userName": "Zoë", "modelledger.actor": "Zoë <b>"}
    embedded.write(table, rows(1, 2, 3), mode="append", metadata=claim, transaction="batch-7")
    deltalake.DeltaTable(table.uri).update(updates={"name": "'x'"}, predicate="id > 1")
    merge = deltalake.DeltaTable(table.uri).merge(rows(3, 4), "s.id = t.id", source_alias="s", target_alias="t")
    merge.when_matched_update_all().when_not_matched_insert_all().execute()
    asking.write(table, rows(5), mode="append", transaction="batch-8", metadata={"source": "a.csv"})
    told, logged = asking.history(table), embedded.history(table)
    for one, other in zip(told, logged, strict=True):
        # Where only SQL reaches the log, the writer's own time of a commit is not known.
        assert one == replace(other, written_at=one.written_at)
    # A named write that the embedded engine made is known to one that is retried through Spark.
    assert asking.write(table, rows(1, 2, 3), mode="append", transaction="batch-7") == 0
    assert asking.latest_version(table) == 3


def second_try(commit: Callable[..., int | None]) -> Callable[..., int | None]:
    """What Delta says to an attempt whose forerunner's commit came while it was writing."""
    from pyspark.errors import PySparkException

    def write(*args: Any, **kwargs: Any) -> int | None:
        commit(*args, **kwargs)
        raise PySparkException(message="another transaction wrote", errorClass="DELTA_CONCURRENT_TRANSACTION")

    return write


def test_write_that_its_own_forerunner_made_meanwhile_is_done(
    spark: SparkEngine, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = Table(name="guessed", uri=str(place / "guessed"))
    spark.write(table, rows(1), mode="append")
    monkeypatch.setattr(spark_write, "commit", second_try(spark_write.commit))
    assert spark.write(table, rows(2), mode="append", transaction="batch-7") == 1
    with pytest.raises(CommitConflict):
        spark.write(table, rows(3), mode="append")


def test_writer_that_slips_in_between_keeps_its_rows_and_ours_are_taken_back(
    spark: SparkEngine, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = Table(name="loans", uri=str(place / "loans"))
    spark.write(table, rows(1), mode="append")
    commit = spark_write.commit

    def late(*args: Any, **kwargs: Any) -> int | None:
        DeltaRsEngine().write(table, rows(2), mode="append")
        return commit(*args, **kwargs)

    monkeypatch.setattr(spark_write, "commit", late)
    with pytest.raises(
        CommitConflict, match=r"another writer made version 1\. Version 2, which ModelLedger wrote after it, was undone"
    ) as refused:
        spark.write(table, rows(3), mode="overwrite", expected_version=0)
    assert "nothing was written" not in str(refused.value)
    assert ids(spark.read(table)) == [1, 2]
    assert [commit.operation for commit in spark.history(table, limit=1)] == ["RESTORE"]


def test_table_at_a_file_uri_is_the_folder_that_it_names(spark: SparkEngine, place: Path) -> None:
    folder = place / "Kredite ü"
    table = Table(name="loans", uri=folder.as_uri())
    assert spark.write(table, rows(1), mode="append", expected_version=-1) == 0
    assert spark.write(table, rows(2), mode="append") == 1
    assert (folder / "_delta_log").is_dir()
    assert ids(spark.read(table, version=0)) == [1]
    assert [commit.version for commit in spark.history(table)] == [1, 0]
    assert DeltaRsEngine().count(Table(name="loans", uri=str(folder))) == 2


def test_table_by_its_name_in_the_catalog_has_versions_and_a_history(spark: SparkEngine) -> None:
    name = f"loans_{uuid4().hex}"
    table = Table(name="loans", uri=f"spark_catalog.default.{name}")
    assert not spark.exists(table)
    try:
        assert spark.write(table, rows(1), mode="append", expected_version=-1) == 0
        assert spark.write(table, rows(2), mode="append", transaction="batch-7", metadata={"source": "a.csv"}) == 1
        assert spark.write(table, rows(2), mode="append", transaction="batch-7") == 1
        assert spark.write(table, rows(3), mode="overwrite") == 2
        assert [ids(spark.read(table, version=version)) for version in (0, 1, 2)] == [[1], [1, 2], [3]]
        assert [commit.version for commit in spark.history(table)] == [2, 1, 0]
        assert spark.history(table)[1].metadata == {"source": "a.csv", "transaction": "batch-7"}
        assert [snapshot.rows for snapshot in spark.snapshots(table)] == [1, 2, 1]
        assert spark.readable(table, 0).is_readable
        # The SQL endpoint serves it with its versions under its registered name; under its own it is there already.
        assert thrift_server._create(spark.session, Table(name=f"lent_{name}", uri=table.uri))
        assert spark.session.sql(f"SELECT id FROM lent_{name} VERSION AS OF 0").toArrow().to_pylist() == [{"id": 1}]
        assert not thrift_server._create(spark.session, Table(name=name, uri=table.uri))
        spark.session.sql(f"DROP TABLE lent_{name}")
        assert spark.count(table) == 1
    finally:
        spark.session.sql(f"DROP TABLE IF EXISTS {table.uri}")
