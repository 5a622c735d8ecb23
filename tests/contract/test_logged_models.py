"""The contract of logged models and metric histories: embedded and behind a server."""

from __future__ import annotations

import math
from collections.abc import Iterator

import pytest
from mlflow import MlflowClient
from mlflow.entities import Metric

from core.registry.runs import Runs
from tests.checkpoints import Checkpoint, log_checkpoints
from tests.contract.mlflow_server import mlflow_server
from tests.mlflow_store import make_store


@pytest.fixture(scope="module", params=["embedded", "server"])
def uri(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("mlflow")
    if request.param == "embedded":
        yield make_store(f"sqlite:///{folder / 'mlflow.db'}")
    else:
        with mlflow_server(folder) as address:
            yield address


@pytest.fixture
def runs(uri: str) -> Runs:
    return Runs(uri, 30.0)


@pytest.fixture
def client(uri: str) -> MlflowClient:
    return MlflowClient(uri)


def log_curve(client: MlflowClient, run_id: str, name: str, values: list[float], *, start_ms: int = 1_000) -> None:
    points = [Metric(name, value, start_ms + step, step) for step, value in enumerate(values)]
    for start in range(0, len(points), 1_000):
        client.log_batch(run_id, metrics=points[start : start + 1_000])


def new_run(client: MlflowClient, name: str) -> str:
    experiment = client.get_experiment_by_name(name)
    return str(
        client.create_run(experiment.experiment_id if experiment else client.create_experiment(name)).info.run_id
    )


def test_each_logged_model_has_its_own_metrics(runs: Runs, client: MlflowClient) -> None:
    run_id, (first, second) = log_checkpoints(
        client, [Checkpoint(1, {"accuracy": 0.9}), Checkpoint(2, {"accuracy": 0.7})]
    )
    models = runs.logged_models.get_many([second, first, "m-00000000000000000000000000000000"])
    assert {key: [(m.name, m.value, m.step) for m in model.metrics] for key, model in models.items()} == {
        first: [("accuracy", 0.9, 1)],
        second: [("accuracy", 0.7, 2)],
    }
    assert models[first].params["step"] == "1"
    assert models[first].run_id == run_id
    assert [(output.model_id, output.step) for output in runs.get(run_id).outputs] == [(first, 1), (second, 2)]
    assert [model.model_id for model in runs.logged_models.of_run(run_id)] == [first, second]


def test_a_metric_of_a_logged_model_names_its_dataset(runs: Runs, client: MlflowClient) -> None:
    _, (model_id,) = log_checkpoints(
        client, [Checkpoint(0, {"f1": 0.5}, {("holdout", "abc123"): {"f1": 0.4}})], experiment="datasets"
    )
    (model,) = runs.logged_models.get_many([model_id]).values()
    assert {(m.name, m.value, m.dataset, m.digest) for m in model.metrics} == {
        ("f1", 0.5, None, None),
        ("f1", 0.4, "holdout", "abc123"),
    }


def test_undefined_and_infinite_metrics_of_a_logged_model_are_not_zero(runs: Runs, client: MlflowClient) -> None:
    """MLflow stores NaN as 0 for a logged model: a loss of 0 would pass every gate."""
    _, (model_id,) = log_checkpoints(
        client,
        [Checkpoint(3, {"loss": math.nan, "rmse": math.inf, "mae": -math.inf, "r2": 0.0})],
        experiment="undefined",
    )
    (model,) = runs.logged_models.get_many([model_id]).values()
    values = {metric.name: metric.value for metric in model.metrics}
    assert math.isnan(values.pop("loss"))
    assert values == {"rmse": math.inf, "mae": -math.inf, "r2": 0.0}


def test_a_later_metric_of_a_logged_model_is_read_with_fresh(runs: Runs, client: MlflowClient) -> None:
    run_id, (model_id,) = log_checkpoints(client, [Checkpoint(0, {"f1": 0.5})], experiment="fresh")
    runs.logged_models.get_many([model_id])
    client.log_metric(run_id, "f1", 0.6, step=1, model_id=model_id)
    (model,) = runs.logged_models.get_many([model_id], fresh=True).values()
    assert [metric.value for metric in model.metrics] == [0.6]


def test_histories_of_many_metrics_come_with_every_value(runs: Runs, client: MlflowClient) -> None:
    run_id = new_run(client, "many")
    names = [f"metric {number}" for number in range(37)]
    for number, name in enumerate(names):
        log_curve(client, run_id, name, [number, math.nan, number + 2])
    histories = runs.metric_histories(run_id, names)
    assert list(map(len, (histories, histories[names[5]].points))) == [37, 3]
    values = [point.value for point in histories["metric 36"].points]
    assert (values[0], math.isnan(values[1]), values[2]) == (36, True, 38)
    assert {history.total for history in histories.values()} == {3}
    assert not any(history.is_sampled for history in histories.values())


def test_a_long_curve_is_sampled_with_its_ends(runs: Runs, client: MlflowClient) -> None:
    run_id = new_run(client, "long")
    log_curve(client, run_id, "loss", [float(number) for number in range(3_000)])
    history = runs.metric_histories(run_id, ["loss"], max_points=100)["loss"]
    assert history.is_sampled
    assert 50 <= len(history.points) <= 210
    assert (history.points[0].step, history.points[-1].step) == (0, 2_999)


def test_metrics_that_were_never_logged_have_no_history(runs: Runs, client: MlflowClient) -> None:
    assert runs.metric_histories(new_run(client, "none"), ["never"]) == {}


def test_nested_runs_are_found_by_their_parent(runs: Runs, client: MlflowClient) -> None:
    parent = new_run(client, "nested")
    experiment = client.get_run(parent).info.experiment_id
    children = {client.create_run(experiment, tags={"mlflow.parentRunId": parent}).info.run_id for _ in range(3)}
    first = runs.children(parent, limit=2)
    rest = runs.children(parent, limit=2, token=first.next_token)
    assert {run.run_id for run in (*first.runs, *rest.runs)} == children
    assert {run.parent_id for run in first.runs} == {parent}
    assert rest.next_token is None


def test_a_server_without_graphql_is_asked_metric_by_metric(
    runs: Runs, client: MlflowClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = new_run(client, "old server")
    for number in range(45):
        client.log_metric(run_id, f"m{number:02}", number)
    runs._histories._has_graphql = False
    histories = runs.metric_histories(run_id, [f"m{number:02}" for number in range(45)])
    is_server = runs._connection.tracking_uri.startswith("http")
    assert len(histories) == (40 if is_server else 45)
    assert histories["m07"].points[0].value == 7
