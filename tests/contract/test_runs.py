"""The contract of runs: MLflow's tracking store, embedded and behind a server."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from threading import Barrier

import pytest

from core.entities import RunStatus, TableVersion
from core.errors import BadInput, RunNotFound
from core.registry.connection import Connection
from core.registry.runs import Runs, failure_reason
from core.registry.search.filters import Condition, condition, joined, parse_filter
from tests.contract.mlflow_server import mlflow_server
from tests.mlflow_store import make_store


@pytest.fixture(scope="module", params=["embedded", "server"])
def place(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[str, Path | None]]:
    folder = tmp_path_factory.mktemp("mlflow")
    if request.param == "embedded":
        yield make_store(f"sqlite:///{folder / 'mlflow.db'}"), folder / "artifacts"
    else:
        with mlflow_server(folder) as uri:
            yield uri, None


@pytest.fixture
def runs(place: tuple[str, Path | None]) -> Runs:
    return Runs(place[0], 30.0, place[1])


@pytest.fixture
def experiment(request: pytest.FixtureRequest) -> str:
    return request.node.name


def test_what_was_logged_is_read_back(runs: Runs, experiment: str) -> None:
    before = datetime.now(UTC)
    run_id = runs.start(experiment, "first", "scientist", {"delta.table": "sales", "delta.version": "0"})
    runs.log(run_id, params={"DataV": 0, "alpha": 0.5}, metrics={"rmse": 1.25}, tags={"note": "x"})
    runs.end(run_id, RunStatus.FINISHED)
    run = runs.get(run_id)
    assert (run.name, run.experiment, run.user, run.status) == ("first", experiment, "scientist", RunStatus.FINISHED)
    assert run.params == {"DataV": "0", "alpha": "0.5"}
    assert run.metrics == {"rmse": 1.25}
    assert run.tags["note"] == "x"
    assert run.tags["delta.version"] == "0"
    assert run.started is not None
    assert run.ended is not None
    assert abs((run.started - before).total_seconds()) < 60
    assert run.ended >= run.started


def test_first_runs_of_an_experiment_that_start_at_once_share_it(
    place: tuple[str, Path | None], runs: Runs, experiment: str
) -> None:
    together = Barrier(6)

    def start(number: int) -> str:
        own = Runs(place[0], 30.0, place[1])
        own.experiments()
        together.wait(60)
        return own.start(experiment, f"run {number}", "scientist", {})

    with ThreadPoolExecutor(6) as pool:
        made = set(pool.map(start, range(6)))
    assert {run.run_id for run in runs.page((experiment,)).runs} == made
    assert len(made) == 6


def test_not_a_number_and_infinities_come_back_as_they_were(runs: Runs, experiment: str) -> None:
    run_id = runs.start(experiment, "odd", "scientist", {})
    runs.log(run_id, metrics={"nan": math.nan, "up": math.inf, "down": -math.inf, "large": 1e300})
    metrics = runs.get(run_id).metrics
    assert math.isnan(metrics["nan"])
    assert (metrics["up"], metrics["down"], metrics["large"]) == (math.inf, -math.inf, 1e300)


def test_pages_are_newest_first_and_lead_to_the_next(runs: Runs, experiment: str) -> None:
    made = []
    for number in range(5):
        made.append(runs.start(experiment, f"run {number}", "scientist", {}))
        time.sleep(0.005)
    first = runs.page((experiment,), limit=3)
    assert isinstance(first.next_token, str)  # it stands in a page's address
    second = runs.page((experiment,), limit=3, token=first.next_token)
    assert [run.run_id for run in first.runs] == made[:1:-1]
    assert [run.run_id for run in second.runs] == made[1::-1]
    assert second.next_token is None


def test_a_page_is_narrowed_by_conditions(runs: Runs, experiment: str) -> None:
    zero = runs.start(experiment, "Anna's <b>run</b>", "s", {"delta.table": "t", "val loss": "a"})
    one = runs.start(experiment, 'the "other"', "s", {"delta.table": "t"})
    runs.log(one, params={"depth": 3}, metrics={"val/loss": 0.25})
    runs.end(one, RunStatus.FAILED, "no rows")

    def ids(*conditions: Condition) -> list[str]:
        return [run.run_id for run in runs.page((experiment,), joined(conditions)).runs]

    assert ids(condition("run_name", "ILIKE", "%anna's <B>%")) == [zero]
    assert ids(condition("run_name", "ILIKE", '%"other"%')) == [one]
    assert sorted(ids(condition("tags.delta.table", "=", "t"))) == sorted([zero, one])
    assert ids(condition("tags.val loss", "=", "a")) == [zero]
    assert ids(*parse_filter("metrics.val/loss < 0.3 AND params.depth = '3' AND status = 'failed'")) == [one]
    assert ids(*parse_filter("metrics.`val/loss` >= 2.5e-1")) == [one]
    assert ids(*parse_filter("metrics.val/loss > 0.25")) == []
    assert sorted(ids(*parse_filter("start_time > '2026-01-01'"))) == sorted([zero, one])
    assert ids(*parse_filter("start_time < '2020-01-01T00:00:00Z'")) == []
    assert ids(*parse_filter(f"run_id IN ('{zero}')")) == [zero]
    assert failure_reason(runs.get(one)) == "no rows"
    with pytest.raises(BadInput, match="quotes"):
        ids(condition("run_name", "=", "'\""))


def test_runs_of_unknown_experiments_are_an_empty_page(runs: Runs) -> None:
    assert runs.page(("no such experiment",)).runs == ()


def test_a_token_of_somebody_else_is_bad_input(runs: Runs, experiment: str) -> None:
    runs.start(experiment, "one", "s", {})
    with pytest.raises(BadInput):
        runs.page((experiment,), token="not a token")


@pytest.mark.parametrize("run_id", ["f" * 32, "", "x' OR 1=1 --", "../../etc"])
def test_a_run_that_never_existed_is_not_found(runs: Runs, run_id: str) -> None:
    with pytest.raises(RunNotFound):
        runs.get(run_id)
    assert runs.get_many([run_id]) == {}


def test_deleted_runs_are_found_by_id_and_marked(runs: Runs, experiment: str, place: tuple[str, Path | None]) -> None:
    from mlflow import MlflowClient

    run_id = runs.start(experiment, "gone", "s", {})
    runs.end(run_id, RunStatus.FINISHED)
    MlflowClient(place[0]).delete_run(run_id)
    assert runs.get(run_id).is_deleted
    assert runs.get_many([run_id], fresh=True)[run_id].is_deleted
    assert runs.page((experiment,)).runs == ()


def test_reading_many_runs_takes_as_many_calls_as_reading_one(
    runs: Runs, experiment: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = [runs.start(experiment, f"{number}", "s", {}) for number in range(30)]
    calls: list[str] = []
    open_client = Connection.client

    def counted(self: Connection, missing: Exception | None = None) -> object:
        calls.append("call")
        return open_client(self, missing)  # type: ignore[arg-type]

    monkeypatch.setattr(Connection, "client", counted)
    monkeypatch.setattr(runs, "_names_read_at", math.inf)  # the experiments were read just now, however slow this is
    assert set(runs.get_many(made[:1], fresh=True)) == set(made[:1])
    for_one, _ = len(calls), calls.clear()
    assert set(runs.get_many(made, fresh=True)) == set(made)
    assert len(calls) == for_one <= 2


def test_ended_runs_are_read_once(runs: Runs, experiment: str, monkeypatch: pytest.MonkeyPatch) -> None:
    run_id = runs.start(experiment, "one", "s", {})
    runs.end(run_id, RunStatus.FINISHED)
    time.sleep(0.1)  # until the store's last write is old enough to be told from another
    assert runs.get_many([run_id])[run_id].status is RunStatus.FINISHED

    def refuse(self: Connection, missing: object = None) -> object:
        raise AssertionError("asked MLflow again")

    monkeypatch.setattr(Connection, "client", refuse)
    assert runs.get_many([run_id])[run_id].name == "one"


def test_a_change_to_an_ended_run_is_seen_when_asked_afresh(
    runs: Runs, experiment: str, place: tuple[str, Path | None]
) -> None:
    from mlflow import MlflowClient

    run_id = runs.start(experiment, "one", "s", {})
    runs.log(run_id, metrics={"f1": 0.5})
    runs.end(run_id, RunStatus.FINISHED)
    time.sleep(0.1)
    runs.get_many([run_id])
    MlflowClient(place[0]).log_metric(run_id, "f1", 0.99)
    assert runs.get_many([run_id], fresh=True)[run_id].metrics["f1"] == 0.99
    history = runs.metric_history(run_id, "f1")
    assert [point.value for point in history] == [0.5, 0.99]
    ended = runs.get(run_id).ended
    assert ended is not None
    assert history[1].timestamp >= ended


# A server's ended run is cached for a minute; the test above reads it fresh.
@pytest.mark.parametrize("place", ["embedded"], indirect=True)
def test_an_embedded_store_is_seen_to_change_at_once(
    runs: Runs, experiment: str, place: tuple[str, Path | None]
) -> None:
    run_id = runs.start(experiment, "one", "s", {})
    runs.end(run_id, RunStatus.FINISHED)
    time.sleep(0.1)
    runs.get_many([run_id])
    Runs(place[0]).log(run_id, metrics={"f1": 0.99})
    assert runs.get_many([run_id])[run_id].metrics == {"f1": 0.99}


def test_a_dataset_input_keeps_version_zero(runs: Runs, experiment: str) -> None:
    run_id = runs.start(experiment, "input", "s", {})
    runs.log_dataset(
        run_id,
        data=TableVersion(table="sales", version=0),
        uri="/tables/sales",
        digest="ab" * 32,
        schema={"amount": "double"},
        rows=10,
    )
    (logged,) = runs.get(run_id).inputs
    assert (logged.name, logged.source_type, logged.context) == ("sales", "delta_table", "training")
    assert json.loads(logged.source)["delta_table_version"] == 0
    # A search gives the same inputs as a look-up of one run, and a dataset leads to the runs that logged it.
    (searched,) = runs.page((experiment,)).runs
    assert searched.inputs == runs.get_many([run_id])[run_id].inputs == (logged,)
    dataset = condition("dataset.name", "=", "sales")
    same = joined((dataset, condition("dataset.digest", "=", logged.digest)))
    assert [run.run_id for run in runs.page((experiment,), same).runs] == [run_id]
    assert runs.page((experiment,), joined((dataset, condition("dataset.digest", "=", "other")))).runs == ()


def test_files_of_a_run_are_listed(runs: Runs, experiment: str, tmp_path: Path) -> None:
    run_id = runs.start(experiment, "files", "s", {})
    assert runs.artifacts(run_id) == ()
    (tmp_path / "note.txt").write_text("hello")
    source = runs.log_model(run_id, tmp_path)
    assert source.endswith(f"{run_id}/artifacts/model")
    assert [item.path for item in runs.artifacts(run_id)] == ["model"]
    assert [item.path for item in runs.artifacts(run_id, "model")] == ["model/note.txt"]
    with pytest.raises(BadInput):
        runs.artifacts(run_id, "../../../etc")


def test_a_deleted_experiment_is_not_written_to(runs: Runs, experiment: str, place: tuple[str, Path | None]) -> None:
    from mlflow import MlflowClient

    runs.start(experiment, "one", "s", {})
    client = MlflowClient(place[0])
    found = client.get_experiment_by_name(experiment)
    assert found is not None
    client.delete_experiment(found.experiment_id)
    with pytest.raises(BadInput, match="was deleted"):
        runs.start(experiment, "two", "s", {})


def test_a_param_cannot_be_changed(runs: Runs, experiment: str) -> None:
    run_id = runs.start(experiment, "one", "s", {})
    runs.log(run_id, params={"DataV": 1})
    with pytest.raises(BadInput):
        runs.log(run_id, params={"DataV": 2})
    assert runs.get(run_id).params == {"DataV": "1"}


def test_more_params_than_one_call_takes_are_all_logged(runs: Runs, experiment: str) -> None:
    run_id = runs.start(experiment, "wide", "s", {})
    runs.log(run_id, params={f"p{number}": number for number in range(250)}, metrics={"f1": 1.0})
    run = runs.get(run_id)
    assert len(run.params) == 250
    assert run.metrics == {"f1": 1.0}
