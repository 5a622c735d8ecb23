"""Ten thousand runs and a thousand versions behind a real `mlflow server`."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator

import pytest
import requests

from benchmarks.mlflow_store import RUNS, LargeStore, build
from core.bootstrap import open_stores
from core.entities import Actor
from core.features.runs.search import RunQuery, RunResults, parse_order, search_runs
from core.features.stores import Stores
from core.settings import load_settings
from tests.contract.mlflow_server import mlflow_server

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> LargeStore:
    return build(tmp_path_factory.mktemp("large"))


@pytest.fixture(scope="module")
def behind_a_server(large: LargeStore, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stores]:
    folder = tmp_path_factory.mktemp("server")
    with mlflow_server(folder, backend=large.uri) as uri:
        settings = load_settings(home=folder / "home", mlflow_tracking_uri=uri, mlflow_timeout_s=60)
        yield open_stores(settings)


@pytest.fixture
def limits(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The number of runs that each call asks for."""
    requested: list[int] = []
    send = requests.Session.send

    def noted(self: requests.Session, request: requests.PreparedRequest, **options: object) -> requests.Response:
        if str(request.url).endswith("/runs/search"):
            requested.append(int(str(request.body).split('"max_results": ')[1].split(",")[0].rstrip("}'")))
        return send(self, request, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(requests.Session, "send", noted)
    return requested


def in_the_database(large: LargeStore, sql: str) -> list[str]:
    with sqlite3.connect(large.uri.removeprefix("sqlite:///")) as database:
        rows = database.execute(sql).fetchall()
    database.close()
    return [run_id for (run_id,) in rows]


def ids(found: RunResults) -> list[str]:
    return [run.run_id for run in found.runs]


def test_the_newest_runs_need_one_small_call(behind_a_server: Stores, auditor: Actor, limits: list[int]) -> None:
    found = search_runs(behind_a_server, auditor, size=50)
    assert [run.name for run in found.runs[:2]] == ["run 9999", "run 9998"]
    assert limits == [100]
    assert not found.is_complete


def test_all_runs_are_ordered_counted_and_paged_in_calls_of_at_most_500(
    behind_a_server: Stores, auditor: Actor, large: LargeStore, limits: list[int]
) -> None:
    query = RunQuery(order=parse_order("metrics.f1 DESC"))
    last = search_runs(behind_a_server, auditor, query, number=200, size=50)
    assert (last.total, last.last, last.is_complete) == (RUNS, 200, True)
    by_f1 = in_the_database(large, "SELECT run_uuid FROM latest_metrics WHERE key = 'f1' ORDER BY value DESC")
    assert ids(last) == by_f1[9_950:]
    assert max(limits) <= 500
    limits.clear()
    assert ids(search_runs(behind_a_server, auditor, query, number=7, size=50)) == by_f1[300:350]
    assert sum(limits) <= 200  # the runs of the page, and the newest ones


def test_a_filter_of_mlflow_and_one_by_data_agree_with_the_database(
    behind_a_server: Stores, auditor: Actor, large: LargeStore
) -> None:
    found = search_runs(
        behind_a_server,
        auditor,
        RunQuery(filter="metrics.f1 < 0.1 AND params.depth = '3'", order=parse_order("metrics.f1")),
        size=500,
    )
    assert ids(found) == in_the_database(
        large,
        "SELECT run_uuid FROM latest_metrics WHERE key = 'f1' AND value < 0.1 AND run_uuid IN"
        " (SELECT run_uuid FROM params WHERE key = 'depth' AND value = '3') ORDER BY value",
    )
    trained = search_runs(behind_a_server, auditor, RunQuery(table="sales", version=7), size=500, count_s=None)
    of_version = in_the_database(large, "SELECT run_uuid FROM tags WHERE key = 'delta.version' AND value = '7'")
    assert set(ids(trained)) == set(of_version)
    of_model = search_runs(behind_a_server, auditor, RunQuery(model=large.model), count_s=None)
    assert of_model.total == 1_000
