"""Reproduce a model version: equal results, and everything that prevents them."""

from __future__ import annotations

import shutil
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from deltalake import DeltaTable

from core.entities import Actor, ModelVersionKey, Outcome, Recipe, Reproduced, TableVersion, Task
from core.errors import BadParameter, Forbidden, ModelVersionNotFound
from core.features.jobs.run_job import run_service
from core.features.stores import Stores
from core.features.training.reproduce import past_reproductions, reproduce, submit_reproduction
from core.features.training.train import train
from core.learning.estimators import estimators_for
from core.learning.recipes import save_recipe
from tests.features.iris import TABLE, iris, write_iris
from tests.features.test_evidence import flip_a_byte, vacuum
from tests.features.test_train import KPIS, Watched

MODEL = "iris_classifier"
KEY = ModelVersionKey(model=MODEL, version=1)


def folder_of(stores: Stores, key: ModelVersionKey) -> Path:
    return Path(unquote(urlsplit(str(stores.models.version(key).source)).path))


def run_of(stores: Stores, key: ModelVersionKey) -> str:
    return str(stores.models.version(key).run_id)


@pytest.mark.parametrize("name", [one.name for one in estimators_for(Task.CLASSIFICATION)])
def test_every_classifier_is_reproduced_to_the_last_digit(stores: Stores, scientist: Actor, name: str) -> None:
    write_iris(stores)
    recipe = Recipe(
        name="flowers",
        model="flowers",
        task=Task.CLASSIFICATION,
        table=TABLE,
        target="species",
        estimator=name,
        features=("petal_width_cm", "sepal_length_cm"),
        seed=11,
        test_fraction=0.4,
    )
    save_recipe(recipe, stores.settings.recipes_folder)
    made = train(stores, scientist, recipe="flowers", version=1)
    found = reproduce(stores, scientist, made.model)
    assert found.verdict is Reproduced.REPRODUCED, found
    assert found.data == TableVersion(table=TABLE, version=1)
    assert set(found.metrics) == KPIS | {"TrainRows", "TestRows"}
    assert {name: pair[0] for name, pair in found.metrics.items()} == dict(made.metrics)
    assert all(logged == again for logged, again in found.metrics.values())
    assert found.answers == (40, 40)
    assert found.changed == ()


@pytest.mark.parametrize("name", [one.name for one in estimators_for(Task.REGRESSION)])
def test_every_regression_comes_out_the_same(stores: Stores, scientist: Actor, name: str) -> None:
    write_iris(stores)
    recipe = Recipe(
        name="width", model="width", task=Task.REGRESSION, table=TABLE, target="petal_width_cm", estimator=name
    )
    save_recipe(recipe, stores.settings.recipes_folder)
    made = train(stores, scientist, recipe="width")
    found = reproduce(stores, scientist, made.model)
    assert (found.verdict, found.answers) == (Reproduced.REPRODUCED, (45, 45)), found


def test_only_the_audit_log_changes_and_keeps_the_verdict(sample_stores: Stores, auditor: Actor) -> None:
    versions = sample_stores.models.versions()
    runs = sample_stores.runs.page(limit=100).runs
    found = reproduce(sample_stores, auditor, KEY, reason="the yearly check")
    assert sample_stores.models.versions() == versions
    assert sample_stores.runs.page(limit=100).runs == runs
    (event,) = past_reproductions(sample_stores, auditor, KEY)
    assert (event.actor, event.action, event.subject) == ("auditor", "model.reproduce", f"{MODEL}/1")
    assert (event.reason, event.outcome) == ("the yearly check", Outcome.SUCCESS)
    assert event.after["verdict"] == "reproduced"
    assert event.after["why"] == found.why
    assert event.after["metrics"]["TrainRows"] == {"logged": 35, "again": 35}


