"""Scoring through real servers: a standalone cluster that loses a worker, and Spark Connect, with and without our disk."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from core.bootstrap import open_stores
from core.entities import Actor, Role
from core.errors import EngineUnavailable, JobCancelled
from core.services.score import list_batches, score
from core.services.stores import Stores
from core.settings import load_settings
from tests.conftest import copy_sample
from tests.spark.servers import Cluster, Server, start_connect
from tests.spark.slow import ROWS, SLOW_CONF, Watching, slow_scoring

pytestmark = pytest.mark.spark

SCIENTIST = Actor(name="scientist", roles=frozenset({Role.SCIENTIST}), channel="test")
SLOW = {"model": "slow", "model_version": 1, "table": "many"}


@pytest.fixture(scope="module")
def home(java: None, sample_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sample, and a slow scoring."""
    folder = tmp_path_factory.mktemp("elsewhere") / "home"
    copy_sample(sample_home, folder)
    slow_scoring(open_stores(load_settings(home=folder)), SCIENTIST)
    return folder


@pytest.fixture(scope="module")
def embedded(home: Path) -> Stores:
    """Looks at what was written, without Spark."""
    return open_stores(load_settings(home=home))


def on(home: Path, master: str) -> Stores:
    return open_stores(load_settings(home=home, engine="spark", spark_master=master, spark_conf=SLOW_CONF))


def assert_written_once(stores: Stores, table: str) -> None:
    """One commit, one batch, every row of `many` once."""
    place = stores.catalog.resolve(table)
    (batch,) = list_batches(stores, SCIENTIST, into=table)
    assert [commit.rows_added for commit in stores.engine.history(place)] == [ROWS]
    assert batch.rows == ROWS
    assert sorted(stores.engine.read(place, columns=["id"]).column("id").to_pylist()) == list(range(ROWS))


def test_a_worker_that_is_killed_in_the_middle_costs_nothing_but_time(
    cluster: Cluster, home: Path, embedded: Stores
) -> None:
    stores = on(home, cluster.url)
    alive = [worker for worker in cluster.workers if worker.process.poll() is None]
    assert len(alive) == 2
    watching = Watching(act=(2, alive[0].kill))
    batch = score(stores, SCIENTIST, **SLOW, into="by_cluster", batch_id="cluster", progress=watching)
    assert alive[0].process.poll() is not None
    assert_written_once(embedded, "by_cluster")
    again = score(stores, SCIENTIST, **SLOW, into="by_cluster", batch_id="cluster")
    assert again == batch
    assert_written_once(embedded, "by_cluster")


@pytest.fixture(scope="module")
def server(java: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, str]]:
    """A Spark Connect server of this module's own: one test ends it."""
    from core.delta import spark_session

    started, url = start_connect(tmp_path_factory.mktemp("connect"))
    yield started, url
    spark_session.close()
    started.stop()


def test_over_connect_the_executors_need_nothing_of_our_disk(
    server: tuple[Server, str], home: Path, embedded: Stores
) -> None:
    """The model's folder goes before the rows are scored: what the executors have then, they were sent."""
    stores, gone = on(home, server[1]), []

    class Removing(Watching):
        def report(self, fraction: float, step: str) -> None:
            super().report(fraction, step)
            if fraction >= 0.1:
                gone.extend(folder for folder in _model_folders() if shutil.rmtree(folder, ignore_errors=True) is None)

    watching = Removing()
    ask = {"model": "iris_classifier", "model_version": 3, "table": "iris_training_data", "version": 2}
    there = score(stores, SCIENTIST, **ask, into="by_connect", progress=watching)
    here = score(embedded, SCIENTIST, **ask, into="by_embedded")
    assert there.rows == here.rows == 150
