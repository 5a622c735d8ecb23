"""Scoring on a real Spark in this process: the embedded engine's answers, written once; refused, cancelled, failed."""

from __future__ import annotations

import pickle
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import yaml

from core.bootstrap import open_stores
from core.delta.spark.jobs import watch
from core.entities import Actor, PredictionBatch, Recipe, Role, Task
from core.errors import BadInput, BadSettings, EngineFailed, JobCancelled, ModelUnloadable, SchemaMismatch
from core.features.admin.sample import iris_data
from core.features.scoring.batches import list_batches
from core.features.scoring.score import score
from core.features.stores import Stores
from core.features.training.recipes import save_recipe
from core.features.training.train import train
from core.learning.safety.check_loads import check_loads
from core.settings import load_settings
from tests.batches import rows_of_batch
from tests.conftest import copy_sample
from tests.spark.slow import SLOW, SLOW_CONF, Watching, on_spark

pytestmark = [pytest.mark.spark, pytest.mark.slow]

SCIENTIST = Actor(name="scientist", roles=frozenset({Role.SCIENTIST}), channel="test")


@dataclass(frozen=True)
class Both:
    """The same workspace through either engine."""

    embedded: Stores
    spark: Stores


@pytest.fixture(scope="module")
def both(java: None, sample_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Both:
    home = tmp_path_factory.mktemp("scoring") / "home"
    copy_sample(sample_home, home)
    return Both(embedded=open_stores(load_settings(home=home)), spark=on_spark(home, "local[2]"))


def scored(stores: Stores, model: str, number: int, table: str, into: str, **more: Any) -> PredictionBatch:
    return score(stores, SCIENTIST, model=model, model_version=number, table=table, into=into, **more)


def rows_of(stores: Stores, batch: PredictionBatch) -> list[dict[str, Any]]:
    """The rows of the batch without the columns that differ between batches, ordered by content."""
    rows = rows_of_batch(stores, batch)
    assert set(rows.column("batch_id").to_pylist()) == {batch.batch_id}
    assert set(rows.column("scored_at").to_pylist()) == {batch.time}
    return sorted(rows.drop_columns(["batch_id", "scored_at"]).to_pylist(), key=repr)


def assert_same(both: Both, one: PredictionBatch, other: PredictionBatch) -> None:
    """Rows, columns, order, types and commit metadata are the same on both engines."""
    engine, catalog = both.embedded.engine, both.embedded.catalog
    first, second = rows_of(both.embedded, one), rows_of(both.embedded, other)
    assert [list(row) for row in first[:1]] == [list(row) for row in second[:1]]
    for wanted, found in zip(first, second, strict=True):
        # BLAS sums in an order that depends on the shape of a batch: of a linear model's 442 predictions 77 change in
        # their last bit if rows are scored one by one. Numbers are compared to 12 digits, everything else exactly.
        for name in ("probability", "prediction"):
            numbers = found.pop(name), wanted.pop(name)
            if isinstance(numbers[1], float):
                assert numbers[0] == pytest.approx(numbers[1], rel=1e-12)
            else:
                assert numbers[0] == numbers[1]
        assert found == wanted
    tables = [catalog.resolve(batch.into.table) for batch in (one, other)]
    snapshots = [engine.snapshot(table, version=b.into.version) for table, b in zip(tables, (one, other), strict=True)]
    assert snapshots[0].schema == snapshots[1].schema
    told = [engine.history(table)[-1 - b.into.version] for table, b in zip(tables, (one, other), strict=True)]
    assert [commit.rows_added for commit in told] == [one.rows, other.rows]
    assert [commit.metadata["modelledger.actor"] for commit in told] == ["scientist", "scientist"]


@pytest.mark.parametrize(
    ("model", "table"),
    [("iris_classifier", "iris_training_data"), ("diabetes_progression", "diabetes_training_data")],
)
def test_the_embedded_engines_answers_by_the_executors(both: Both, model: str, table: str) -> None:
    here = scored(both.embedded, model, 2, table, f"{model}_here", version=1)
    there = scored(both.spark, model, 2, table, f"{model}_there", version=1)
    assert here.rows == there.rows
    assert_same(both, here, there)
    # Each engine appends to the table of the other.
    again = scored(both.spark, model, 1, table, f"{model}_here", version=0)
    back = scored(both.embedded, model, 1, table, f"{model}_there", version=0)
    assert (again.into.version, back.into.version) == (1, 1)
    assert_same(both, again, back)


def kinds_of_columns() -> pa.Table:
    """Every kind of column that a model can use, with missing values, and an integer target."""
    random, count = np.random.default_rng(7), 120
    size = random.normal(size=count)
    columns: dict[str, tuple[list[Any], pa.DataType]] = {
        "size": (size.tolist(), pa.float64()),
        "größe_`€`": ([Decimal(f"{v:.2f}") for v in size * 3], pa.decimal128(10, 2)),
        "colour": (random.choice(["red", "green", "it's"], count).tolist(), pa.string()),
        "paid": ((size > 0.3).tolist(), pa.bool_()),
        "day": ([date(2024, 1, 1 + i % 28) for i in range(count)], pa.date32()),
        "at": (
            [datetime(2024, 3, 1 + i % 28, 2, 30, 0, i, tzinfo=UTC) for i in range(count)],
            pa.timestamp("us", "UTC"),
        ),
        "pieces": (random.integers(0, 9, count).tolist(), pa.int32()),
    }
    for number, (values, _) in enumerate(columns.values()):
        values[number * 7 % count] = None
    columns["risk"] = ([int(v > 0) + int(v > 1) for v in size], pa.int64())
    return pa.table({name: pa.array(values, kind) for name, (values, kind) in columns.items()})


def test_every_kind_of_column_goes_to_the_model_as_in_the_embedded_engine(both: Both) -> None:
    both.embedded.engine.write(both.embedded.catalog.place("kinds"), kinds_of_columns(), mode="append")
    recipe = Recipe(
        name="kinds", model="kinds", task=Task.CLASSIFICATION, table="kinds", target="risk", estimator="random_forest"
    )
    save_recipe(both.embedded, SCIENTIST, recipe)
    trained = train(both.embedded, SCIENTIST, recipe="kinds").model
    here = scored(both.embedded, trained.model, trained.version, "kinds", "kinds_here")
    there = scored(both.spark, trained.model, trained.version, "kinds", "kinds_there")
    assert_same(both, here, there)
    assert {type(row["prediction"]) for row in rows_of(both.embedded, there)} == {int}


def test_a_batch_is_written_once_however_often_it_is_tried(both: Both) -> None:
    from core.delta.spark.engine import SparkEngine

    first = scored(both.spark, "iris_classifier", 1, "iris_training_data", "once", batch_id="a-batch")
    assert scored(both.spark, "iris_classifier", 1, "iris_training_data", "once", batch_id="a-batch") == first
    assert scored(both.embedded, "iris_classifier", 1, "iris_training_data", "once", batch_id="a-batch") == first
    # The table itself stops an attempt that did not see the first commit.
    engine, table = both.spark.engine, both.spark.catalog.resolve("once")
    assert isinstance(engine, SparkEngine)
    late = engine.frame(table)
    assert engine.write_frame(table, late, mode="append", transaction="batch-a-batch") == first.into.version
    assert both.embedded.engine.count(table) == first.rows == 150
    assert len(list_batches(both.embedded, SCIENTIST, into="once")) == 1


def test_a_model_that_would_run_code_is_refused_before_spark_starts(both: Both, tmp_path: Path) -> None:
    """Also a model whose loaded file is not the inspected file."""
    harmed = tmp_path / "harmed"
    for name, change, why in (
        ("sly", {"python_function.model_path": "model.pkl"}, "flavors name two .* only one of them would be inspected"),
        (
            "evil",
            {"sklearn.serialization_format": "pickle"},
            "stored as pickle; loading it runs code",
        ),
    ):
        version = tampered(both.embedded, tmp_path / name, harmed, change)
        for stores in (both.embedded, both.spark):
            with pytest.raises(ModelUnloadable, match=why):
                scored(stores, "sly", version, "iris_training_data", f"{name}_predictions", version=0)
    assert not harmed.exists()


class Evil:
    """Writes a file when it is unpickled."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return Path.touch, (self.file,)


def tampered(stores: Stores, folder: Path, harmed: Path, changes: dict[str, str]) -> int:
    """Registers a copy of iris_classifier/1 with *changes* to its flavors and a pickle beside it."""
    folder.mkdir()
    key = next(v.key for v in stores.models.versions("iris_classifier") if v.version == 1)
    place = stores.models.download(key, folder)
    (place / "model.pkl").write_bytes(pickle.dumps(Evil(harmed)))
    description = yaml.safe_load((place / "MLmodel").read_text())
    for path, value in changes.items():
        flavor, _, name = path.partition(".")
        description["flavors"][flavor][name] = value
    (place / "MLmodel").write_text(yaml.safe_dump(description))
    run_id = stores.runs.start("sly", folder.name, "scientist", {})
    source = stores.runs.log_model(run_id, place)
    return stores.models.register("sly", source=source, run_id=run_id, tags={}).version


def test_a_spark_ml_model_scores_on_spark_and_the_embedded_engine_says_so(both: Both, tmp_path: Path) -> None:
    recipe = Recipe(
        name="iris_on_spark",
        model="iris_on_spark",
        task=Task.CLASSIFICATION,
        table="iris_training_data",
        target="species",
        estimator="pyspark.ml.classification.LogisticRegression",
    )
    save_recipe(both.spark, SCIENTIST, recipe)
    trained = train(both.spark, SCIENTIST, recipe="iris_on_spark", version=2).model
    batch = scored(both.spark, trained.model, trained.version, "iris_training_data", "by_spark_ml", version=2)
    rows = rows_of_batch(both.embedded, batch)
    other = scored(both.embedded, "iris_classifier", 3, "iris_training_data", "by_sklearn", version=2)
    assert rows.schema == rows_of_batch(both.embedded, other).schema
    right = [p == s for p, s in zip(rows["prediction"].to_pylist(), rows["species"].to_pylist(), strict=True)]
    assert len(right) == 150
    assert sum(right) >= 140
    assert all(1 / 3 < chance <= 1 for chance in rows["probability"].to_pylist())
    assert check_loads(both.embedded.models.download(trained, tmp_path)).format == "spark ml"
    with pytest.raises(BadSettings, match="Only Spark can score with a Spark ML model: set MODELLEDGER_ENGINE=spark"):
        scored(both.embedded, trained.model, trained.version, "iris_training_data", "nowhere")
    with pytest.raises(SchemaMismatch, match="reads sepal_length_cm"):
        scored(both.spark, trained.model, trained.version, "diabetes_training_data", "nowhere")
    assert "nowhere" not in {table.name for table in both.embedded.catalog.tables()}


def test_data_that_does_not_fit_is_refused_with_the_embedded_engines_message(both: Both) -> None:
    told = []
    scored(both.embedded, "iris_classifier", 1, "iris_training_data", "taken", version=0)
    for stores in (both.embedded, both.spark):
        with pytest.raises(SchemaMismatch) as mismatch:
            scored(stores, "iris_classifier", 1, "diabetes_training_data", "nowhere")
        with pytest.raises(BadInput, match="batch_id") as taken:
            scored(stores, "iris_classifier", 1, "taken", "nowhere")
        told.append((str(mismatch.value), str(taken.value)))
    assert told[0] == told[1]


def test_a_failing_job_ends_with_sparks_root_cause_in_one_line_and_leaves_nothing(both: Both) -> None:
    rows = iris_data()
    first = rows.column_names[0]
    endless = rows.slice(100, 1).set_column(0, first, pa.array([np.inf]))
    table, good = both.embedded.catalog.place("endless"), rows.slice(0, 100)
    # One file with one batch, in this order: the first row, which is tested alone, is valid.
    for part in (good, pa.concat_tables([good, endless]).combine_chunks()):
        both.embedded.engine.write(table, part, mode="overwrite")
    with pytest.raises(EngineFailed) as failed:
        scored(both.spark, "iris_classifier", 1, "endless", "nowhere")
    assert str(failed.value).startswith("nowhere: Spark failed: ValueError: Input X contains infinity")
    assert len(str(failed.value).splitlines()) == 1
    assert "nowhere" not in {one.name for one in both.embedded.catalog.tables()}
    assert both.embedded.audit.search(action="prediction.score", limit=1)[0].outcome.value == "failed"
    # The session is as good as before.
    assert scored(both.spark, "iris_classifier", 1, "endless", "after", version=0).rows == 100


def test_a_failure_after_a_cancel_is_a_cancellation_and_any_other_failure_stays_itself(both: Both) -> None:
    """The signal of a cancel, caught inside a call to Java, leaves a session without its context."""
    cancelled: list[bool] = []

    def work() -> None:
        raise AttributeError("'NoneType' object has no attribute 'setCallSite'")

    def checkpoint() -> None:
        if cancelled:
            raise JobCancelled("cancelled on request")

    for error in (AttributeError, JobCancelled):
        with pytest.raises(error):
            watch(both.spark.engine.session, work, report=lambda *_: None, checkpoint=checkpoint, step="t")  # type: ignore[attr-defined]
        cancelled.append(True)


@pytest.fixture
def spark(java: None, slow_home: Path) -> Iterator[Stores]:
    """Where the slow scoring is."""
    stores = on_spark(slow_home, "local[2]")
    session = stores.engine.session  # type: ignore[attr-defined]
    for name, value in SLOW_CONF.items():
        session.conf.set(name, value)
    yield stores
    for name in SLOW_CONF:
        session.conf.unset(name)


def test_progress_counts_stages_and_a_cancel_ends_the_spark_jobs_and_leaves_no_half_batch(
    spark: Stores, embedded: Stores
) -> None:
    watching = Watching(stop_at=2)
    started = time.monotonic()
    with pytest.raises(JobCancelled):
        score(spark, SCIENTIST, **SLOW, into="cancelled", progress=watching)
    assert time.monotonic() - started < 60
    assert watching.saw(r"scoring 24000 rows: stage \d+ of \d+, task \d+ of \d+")
    assert spark.engine.session.sparkContext.statusTracker().getActiveJobsIds() == []  # type: ignore[attr-defined]
    assert "cancelled" not in {one.name for one in embedded.catalog.tables()}
    assert all(earlier <= later for earlier, later in zip(watching.fractions, watching.fractions[1:], strict=False))
