"""Training through the service, on real Delta tables and a real MLflow store."""

from __future__ import annotations

import re
from dataclasses import replace

import pyarrow as pa
import pytest

from core.entities import Actor, JobStatus, ModelVersionKey, Recipe, RunStatus, Stage, TableVersion, Task
from core.errors import (
    BadParameter,
    ColumnNotFound,
    Forbidden,
    JobCancelled,
    RecipeNotFound,
    TableNotFound,
    TrainingFailed,
    VersionNotFound,
)
from core.features.stores import Stores
from core.features.training.recipes import list_recipes, save_recipe
from core.features.training.train import submit_training, train
from core.jobs.progress import Silent
from core.learning.recipes import BUILT_IN
from core.learning.safety.check_loads import check_loads
from core.registry.runs import failure_reason
from tests.features.iris import TABLE, write_iris

KPIS = {"precision", "recall", "f1", "accuracy", "roc_auc", "log_loss"}


class Watched(Silent):
    """Records all progress; raises JobCancelled at the checkpoint number *stop_at*."""

    def __init__(self, stop_at: int | None = None) -> None:
        self.lines: list[str] = []
        self.steps: list[tuple[float, str]] = []
        self.facts: dict[str, str] = {}
        self._stop_at, self._checkpoints = stop_at, 0

    def report(self, fraction: float, step: str) -> None:
        self.steps.append((fraction, step))

    def line(self, text: str) -> None:
        self.lines.append(text)

    def remember(self, **facts: str) -> None:
        self.facts |= facts

    def checkpoint(self) -> None:
        self._checkpoints += 1
        if self._checkpoints == self._stop_at:
            raise JobCancelled("cancelled on request")


def actions(stores: Stores) -> list[tuple[str, str, str]]:
    return [(event.action, event.subject, event.outcome.value) for event in stores.audit.events()]


def test_a_training_logs_everything_under_the_names_of_the_design(stores: Stores, scientist: Actor) -> None:
    write_iris(stores)
    result = train(stores, scientist, recipe="iris_classifier", version=1, reason="first")
    run = stores.runs.get(result.run_id)
    assert run.status is RunStatus.FINISHED
    assert (run.params["DataV"], run.params["ModelV"]) == ("1", "1")
    assert run.params["estimator"] == "logistic_regression"
    assert run.params["max_iter"] == "1000"
    assert (run.metrics["TrainRows"], run.metrics["TestRows"]) == (70, 30)
    assert set(run.metrics) == {"TrainRows", "TestRows"} | KPIS
    assert run.metrics["accuracy"] > 0.9
    assert run.tags["delta.table"] == TABLE
    assert run.tags["delta.version"] == "1"
    assert run.tags["delta.table_id"] == stores.engine.snapshot(stores.catalog.resolve(TABLE)).table_id
    assert re.fullmatch("[0-9a-f]{64}", run.tags["delta.content_sha256"])
    assert re.fullmatch("[0-9a-f]{40}", run.tags["mlflow.source.git.commit"])
    assert run.user == "scientist"
    assert [item.context for item in run.inputs] == ["training"]
    assert result.model == ModelVersionKey(model="iris_classifier", version=1)
    assert dict(result.metrics) == run.metrics
    assert dict(result.params) == run.params


def test_the_mlflow_dataset_input_names_version_zero(stores: Stores, scientist: Actor) -> None:
    from mlflow import MlflowClient

    write_iris(stores)
    result = train(stores, scientist, recipe="iris_classifier", version=0)
    (given,) = MlflowClient(stores.settings.tracking_uri).get_run(result.run_id).inputs.dataset_inputs
    assert '"delta_table_version": 0' in given.dataset.source
    assert given.dataset.name == TABLE


