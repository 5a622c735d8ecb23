"""A recipe that is an MLflow Project: the example of docs/recipes.md and small ones, run by MLflow's local backend."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from core.bootstrap import open_stores
from core.entities import Actor, JobStatus, ModelVersionKey, Recipe, RunStatus, Task
from core.errors import BadParameter, JobCancelled, TrainingFailed
from core.features.lineage.origin import origin_of_model
from core.features.scoring.score import score
from core.features.stores import Stores
from core.features.training.recipe_projects import project_of, project_parameters
from core.features.training.recipes import find_recipe, list_recipes, save_recipe
from core.features.training.train import submit_training, train
from core.jobs.progress import Silent
from core.learning.projects.declaration import open_project
from core.learning.projects.project_run import ProjectData, _arguments
from core.learning.safety.check_loads import check_loads
from core.registry.runs import failure_reason
from core.settings import load_settings
from tests.batches import rows_of_batch
from tests.features.iris import TABLE, write_iris
from tests.recipes_document import write_examples

KPIS = {"precision", "recall", "f1", "accuracy", "roc_auc", "log_loss"}
ROOT = Path(__file__).resolve().parents[2]


class Watched(Silent):
    """Records all progress; raises JobCancelled after the line *stop_at*."""

    def __init__(self, stop_at: str | None = None) -> None:
        self.lines: list[str] = []
        self._stop_at = stop_at

    def line(self, text: str) -> None:
        self.lines.append(text)

    def checkpoint(self) -> None:
        if self._stop_at in self.lines:
            raise JobCancelled("cancelled on request")


def project(
    stores: Stores, actor: Actor, code: str, parameters: str = "{DataV: string}", **params: str | float
) -> Recipe:
    """A recipe `mine` whose project runs *code* as Python."""
    place = stores.settings.recipes_folder / "mine"
    place.mkdir(parents=True)
    (place / "MLproject").write_text(
        f"name: mine\nentry_points:\n  main:\n    parameters: {parameters}\n    command: python code.py\n"
    )
    (place / "code.py").write_text(code)
    recipe = Recipe(
        name="mine",
        model="mine",
        task=Task.CLASSIFICATION,
        table=TABLE,
        target="species",
        estimator="mlproject:mine",
        params=params,
    )
    return save_recipe(stores, actor, recipe)


def only_run(stores: Stores) -> object:
    """The only run."""
    (run,) = stores.runs.page().runs
    return run


def test_the_documents_example_is_trained_logged_and_registered_as_every_training(
    stores: Stores, scientist: Actor, tmp_path: Path
) -> None:
    write_iris(stores)
    write_examples(stores.settings.home)
    watch = Watched()
    result = train(stores, scientist, recipe="flowers", version=0, params={"leaf": 2}, progress=watch)
    run = stores.runs.get(result.run_id)
    assert run.status is RunStatus.FINISHED
    assert (run.params["DataV"], run.params["ModelV"]) == ("0", "1")
    assert (float(run.params["trees"]), float(run.params["leaf"])) == (40, 2)
    assert set(run.metrics) == {"TrainRows", "TestRows"} | KPIS
    assert (run.metrics["TrainRows"], run.metrics["TestRows"]) == (35, 15)
    assert run.tags["delta.content_sha256"] == stores.engine.content(stores.catalog.resolve(TABLE), version=0).sha256
    assert (run.tags["delta.table"], run.tags["delta.version"]) == (TABLE, "0")
    assert "trained on 35 rows of version 0" in watch.lines
    assert not any("warning: the project" in line for line in watch.lines)
    (version,) = stores.models.versions("flowers")
    assert (version.key, version.run_id) == (ModelVersionKey(model="flowers", version=1), result.run_id)
    assert check_loads(stores.models.download(version.key, tmp_path / "model")).format == "skops"
    assert dict(result.metrics) == dict(run.metrics)
    batch = score(stores, scientist, model="flowers", model_version=1, table=TABLE, version=0, into="guessed")
    answers = rows_of_batch(stores, batch)
    assert answers.num_rows == 50
    assert set(answers.column("prediction").to_pylist()) == {"setosa", "versicolor", "virginica"}


def test_every_example_of_the_document_is_a_recipe(stores: Stores, scientist: Actor) -> None:
    names = write_examples(stores.settings.home)
    recipes = {name.removeprefix("recipes/").removesuffix(".toml") for name in names if name.endswith(".toml")}
    assert recipes == {"iris_forest", "iris_on_spark", "flowers"}
    assert recipes < {recipe.name for recipe in list_recipes(stores, scientist)}
    write_iris(stores)
    assert train(stores, scientist, recipe="iris_forest").model.model == "iris_forest"


def test_the_parameters_of_the_entry_point_can_be_set_except_those_of_the_data(
    stores: Stores, scientist: Actor
) -> None:
    write_examples(stores.settings.home)
    offered = project_parameters(stores, scientist, find_recipe(stores, "flowers"))
    # 40 is the recipe's own value, 1 the project's default.
    assert [(one.name, one.kind, one.default) for one in offered] == [("trees", "float", "40"), ("leaf", "float", "1")]
    assert project_parameters(stores, scientist, find_recipe(stores, "iris_classifier")) == ()


def test_the_data_version_is_in_the_environment_and_our_settings_are_not(stores: Stores, scientist: Actor) -> None:
    write_iris(stores)
    project(stores, scientist, "import os\nfor name, value in sorted(os.environ.items()): print(f'{name}={value}')")
    watch = Watched()
    with pytest.raises(TrainingFailed, match="succeeded but logged no model to its run"):
        train(stores, scientist, recipe="mine", version=0, progress=watch)
    said = dict(line.split("=", 1) for line in watch.lines if "=" in line)
    told = {name: value for name, value in said.items() if name.startswith("MODELLEDGER_")}
    uri = stores.catalog.resolve(TABLE).uri
    expected = {"MODELLEDGER_TABLE": TABLE, "MODELLEDGER_TABLE_URI": uri, "MODELLEDGER_DATA_VERSION": "0"}
    assert told == expected
    assert said["MLFLOW_TRACKING_URI"] == stores.settings.tracking_uri
    assert "MLFLOW_ALLOW_MODEL_CODE_EXECUTION" not in said


def test_a_project_that_fails_ends_as_failed_with_its_own_last_error(stores: Stores, scientist: Actor) -> None:
    write_iris(stores)
    project(stores, scientist, "print('reading', flush=True)\nraise ValueError('the column <age> is missing')")
    watch = Watched()
    with pytest.raises(TrainingFailed, match=r"mine failed: ValueError: the column <age> is missing$"):
        train(stores, scientist, recipe="mine", progress=watch)
    assert "reading" in watch.lines
    run = only_run(stores)
    assert run.status is RunStatus.FAILED
    assert "ValueError: the column <age> is missing" in str(failure_reason(run))
    assert stores.models.models() == ()
    assert stores.audit.search(action="run.train", limit=1)[0].outcome.value == "failed"


SLEEPY = """
import os, signal, subprocess, sys, time
deaf = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)"
child = subprocess.Popen([sys.executable, "-c", deaf])
time.sleep(0.5)
print("pids", os.getpid(), child.pid, flush=True)
print("asleep", flush=True)
time.sleep(600)
"""


def pids_in(lines: list[str]) -> list[int]:
    return [int(word) for line in lines if line.startswith("pids ") for word in line.split()[1:]]


def test_cancelling_ends_all_processes_of_the_project_even_those_that_ignore_signals(
    stores: Stores, scientist: Actor
) -> None:
    write_iris(stores)
    project(stores, scientist, SLEEPY)
    watch = Watched(stop_at="asleep")
    with pytest.raises(JobCancelled):
        train(stores, scientist, recipe="mine", progress=watch)
    pids = pids_in(watch.lines)
    assert len(pids) == 2
    assert [pid for pid in pids if psutil.pid_exists(pid) and psutil.Process(pid).status() != "zombie"] == []
    assert only_run(stores).status is RunStatus.KILLED


@pytest.mark.slow
def test_a_job_that_is_cancelled_or_killed_leaves_no_process_of_the_project(stores: Stores, scientist: Actor) -> None:
    write_iris(stores)
    project(stores, scientist, SLEEPY)
    command = [sys.executable, "-m", "core", "worker"]
    worker = subprocess.Popen(command, cwd=ROOT)
    try:
        for how in ("cancelled", "killed"):
            job = submit_training(stores, scientist, recipe="mine")
            pids = until(lambda job=job: pids_in([line.text for line in stores.jobs.lines(job.id)]))
            if how == "cancelled":
                stores.jobs.request_cancel(job.id, "scientist")
                until(lambda job=job: stores.jobs.get(job.id).status is JobStatus.KILLED)
            else:
                worker.kill()
                worker.wait()
            until(lambda pids=pids: not any(psutil.pid_exists(pid) for pid in pids))
    finally:
        if worker.poll() is None:
            worker.kill()
            worker.wait()


def until(condition: object, within_s: float = 90.0) -> object:
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        if found := condition():  # type: ignore[operator]
            return found
        time.sleep(0.2)
    raise AssertionError(f"not within {within_s} s")


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"estimator": "mlproject:nowhere"}, r"nowhere is not an MLflow Project: its file MLproject cannot be read"),
        ({"params": {"entry_point": "fit"}}, r"has no entry point 'fit'; its entry points are: main\."),
        ({"params": {"backend": "moon"}}, r"backend must be one of local, databricks, kubernetes, not 'moon'\."),
        ({"params": {"depth": 3}}, r"The entry point has no parameter 'depth'; its parameters are: trees\."),
        ({"params": {"trees": "many"}}, r"trees must be a number, not 'many'\."),
        ({"params": {"DataV": "7"}}, r"The training sets DataV; leave it out of the recipe\."),
        ({"params": {}}, r"The entry point needs a value for trees\."),
    ],
)
def test_an_invalid_project_is_refused_in_one_sentence_before_anything_starts(
    stores: Stores, scientist: Actor, changes: dict[str, object], expected: str
) -> None:
    write_iris(stores)
    recipe = project(stores, scientist, "raise AssertionError", "{DataV: string, trees: float}", trees=3)
    save_recipe(stores, scientist, replace(recipe, **changes))
    for attempt in (submit_training, train):
        with pytest.raises(BadParameter, match=expected) as refused:
            attempt(stores, scientist, recipe="mine")
        assert len(str(refused.value).splitlines()) == 1
    assert stores.jobs.list() == ()
    assert stores.runs.page().runs == ()


@pytest.mark.parametrize("text", ["entry_points: [", "- a\n- b\n", "name: x\n"])
def test_an_invalid_mlproject_file_is_reported_in_one_line(stores: Stores, scientist: Actor, text: str) -> None:
    write_iris(stores)
    project(stores, scientist, "")
    (stores.settings.recipes_folder / "mine" / "MLproject").write_text(text)
    with pytest.raises(
        BadParameter, match=r"is not valid YAML|has no entry point 'main'; its entry points are: -\."
    ) as refused:
        train(stores, scientist, recipe="mine")
    assert len(str(refused.value).splitlines()) == 1


DATABRICKS = '{"new_cluster": {"spark_version": "15.4.x-scala2.12", "num_workers": 1}}'
KUBERNETES = '{"kube-job-template-path": "job.yaml", "repository-uri": "registry/x"}'


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        ({"backend": "databricks"}, r"The backend databricks needs backend_config: a JSON file, or JSON\."),
        ({"backend": "kubernetes"}, r"The backend kubernetes needs backend_config"),
        ({"backend": "databricks", "backend_config": "{"}, r"backend_config cannot be read"),
        ({"backend": "databricks", "backend_config": "[]"}, r"backend_config must be a JSON object\."),
        ({"backend": "databricks", "backend_config": "cluster.json"}, r"cannot be read: .*cluster\.json"),
        (
            {"backend": "databricks", "backend_config": DATABRICKS},
            r"set MLFLOW_TRACKING_URI to databricks or to the address of a server\.",
        ),
    ],
)
def test_a_backend_that_lacks_something_is_refused_in_one_sentence(
    stores: Stores, scientist: Actor, params: dict[str, str], expected: str
) -> None:
    write_iris(stores)
    project(stores, scientist, "raise AssertionError", "{DataV: string, table_uri: path}", **params)
    there = store_with(stores, tables=f"{TABLE}=s3://lake/{TABLE}")
    with pytest.raises(BadParameter, match=expected) as refused:
        project_of(there, find_recipe(there, "mine"))
    assert len(str(refused.value).splitlines()) == 1


def store_with(stores: Stores, **settings: str) -> Stores:
    """The same home with other settings."""
    return open_stores(load_settings(home=stores.settings.home, **settings))


@pytest.mark.parametrize(
    "declared", ["{DataV: string}", "{table_uri: path}", "{table: string, table_uri: path}", "{alpha: {default: 1}}"]
)
def test_a_project_on_another_machine_declares_the_parameters_of_its_data(
    stores: Stores, scientist: Actor, declared: str
) -> None:
    """Our environment does not reach the other machine: without these parameters the project cannot know its data."""
    write_iris(stores)
    project(stores, scientist, "", declared, backend="databricks", backend_config=DATABRICKS)
    with pytest.raises(BadParameter, match=r"declare DataV, and table_uri or table, for the entry point 'main'"):
        submit_training(stores, scientist, recipe="mine")


def test_a_table_on_this_machine_is_not_given_to_a_project_on_another_machine(stores: Stores, scientist: Actor) -> None:
    write_iris(stores)
    declared = "{DataV: string, table_uri: path}"
    project(stores, scientist, "", declared, backend="databricks", backend_config=DATABRICKS)
    with pytest.raises(BadParameter, match=r"is on this machine .*where databricks cannot reach it"):
        submit_training(stores, scientist, recipe="mine")


def test_cluster_is_given_the_data_version_as_mlflow_submits_it(stores: Stores, scientist: Actor) -> None:
    """The command is made by MLflow's own Databricks backend from the arguments that it gets."""
    from mlflow.projects import databricks

    write_iris(stores)
    project(
        stores,
        scientist,
        "",
        "{DataV: string, table_uri: path, alpha: {type: float, default: 0.5}}",
        backend="databricks",
        backend_config=DATABRICKS,
    )
    there = store_with(stores, tables=f"{TABLE}=s3://lake/{TABLE}", mlflow_tracking_uri="http://127.0.0.1:1")
    found = project_of(there, find_recipe(there, "mine"))
    data = ProjectData(table=TABLE, uri=f"s3://lake/{TABLE}", version=3)
    run_id = stores.runs.start("mine", "mine", scientist.name, {})
    order = _arguments(found, run_id, stores.settings.tracking_uri, data)
    assert (order["backend"], order["env_manager"]) == ("databricks", None)
    assert order["backend_config"] == json.loads(DATABRICKS)
    command = databricks._get_databricks_run_cmd(
        "/dbfs/x.tar.gz", "theirs", order["entry_point"], order["parameters"], order["env_manager"]
    )
    for given in ("DataV=3", f"table_uri=s3://lake/{TABLE}", "alpha=0.5"):
        assert f"-P {given}" in command[-1]


