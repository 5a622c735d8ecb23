"""A real Spark Connect server: the engine, training and scoring over it, up to its loss."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from core.delta.spark.engine import SparkEngine
from core.entities import Actor, ModelVersionKey, Table
from core.errors import EngineUnavailable, JobCancelled
from core.features.scoring.batches import list_batches
from core.features.scoring.score import score
from core.features.stores import Stores
from core.features.training.recipes import save_recipe
from core.features.training.train import train
from tests.batches import rows_of_batch
from tests.spark.conftest import Opener
from tests.spark.loans import GRADE, check_trained, write_loans
from tests.spark.servers import Server, start_connect
from tests.spark.slow import SLOW, SLOW_CONF, Watching, assert_written_once, on_spark
from tests.spark.walk import walk

pytestmark = [pytest.mark.spark, pytest.mark.spark_servers, pytest.mark.slow]


@pytest.fixture(scope="module")
def server(java: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, str]]:
    """A Spark Connect server of this module's own: the last test ends it."""
    from core.delta.spark import session

    started, url = start_connect(tmp_path_factory.mktemp("connect"))
    yield started, url
    session.close()
    started.stop()


def test_the_engine_works_there(server: tuple[Server, str], tmp_path: Path) -> None:
    walk(SparkEngine(server[1], conf=SLOW_CONF), Table(name="t", uri=str(tmp_path / "t")))


def test_a_training_ends_as_anywhere(server: tuple[Server, str], opened: Opener, person: Actor, tmp_path: Path) -> None:
    stores = opened(server[1], spark_conf=SLOW_CONF)
    write_loans(stores)
    save_recipe(stores, person, GRADE)
    result = train(stores, person, recipe="grades")
    check_trained(stores, result.run_id, tmp_path)


def test_over_connect_the_executors_are_sent_the_model_and_answer_as_the_embedded_engine(
    server: tuple[Server, str], slow_home: Path, embedded: Stores, person: Actor
) -> None:
    """The folder that the model lies in goes before the rows are scored: what the executors have, they were sent."""
    from core.learning.spark.scoring import with_predictions

    engine, table = (
        on_spark(slow_home, server[1], conf=SLOW_CONF).engine,
        embedded.catalog.resolve("iris_training_data"),
    )
    assert isinstance(engine, SparkEngine)
    with tempfile.TemporaryDirectory() as folder:
        place = embedded.models.download(ModelVersionKey(model="iris_classifier", version=3), Path(folder))
        made = with_predictions(engine.frame(table, version=2), place, scratch=Path(folder))
    found = made.select("sepal_length_cm", "petal_width_cm", "prediction", "probability").toArrow()
    batch = score(embedded, person, model="iris_classifier", model_version=3, table=table.name, version=2)
    wanted = rows_of_batch(embedded, batch).select(found.column_names)
    assert found.schema.types == wanted.schema.types
    for one, other in zip(sorted(found.to_pylist(), key=repr), sorted(wanted.to_pylist(), key=repr), strict=True):
        assert one.pop("prediction") == other.pop("prediction")
        assert one == pytest.approx(other, rel=1e-12)


def test_over_connect_a_batch_is_cancelled_scored_and_written_once(
    server: tuple[Server, str], slow_home: Path, embedded: Stores, person: Actor
) -> None:
    stores = on_spark(slow_home, server[1], conf=SLOW_CONF)
    watching = Watching(stop_at=1)
    with pytest.raises(JobCancelled):
        score(stores, person, **SLOW, into="by_connect", batch_id="connect", progress=watching)
    assert watching.saw(r"scoring 24000 rows: stage \d+ of \d+, task \d+ of \d+")
    assert "by_connect" not in {table.name for table in embedded.catalog.tables()}
    batch = score(stores, person, **SLOW, into="by_connect", batch_id="connect")
    assert score(stores, person, **SLOW, into="by_connect", batch_id="connect") == batch
    assert_written_once(embedded, person, "by_connect")


@pytest.mark.filterwarnings("ignore:.*RETRIES_EXCEEDED:UserWarning")  # pyspark's own word for what is caused here
def test_a_server_that_is_lost_in_the_middle_is_told_with_what_to_do(
    server: tuple[Server, str], slow_home: Path, embedded: Stores, person: Actor
) -> None:
    stores = on_spark(slow_home, server[1], conf=SLOW_CONF)
    watching = Watching(act=(1, server[0].kill))
    with pytest.raises(EngineUnavailable, match=r"session was lost .* try again") as lost:
        score(stores, person, **SLOW, into="by_lost_server", progress=watching)
    assert len(str(lost.value).splitlines()) == 1
    with pytest.raises(EngineUnavailable, match="No Spark answers at"):
        score(stores, person, **SLOW, into="by_lost_server")
    assert "by_lost_server" not in {table.name for table in embedded.catalog.tables()}
    assert list_batches(embedded, person, into="by_lost_server") == ()
