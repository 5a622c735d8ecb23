"""Spark jobs as a person meets them: stages in the list, cancelled from the page, a driver that is lost."""

from __future__ import annotations

import contextlib
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import TypeVar

import psutil
import pytest

from core.bootstrap import open_stores
from core.delta.delta_rs.engine import DeltaRsEngine
from core.entities import Actor, Job, JobStatus, Recipe, RunStatus, Task
from core.features.stores import Stores
from core.features.training.recipes import save_recipe
from core.settings import load_settings
from tests.pages.conftest import ROOT, Opened, said
from tests.pages.test_training import press
from tests.spark.loans import TABLE, loans

pytestmark = [pytest.mark.spark, pytest.mark.spark_servers, pytest.mark.slow]

T = TypeVar("T")
STAGES = re.compile(r"stage \d+ of \d+, task \d+ of \d+$")
LOST = re.compile(r"The Spark session was lost \(.+\)\. No incomplete data remains; try again")
# Hundreds of Spark jobs, one after the other.
SLOW = Recipe(
    name="slow",
    model="slow",
    task=Task.REGRESSION,
    table=TABLE,
    target="amount",
    estimator="pyspark.ml.regression.GBTRegressor",
    features=("age", "income"),
    params={"maxIter": 400, "maxDepth": 4},
)


@pytest.fixture
def stores(java: None, sample_stores: Stores, scientist: Actor, monkeypatch: pytest.MonkeyPatch) -> Stores:
    """The sample, a table of loans and a recipe that takes Spark minutes; Spark is the engine, also of the page."""
    DeltaRsEngine().write(sample_stores.catalog.place(TABLE), loans(), mode="append")
    save_recipe(sample_stores, scientist, SLOW)
    monkeypatch.setenv("MODELLEDGER_ENGINE", "spark")
    monkeypatch.setenv("MODELLEDGER_SPARK_MASTER", "local[2]")
    return open_stores(load_settings())


@pytest.fixture
def worker(stores: Stores) -> Iterator[psutil.Process]:
    """`python -m core worker`; ended by its process id."""
    process = subprocess.Popen([sys.executable, "-m", "core", "worker"], cwd=ROOT)
    yield psutil.Process(process.pid)
    process.terminate()
    try:
        process.wait(60)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def until(condition: Callable[[], T], within_s: float = 240.0) -> T:
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        if found := condition():
            return found
        time.sleep(0.3)
    raise AssertionError(f"not within {within_s} s")


def java_of(process: psutil.Process) -> list[psutil.Process]:
    found = []
    for one in process.children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):  # ended since it was listed
            if one.name() == "java":
                found.append(one)
    return found


def in_the_middle(stores: Stores, job_id: str) -> Job | None:
    """The job, once Spark fits its model."""
    job = stores.jobs.get(job_id)
    assert not job.status.is_over, job.error
    return job if job.step.startswith("fitting") and STAGES.search(job.step) else None


def started_from_the_page(opened: Opened, stores: Stores) -> str:
    press(opened("training", "scientist", training_recipe="slow"), "Train")
    return stores.jobs.list(kind="train", live_only=True)[0].id


def test_stages_are_listed_a_cancel_ends_them_and_a_lost_driver_is_told(
    stores: Stores, opened: Opened, worker: psutil.Process
) -> None:
    job_id = started_from_the_page(opened, stores)
    until(lambda: in_the_middle(stores, job_id))
    page = opened("training", "scientist", training_tab="Jobs", training_job=job_id)
    (row,) = page.dataframe[0].value.to_dict("records")
    assert STAGES.search(row["Result"])
    assert 0.1 <= row["Progress"] < 1

    press(page, "Cancel")
    cancelled = until(lambda: job if (job := stores.jobs.get(job_id)).status.is_over else None)
    assert cancelled.status is JobStatus.KILLED
    until(lambda: not java_of(worker))
    assert stores.runs.get(str(cancelled.result["run_id"])).status is RunStatus.KILLED

    lost_id = started_from_the_page(opened, stores)
    until(lambda: in_the_middle(stores, lost_id))
    for one in java_of(worker):
        one.send_signal(signal.SIGKILL)
    lost = until(lambda: job if (job := stores.jobs.get(lost_id)).status.is_over else None)
    assert lost.status is JobStatus.FAILED
    assert LOST.match(str(lost.error))
    page = opened("training", "scientist", training_job=lost_id)
    assert not page.exception
    assert "try again, which opens a new session" in said(page).replace("\\", "")

    # The app goes on: the same worker trains the next one.
    page = opened("training", "scientist", training_recipe="iris_classifier", training_version="0")
    press(page, "Train")
    (after,) = stores.jobs.list(kind="train", live_only=True)
    until(lambda: stores.jobs.get(after.id).status is JobStatus.FINISHED)
    assert [version.model for version in stores.models.versions("iris_classifier")] == ["iris_classifier"] * 4
    assert "slow" not in {model.name for model in stores.models.models()}


def test_on_the_command_line_a_lost_driver_is_one_line(stores: Stores) -> None:
    command = [sys.executable, "-m", "core", "train", "slow", "--json"]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        # The data's hash is logged when Spark has read it; what follows is the fit.
        until(
            lambda: [
                run
                for run in stores.runs.page((), f"tags.`delta.table` = '{TABLE}'").runs
                if "delta.content_sha256" in run.tags
            ]
        )
        for one in java_of(psutil.Process(process.pid)):
            one.send_signal(signal.SIGKILL)
        out, err = process.communicate(timeout=120)
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
    assert (process.returncode, out) == (1, "")
    assert LOST.match(err.splitlines()[-1])
    assert "Traceback" not in err
    (run,) = stores.runs.page((), f"tags.`delta.table` = '{TABLE}'").runs
    assert run.status is RunStatus.FAILED
