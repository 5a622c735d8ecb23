"""Training on Spark through the service: a pyspark.ml estimator on a pinned version, logged as every training is."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from sklearn.metrics import confusion_matrix

from core.delta.content_hash import content_sha256
from core.entities import Actor, ModelVersionKey, Recipe, Role, RunStatus, TableVersion, TrainingResult
from core.errors import BadParameter, ColumnNotFound, EngineFailed, JobCancelled, TrainingFailed
from core.features.runs.pictures import run_pictures
from core.features.stores import Stores
from core.features.training.recipes import save_recipe
from core.features.training.train import train
from core.learning.evaluation import evaluate_classes, evaluate_numbers
from core.learning.safety.check_loads import check_loads
from core.learning.safety.inspect_model import inspect_model
from core.learning.spark.evaluation import evaluate
from core.learning.spark.training_rows import is_test
from core.registry.runs import failure_reason
from tests.spark.conftest import Opener
from tests.spark.loans import AMOUNT, GRADE, GRADES, TABLE, Watched, loans

pytestmark = [pytest.mark.spark, pytest.mark.slow]

AUDITOR = Actor(name="auditor", roles=frozenset({Role.AUDITOR}), channel="test")


@pytest.fixture(scope="module")
def stores(opened: Opener) -> Stores:
    """Spark in this process; `loans` has version 0 (400 rows) and 1 (600)."""
    stores = opened("local[2]")
    data = loans()
    stores.engine.write(stores.catalog.place(TABLE), data.slice(0, 400), mode="append")
    stores.engine.write(stores.catalog.place(TABLE), data.slice(400), mode="append")
    return stores


@pytest.fixture(scope="module")
def graded(stores: Stores, person: Actor) -> tuple[TrainingResult, Watched]:
    """The classification, trained on version 0."""
    save_recipe(stores, person, GRADE)
    watch = Watched()
    return train(stores, person, recipe="grades", version=0, reason="first", progress=watch), watch


@pytest.fixture(scope="module")
def estimated(stores: Stores, person: Actor) -> TrainingResult:
    """The regression, trained on the latest version."""
    save_recipe(stores, person, AMOUNT)
    return train(stores, person, recipe="amounts")


def frame_of(stores: Stores, version: int) -> Any:
    return stores.engine.frame(stores.catalog.resolve(TABLE), version=version)  # type: ignore[attr-defined]


def predicted(stores: Stores, model: Path, recipe: Recipe, version: int) -> Any:
    """The test rows with the predictions of the registered model, loaded by Spark's own loader."""
    from pyspark.ml import PipelineModel
    from pyspark.ml.functions import vector_to_array

    frame = frame_of(stores, version)
    scored = PipelineModel.load(str(model / "sparkml")).transform(frame.where(is_test(frame, recipe)))
    if "__probability" in scored.columns:
        scored = scored.withColumn("__probability", vector_to_array("__probability"))
    return scored.toArrow()


