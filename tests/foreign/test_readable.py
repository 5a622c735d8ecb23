"""The verdict on versions that other writers left: whether this engine can return the rows, and why not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from core.delta.delta_rs.engine import DeltaRsEngine
from core.delta.engine import DeltaEngine
from core.delta.log.log_files import LocalFiles, StoreFiles
from core.delta.log.stored_files import stored_files
from core.delta.log.table_log import Log
from core.delta.spark.engine import SparkEngine
from core.entities import Readability, Table
from core.errors import FeatureUnsupported, FilesChanged, LogCorrupt
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


def one_file(root: Path) -> tuple[Table, Path]:
    table = HandmadeTable(root)
    added = table.add(ids(1, 2), stats={"numRecords": 2})
    table.create(FIELDS, added)
    return Table(name="t", uri=table.uri), root / added["add"]["path"]


@pytest.mark.parametrize("change", ["cut", "replaced", "longer"])
def test_data_file_of_another_size_is_not_readable(engine: DeltaEngine, tmp_path: Path, change: str) -> None:
    table, path = one_file(tmp_path / "t")
    size = path.stat().st_size
    assert engine.readable(table, 0).verdict is Readability.READABLE
    if change == "cut":
        path.write_bytes(path.read_bytes()[:300])
    elif change == "replaced":
        pq.write_table(ids(*range(100)), path)
    else:
        path.write_bytes(path.read_bytes() + b"0")
    verdict = engine.readable(table, 0)
    assert verdict.verdict is Readability.FILES_CHANGED
    assert f"{path.name} has {path.stat().st_size} bytes in storage and {size} bytes in the log" in verdict.reason


def test_read_that_fails_on_a_cut_file_names_the_file_and_its_sizes(tmp_path: Path) -> None:
    table, path = one_file(tmp_path / "t")
    path.write_bytes(path.read_bytes()[:300])
    with pytest.raises(FilesChanged, match=f"{path.name} has 300 bytes in storage"):
        DeltaRsEngine().read(table)


def test_store_compares_sizes_too(tmp_path: Path) -> None:
    table, path = one_file(tmp_path / "t")
    log = Log(table, StoreFiles(Path(table.uri).as_uri()))
    files = list(stored_files(log.data_files(0)))
    assert log.files.find_damage(files) is None
    path.write_bytes(path.read_bytes()[:300])
    for listed in (files, files * 100):  # asked one by one, and from a list
        found = log.files.find_damage(listed)
        assert found is not None
        assert (found.short_name, found.found_bytes) == (path.name, 300)


@pytest.mark.parametrize(("size", "is_readable"), [(None, False), (51, False), (52, True), (99, True)])
def test_file_of_a_deletion_vector_holds_at_least_the_vector(
    tmp_path: Path, size: int | None, is_readable: bool
) -> None:
    """The vector begins at byte 5 with 4 bytes of length; 39 bytes of data and a checksum of 4 bytes follow."""
    table = HandmadeTable(tmp_path / "t")
    added = table.add(ids(1, 2))
    vector = tmp_path / "t" / "deletion vectors.bin"
    described = {"storageType": "p", "pathOrInlineDv": vector.as_uri(), "offset": 5, "sizeInBytes": 39}
    added["add"]["deletionVector"] = {**described, "cardinality": 1}
    table.create(FIELDS, added)
    if size is not None:
        vector.write_bytes(b"0" * size)
    log = Log(Table(name="t", uri=table.uri), LocalFiles(table.uri))
    found = log.files.find_damage(stored_files(log.data_files(0)))
    assert (found is None) is is_readable
    if found is not None:
        assert (found.short_name, found.found_bytes) == (vector.name, size)


def clone_of_a_table_partitioned_by_time(root: Path) -> tuple[HandmadeTable, Path]:
    """A shallow clone as Spark writes it: absolute URIs, in which a partition folder is escaped twice."""
    source, clone = HandmadeTable(root / "source"), HandmadeTable(root / "clone")
    fields = [column("id", "long"), column("d", "timestamp")]
    added = source.add(ids(1, 2), folder="d=2026-11-05 10%3A20%3A00", partition={"d": "2026-11-05 10:20:00"})
    logged = added["add"]["path"]
    assert logged == "d=2026-11-05%2010%253A20%253A00/part-00000.parquet"
    source.create(fields, added, partitions=["d"])
    clone.create(fields, {"add": {**added["add"], "path": f"file:{source.root}/{logged}"}}, partitions=["d"])
    return clone, source.root / "d=2026-11-05 10%3A20%3A00" / "part-00000.parquet"


def test_shallow_clone_of_a_table_partitioned_by_time_is_readable(engine: DeltaEngine, tmp_path: Path) -> None:
    clone, path = clone_of_a_table_partitioned_by_time(tmp_path)
    table = Table(name="clone", uri=clone.uri)
    assert engine.readable(table, 0).verdict is Readability.READABLE
    assert sorted(engine.read(table).column("id").to_pylist()) == [1, 2]
    path.unlink()
    assert engine.readable(table, 0).verdict is Readability.FILES_VACUUMED


def test_files_of_a_shallow_clone_in_a_store_are_checked(tmp_path: Path) -> None:
    clone, path = clone_of_a_table_partitioned_by_time(tmp_path)
    log = Log(Table(name="clone", uri=clone.uri), StoreFiles(clone.root.as_uri()))
    files = list(stored_files(log.data_files(0)))
    assert log.files.find_damage(files) is log.files.find_damage(files * 100) is None
    path.unlink()
    for listed in (files, files * 100):
        found = log.files.find_damage(listed)
        assert found is not None
        assert (found.file.name, found.found_bytes) == (str(path), None)


@pytest.mark.parametrize("name", ["a b", "50% off", "hash#1", "what?", "ü"])
def test_folder_with_special_characters_is_written_and_read(engine: DeltaEngine, tmp_path: Path, name: str) -> None:
    table = Table(name="t", uri=str(tmp_path / name))
    assert [engine.write(table, ids(number), mode="append") for number in (1, 2)] == [0, 1]
    assert sorted(engine.read(table).column("id").to_pylist()) == [1, 2]
    assert engine.readable(table, 1).verdict is Readability.READABLE
    assert [path.name for path in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("name", ["per%20cent", "per%cent", "a%2Fb"])
@pytest.mark.parametrize("as_uri", [False, True])
def test_folder_with_an_escaped_character_is_refused_before_anything_is_written(
    tmp_path: Path, name: str, as_uri: bool
) -> None:
    """deltalake 1.6.6 decodes the path of a table once more, and would write to one folder and read another."""
    place = tmp_path / name
    table = Table(name="t", uri=place.as_uri() if as_uri else str(place))
    with pytest.raises(FeatureUnsupported, match="Rename the folder"):
        DeltaRsEngine().write(table, ids(1), mode="append")
    assert not (place / "_delta_log").exists()
    made = HandmadeTable(place)
    made.create(FIELDS, made.add(ids(1, 2), stats={"numRecords": 2}))
    verdict = DeltaRsEngine().readable(table, 0)
    assert (verdict.verdict, name in verdict.reason) == (Readability.REFUSED, True)
    assert DeltaRsEngine().snapshot(table).rows == 2


@pytest.mark.spark
def test_spark_writes_and_reads_a_folder_with_an_escaped_character(
    tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    engine, table = opened(SPARK, request), Table(name="t", uri=str(tmp_path / "per%20cent"))
    assert engine.write(table, ids(1), mode="append") == 0
    assert engine.read(table).column("id").to_pylist() == [1]
    assert engine.readable(table, 0).verdict is Readability.READABLE
    assert [path.name for path in tmp_path.iterdir()] == ["per%20cent"]


OTHER_ENGINE = "Use the spark engine (MODELLEDGER_ENGINE=spark)"


@pytest.mark.parametrize(
    ("feature", "way_out"),
    [
        ("typeWidening", OTHER_ENGINE),
        ("typeWidening-preview", OTHER_ENGINE),
        ("variantShredding", OTHER_ENGINE),
        ("variantShredding-preview", OTHER_ENGINE),
        ("vacuumProtocolCheck", OTHER_ENGINE),
        ("catalogManaged", OTHER_ENGINE),
        ("catalogOwned-preview", OTHER_ENGINE),
        ("geospatial", ""),
        ("madeUp", ""),
    ],
)
def test_feature_that_the_embedded_engine_does_not_read_is_named_in_the_verdict_and_in_the_error(
    tmp_path: Path, feature: str, way_out: str
) -> None:
    made = HandmadeTable(tmp_path / "t")
    made.commit(made.protocol(features=[feature]), made.metadata(FIELDS), made.add(ids(1)))
    table, engine = Table(name="t", uri=made.uri), DeltaRsEngine()
    verdict = engine.readable(table, 0)
    assert verdict.verdict is Readability.REFUSED
    for read in (engine.read, engine.count):
        with pytest.raises(FeatureUnsupported) as refused:
            read(table)
        for reason in (verdict.reason, str(refused.value)):
            assert f"uses {feature}, which delta-rs cannot read" in reason
            assert way_out in reason


def test_protocol_that_deltalake_does_not_accept_is_a_verdict(tmp_path: Path) -> None:
    """A feature for writers alone is among the features for readers."""
    made = HandmadeTable(tmp_path / "t")
    made.commit(made.protocol(features=["rowTracking"]), made.metadata(FIELDS), made.add(ids(1)))
    verdict = DeltaRsEngine().readable(Table(name="t", uri=made.uri), 0)
    assert (verdict.verdict, "Invalid protocol" in verdict.reason) == (Readability.REFUSED, True)


def test_variants_within_other_types_are_read(tmp_path: Path) -> None:
    kind = pa.struct([pa.field("metadata", pa.binary(), False), pa.field("value", pa.binary(), False)])
    five = {"metadata": b"\x01\x00\x00", "value": b"\x0c\x05"}
    values = pa.array([[("a", five), ("b", None)], None], pa.map_(pa.string(), pa.field("value", kind)))
    made = HandmadeTable(tmp_path / "t")
    variants = {"type": "map", "keyType": "string", "valueType": "variant", "valueContainsNull": True}
    rows = pa.table({"id": pa.array([1, 2], pa.int64()), "v": values})
    described = made.metadata([*FIELDS, column("v", variants)])
    made.commit(made.protocol(features=["variantType"]), described, made.add(rows))
    read = DeltaRsEngine().read(Table(name="t", uri=made.uri)).to_pylist()
    assert read == [{"id": 1, "v": [("a", five), ("b", None)]}, {"id": 2, "v": None}]