def test_the_registered_version_is_a_loadable_skops_model_stamped_with_its_data(
    stores: Stores, scientist: Actor, tmp_path: object
) -> None:
    write_iris(stores)
    result = train(stores, scientist, recipe="iris_classifier", version=0)
    version = stores.models.version(result.model)
    assert (version.stage, version.run_id) == (Stage.NONE, result.run_id)
    assert version.data == TableVersion(table=TABLE, version=0)
    assert version.tags["delta.content_sha256"] == stores.runs.get(result.run_id).tags["delta.content_sha256"]
    info = check_loads(stores.models.download(result.model, stores.settings.home / "copy"))
    assert info.format == "skops"
    assert [column.name for column in info.outputs] == ["species"]


def test_without_a_version_the_latest_is_pinned_and_versions_count_up(stores: Stores, scientist: Actor) -> None:
    write_iris(stores)
    first = train(stores, scientist, recipe="iris_classifier")
    second = train(stores, scientist, recipe="iris_classifier", version=0)
    assert (first.data.version, second.data.version) == (2, 0)
    assert (first.model.version, second.model.version) == (1, 2)
    assert stores.runs.get(second.run_id).params["ModelV"] == "2"


def test_the_same_data_and_seed_give_the_same_metrics(stores: Stores, scientist: Actor) -> None:
    write_iris(stores)
    one, other = (train(stores, scientist, recipe="iris_classifier", version=2) for _ in range(2))
    assert dict(one.metrics) == dict(other.metrics)


def test_parameters_of_one_training_are_checked_and_logged(stores: Stores, scientist: Actor) -> None:
    write_iris(stores)
    result = train(stores, scientist, recipe="iris_classifier", params={"C": "0.25"})
    assert stores.runs.get(result.run_id).params["C"] == "0.25"
    with pytest.raises(BadParameter, match="C must be a number"):
        train(stores, scientist, recipe="iris_classifier", params={"C": "much"})


def test_the_audit_log_holds_intent_and_success_and_names_the_model_version(stores: Stores, scientist: Actor) -> None:
    write_iris(stores)
    result = train(stores, scientist, recipe="iris_classifier", version=0, reason="because")
    assert actions(stores) == [
        ("run.train", "iris_classifier", "intent"),
        ("run.train", "iris_classifier/1", "success"),
    ]
    outcome = list(stores.audit.events())[-1]
    assert outcome.after["run_id"] == result.run_id
    assert outcome.after["data"] == f"{TABLE}@0"


def test_an_auditor_cannot_train_and_the_refusal_is_recorded(stores: Stores, auditor: Actor) -> None:
    write_iris(stores)
    with pytest.raises(Forbidden):
        train(stores, auditor, recipe="iris_classifier")
    assert actions(stores) == [("run.train", "iris_classifier", "denied")]
    assert stores.runs.page().runs == ()


def test_data_that_cannot_be_trained_on_ends_the_run_as_failed_with_its_reason(
    stores: Stores, scientist: Actor
) -> None:
    table = stores.catalog.place(TABLE)
    stores.engine.write(table, pa.table({"x": [1.0] * 20, "species": ["setosa"] * 20}), mode="append")
    with pytest.raises(TrainingFailed, match="needs at least two classes"):
        train(stores, scientist, recipe="iris_classifier")
    (run,) = stores.runs.page().runs
    assert run.status is RunStatus.FAILED
    assert "needs at least two classes" in (failure_reason(run) or "")
    assert stores.models.models() == ()
    assert actions(stores)[-1] == ("run.train", "iris_classifier", "failed")


def test_a_table_without_the_target_fails_by_the_columns_name(stores: Stores, scientist: Actor) -> None:
    stores.engine.write(stores.catalog.place(TABLE), pa.table({"x": [1.0] * 20}), mode="append")
    with pytest.raises(ColumnNotFound, match="'species'"):
        train(stores, scientist, recipe="iris_classifier")
    assert stores.runs.page().runs[0].status is RunStatus.FAILED


@pytest.mark.parametrize("stop_at", [1, 2, 4])
def test_a_cancelled_training_ends_as_killed_and_registers_nothing(
    stores: Stores, scientist: Actor, stop_at: int
) -> None:
    write_iris(stores)
    watch = Watched(stop_at=stop_at)
    with pytest.raises(JobCancelled):
        train(stores, scientist, recipe="iris_classifier", progress=watch)
    run = stores.runs.get(watch.facts["run_id"])
    assert run.status is RunStatus.KILLED
    assert failure_reason(run) == "cancelled on request"
    assert stores.models.models() == ()