def test_a_classification_is_trained_logged_and_registered_as_every_training_is(
    stores: Stores, graded: tuple[TrainingResult, Watched], tmp_path: Path
) -> None:
    result, watch = graded
    run = stores.runs.get(result.run_id)
    assert run.status is RunStatus.FINISHED
    assert (run.params["DataV"], run.params["ModelV"]) == ("0", "1")
    assert (run.params["estimator"], run.params["maxIter"]) == (GRADE.estimator, "4")
    assert run.tags["delta.table"] == TABLE
    assert run.tags["delta.version"] == "0"
    assert run.tags["delta.table_id"] == stores.engine.snapshot(stores.catalog.resolve(TABLE)).table_id
    written = loans().slice(0, 400)
    assert run.tags["delta.content_sha256"] == content_sha256(written.schema, written.to_batches())
    assert re.fullmatch("[0-9a-f]{40}", run.tags["mlflow.source.git.commit"])
    assert [item.context for item in run.inputs] == ["training"]
    assert result.model == ModelVersionKey(model="grades", version=1)
    assert dict(result.metrics) == run.metrics
    assert run.metrics["TrainRows"] + run.metrics["TestRows"] == 400

    version = stores.models.version(result.model)
    assert version.data == TableVersion(table=TABLE, version=0)
    model = stores.models.download(result.model, tmp_path / "model")
    info = check_loads(model)
    assert (info.format, info.is_safe) == ("spark ml", True)
    assert [(column.name, column.type) for column in info.inputs] == [
        ("age", "double"),
        ("income", "double"),
        ("city`s", "string"),
        ("since", "double"),
        ("active", "double"),
        ("rate", "double"),
    ]
    assert [(column.name, column.type) for column in info.outputs] == [("grade", "string")]
    assert any(line.startswith("pyspark==") for line in info.requirements)

    rows = predicted(stores, model, GRADE, 0)
    assert rows.num_rows == run.metrics["TestRows"]
    answers = [GRADES[int(number)] for number in rows.column("__prediction").to_pylist()]
    chances = np.array(rows.column("__probability").to_pylist())
    expected = evaluate_classes(rows.column("grade").to_pylist(), answers, chances, GRADES)
    assert 0.4 < expected["accuracy"] < 1.0
    assert {name: run.metrics[name] for name in expected} == pytest.approx(expected, abs=1e-9)

    pictures = run_pictures(stores, AUDITOR, result.run_id)
    assert pictures is not None
    assert pictures.confusion is not None
    counts = confusion_matrix(rows.column("grade").to_pylist(), answers)
    assert pictures.confusion.counts == tuple(map(tuple, counts.tolist()))
    assert len(pictures.roc) == len(GRADES)

    fractions = [fraction for fraction, _ in watch.steps]
    assert fractions == sorted(fractions)
    assert any("stage" in step for _, step in watch.steps)


def test_the_mlflow_dataset_input_names_the_version(stores: Stores, graded: tuple[TrainingResult, Watched]) -> None:
    from mlflow import MlflowClient

    (given,) = MlflowClient(stores.settings.tracking_uri).get_run(graded[0].run_id).inputs.dataset_inputs
    assert '"delta_table_version": 0' in given.dataset.source
    assert '"num_rows": 400' in given.dataset.profile


def test_a_regression_is_trained_on_the_version_that_was_pinned(
    stores: Stores, estimated: TrainingResult, tmp_path: Path
) -> None:
    result = estimated
    assert (result.data.version, result.params["DataV"]) == (1, "1")
    pictures = run_pictures(stores, AUDITOR, result.run_id)
    assert pictures is not None
    assert pictures.predicted_actual is not None
    assert pictures.rows == result.metrics["TestRows"]
    model = stores.models.download(result.model, tmp_path / "model")
    assert [(column.name, column.type) for column in inspect_model(model).outputs] == [("amount", "double")]
    rows = predicted(stores, model, AMOUNT, 1)
    expected = evaluate_numbers(rows.column("amount").to_numpy(), rows.column("__prediction").to_numpy())
    assert {name: result.metrics[name] for name in expected} == pytest.approx(expected, rel=1e-9)
    assert result.metrics["TrainRows"] + result.metrics["TestRows"] == 600


def test_cancelling_ends_the_spark_jobs_and_the_run_as_killed(stores: Stores, person: Actor) -> None:
    save_recipe(stores, person, changed(GRADE, name="long", params={"maxIter": 500, "tol": 0.0}))
    watch = Watched(cancel_at="fitting pyspark.ml")
    with pytest.raises(JobCancelled):
        train(stores, person, recipe="long", progress=watch)
    run = stores.runs.get(watch.facts["run_id"])
    assert (run.status, failure_reason(run)) == (RunStatus.KILLED, "cancelled on request")
    assert "long" not in {model.name for model in stores.models.models()}
    tracker = stores.engine.session.sparkContext.statusTracker()  # type: ignore[attr-defined]
    assert tracker.getActiveStageIds() == []


