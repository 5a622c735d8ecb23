"""DeltaRsEngine beyond the contract: writers at once, and every error of deltalake in our words."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import deltalake.exceptions
import pyarrow as pa
import pytest

from core.delta.delta_rs.engine import DeltaRsEngine, translated
from core.entities import Readability, Table
from core.errors import (
    BadParameter,
    CommitConflict,
    CoreError,
    EngineFailed,
    FeatureUnsupported,
    FilesVacuumed,
    LogCorrupt,
    LogExpired,
    SchemaMismatch,
    StorageUnavailable,
    TableNotFound,
)


@pytest.fixture
def engine() -> DeltaRsEngine:
    return DeltaRsEngine()


@pytest.fixture
def table(tmp_path: Path) -> Table:
    return Table(name="loans", uri=str(tmp_path / "loans"))


def row(number: int) -> pa.Table:
    return pa.table({"id": pa.array([number], pa.int64())})


def at_once(works: list[Callable[[], object]]) -> list[object]:
    """What each returned or raised, each in a thread of its own."""

    def outcome(work: Callable[[], object]) -> object:
        try:
            return work()
        except CoreError as error:
            return error

    with ThreadPoolExecutor(len(works)) as pool:
        return list(pool.map(outcome, works))


def test_writers_at_once_each_learn_their_own_version(engine: DeltaRsEngine, table: Table) -> None:
    engine.write(table, row(-1), mode="append")
    numbers = range(12)
    versions = at_once(
        [lambda n=n: engine.write(table, row(n), mode="append", metadata={"n": str(n)}) for n in numbers]
    )
    told = {commit.version: commit.metadata.get("n") for commit in engine.history(table)}
    assert [told[version] for version in versions] == [str(n) for n in numbers]
    assert engine.read(table).num_rows == 13


def test_one_name_written_at_once_is_written_once(engine: DeltaRsEngine, table: Table) -> None:
    engine.write(table, row(0), mode="append")
    found = at_once([lambda: engine.write(table, row(7), mode="append", transaction="batch-7") for _ in range(6)])
    assert found == [1] * 6
    assert sorted(engine.read(table).column("id").to_pylist()) == [0, 7]


def test_of_those_who_expect_one_version_one_wins(engine: DeltaRsEngine, table: Table) -> None:
    engine.write(table, row(0), mode="append")
    found = at_once([lambda n=n: engine.write(table, row(n), mode="append", expected_version=0) for n in range(1, 6)])
    assert found.count(1) == 1
    assert sum(isinstance(one, CommitConflict) for one in found) == 4
    assert engine.latest_version(table) == 1


def test_those_who_make_a_table_at_once_all_keep_their_rows(engine: DeltaRsEngine, table: Table) -> None:
    found = at_once([lambda n=n: engine.write(table, row(n), mode="append") for n in range(4)])
    assert sorted(map(str, found)) == ["0", "1", "2", "3"]
    assert sorted(engine.read(table).column("id").to_pylist()) == [0, 1, 2, 3]


def test_of_those_who_expect_no_table_one_makes_it(engine: DeltaRsEngine, table: Table) -> None:
    found = at_once([lambda n=n: engine.write(table, row(n), mode="overwrite", expected_version=-1) for n in range(4)])
    assert found.count(0) == 1
    assert sum(isinstance(one, CommitConflict) for one in found) == 3


def test_null_in_a_column_that_takes_none_is_refused(engine: DeltaRsEngine, table: Table) -> None:
    strict = pa.schema([pa.field("id", pa.int64(), nullable=False)])
    engine.write(table, pa.table({"id": [1]}, schema=strict), mode="append")
    assert not engine.snapshot(table).schema[0].nullable
    with pytest.raises(CoreError):
        engine.write(table, pa.table({"id": pa.array([None], pa.int64())}), mode="append")
    assert engine.read(table).num_rows == 1


@pytest.mark.parametrize(
    "data",
    [
        pa.table({}),
        pa.table({"a": pa.nulls(2)}),
        pa.table([pa.array([1]), pa.array([1])], names=["a", "A"]),
        pa.table({"": [1]}),
        pa.table({"a": pa.array([1], pa.duration("s"))}),
    ],
    ids=["no columns", "only null", "names alike", "no name", "no type of Delta"],
)
def test_data_that_can_be_no_table_is_refused_in_words(engine: DeltaRsEngine, table: Table, data: pa.Table) -> None:
    with pytest.raises(SchemaMismatch, match="loans"):
        engine.write(table, data, mode="append")
    assert not engine.exists(table)


def test_failing_source_of_rows_writes_nothing_and_keeps_its_reason(engine: DeltaRsEngine, table: Table) -> None:
    def batches() -> object:
        yield from row(1).to_batches()
        raise BadParameter("line 2 is odd")

    reader = pa.RecordBatchReader.from_batches(row(1).schema, batches())
    with pytest.raises(BadParameter, match="line 2 is odd"):
        engine.write(table, reader, mode="append")
    assert not engine.exists(table)


def test_read_of_no_columns_is_refused(engine: DeltaRsEngine, table: Table) -> None:
    engine.write(table, row(1), mode="append")
    with pytest.raises(BadParameter):
        engine.read(table, columns=[])


@pytest.mark.parametrize("damage", ["dangling", "cut", "empty"])
def test_checkpoint_that_cannot_be_used_is_not_needed_where_all_commits_exist(
    engine: DeltaRsEngine, table: Table, damage: str
) -> None:
    log = Path(table.uri) / "_delta_log"
    for number in range(3):
        engine.write(table, row(number), mode="append")
    deltalake.DeltaTable(table.uri, version=1).create_checkpoint()
    checkpoint = log / f"{1:020d}.checkpoint.parquet"
    checkpoint.unlink() if damage == "dangling" else checkpoint.write_bytes(b"" if damage == "empty" else b"PAR1 cut")
    assert engine.read(table).num_rows == 3
    assert engine.read(table, version=1).num_rows == 2
    assert engine.readable(table, 2).verdict is Readability.READABLE
    assert [path.name for path in Path(table.uri).iterdir() if path.is_symlink()] == []


def test_checkpoint_that_cannot_be_used_is_named_where_a_commit_is_missing(engine: DeltaRsEngine, table: Table) -> None:
    log = Path(table.uri) / "_delta_log"
    for number in range(3):
        engine.write(table, row(number), mode="append")
    deltalake.DeltaTable(table.uri, version=1).create_checkpoint()
    assert engine.snapshot(table).rows == 3
    (log / f"{1:020d}.checkpoint.parquet").unlink()
    (log / f"{0:020d}.json").unlink()
    with pytest.raises((LogCorrupt, LogExpired)):
        engine.read(table)
    assert engine.readable(table, 2).verdict is not Readability.READABLE


def test_feature_that_the_engine_lacks_is_named(engine: DeltaRsEngine, table: Table) -> None:
    engine.write(table, row(1), mode="append")
    commit = Path(table.uri) / "_delta_log" / f"{0:020d}.json"
    features = '"readerFeatures":["timeTurner"],"writerFeatures":["timeTurner"]'
    newer = f'{{"protocol":{{"minReaderVersion":3,"minWriterVersion":7,{features}}}}}'
    lines = [newer if line.startswith('{"protocol"') else line for line in commit.read_text().splitlines()]
    commit.write_text("\n".join(lines))
    assert engine.snapshot(table).features == ("timeTurner",)
    with pytest.raises(FeatureUnsupported, match="timeTurner"):
        engine.read(table)
    assert engine.readable(table, 0).verdict is Readability.REFUSED


ERRORS = [one for _, one in inspect.getmembers(deltalake.exceptions, inspect.isclass) if issubclass(one, Exception)]


@pytest.mark.parametrize("error", ERRORS, ids=lambda one: one.__name__)
def test_every_error_class_of_deltalake_is_translated(table: Table, error: type[Exception]) -> None:
    with pytest.raises(CoreError, match="loans") as caught, translated(table):
        raise error("something\nwith a backtrace")
    assert "\n" not in str(caught.value)
    assert isinstance(caught.value.__cause__, error)


class PanicException(BaseException):
    """Named like pyo3's, which derives from BaseException so that `except Exception` misses it."""