def test_the_kubernetes_template_is_beside_the_recipes(stores: Stores, scientist: Actor) -> None:
    write_iris(stores)
    declared = "{DataV: string, table_uri: path}"
    project(stores, scientist, "", declared, backend="kubernetes", backend_config=KUBERNETES)
    found = open_project(*_recipe(stores), stores.settings.recipes_folder)
    assert found.read_config()["kube-job-template-path"] == str(stores.settings.recipes_folder / "job.yaml")


def _recipe(stores: Stores) -> tuple[str, dict[str, object]]:
    recipe = find_recipe(stores, "mine")
    return recipe.estimator, dict(recipe.params)


@pytest.mark.skipif(importlib.util.find_spec("kubernetes") is not None, reason="the package is here")
def test_kubernetes_without_its_packages_names_them(stores: Stores, scientist: Actor) -> None:
    write_iris(stores)
    declared = "{DataV: string, table_uri: path}"
    project(stores, scientist, "", declared, backend="kubernetes", backend_config=KUBERNETES)
    there = store_with(stores, tables=f"{TABLE}=s3://lake/{TABLE}")
    with pytest.raises(BadParameter, match=r"needs packages that are not installed here: .*kubernetes"):
        project_of(there, find_recipe(there, "mine"))


@pytest.mark.slow
def test_the_code_of_a_run_is_the_projects_own_commit_or_none(stores: Stores, scientist: Actor) -> None:
    write_iris(stores)
    write_examples(stores.settings.home)
    place = stores.settings.recipes_folder / "flowers"
    first = train(stores, scientist, recipe="flowers")
    tags = stores.runs.get(first.run_id).tags
    assert tags["mlflow.source.name"] == str(place)
    assert "mlflow.source.git.commit" not in tags
    git = ["git", "-C", str(place), "-c", "user.name=t", "-c", "user.email=t@example.com"]
    for arguments in (["init", "-q"], ["add", "."], ["commit", "-qm", "our code"]):
        subprocess.run([*git, *arguments], check=True)
    head = subprocess.run([*git, "rev-parse", "HEAD"], check=True, capture_output=True, text=True).stdout.strip()
    second = train(stores, scientist, recipe="flowers")
    assert stores.runs.get(second.run_id).tags["mlflow.source.git.commit"] == head
    assert origin_of_model(stores, scientist, second.model).code["commit"] == head


@pytest.mark.slow
def test_a_project_is_run_again_by_another_store_on_the_same_home(stores: Stores, scientist: Actor) -> None:
    write_iris(stores)
    write_examples(stores.settings.home)
    for wanted in (1, 2):
        again = open_stores(load_settings(home=stores.settings.home))
        assert train(again, scientist, recipe="flowers").model.version == wanted