def test_a_failure_ends_the_run_with_sparks_root_cause_in_one_line(stores: Stores, person: Actor) -> None:
    save_recipe(stores, person, changed(GRADE, name="svc", estimator="pyspark.ml.classification.LinearSVC", params={}))
    watch = Watched()
    with pytest.raises(EngineFailed, match=r"Labels MUST be in \{0, 1\}, but got 2\.0") as caught:
        train(stores, person, recipe="svc", version=0, progress=watch)
    run = stores.runs.get(watch.facts["run_id"])
    assert run.status is RunStatus.FAILED
    assert failure_reason(run) == str(caught.value)
    assert "\n" not in str(caught.value)


def changed(recipe: Recipe, **changes: Any) -> Recipe:
    return replace(recipe, **{"model": changes.get("name", recipe.model), **changes})


@pytest.mark.parametrize(
    ("changes", "error", "sentence"),
    [
        ({"target": "nothing"}, ColumnNotFound, "no column 'nothing'"),
        ({"features": ("tags",)}, BadParameter, "'tags' has the type array<string>"),
        ({"params": {"depth": 3}}, BadParameter, "no parameter 'depth'; its parameters are .*maxIter"),
        ({"params": {"maxIter": "many"}}, BadParameter, "maxIter of pyspark.ml.classification.LogisticRegression"),
        ({"params": {"labelCol": "age"}}, BadParameter, "no parameter 'labelCol'"),
        ({"estimator": "pyspark.ml.classification.Nothing"}, BadParameter, "no classification estimator"),
        ({"estimator": "pyspark.ml.classification.OneVsRest"}, BadParameter, "no classification estimator"),
        ({"estimator": "pyspark.ml.classification.LogisticRegressionModel"}, BadParameter, "no classification est"),
        ({"estimator": "pyspark.ml.regression.LinearRegression"}, BadParameter, "no classification estimator"),
        ({"target": "amount"}, TrainingFailed, "more than 100 distinct values. Is it a regression"),
        ({"target": "income", "features": ("age",)}, TrainingFailed, "have no value of the target 'income'"),
        ({"params": {"regParam": -1.0}}, EngineFailed, "regParam given invalid value -1.0"),
    ],
)
def test_a_recipe_that_cannot_be_trained_fails_with_one_sentence(
    stores: Stores, person: Actor, changes: dict[str, Any], error: type[Exception], sentence: str
) -> None:
    save_recipe(stores, person, changed(GRADE, name="wrong", **{"params": {}, **changes}))
    with pytest.raises(error, match=sentence) as caught:
        train(stores, person, recipe="wrong", version=0)
    assert "\n" not in str(caught.value)
    assert stores.runs.page((), "run_name ILIKE '%wrong%'", limit=1).runs[0].status is RunStatus.FAILED


@pytest.mark.parametrize(
    ("columns", "sentence"),
    [
        ({"x": [1.0] * 4, "y": ["a", "b"] * 2}, "The data has 4 rows"),
        ({"x": [1.0] * 20, "y": ["a"] * 20}, "needs at least two classes"),
        ({"x": [None, float("nan")] * 10, "y": ["a", "b"] * 10}, "'x' has no values"),
        ({"x": [f"t{n}" for n in range(1500)], "y": ["a", "b"] * 750}, "different texts"),
    ],
)
def test_rows_that_cannot_be_trained_on_are_reported(
    stores: Stores, person: Actor, columns: dict[str, list[Any]], sentence: str
) -> None:
    kinds = {name: pa.float64() if None in values else None for name, values in columns.items()}
    data = pa.table({name: pa.array(values, kinds[name]) for name, values in columns.items()})
    stores.engine.write(stores.catalog.place("odd"), data, mode="overwrite")
    save_recipe(stores, person, changed(GRADE, name="odd", table="odd", target="y", features=(), params={}))
    with pytest.raises(TrainingFailed, match=sentence):
        train(stores, person, recipe="odd")