def test_parameters_of_a_later_recipe_do_not_matter(stores: Stores, scientist: Actor) -> None:
    """The parameters of the run count; the recipe of the same name may have changed since."""
    write_iris(stores)
    made = train(stores, scientist, recipe=MODEL, version=2, params={"C": 0.01})
    recipe = Recipe(
        name=MODEL, model=MODEL, task=Task.CLASSIFICATION, table=TABLE, target="species", estimator="decision_tree"
    )
    save_recipe(recipe, stores.settings.recipes_folder)
    assert reproduce(stores, scientist, made.model).verdict is Reproduced.REPRODUCED


def test_a_metric_that_was_edited_after_the_run_is_reported(sample_stores: Stores, manager: Actor) -> None:
    truth = sample_stores.runs.get(run_of(sample_stores, KEY)).metrics["f1"]
    sample_stores.runs.log(run_of(sample_stores, KEY), metrics={"f1": 0.123})
    found = reproduce(sample_stores, manager, KEY)
    assert found.verdict is Reproduced.DIVERGED
    assert found.metrics["f1"] == (0.123, truth)
    assert found.why == f"These metrics differ from those of the run: f1 (0.123 then, {truth:.6g} now)."


def test_a_difference_is_judged_by_the_requested_tolerance(sample_stores: Stores, manager: Actor) -> None:
    truth = sample_stores.runs.get(run_of(sample_stores, KEY)).metrics["log_loss"]
    sample_stores.runs.log(run_of(sample_stores, KEY), metrics={"log_loss": truth * 1.0005})
    assert reproduce(sample_stores, manager, KEY).verdict is Reproduced.WITHIN_TOLERANCE
    assert reproduce(sample_stores, manager, KEY, tolerance=1e-9).verdict is Reproduced.DIVERGED
    assert reproduce(sample_stores, manager, KEY, tolerance=0).verdict is Reproduced.DIVERGED


@pytest.mark.parametrize("tolerance", [-0.1, 1.5, float("nan")])
def test_a_tolerance_is_a_share(sample_stores: Stores, manager: Actor, tolerance: float) -> None:
    with pytest.raises(BadParameter, match="from 0 to 1"):
        reproduce(sample_stores, manager, KEY, tolerance=tolerance)


def test_another_model_in_its_place_is_reported(sample_stores: Stores, scientist: Actor, manager: Actor) -> None:
    """The KPIs are reproduced, but the stored model is another one."""
    key = ModelVersionKey(model="diabetes_progression", version=1)
    made = train(sample_stores, scientist, recipe="diabetes_progression", params={"alpha": 500})
    stored = folder_of(sample_stores, key) / "model.skops"
    stored.write_bytes((folder_of(sample_stores, made.model) / "model.skops").read_bytes())
    found = reproduce(sample_stores, manager, key)
    assert found.verdict is Reproduced.DIVERGED
    assert "the stored model predicts otherwise for" in found.why
    assert found.answers is not None
    assert found.answers[0] < found.answers[1]


def test_a_model_that_does_not_load_is_reported(sample_stores: Stores, manager: Actor) -> None:
    flip_a_byte(sample_stores, 1)
    found = reproduce(sample_stores, manager, KEY)
    assert found.verdict in (Reproduced.DIVERGED, Reproduced.IMPOSSIBLE)
    assert found.answers is None


def test_rows_that_were_vacuumed_cannot_be_trained_on(sample_stores: Stores, manager: Actor) -> None:
    vacuum(sample_stores, 1)
    found = reproduce(sample_stores, manager, KEY)
    assert found.verdict is Reproduced.IMPOSSIBLE
    assert found.why.startswith(f"{TABLE}@0 can no longer be read: ")


def test_a_table_that_was_created_again_under_its_name_is_detected(sample_stores: Stores, manager: Actor) -> None:
    """Version 0 is there and readable, and holds other rows."""
    table = sample_stores.catalog.resolve(TABLE)
    shutil.rmtree(Path(unquote(urlsplit(table.uri).path)))
    sample_stores.engine.write(table, iris().slice(50, 50), mode="append")
    found = reproduce(sample_stores, manager, KEY)
    assert found.verdict is Reproduced.IMPOSSIBLE
    assert found.why.startswith(f"{TABLE}@0 is another table now: ")
    assert found.metrics == {}  # nothing was trained


