"""Lineage of 1,000 versions and comparison of 100 of 10,000 MLflow runs: warm, cold, embedded and behind a server."""

from __future__ import annotations

import json
import os
import sqlite3
import statistics
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
from streamlit.testing.v1 import AppTest

from benchmarks.measure import Measurement
from benchmarks.mlflow_store import DATA_VERSIONS, VERSIONS, LargeStore, build
from core.bootstrap import open_stores
from core.entities import Actor, ModelVersionKey, Role
from core.features.lineage.build_graph import lineage_of_every_version, lineage_of_model
from core.features.runs.compare import compare_runs
from core.features.stores import Stores
from core.registry.connection import Connection
from core.settings import load_settings
from tests.contract.mlflow_server import mlflow_server

_ROOT = Path(__file__).resolve().parent.parent
AUDITOR = Actor(name="auditor", roles=frozenset({Role.AUDITOR}), channel="bench")
_LINEAGE_GOAL_S = 0.050
_COMPARE_GOAL_S = 0.080
_RERUN_GOAL_S = 0.5
PAGES = ("overview", "tables", "training", "runs", "models", "promotions", "predictions", "lineage", "audit")


def run() -> list[Measurement]:
    """Measure against goals in seconds. Each note gives the time of MLflow or plain SQL for the same answer."""
    with tempfile.TemporaryDirectory() as folder:
        store = build(Path(folder, "mlflow"))
        home = Path(folder, "home")
        with environment(home, store.uri):
            stores = opened_stores(home)
            raw_s = _raw_sql(store)
            found = [_lineage_of_one(stores, store, raw_s), _lineage(stores, store, raw_s, "embedded store")]
            found.append(_calls(stores, store))
            with mlflow_server(Path(folder, "server"), backend=store.uri) as uri:
                search_s = _median(lambda: _search(uri))
                found.append(_compare(stores, store, search_s, "embedded store"))
                with environment(home, uri):
                    behind = opened_stores(home)
                    found.append(_lineage(behind, store, raw_s, "behind mlflow server"))
                    found.append(_compare(behind, store, search_s, "behind mlflow server"))
            found += [_page(name) for name in PAGES]
    return found


def _lineage(stores: Stores, store: LargeStore, raw_s: float, where: str) -> Measurement:
    started = time.perf_counter()
    graph = lineage_of_every_version(stores, AUDITOR, store.model)
    cold_s = time.perf_counter() - started
    assert len([node for node in graph.nodes if node.kind == "model"]) == VERSIONS
    warm_s = _median(lambda: lineage_of_every_version(stores, AUDITOR, store.model))
    return Measurement(
        name=f"lineage of {VERSIONS:,} versions over {len(store.run_ids):,} runs, warm, {where}, against 50 ms",
        ratio=warm_s / _LINEAGE_GOAL_S,
        goal=1.0,
        ours_s=warm_s,
        baseline_s=raw_s,
        note=f"cold {cold_s:.2f} s; trained on {DATA_VERSIONS} data versions; baseline: the same rows with plain SQL",
    )


def _lineage_of_one(stores: Stores, store: LargeStore, raw_s: float) -> Measurement:
    key = ModelVersionKey(model=store.model, version=VERSIONS)
    lineage_of_model(stores, AUDITOR, key)
    warm_s = _median(lambda: lineage_of_model(stores, AUDITOR, key))
    return Measurement(
        name=f"lineage of one of {VERSIONS:,} versions, as the page draws it, warm, embedded store, against 50 ms",
        ratio=warm_s / _LINEAGE_GOAL_S,
        goal=1.0,
        ours_s=warm_s,
        baseline_s=raw_s,
        note="baseline: all versions with plain SQL",
    )


def _compare(stores: Stores, store: LargeStore, search_s: float, where: str) -> Measurement:
    step = len(store.run_ids) // 100
    chosen = store.run_ids[::step][:100]
    started = time.perf_counter()
    compare_runs(stores, AUDITOR, chosen)
    cold_s = time.perf_counter() - started
    warm_s = _median(lambda: compare_runs(stores, AUDITOR, chosen))
    return Measurement(
        name=f"comparing 100 of {len(store.run_ids):,} runs, warm, {where}, against 80 ms",
        ratio=warm_s / _COMPARE_GOAL_S,
        goal=1.0,
        ours_s=warm_s,
        baseline_s=search_s,
        note=f"cold {cold_s:.2f} s; baseline: MLflow's runs/search of 100 runs",
    )


