"""The command runs: filters, order, pages, and how many runs match."""

from __future__ import annotations

import pytest
from mlflow import MlflowClient

from core.features.stores import Stores
from tests.cli.conftest import Command


@pytest.fixture
def client(stores: Stores) -> MlflowClient:
    """Run N of nine has depth N % 3 and rmse N / 10."""
    stores.runs.experiments()  # creates the schema
    client = MlflowClient(stores.settings.tracking_uri)
    experiment = client.create_experiment("search")
    for number in range(9):
        run = client.create_run(
            experiment, 1_790_000_000_000 + number, tags={"mlflow.user": "ana"}, run_name=f"r{number}"
        )
        client.log_param(run.info.run_id, "depth", number % 3)
        client.log_metric(run.info.run_id, "rmse", number / 10)
    return client


def test_runs_are_filtered_ordered_and_counted(command: Command, client: MlflowClient) -> None:
    def names(*options: str) -> str:
        answer = command("runs", "--json", *options)
        assert answer.code == 0, answer.err
        return " ".join(run["name"] for run in answer.json)

    assert names("--filter", "metrics.rmse < 0.3 AND params.depth = '2'") == "r2"
    assert names("--metric", "rmse >= 0.7", "--order", "metrics.rmse") == "r7 r8"
    assert names("--param", "depth=1", "--order", "metrics.rmse DESC") == "r7 r4 r1"
    assert names("--tag", "mlflow.user = bo") == ""
    assert names("--user", "ana", "--limit", "2") == "r8 r7"
    assert names("--limit", "2", "--page", "2") == "r6 r5"
    assert names("--since", "2026-09-21", "--until", "2026-09-22", "--limit", "1") == "r8"
    assert names("--since", "2026-09-22") == ""
    assert names("--experiment", "other") == ""
    answer = command("runs", "--json", "--limit", "4", "--page", "2")
    assert answer.err == "4 of 9 runs, page 2.\n"
    assert command("runs", "--json").err == ""


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--filter", "rmse < 3"), "rmse is not a field"),
        (("--order", "rmse"), "is not an order of runs"),
        (("--metric", "rmse"), "'rmse' is not a comparison"),
        (("--model", "nothing"), "no registered model"),
        (("--since", "soon"), "'soon' is not a valid date"),
    ],
)
def test_a_search_that_is_not_valid_is_one_line(
    options: tuple[str, str], said: str, command: Command, client: MlflowClient
) -> None:
    answer = command("runs", *options)
    assert (answer.code, answer.out) == (1, "")
    assert said in answer.err
    assert answer.err.count("\n") == 1