def first_file(stores: Stores) -> Path:
    root = Path(unquote(urlsplit(stores.catalog.resolve(TABLE).uri).path))
    (first,) = [Path(name) for name in DeltaTable(str(root), version=0).file_uris()]
    return first


def test_a_truncated_file_is_reported(sample_stores: Stores, manager: Actor) -> None:
    file = first_file(sample_stores)
    file.write_bytes(file.read_bytes()[:500])
    reproduction = reproduce(sample_stores, manager, KEY)
    assert reproduction.verdict is Reproduced.IMPOSSIBLE
    assert reproduction.why.startswith(f"{TABLE}@0 can no longer be read: ")
    assert f"{file.name} has 500 bytes in storage" in reproduction.why


def test_a_damaged_file_of_the_right_size_is_reported(sample_stores: Stores, manager: Actor) -> None:
    file = first_file(sample_stores)
    size = file.stat().st_size
    file.write_bytes(file.read_bytes()[:500].ljust(size, b"\0"))
    reproduction = reproduce(sample_stores, manager, KEY)
    assert reproduction.verdict is Reproduced.IMPOSSIBLE
    assert reproduction.why.startswith(f"{TABLE}@0 cannot be read: ")


def test_a_foreign_model_is_impossible_with_its_reason(sample_stores: Stores, manager: Actor) -> None:
    run_id = sample_stores.runs.start("elsewhere", "by hand", "somebody", {})
    foreign = sample_stores.models.register("foreign", source="s3://nowhere/m", run_id=run_id, tags={})
    found = reproduce(sample_stores, manager, foreign.key)
    assert (found.verdict, found.data) == (Reproduced.IMPOSSIBLE, None)
    assert "names no data version" in found.why
    without = sample_stores.models.register("foreign", source="s3://nowhere/m", run_id="f" * 32, tags={})
    assert "is not in MLflow" in reproduce(sample_stores, manager, without.key).why


def test_a_model_of_a_project_is_impossible_with_its_reason(stores: Stores, scientist: Actor, manager: Actor) -> None:
    """Its run logs neither split nor seed, but that is not the reason of the verdict."""
    write_iris(stores)
    run_id = stores.runs.start("flowers", "by a project", "scientist", {"delta.table": TABLE})
    stores.runs.log(run_id, params={"DataV": 1, "estimator": "mlproject:mine"})
    made = stores.models.register("flowers", source="s3://nowhere/m", run_id=run_id, tags={})
    found = reproduce(stores, manager, made.key)
    assert (found.verdict, found.data) == (Reproduced.IMPOSSIBLE, TableVersion(table=TABLE, version=1))
    assert found.why.startswith(f"mlproject:mine trained this version. Train it again on {TABLE}@1")


def test_an_actor_without_the_permission_is_refused_and_recorded(sample_stores: Stores, admin: Actor) -> None:
    for ask in (reproduce, submit_reproduction):
        with pytest.raises(Forbidden):
            ask(sample_stores, admin, KEY)
        *_, last = sample_stores.audit.events()
        assert (last.action, last.outcome) == ("model.reproduce", Outcome.DENIED)


def test_a_missing_version_is_an_error_and_not_a_verdict(sample_stores: Stores, auditor: Actor) -> None:
    for ask in (reproduce, submit_reproduction):
        with pytest.raises(ModelVersionNotFound):
            ask(sample_stores, auditor, ModelVersionKey(model=MODEL, version=99))


def test_a_worker_reproduces_a_version_and_the_job_holds_the_verdict(sample_stores: Stores, auditor: Actor) -> None:
    job = submit_reproduction(sample_stores, auditor, KEY, reason="check")
    watch = Watched()
    result = run_service(sample_stores, auditor, job.kind, job.arguments, watch)
    assert (result["verdict"], result["model"]) == ("reproduced", f"{MODEL}/1")
    assert result["answers"] == {"same": 15, "of": 15}
    assert watch.steps[-1][0] == 1.0
    assert any("content SHA-256" in line for line in watch.lines)
