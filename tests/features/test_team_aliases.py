"""Promotion, rollback and inspection where a team names the aliases of the stages itself, in either registry mode."""

from __future__ import annotations

from pathlib import Path

import pytest
from mlflow import MlflowClient

from core.bootstrap import open_stores
from core.entities import Actor, Stage
from core.features.monitoring.findings import INSPECTOR, inspect_registry
from core.features.monitoring.reconcile import find_differences
from core.features.promotion.decide import approve
from core.features.promotion.request_promotion import request_promotion
from core.features.promotion.roll_back import roll_back
from core.features.stores import Stores
from core.settings import load_settings

MODEL = "iris_classifier"
ALIASES = {"*": {"Production": "champion", "Staging": "challenger"}}


def promote(stores: Stores, scientist: Actor, manager: Actor, version: int) -> None:
    request = request_promotion(stores, scientist, model=MODEL, version=version, to=Stage.PRODUCTION, reason="r")
    approve(stores, manager, request.id, reason="r")


@pytest.mark.parametrize("mode", ["native", "aliases"])
def test_the_teams_alias_follows_a_promotion_and_a_rollback(
    mode: str, sample: Path, scientist: Actor, manager: Actor, auditor: Actor
) -> None:
    stores = open_stores(load_settings(home=sample, registry_stages=mode, aliases=ALIASES))
    client = MlflowClient(stores.settings.tracking_uri)
    client.set_registered_model_alias(MODEL, "production", "3")
    for version in (1, 2):
        promote(stores, scientist, manager, version)
        assert client.get_model_version_by_alias(MODEL, "champion").version == version
    roll_back(stores, manager, MODEL, reason="r")
    assert dict(client.get_registered_model(MODEL).aliases) == {"champion": 1, "production": 3}
    assert [v.version for v in stores.models.versions(MODEL) if v.stage is Stage.PRODUCTION] == [1]
    assert find_differences(stores, auditor) == ()
    reviewed = inspect_registry(stores, INSPECTOR)
    client.set_registered_model_alias(MODEL, "champion", "3")
    found = {(f.kind, f.found) for f in inspect_registry(stores, INSPECTOR)} - {(f.kind, f.found) for f in reviewed}
    if mode == "native":
        assert found == {("serving alias moved", "champion: version 3")}
    else:
        assert found == {("stage differs", "Production"), ("stage differs", "Archived")}