def test_progress_never_goes_back_and_the_log_has_each_iteration(stores: Stores, scientist: Actor) -> None:
    write_iris(stores)
    save_recipe(
        stores,
        scientist,
        replace(BUILT_IN["iris_classifier"], name="forest", estimator="random_forest", params={"n_estimators": 20}),
    )
    watch = Watched()
    train(stores, scientist, recipe="forest", progress=watch)
    fractions = [fraction for fraction, _ in watch.steps]
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1.0
    assert len([line for line in watch.lines if line.startswith("n_estimators")]) == 10
    assert watch.facts["operation"]


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"recipe": "nothing"}, RecipeNotFound),
        ({"recipe": "iris_classifier", "table": "nowhere"}, TableNotFound),
        ({"recipe": "iris_classifier", "version": 99}, VersionNotFound),
        ({"recipe": "iris_classifier", "params": {"depth": 3}}, BadParameter),
    ],
)
def test_a_missing_recipe_table_or_version_is_refused_before_a_run_starts(
    stores: Stores, scientist: Actor, arguments: dict[str, object], error: type[Exception]
) -> None:
    write_iris(stores)
    for verb in (train, submit_training):
        with pytest.raises(error):
            verb(stores, scientist, **arguments)  # type: ignore[operator]
    assert stores.runs.page().runs == ()
    assert stores.jobs.list() == ()


def test_a_submitted_training_pins_the_latest_version_at_once(stores: Stores, scientist: Actor) -> None:
    write_iris(stores, sizes=(50,))
    job = submit_training(stores, scientist, recipe="iris_classifier", params={"C": 2.0}, reason="later")
    assert (job.kind, job.status, job.actor) == ("train", JobStatus.SCHEDULED, "scientist")
    assert job.arguments["version"] == 0
    assert job.arguments["params"] == {"C": 2.0}


def test_an_auditor_cannot_submit_a_training(stores: Stores, auditor: Actor) -> None:
    write_iris(stores, sizes=(50,))
    with pytest.raises(Forbidden):
        submit_training(stores, auditor, recipe="iris_classifier")
    assert stores.jobs.list() == ()


def test_a_saved_recipe_is_listed_recorded_and_trained(stores: Stores, scientist: Actor) -> None:
    stores.engine.write(
        stores.catalog.place("houses"),
        pa.table(
            {"area": [float(n) for n in range(40)], "town": ["A", "B"] * 20, "price": [3.0 * n + 5 for n in range(40)]}
        ),
        mode="append",
    )
    recipe = Recipe(
        name="house_prices",
        model="house_prices",
        task=Task.REGRESSION,
        table="houses",
        target="price",
        estimator="ridge",
        params={"alpha": 0.1},
    )
    save_recipe(stores, scientist, recipe, reason="mine")
    assert recipe in list_recipes(stores, scientist)
    assert actions(stores)[-1] == ("recipe.write", "recipe house_prices", "success")
    result = train(stores, scientist, recipe="house_prices")
    assert set(result.metrics) == {"TrainRows", "TestRows", "rmse", "mae", "mape", "r2"}
    assert result.metrics["r2"] > 0.99


def test_a_recipe_on_a_table_that_does_not_exist_is_not_saved(stores: Stores, scientist: Actor) -> None:
    with pytest.raises(TableNotFound):
        save_recipe(stores, scientist, replace(BUILT_IN["iris_classifier"], name="mine", table="nowhere"))
    assert [recipe.name for recipe in list_recipes(stores, scientist)] == ["diabetes_progression", "iris_classifier"]


def test_an_auditor_cannot_save_a_recipe(stores: Stores, auditor: Actor) -> None:
    write_iris(stores, sizes=(50,))
    with pytest.raises(Forbidden):
        save_recipe(stores, auditor, replace(BUILT_IN["iris_classifier"], name="mine"))
