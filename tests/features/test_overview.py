"""The overview on real stores: what serves, what waits, what is at risk, and MLflow away."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from deltalake import DeltaTable
from mlflow import MlflowClient

from core.bootstrap import open_stores
from core.entities import Actor, DataSource, Stage
from core.errors import CoreError
from core.features.lineage.version_data import DataView
from core.features.monitoring.data_checks import DataChecks
from core.features.monitoring.overview import overview
from core.features.promotion.decide import approve
from core.features.promotion.request_promotion import request_promotion
from core.features.stores import Stores
from core.registry.connection import Connection
from core.settings import load_settings
from tests.plain_registry import PlainRegistry


def test_empty_home_serves_nothing_and_risks_nothing(stores: Stores, auditor: Actor) -> None:
    found = overview(stores, auditor)
    assert (found.serving, found.waiting, found.risks, found.changes, found.tables) == ((), (), (), (), 0)


def test_production_is_shown_with_its_decision_data_and_trend(
    sample_stores: Stores, scientist: Actor, manager: Actor, auditor: Actor
) -> None:
    asked = request_promotion(
        sample_stores, scientist, model="iris_classifier", version=2, to=Stage.PRODUCTION, reason="r"
    )
    waiting = overview(sample_stores, auditor).waiting
    assert [request.id for request in waiting] == [asked.id]
    approve(sample_stores, manager, asked.id, reason="r")

    found = overview(sample_stores, auditor)
    iris = next(one for one in found.serving if one.model == "iris_classifier")
    assert iris.production is not None
    assert (iris.production.version, iris.versions, iris.decided_by) == (2, 3, "manager")
    assert str(iris.data) == "iris_training_data@1"
    assert iris.verdict is not None
    assert iris.verdict.is_readable
    assert len(iris.trend["precision"]) == 3
    assert found.waiting == found.risks == ()
    assert found.changes[0].action == "promotion.decide"


def test_data_of_production_that_cannot_be_read_is_a_risk(sample_stores: Stores, auditor: Actor) -> None:
    sample_stores.models.set_stages("iris_classifier", {1: Stage.PRODUCTION})
    table = sample_stores.catalog.resolve("iris_training_data")
    for file in DeltaTable(table.uri, version=0).file_uris():
        Path(file).unlink()
    risks = {risk.kind: risk.subject for risk in overview(sample_stores, auditor).risks}
    assert risks["data not readable"] == "iris_classifier/1"


def test_stage_moved_in_mlflow_is_a_risk(sample_stores: Stores, auditor: Actor) -> None:
    client = MlflowClient(sample_stores.settings.tracking_uri)
    client.set_registered_model_alias("iris_classifier", "production", "3")
    sample_stores.models.set_stages("iris_classifier", {3: Stage.PRODUCTION})
    risks = [(risk.kind, risk.subject) for risk in overview(sample_stores, auditor).risks]
    assert ("stage differs", "iris_classifier/3") in risks


def test_mlflow_away_is_told_and_the_rest_holds(sample_stores: Stores, auditor: Actor) -> None:
    away = open_stores(
        load_settings(home=sample_stores.settings.home, MLFLOW_TRACKING_URI="http://127.0.0.1:9", mlflow_timeout_s=1.0)
    )
    found = overview(away, auditor)
    assert found.registry_problem is not None
    assert "127.0.0.1:9" in found.registry_problem
    assert found.tables == 2
    assert found.changes


def test_many_models_cost_a_constant_number_of_mlflow_calls_and_few_checks_of_data(
    sample_stores: Stores, auditor: Actor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    theirs = PlainRegistry(sample_stores.settings.tracking_uri, tmp_path / "artifacts")
    tags = {"delta.table": "iris_training_data", "delta.version": "0"}

    def register(names: range) -> None:
        for number in names:
            theirs.version(f"model_{number:02}", stage="Production", tags=tags)

    def cost() -> tuple[int, int]:
        calls: list[str] = []
        checks: list[int] = []
        stores = open_stores(sample_stores.settings)
        original, readable = Connection.client, stores.engine.readable

        def counted(self: Connection, missing: CoreError | None = None) -> Any:
            calls.append("call")
            return original(self, missing)

        with monkeypatch.context() as patched:
            patched.setattr(Connection, "client", counted)
            patched.setattr(
                stores.engine, "readable", lambda table, version: (checks.append(version), readable(table, version))[1]
            )
            overview(stores, auditor)
            calls.clear()
            checks.clear()
            found = overview(stores, auditor)
        assert all(one.is_checked for one in found.serving)
        return len(calls), len(checks)

    register(range(4))
    few_calls, few_checks = cost()
    register(range(4, 40))
    many_calls, many_checks = cost()
    assert few_calls == many_calls
    assert (few_checks, many_checks) == (4, 20)


def test_data_that_could_not_be_checked_in_time_is_checked_by_the_next_reads() -> None:
    now = 0.0

    def check() -> DataView:
        nonlocal now
        now += 1.5
        return DataView(source=DataSource(claimed=None, version=None, source_of_truth=""), verdict=None, problem="slow")

    checks = DataChecks(clock=lambda: now)
    wanted = dict.fromkeys("abc", check)
    assert [view is not None for view in checks.views(wanted).values()] == [True, True, False]
    assert [view is not None for view in checks.views(wanted).values()] == [True, True, True]
