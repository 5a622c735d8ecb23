"""Scoring on real stores: stamped rows, pinned versions, exactly once, and clear refusals."""

from __future__ import annotations

import pyarrow as pa
import pytest

from core.entities import Actor, PredictionBatch, RequestStatus, Stage, TableVersion
from core.errors import (
    BadInput,
    BadName,
    BatchNotFound,
    Forbidden,
    JobCancelled,
    NothingInProduction,
    SchemaMismatch,
    TableNotFound,
    VersionNotFound,
)
from core.features.data.ingest import ingest_data
from core.features.promotion.request_promotion import request_promotion
from core.features.scoring.batches import find_batch, list_batches
from core.features.scoring.score import score, submit_scoring
from core.features.stores import Stores
from core.jobs.progress import Silent
from tests.batches import rows_of_batch


@pytest.fixture
def serving(sample_stores: Stores) -> Stores:
    """The sample with iris_classifier/2 in Production."""
    sample_stores.models.set_stages("iris_classifier", {2: Stage.PRODUCTION})
    return sample_stores


def scored(stores: Stores, actor: Actor, version: int | None, **more: str) -> PredictionBatch:
    return score(
        stores, actor, model="iris_classifier", table="iris_training_data", version=version, into="predictions", **more
    )


def test_every_row_is_stamped_with_model_run_data_batch_and_time(serving: Stores, scientist: Actor) -> None:
    batch = scored(serving, scientist, 0)
    rows = rows_of_batch(serving, batch)
    version = next(v for v in serving.models.versions("iris_classifier") if v.version == 2)
    assert rows.num_rows == batch.rows == 50
    for column, value in {
        "batch_id": batch.batch_id,
        "model": "iris_classifier",
        "model_version": 2,
        "run_id": version.run_id,
        "source_table": "iris_training_data",
        "source_version": 0,
        "scored_at": batch.time,
    }.items():
        assert set(rows.column(column).to_pylist()) == {value}, column
    assert set(rows.column("prediction").to_pylist()) <= {"setosa", "versicolor", "virginica"}
    assert all(0 < p <= 1 for p in rows.column("probability").to_pylist())
    source = serving.engine.read(serving.catalog.resolve("iris_training_data"), version=0)
    assert sorted(rows.column("petal_width_cm").to_pylist()) == sorted(source.column("petal_width_cm").to_pylist())


def test_latest_is_pinned_once_and_each_batch_is_one_commit(serving: Stores, scientist: Actor) -> None:
    first, second = scored(serving, scientist, None), scored(serving, scientist, 1)
    assert first.source == TableVersion(table="iris_training_data", version=2)
    assert (first.into.version, second.into.version) == (0, 1)
    assert serving.engine.count(serving.catalog.resolve("predictions")) == 250
    assert rows_of_batch(serving, second).num_rows == 100


def test_same_batch_twice_is_written_once(serving: Stores, scientist: Actor) -> None:
    first = scored(serving, scientist, 0, batch_id="a-batch")
    again = scored(serving, scientist, 0, batch_id="a-batch")
    assert again.into == first.into
    assert serving.engine.count(serving.catalog.resolve("predictions")) == 50
    assert len(list_batches(serving, scientist)) == 1


def test_cancelled_in_the_middle_leaves_no_half_batch(serving: Stores, scientist: Actor) -> None:
    class Cancelling(Silent):
        def checkpoint(self) -> None:
            raise JobCancelled("asked to stop")

    with pytest.raises(JobCancelled):
        score(
            serving,
            scientist,
            model="iris_classifier",
            table="iris_training_data",
            into="predictions",
            progress=Cancelling(),
        )
    with pytest.raises(TableNotFound):
        serving.catalog.resolve("predictions", registered_only=True)
    assert list_batches(serving, scientist) == ()
    assert serving.audit.search(action="prediction.score", limit=1)[0].outcome.value == "failed"


def test_batches_are_listed_newest_first_and_found_by_id(serving: Stores, scientist: Actor) -> None:
    older, newer = scored(serving, scientist, 0), scored(serving, scientist, 1)
    assert [b.batch_id for b in list_batches(serving, scientist)] == [newer.batch_id, older.batch_id]
    assert find_batch(serving, scientist, older.batch_id) == older
    with pytest.raises(BatchNotFound, match="no-such-batch"):
        find_batch(serving, scientist, "no-such-batch")


def test_a_regression_gives_numbers_without_probability(sample_stores: Stores, scientist: Actor) -> None:
    batch = score(
        sample_stores,
        scientist,
        model="diabetes_progression",
        model_version=1,
        table="diabetes_training_data",
        version=0,
        into="progressions",
    )
    rows = rows_of_batch(sample_stores, batch)
    assert rows.column("prediction").type == pa.float64()
    assert rows.column("probability").null_count == 200


def test_scoring_without_a_production_version_says_what_to_do(sample_stores: Stores, scientist: Actor) -> None:
    with pytest.raises(NothingInProduction, match="request a promotion"):
        scored(sample_stores, scientist, 0)


def test_missing_column_is_named_and_nothing_is_written(serving: Stores, scientist: Actor) -> None:
    ingest_data(serving, scientist, table="narrow", data=pa.table({"sepal_length_cm": [5.1]}), source="test")
    with pytest.raises(SchemaMismatch, match="_cm"):
        score(serving, scientist, model="iris_classifier", table="narrow", into="predictions")
    assert "predictions" not in {table.name for table in serving.catalog.tables()}


def test_predictions_table_itself_is_not_scored_again(serving: Stores, scientist: Actor) -> None:
    scored(serving, scientist, 0)
    with pytest.raises(BadInput, match="batch_id"):
        score(serving, scientist, model="iris_classifier", table="predictions", into="again")


def test_missing_names_and_versions_are_refused_before_a_job_is_submitted(serving: Stores, scientist: Actor) -> None:
    ask = {"model": "iris_classifier", "table": "iris_training_data", "into": "predictions"}
    with pytest.raises(VersionNotFound, match="0–2"):
        submit_scoring(serving, scientist, **ask, version=99)
    with pytest.raises(TableNotFound, match="no_table"):
        submit_scoring(serving, scientist, **ask | {"table": "no_table"})
    with pytest.raises(BadName, match="etc"):
        submit_scoring(serving, scientist, **ask | {"into": "../etc"})
    assert serving.jobs.list() == ()


def test_a_job_is_pinned_when_it_is_submitted(serving: Stores, scientist: Actor) -> None:
    job = submit_scoring(
        serving, scientist, model="iris_classifier", table="iris_training_data", into="predictions", reason="nightly"
    )
    assert (job.arguments["model_version"], job.arguments["version"]) == (2, 2)
    assert job.arguments["batch_id"]


def test_auditor_and_manager_may_not_score(serving: Stores, auditor: Actor, manager: Actor) -> None:
    for actor in (auditor, manager):
        with pytest.raises(Forbidden, match=r"prediction\.score"):
            scored(serving, actor, 0)


def test_scoring_during_an_unfinished_decision_names_the_decision(sample_stores: Stores, scientist: Actor) -> None:
    request = request_promotion(
        sample_stores, scientist, model="iris_classifier", version=2, to=Stage.PRODUCTION, reason="r"
    )
    sample_stores.decisions.change_status(request.id, RequestStatus.OPEN, RequestStatus.UNFINISHED)
    with pytest.raises(NothingInProduction, match=f"Decision {request.id} on iris_classifier/2 is not finished"):
        scored(sample_stores, scientist, 0)