def _calls(stores: Stores, store: LargeStore) -> Measurement:
    """Count the calls to MLflow for the lineage of one version and of all versions, with empty caches."""
    counted: list[None] = []
    open_client = Connection.client

    def count(self: Connection, missing: object = None) -> object:
        counted.append(None)
        return open_client(self, missing)  # type: ignore[arg-type]

    Connection.client = count  # type: ignore[assignment, method-assign]
    try:
        small = build(store.folder.parent / "small", runs=10, versions=1)
        with environment(stores.settings.home, small.uri):
            lineage_of_every_version(opened_stores(stores.settings.home), AUDITOR, small.model)
            for_one = len(counted)
        counted.clear()
        with environment(stores.settings.home, store.uri):
            lineage_of_every_version(opened_stores(stores.settings.home), AUDITOR, store.model)
        for_all = len(counted)
    finally:
        Connection.client = open_client  # type: ignore[method-assign]
    return Measurement(
        name=f"calls to MLflow for the lineage of {VERSIONS:,} versions against one",
        ratio=for_all / for_one,
        goal=1.0,
        ours_s=float(for_all),
        baseline_s=float(for_one),
        note="calls, not seconds",
    )


def _page(name: str) -> Measurement:
    """Measure a warm rerun of a page on the large store."""
    page = AppTest.from_file(str(_ROOT / "pages" / f"{name}.py"), default_timeout=60).run()
    assert not page.exception, page.exception
    rerun_s = _median(lambda: page.run())
    return Measurement(
        name=f"rerun of the page {name} on that store, against {_RERUN_GOAL_S} s",
        ratio=rerun_s / _RERUN_GOAL_S,
        goal=1.0,
        ours_s=rerun_s,
        baseline_s=_RERUN_GOAL_S,
        note="the script in AppTest, without browser and network",
    )


def _raw_sql(store: LargeStore) -> float:
    """Return the time of SQLite for versions, runs, params, metrics and tags: the lower bound."""
    with sqlite3.connect(store.uri.removeprefix("sqlite:///")) as database:

        def read() -> None:
            database.execute("SELECT * FROM model_versions WHERE name = ?", (store.model,)).fetchall()
            database.execute("SELECT * FROM model_version_tags WHERE name = ?", (store.model,)).fetchall()
            behind = "SELECT run_id FROM model_versions WHERE name = ?"
            for table in ("runs", "params", "latest_metrics", "tags"):
                database.execute(f"SELECT * FROM {table} WHERE run_uuid IN ({behind})", (store.model,)).fetchall()

        taken = _median(read)
    database.close()
    return taken


def _search(uri: str) -> None:
    """Return the time of MLflow's endpoint for a page of 100 runs."""
    body = json.dumps({"experiment_ids": ["1"], "max_results": 100}).encode()
    request = urllib.request.Request(
        f"{uri}/api/2.0/mlflow/runs/search", data=body, headers={"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        assert len(json.load(answer)["runs"]) == 100


def opened_stores(home: Path) -> Stores:
    """Open stores whose table `sales` has the versions that the runs name."""
    stores = open_stores(load_settings(home=home))
    table = stores.catalog.place("sales")
    if not stores.engine.exists(table):
        for number in range(DATA_VERSIONS):
            stores.engine.write(table, pa.table({"amount": [float(number)]}), mode="append")
    return stores


@contextmanager
def environment(home: Path, uri: str) -> Iterator[None]:
    changed = {"MODELLEDGER_HOME": str(home), "MLFLOW_TRACKING_URI": uri, "MLFLOW_HTTP_REQUEST_TIMEOUT": "60"}
    before = {name: os.environ.get(name) for name in changed}
    os.environ.update(changed)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _median(work: Callable[[], object], *, times: int = 7) -> float:
    taken = []
    for _ in range(times):
        started = time.perf_counter()
        work()
        taken.append(time.perf_counter() - started)
    return statistics.median(taken)