@pytest.mark.parametrize(
    ("error", "ours"),
    [
        (deltalake.exceptions.TableNotFoundError("x"), TableNotFound),
        (deltalake.exceptions.CommitFailedError("x"), CommitConflict),
        (deltalake.exceptions.SchemaMismatchError("x"), SchemaMismatch),
        (deltalake.exceptions.DeltaProtocolError("x"), FeatureUnsupported),
        (deltalake.exceptions.DeltaError("x"), EngineFailed),
        (pa.ArrowInvalid("Object at location /x not found: No such file or directory"), FilesVacuumed),
        (OSError("Generic S3 error"), StorageUnavailable),
        (OverflowError("can't convert negative int to unsigned"), EngineFailed),
        (PanicException("after fork"), EngineFailed),
        (Exception("External error"), EngineFailed),
    ],
    ids=repr,
)
def test_fact_behind_an_error_is_told(table: Table, error: BaseException, ours: type[CoreError]) -> None:
    with pytest.raises(ours), translated(table):
        raise error


def test_what_is_not_the_librarys_passes(table: Table) -> None:
    for error in (KeyboardInterrupt(), AssertionError("ours"), BadParameter("ours")):
        with pytest.raises(type(error)) as caught, translated(table):
            raise error
        assert caught.value is error
