"""Screens and the search of runs on 10,000 runs and 1,000 versions behind `mlflow server`, with the calls to MLflow."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import requests
import streamlit as st
from mlflow import MlflowClient
from streamlit.testing.v1 import AppTest

from benchmarks.measure import Measurement, fastest_s
from benchmarks.mlflow_store import RUNS, VERSIONS, build
from benchmarks.registry import AUDITOR, environment, opened_stores
from core.features.runs.search import RunQuery, parse_order, search_runs
from core.features.stores import Stores
from tests.contract.mlflow_server import mlflow_server

_ROOT = Path(__file__).resolve().parent.parent
# A page may take this many times as long as the answers of MLflow that it cannot do without.
_PAGE_GOAL = 3.0
_LONGEST_CALL_S = 1.0


@dataclass
class Calls:
    """The seconds of each call to MLflow."""

    seconds: list[float] = field(default_factory=list)

    def __str__(self) -> str:
        longest = f", the longest {max(self.seconds):.2f} s" if self.seconds else ""
        return f"{len(self.seconds)} calls{longest}"


def run() -> list[Measurement]:
    """Measure each screen when it is opened first and when it is drawn again, and the search of runs."""
    with tempfile.TemporaryDirectory() as folder:
        store = build(Path(folder, "mlflow"))
        home = Path(folder, "home")
        with mlflow_server(Path(folder, "server"), backend=store.uri) as uri, environment(home, uri):
            stores = opened_stores(home)
            client = MlflowClient(uri)
            models = _seconds(lambda: _versions(client))
            run_page = _seconds(lambda: client.search_runs(["1"], max_results=50))
            of_versions = _seconds(lambda: _runs_by_id(client, store.run_ids[:: RUNS // VERSIONS]))
            one = _seconds(lambda: (client.get_model_version(store.model, "1"), client.get_run(store.run_ids[0])))
            found = [
                _page("overview", "versions of all models", models),
                _page("models", "versions and their runs", models + of_versions),
                _page("runs", "50 runs, and versions of all models", run_page + models),
                _page("lineage", "versions of all models, one version and its run", models + one),
            ]
            return found + _search(stores, client)


def _page(name: str, needed: str, needed_s: float) -> Measurement:
    st.cache_resource.clear()
    st.cache_data.clear()
    page = AppTest.from_file(str(_ROOT / "pages" / f"{name}.py"), default_timeout=120)
    with _counted() as first:
        first_s = _seconds(page.run)
    assert not page.exception, page.exception
    with _counted() as again:
        again_s = _seconds(page.run)
    return Measurement(
        name=f"the page {name}, opened first, behind mlflow server, against {needed} by a plain client",
        ratio=first_s / needed_s,
        goal=_PAGE_GOAL,
        ours_s=first_s,
        baseline_s=needed_s,
        note=f"{first}; drawn again {again_s:.2f} s, {again}",
    )


def _search(stores: Stores, client: MlflowClient) -> list[Measurement]:
    order = parse_order("metrics.f1 DESC")
    with _counted() as calls:
        read_s = _seconds(lambda: search_runs(stores, AUDITOR, RunQuery(order=order), size=50))
    in_mlflow_s = _seconds(lambda: client.search_runs(["1"], order_by=["metrics.f1 DESC"], max_results=50))
    far_s = fastest_s(lambda: search_runs(stores, AUDITOR, RunQuery(order=order), number=100, size=50), times=3)
    with _counted() as filtered:
        query = RunQuery(filter="metrics.f1 < 0.1 AND params.depth = '3'", order=order)
        filter_s = _seconds(lambda: search_runs(stores, AUDITOR, query, size=50))
    return [
        Measurement(
            name=f"longest call while {RUNS:,} runs are read, against {_LONGEST_CALL_S:g} s",
            ratio=max(calls.seconds) / _LONGEST_CALL_S,
            goal=1.0,
            ours_s=max(calls.seconds),
            baseline_s=_LONGEST_CALL_S,
            note=f"{calls}; all runs read in {read_s:.1f} s",
        ),
        Measurement(
            name=f"page 100 of {RUNS:,} runs by a metric, all runs read before, against MLflow's order of 50 runs",
            ratio=far_s / in_mlflow_s,
            goal=0.5,
            ours_s=far_s,
            baseline_s=in_mlflow_s,
        ),
        Measurement(
            name="50 runs by a metric, filtered by a metric and a param, nothing read before, against MLflow's order",
            ratio=filter_s / in_mlflow_s,
            goal=0.5,
            ours_s=filter_s,
            baseline_s=in_mlflow_s,
            note=str(filtered),
        ),
    ]


def _versions(client: MlflowClient) -> None:
    client.search_registered_models(max_results=100)
    assert len(client.search_model_versions(max_results=VERSIONS)) == VERSIONS


def _runs_by_id(client: MlflowClient, run_ids: tuple[str, ...]) -> None:
    listed = ", ".join(f"'{run_id}'" for run_id in run_ids)
    assert len(client.search_runs(["1"], f"run_id IN ({listed})", max_results=len(run_ids))) == len(run_ids)


@contextmanager
def _counted() -> Iterator[Calls]:
    """Measure every request that this process sends by HTTP: all of them go to MLflow."""
    calls, send = Calls(), requests.Session.send

    def measured(self: requests.Session, request: requests.PreparedRequest, **options: Any) -> requests.Response:
        started = time.perf_counter()
        try:
            return send(self, request, **options)
        finally:
            calls.seconds.append(time.perf_counter() - started)

    requests.Session.send = measured  # type: ignore[method-assign]
    try:
        yield calls
    finally:
        requests.Session.send = send  # type: ignore[method-assign]


def _seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started
