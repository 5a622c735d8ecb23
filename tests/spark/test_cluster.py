"""A real standalone cluster: the engine, training, and scoring through it, also where it loses a worker on the way."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from core.delta.spark.engine import SparkEngine
from core.entities import Actor, Recipe, Table, Task
from core.features.scoring.score import score
from core.features.stores import Stores
from core.features.training.recipes import save_recipe
from core.features.training.train import train
from tests.spark.conftest import Opener
from tests.spark.loans import GRADE, Watched, check_trained, write_loans
from tests.spark.servers import Cluster, start_cluster
from tests.spark.slow import SLOW, SLOW_CONF, Watching, assert_written_once, on_spark
from tests.spark.walk import walk

pytestmark = [pytest.mark.spark, pytest.mark.spark_servers, pytest.mark.slow]

# One driver serves all tests here, so it has what the strictest of them asks for: no memory, no result to speak of.
CONF = SLOW_CONF | {
    "spark.driver.memory": "512m",
    "spark.driver.maxResultSize": "1m",
    "spark.sql.execution.arrow.maxRecordsPerBatch": "1000",
    "spark.shuffle.io.retryWait": "1s",  # what a killed worker held is asked for three times
}


@pytest.fixture(scope="module")
def running(java: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A standalone cluster: a master and two workers."""
    from core.delta.spark import session as spark_session

    started = start_cluster(tmp_path_factory.mktemp("cluster"))
    yield started
    spark_session.close()
    started.stop()


@pytest.fixture
def cluster(running: Cluster) -> Cluster:
    """The cluster with two workers, whatever the test before did to them."""
    running.refill()
    return running


def busy_executors(session: Any) -> list[str]:
    """The ids of the executors that run a task now."""
    return [one.id() for one in executors(session, alive=True) if one.activeTasks() and one.id() != "driver"]


def executors(session: Any, *, alive: bool) -> list[Any]:
    """What the driver knows of its executors: those that are alive, or all there ever were."""
    found = session.sparkContext._jsc.sc().statusStore().executorList(alive)
    return [found.apply(number) for number in range(found.size())]


class Striking(Watched):
    """Kills a worker with its executor while that runs a task of the fit."""

    def __init__(self, cluster: Cluster, session: Any) -> None:
        super().__init__()
        self._cluster, self._session = cluster, session
        self.struck: tuple[str, int] | None = None

    def report(self, fraction: float, step: str) -> None:
        super().report(fraction, step)
        if not step.startswith("fitting") or "stage" not in step or self.struck:
            return
        for executor in busy_executors(self._session)[:1]:
            self._cluster.worker_of(executor).kill()
            self.struck = executor, len(self.steps)


def test_the_engine_works_there(cluster: Cluster, jars: str, tmp_path: Path) -> None:
    walk(SparkEngine(cluster.url, jars=jars, conf=CONF), Table(name="t", uri=str(tmp_path / "t")))


def test_no_row_passes_through_the_driver(cluster: Cluster, jars: str, opened: Opener, person: Actor) -> None:
    """640 MB of texts: neither the driver's Java (512 MB) nor this process's growth could hold them; results over 1 MB
    are refused by Spark itself, so that not even the numbers alone can be collected."""
    stores = opened(cluster.url, spark_conf=CONF, spark_jars=jars)
    session = stores.engine.session  # type: ignore[attr-defined]
    rows = session.range(0, 80_000, 1, 8).selectExpr(
        "id",
        *[f"rand({n}) AS x{n}" for n in range(4)],
        "repeat(sha2(cast(id AS string), 256), 125) AS notes",
        "id % 7 + rand(9) AS y",
    )
    stores.engine.write_frame(stores.catalog.place("big"), rows, mode="append")  # type: ignore[attr-defined]
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
    cluster: Cluster, jars: str, opened: Opener, person: Actor, tmp_path: Path
) -> None:
    stores = opened(cluster.url, spark_conf=CONF, spark_jars=jars)
    session = stores.engine.session  # type: ignore[attr-defined]
    write_loans(stores)
    save_recipe(stores, person, GRADE)
    watch = Striking(cluster, session)
    result = train(stores, person, recipe="grades", params={"maxIter": 100, "tol": 0.0}, progress=watch)
    assert watch.struck
    executor, step = watch.struck
    assert [one.isActive() for one in executors(session, alive=False) if one.id() == executor] == [False]
    assert len(watch.steps) > step + 1
    check_trained(stores, result.run_id, tmp_path)


def test_a_scoring_loses_nothing_but_time_with_a_worker_that_is_killed_in_the_middle(
    cluster: Cluster, jars: str, slow_home: Path, embedded: Stores, person: Actor
) -> None:
    stores = on_spark(slow_home, cluster.url, conf=CONF, jars=jars)
    killed = cluster.workers[0]
    watching = Watching(act=(2, killed.kill))
    batch = score(stores, person, **SLOW, into="by_cluster", batch_id="cluster", progress=watching)
    assert killed.process.poll() is not None
    assert_written_once(embedded, person, "by_cluster")
    again = score(stores, person, **SLOW, into="by_cluster", batch_id="cluster")
    assert again == batch
    assert_written_once(embedded, person, "by_cluster")
