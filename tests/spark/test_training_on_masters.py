"""Training through a real standalone cluster, which loses a worker on the way, and over a real Spark Connect server."""

from __future__ import annotations

import math
import threading
from pathlib import Path

import psutil
import pytest

from core.delta.delta_rs import DeltaRsEngine
from core.entities import Actor, Recipe, RunStatus, Task
from core.learning.artifacts import check_loads
from core.services.stores import Stores
from core.services.train import save_recipe, train
from tests.spark.conftest import Opener
from tests.spark.loans import GRADE, TABLE, Watched, loans
from tests.spark.servers import Cluster

pytestmark = pytest.mark.spark

KPIS = {"precision", "recall", "f1", "accuracy", "roc_auc", "log_loss"}


def write_loans(stores: Stores) -> None:
    """By the embedded engine: the masters share this machine's disk."""
    DeltaRsEngine().write(stores.catalog.place(TABLE), loans(), mode="append")


def check_trained(stores: Stores, run_id: str, tmp_path: Path) -> None:
    """One finished run, one registered version, whole."""
    run = stores.runs.get(run_id)
    assert run.status is RunStatus.FINISHED
    assert set(run.metrics) == {"TrainRows", "TestRows"} | KPIS
    assert run.metrics["TrainRows"] + run.metrics["TestRows"] == 600
    assert all(math.isfinite(value) for value in run.metrics.values())
    (version,) = stores.models.versions("grades")
    assert version.run_id == run_id
    assert check_loads(stores.models.download(version.key, tmp_path / "model")).format == "spark ml"
    assert run.tags["delta.content_sha256"] == DeltaRsEngine().content(stores.catalog.resolve(TABLE)).sha256


class Striking(Watched):
    """Kills a worker with its executor once the estimator is being fitted."""

    def __init__(self, cluster: Cluster) -> None:
        super().__init__()
        self._cluster, self.struck = cluster, 0

    def report(self, fraction: float, step: str) -> None:
        super().report(fraction, step)
        if step.startswith("fitting") and "stage" in step and not self.struck:
            self._cluster.workers[0].kill()
            self.struck = len(self.steps)


def test_no_row_passes_through_the_driver(
    cluster: Cluster, opened: Opener, person: Actor, capsys: pytest.CaptureFixture[str]
) -> None:
    """640 MB of texts: neither the driver's Java (512 MB) nor this process's growth could hold them; results over 1 MB
    are refused by Spark itself, so that not even the numbers alone can be collected."""
    stores = opened(
        cluster.url,
        spark_conf={
            "spark.driver.memory": "512m",
            "spark.driver.maxResultSize": "1m",
            "spark.sql.execution.arrow.maxRecordsPerBatch": "1000",
        },
    )
    session = stores.engine.session  # type: ignore[attr-defined]
    rows = session.range(80_000).selectExpr(
        "id",
        *[f"rand({n}) AS x{n}" for n in range(4)],
        "repeat(sha2(cast(id AS string), 256), 125) AS notes",
        "id % 7 + rand(9) AS y",
    )
    stores.engine.write_frame(stores.catalog.place("big"), rows.repartition(8), mode="append")  # type: ignore[attr-defined]
    recipe = Recipe(
        name="big",
        model="big",
        task=Task.REGRESSION,
        table="big",
        target="y",
        estimator="pyspark.ml.regression.LinearRegression",
        features=("id", "x0", "x1", "x2", "x3"),
        params={"solver": "normal"},
    )
    save_recipe(stores, person, recipe)
    process, peak, done = psutil.Process(), [0], threading.Event()

    def sample() -> None:
        while not done.wait(0.05):
            peak[0] = max(peak[0], process.memory_info().rss)

    before = process.memory_info().rss
    sampler = threading.Thread(target=sample)
    sampler.start()
    try:
        result = train(stores, person, recipe="big")
    finally:
        done.set()
        sampler.join()
    assert result.metrics["TrainRows"] + result.metrics["TestRows"] == 80_000
    assert peak[0] - before < 200 * 1024 * 1024


def test_a_training_outlives_a_worker_that_is_killed_in_the_middle(
    cluster: Cluster, opened: Opener, person: Actor, tmp_path: Path
) -> None:
    stores = opened(cluster.url)
    write_loans(stores)
    save_recipe(stores, person, GRADE)
    watch = Striking(cluster)
    result = train(stores, person, recipe="grades", params={"maxIter": 20}, progress=watch)
    assert watch.struck
    assert len(watch.steps) > watch.struck + 1
    check_trained(stores, result.run_id, tmp_path)


def test_over_spark_connect(connect_url: str, opened: Opener, person: Actor, tmp_path: Path) -> None:
    stores = opened(connect_url)
    write_loans(stores)
    save_recipe(stores, person, GRADE)
    result = train(stores, person, recipe="grades")
    check_trained(stores, result.run_id, tmp_path)
