"""The worker as a user starts it, killed in the middle of a training: ended, told, done again once."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from core.bootstrap import open_stores
from core.entities import Actor, JobStatus, Outcome, RunStatus
from core.features.evidence.search_events import search_audit
from core.features.stores import Stores
from core.features.training.recipes import list_recipes, save_recipe
from core.features.training.train import submit_training
from core.settings import load_settings
from tests.features.test_worker import over, until

ROOT = Path(__file__).resolve().parent.parent.parent
# Trees are grown in steps and take seconds: long enough to be met in the middle.
TREES = {"n_estimators": 1_000}


@pytest.fixture
def start(sample: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], subprocess.Popen[bytes]]]:
    """`python -m core worker` on the sample workspace, which soon takes over what fell silent."""
    for name, value in {"WORKER_LEASE_S": "8", "INSPECT_EVERY_S": "0", "HEAD_EVERY_H": "0"}.items():
        monkeypatch.setenv(f"MODELLEDGER_{name}", value)
    running: list[subprocess.Popen[bytes]] = []

    def begin() -> subprocess.Popen[bytes]:
        running.append(subprocess.Popen([sys.executable, "-m", "core", "worker"], cwd=ROOT))
        return running[-1]

    yield begin
    for worker in running:
        if worker.poll() is None:
            worker.terminate()
            worker.wait(60)


@pytest.fixture
def stores(sample: Path, scientist: Actor) -> Stores:
    """The sample workspace with a recipe `forest`, whose model has no version yet."""
    made = open_stores(load_settings(home=sample))
    iris = next(one for one in list_recipes(made, scientist) if one.name == "iris_classifier")
    save_recipe(made, scientist, replace(iris, name="forest", model="forest", estimator="random_forest", params=TREES))
    return made


@pytest.mark.slow
def test_a_training_whose_worker_was_killed_is_ended_told_and_done_again_once(
    stores: Stores, start: Callable[[], subprocess.Popen[bytes]], scientist: Actor, auditor: Actor
) -> None:
    worker = start()
    job = submit_training(stores, scientist, recipe="forest", version=1, reason="for the board")
    until(lambda: 0.15 < stores.jobs.get(job.id).progress < 0.8, 120)
    first = stores.jobs.get(job.id).result
    (child,) = psutil.Process(worker.pid).children()
    worker.send_signal(signal.SIGKILL)
    worker.wait(10)
    until(lambda: not child.is_running() or child.status() == psutil.STATUS_ZOMBIE)
    assert stores.runs.get(first["run_id"]).status is RunStatus.RUNNING
    assert [event.operation for event in stores.audit.unfinished()] == [first["operation"]]
    assert "forest" not in {one.name for one in stores.models.models()}

    start()
    until(lambda: stores.jobs.get(job.id).status.is_over, 240)
    done = over(stores.jobs, job)
    assert (done.status, done.attempt, done.error) == (JobStatus.FINISHED, 2, None)
    assert (done.result["model"], done.result["version"], done.result["data_version"]) == ("forest", 1, 1)

    # The first attempt: its run is ended, its intent is closed and says why, and nothing of it was registered.
    assert done.result["run_id"] != first["run_id"]
    assert stores.runs.get(first["run_id"]).status is RunStatus.KILLED
    outcome, intent = search_audit(stores, auditor, operation=first["operation"])
    assert (intent.outcome, intent.actor, intent.reason) == (Outcome.INTENT, "scientist", "for the board")
    assert (outcome.outcome, outcome.actor) == (Outcome.FAILED, "scientist")
    assert "died" in outcome.reason

    # The second: one version, on the pinned data, from its own run.
    (version,) = stores.models.versions("forest")
    assert (version.version, version.run_id) == (1, done.result["run_id"])
    run = stores.runs.get(version.run_id)
    assert run.status is RunStatus.FINISHED
    assert (run.params["DataV"], run.params["ModelV"], run.params["n_estimators"]) == ("1", "1", "1000")
    assert run.metrics["TrainRows"] + run.metrics["TestRows"] == 100
    assert stores.audit.unfinished() == ()
    assert stores.audit.verify().ok
