"""Scoring through real servers: a standalone cluster that loses a worker, and Spark Connect, up to its loss."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from core.bootstrap import open_stores
from core.entities import Actor, ModelVersionKey, Role
from core.errors import EngineUnavailable, JobCancelled
from core.services.score import batch_predictions, list_batches, score
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


def test_over_connect_the_executors_are_sent_the_model_and_answer_as_the_embedded_engine(
    server: tuple[Server, str], home: Path, embedded: Stores
) -> None:
    """The folder that the model lies in goes before the rows are scored: what the executors have, they were sent."""
    from core.delta.spark import SparkEngine
    from core.learning.spark_scoring import with_predictions

    engine, table = on(home, server[1]).engine, embedded.catalog.resolve("iris_training_data")
    assert isinstance(engine, SparkEngine)
    with tempfile.TemporaryDirectory() as folder:
        place = embedded.models.download(ModelVersionKey(model="iris_classifier", version=3), Path(folder))
        made = with_predictions(engine.frame(table, version=2), place, scratch=Path(folder))
    found = made.select("sepal_length_cm", "petal_width_cm", "prediction", "probability").toArrow()
    batch = score(embedded, SCIENTIST, model="iris_classifier", model_version=3, table=table.name, version=2)
    wanted = batch_predictions(embedded, SCIENTIST, batch).select(found.column_names)
    assert found.schema.types == wanted.schema.types
    for one, other in zip(sorted(found.to_pylist(), key=repr), sorted(wanted.to_pylist(), key=repr), strict=True):
        assert one.pop("prediction") == other.pop("prediction")
        assert one == pytest.approx(other, rel=1e-12)


def test_over_connect_a_batch_is_cancelled_scored_and_written_once(
    server: tuple[Server, str], home: Path, embedded: Stores
) -> None:
    stores = on(home, server[1])
    watching = Watching(stop_at=1)
    with pytest.raises(JobCancelled):
        score(stores, SCIENTIST, **SLOW, into="by_connect", batch_id="connect", progress=watching)
    assert watching.saw(r"scoring 24000 rows: stage \d+ of \d+, task \d+ of \d+")
    assert "by_connect" not in {table.name for table in embedded.catalog.tables()}
    batch = score(stores, SCIENTIST, **SLOW, into="by_connect", batch_id="connect")
    assert score(stores, SCIENTIST, **SLOW, into="by_connect", batch_id="connect") == batch
    assert_written_once(embedded, "by_connect")


@pytest.mark.filterwarnings("ignore:.*RETRIES_EXCEEDED:UserWarning")  # pyspark's own word for what is caused here
def test_a_server_that_is_lost_in_the_middle_is_told_with_what_to_do(
    server: tuple[Server, str], home: Path, embedded: Stores
) -> None:
    stores = on(home, server[1])
    watching = Watching(act=(1, server[0].kill))
    with pytest.raises(EngineUnavailable, match=r"session was lost .* try again") as lost:
        score(stores, SCIENTIST, **SLOW, into="by_lost_server", progress=watching)
    assert len(str(lost.value).splitlines()) == 1
    with pytest.raises(EngineUnavailable, match="No Spark answers at"):
        score(stores, SCIENTIST, **SLOW, into="by_lost_server")
    assert "by_lost_server" not in {table.name for table in embedded.catalog.tables()}
    assert list_batches(embedded, SCIENTIST, into="by_lost_server") == ()
