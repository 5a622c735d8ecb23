"""Searching runs: filters, order, number and pages; every answer against a plain MlflowClient's runs."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from mlflow import MlflowClient

from core.entities import Actor, Run, RunStatus
from core.errors import BadFilter, ModelNotFound
from core.features.runs.search import RunQuery, RunResults, field_names, search_runs
from core.features.stores import Stores
from core.registry.search import listing
from core.registry.search.order import parse_order

COUNT = 30


@pytest.fixture
def client(stores: Stores) -> MlflowClient:
    """The same store, without ModelLedger. Run N has depth N % 4, f1 N / 100, and is an hour older than run N + 1."""
    first = int(datetime(2026, 11, 1, tzinfo=UTC).timestamp() * 1000)
    stores.runs.experiments()  # creates the schema
    client = MlflowClient(stores.settings.tracking_uri)
    experiment = client.create_experiment("search")
    for number in range(COUNT):
        user = "ana" if number % 2 else "bo"
        run = client.create_run(
            experiment, first + number * 3_600_000, tags={"mlflow.user": user, "team": "risk"}, run_name=f"run_{number}"
        )
        client.log_param(run.info.run_id, "depth", number % 4)
        client.log_metric(run.info.run_id, "f1", number / 100)
        client.set_terminated(run.info.run_id, "FAILED" if number % 10 == 0 else "FINISHED")
    return client


def search(stores: Stores, actor: Actor, **options: object) -> RunResults:
    paging = {name: options.pop(name) for name in ("number", "size", "count_s", "wait_s", "again") if name in options}
    return search_runs(stores, actor, RunQuery(**options), **paging)  # type: ignore[arg-type]


def numbers(runs: tuple[Run, ...]) -> list[int]:
    return [int(run.name.removeprefix("run_")) for run in runs]


def test_each_filter_finds_its_runs(stores: Stores, auditor: Actor, client: MlflowClient) -> None:
    start = datetime(2026, 11, 1, tzinfo=UTC)
    for options, expected in (
        ({"filter": "metrics.f1 < 0.05 AND params.depth = '3'"}, [3]),
        ({"metrics": ("f1 >= 0.1", "f1 < 0.12")}, [11, 10]),
        ({"params": ("depth = 3",), "user": "ana", "metrics": ("f1 < 0.1",)}, [7, 3]),
        ({"tags": ("team = other",)}, []),
        ({"user": "bo", "since": start + timedelta(hours=27)}, [28]),
        ({"until": start + timedelta(hours=1)}, [1, 0]),
        ({"status": RunStatus.FAILED}, [20, 10, 0]),
        ({"name": "run_2"}, [29, 28, 27, 26, 25, 24, 23, 22, 21, 20, 2]),
        ({"name": "RUN_29"}, [29]),
        ({"name": "run%2"}, []),
        ({"experiments": ("another",)}, []),
    ):
        found = search(stores, auditor, **options)
        assert numbers(found.runs) == expected, options
        assert (found.total, found.is_complete) == (len(expected), True), options


def test_runs_are_found_by_their_registered_model(stores: Stores, auditor: Actor, client: MlflowClient) -> None:
    client.create_registered_model("churn")
    client.create_registered_model("empty")
    for run in client.search_runs(["1"], "params.depth = '3' AND metrics.f1 < 0.1"):
        client.create_model_version("churn", "s3://nowhere/x", run.info.run_id)
    assert numbers(search(stores, auditor, model="churn").runs) == [7, 3]
    assert numbers(search(stores, auditor, model="churn", metrics=("f1 > 0.05",)).runs) == [7]
    assert search(stores, auditor, model="empty").runs == ()
    with pytest.raises(ModelNotFound):
        search(stores, auditor, model="none")


def test_a_model_of_many_versions_is_found_too(
    stores: Stores, auditor: Actor, client: MlflowClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("core.features.runs.search._MOST_IDS", 1)
    client.create_registered_model("churn")
    for run in client.search_runs(["1"], "metrics.f1 < 0.03"):
        client.create_model_version("churn", "s3://nowhere/x", run.info.run_id)
    assert numbers(search(stores, auditor, model="churn").runs) == [2, 1, 0]


def test_pages_follow_the_order_over_all_runs(stores: Stores, auditor: Actor, client: MlflowClient) -> None:
    order = parse_order("metrics.f1 ASC")
    pages = [search(stores, auditor, order=order, number=number, size=12) for number in (1, 2, 3)]
    assert [number for page in pages for number in numbers(page.runs)] == list(range(COUNT))
    assert [(page.total, page.last) for page in pages] == [(COUNT, 3)] * 3
    beyond = search(stores, auditor, order=order, number=9, size=12)
    assert (beyond.number, numbers(beyond.runs)) == (3, list(range(24, COUNT)))
    assert numbers(search(stores, auditor, order=parse_order("duration"), size=2).runs) != []


def test_runs_are_read_only_as_far_as_the_page_needs_them(
    stores: Stores, auditor: Actor, client: MlflowClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listing, "_HEAD", 4)
    monkeypatch.setattr(stores.runs._call_size, "rows", 4)
    monkeypatch.setattr(stores.runs._call_size, "adapt", lambda *args: None)
    first = search(stores, auditor, size=6)
    assert numbers(first.runs) == [29, 28, 27, 26, 25, 24]
    assert (first.read, first.total, first.is_complete, first.last) == (8, 8, False, None)
    third = search(stores, auditor, size=6, number=3)
    assert numbers(third.runs) == [17, 16, 15, 14, 13, 12]
    assert third.read == 20
    # An order that was waited for in vain is one of the runs read so far.
    ordered = search(stores, auditor, size=2, order=parse_order("metrics.f1 ASC"), wait_s=0.0)
    assert (numbers(ordered.runs), ordered.is_complete) == ([10, 11], False)
    # A page that is not read yet keeps its number, as a link needs.
    ahead = search(stores, auditor, size=6, number=5, wait_s=0.0)
    assert (ahead.number, ahead.runs, ahead.last) == (5, (), None)
    assert search(stores, auditor, size=6, count_s=None).total == COUNT
    assert search(stores, auditor, size=6).last == 5


def test_runs_of_a_long_list_appear_change_and_leave(
    stores: Stores, auditor: Actor, client: MlflowClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A list that takes long to read is not read again; its newest runs and those that are shown are."""
    monkeypatch.setattr(listing, "_CHEAP_S", 0.0)
    monkeypatch.setattr(listing, "_HEAD", 5)
    monkeypatch.setattr(stores.runs._call_size, "rows", 100)
    assert search(stores, auditor, count_s=None).total == COUNT
    (oldest,) = client.search_runs(["1"], "metrics.f1 = 0.0")
    (newest,) = client.search_runs(["1"], "metrics.f1 = 0.29")
    new = client.create_run("1", run_name="run_30")
    client.delete_run(newest.info.run_id)
    found = search(stores, auditor, size=10, count_s=None)
    assert (numbers(found.runs)[:2], found.total) == ([30, 28], COUNT)
    client.log_metric(oldest.info.run_id, "f1", 0.5)
    client.delete_run(client.search_runs(["1"], "metrics.f1 = 0.01")[0].info.run_id)
    last = search(stores, auditor, size=10, number=3, count_s=None)
    assert numbers(last.runs) == [9, 8, 7, 6, 5, 4, 3, 2, 0]
    assert last.runs[-1].metrics["f1"] == 0.5
    client.set_tag(new.info.run_id, "team", "other")
    assert numbers(search(stores, auditor, tags=("team = other",)).runs) == [30]
    client.restore_run(newest.info.run_id)
    assert search(stores, auditor, again=True, count_s=None).total == COUNT


def test_the_names_of_metrics_and_params_can_be_offered(stores: Stores, auditor: Actor, client: MlflowClient) -> None:
    assert field_names(stores, auditor, RunQuery()) == ("metrics.f1", "params.depth")


def test_a_filter_that_is_not_valid_is_refused_before_mlflow_is_asked(stores: Stores, auditor: Actor) -> None:
    with pytest.raises(BadFilter, match="rmse is not a field"):
        search(stores, auditor, filter="rmse < 3")
    with pytest.raises(BadFilter, match="not a comparison"):
        search(stores, auditor, params=("depth",))
