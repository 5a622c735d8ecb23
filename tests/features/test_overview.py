"""The overview on real stores: what serves, what waits, what is at risk, and MLflow away."""

from __future__ import annotations

from pathlib import Path

from deltalake import DeltaTable
from mlflow import MlflowClient

from core.bootstrap import open_stores
from core.entities import Actor, Stage
from core.features.monitoring.overview import overview
from core.features.promotion.decide import approve
from core.features.promotion.request_promotion import request_promotion
from core.features.stores import Stores
from core.settings import load_settings


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