def test_a_class_whose_only_row_is_a_test_row_is_reported(stores: Stores, person: Actor) -> None:
    data = pa.table({"x": [float(number) for number in range(20)], "y": ["a", *["b"] * 19]})
    stores.engine.write(stores.catalog.place("rare"), data, mode="overwrite")
    recipe = changed(GRADE, name="rare", table="rare", target="y", features=(), params={})
    frame = stores.engine.frame(stores.catalog.resolve("rare")).where("y = 'a'")  # type: ignore[attr-defined]
    seed = next(seed for seed in range(99) if frame.where(is_test(frame, changed(recipe, seed=seed))).count())
    save_recipe(stores, person, changed(recipe, seed=seed))
    with pytest.raises(TrainingFailed, match="No training row has the class a of the target 'y'"):
        train(stores, person, recipe="rare")


def scored(stores: Stores, actual: Any, predicted: Any, chances: Any) -> Any:
    from pyspark.ml.functions import array_to_vector

    columns = {"__label": pa.array(actual, pa.float64()), "__prediction": pa.array(predicted, pa.float64())}
    if chances is not None:
        columns["__probability"] = pa.array(chances.tolist(), pa.list_(pa.float64()))
    frame = stores.engine.session.createDataFrame(pa.table(columns))  # type: ignore[attr-defined]
    return frame if chances is None else frame.withColumn("__probability", array_to_vector("__probability"))


def kpis(found: dict[str, float]) -> dict[str, Any]:
    return {name: pytest.approx(value, abs=1e-9, nan_ok=True) for name, value in found.items()}


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("case", ["any", "ties", "certain and wrong", "one class is missing"])
def test_kpis_of_classes_are_those_of_scikit_learn(stores: Stores, classes: int, case: str) -> None:
    rng = np.random.default_rng(classes)
    actual = rng.integers(0, classes, 60)
    chances = rng.dirichlet(np.ones(classes), 60)
    if case == "ties":
        chances = np.round(chances[:, :1] * 4) / 4
        chances = np.hstack([chances, np.tile((1 - chances) / (classes - 1), (1, classes - 1))])
    if case == "certain and wrong":
        chances = np.eye(classes)[(actual + 1) % classes]
    if case == "one class is missing":
        actual = np.where(actual == classes - 1, 0, actual)
    predicted = chances.argmax(axis=1)
    found = evaluate(scored(stores, actual, predicted, chances), GRADE, tuple("abc"[:classes]))
    assert found == kpis(evaluate_classes(actual, predicted, chances, np.arange(classes)))


def test_kpis_that_are_undefined_are_nan(stores: Stores) -> None:
    actual, predicted = np.array([0, 1, 2, 1]), np.array([0, 1, 1, 1])
    without = evaluate(scored(stores, actual, predicted, None), GRADE, ("a", "b", "c"))
    assert np.isnan([without["roc_auc"], without["log_loss"]]).all()
    assert without["accuracy"] == 0.75
    # The third class was never learned: its rows got no probability.
    two = np.array([[0.9, 0.1], [0.2, 0.8], [0.5, 0.5], [0.3, 0.7]])
    assert np.isnan(evaluate(scored(stores, actual, predicted, two), GRADE, ("a", "b", "c"))["log_loss"])


@pytest.mark.parametrize(
    ("actual", "predicted"),
    [
        ([1.0, 2.0, 4.0], [1.5, 1.0, 4.0]),
        ([0.0, 2.0, 4.0], [0.5, 1.0, 4.0]),
        ([3.0, 3.0, 3.0], [1.0, 2.0, 3.0]),
        ([3.0, 3.0], [3.0, 3.0]),
        ([3.0], [2.0]),
    ],
    ids=["any", "a zero", "constant", "constant and right", "one row"],
)
def test_kpis_of_numbers_are_those_of_scikit_learn(stores: Stores, actual: list[float], predicted: list[float]) -> None:
    frame = scored(stores, actual, predicted, None)
    assert evaluate(frame, AMOUNT, ()) == kpis(evaluate_numbers(actual, predicted))
