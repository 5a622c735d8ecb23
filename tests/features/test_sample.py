"""The sample workspace is made once: what somebody took away since is not made again at the next start."""

from __future__ import annotations

import shutil
from pathlib import Path

from core.access.identity import demo_actor
from core.access.permissions import Action
from core.entities import ModelVersionKey, Stage
from core.features.admin.sample import DIABETES_TABLE, IRIS_TABLE, build_sample, write_policy
from core.features.promotion.decide import approve
from core.features.promotion.request_promotion import preview_gates, request_promotion
from core.features.stores import Stores


def test_a_second_call_changes_nothing(sample_stores: Stores) -> None:
    before = sample_stores.audit.head()
    assert build_sample(sample_stores) == ()
    assert sample_stores.audit.head() == before


def test_a_deleted_version_is_not_trained_again(sample_stores: Stores) -> None:
    delete_version(sample_stores, ModelVersionKey(model="iris_classifier", version=1))
    before = sample_stores.audit.head()
    assert build_sample(sample_stores) == ()
    assert [one.version for one in sample_stores.models.versions("iris_classifier")] == [3, 2]
    assert sample_stores.audit.head() == before


def test_a_table_that_was_taken_away_is_not_made_again(sample_stores: Stores) -> None:
    shutil.rmtree(Path(sample_stores.catalog.resolve(IRIS_TABLE).uri))
    delete_version(sample_stores, ModelVersionKey(model="iris_classifier", version=3))
    assert build_sample(sample_stores) == ()
    assert [table.name for table in sample_stores.catalog.tables()] == [DIABETES_TABLE]


def test_the_policy_of_the_sample_compares_head_to_head(sample_stores: Stores) -> None:
    first, second = (ModelVersionKey(model="diabetes_progression", version=version) for version in (1, 2))
    approve_for_production(sample_stores, first)
    gates = preview_gates(sample_stores, demo_actor("scientist", channel="test"), second, Stage.PRODUCTION).gates
    compared = [gate for gate in gates if f"{DIABETES_TABLE}@1" in gate.name]
    assert [gate.passed for gate in compared] == [True, True]
    # rmse on the rows that neither version was trained on, as `head-to-head` reports it
    (event,) = sample_stores.audit.search(action=Action.MODEL_COMPARE.value, outcome="success", limit=None)
    assert f"On {event.after['rows']} rows of {DIABETES_TABLE}@1, rmse is " in compared[0].detail


def test_a_settings_file_that_a_person_wrote_is_kept(home: Path) -> None:
    home.mkdir(parents=True, exist_ok=True)
    (home / "modelledger.toml").write_text("upload_limit_mb = 50\n")
    write_policy(home)
    assert (home / "modelledger.toml").read_text() == "upload_limit_mb = 50\n"


def approve_for_production(stores: Stores, key: ModelVersionKey) -> None:
    request = request_promotion(
        stores,
        demo_actor("scientist", channel="test"),
        model=key.model,
        version=key.version,
        to=Stage.PRODUCTION,
        reason="first",
    )
    approve(stores, demo_actor("manager", channel="test"), request.id, reason="first")


def delete_version(stores: Stores, key: ModelVersionKey) -> None:
    """As somebody does who has MLflow open beside the app."""
    from mlflow import MlflowClient

    client = MlflowClient(stores.settings.tracking_uri, stores.settings.registry_uri)
    client.delete_model_version(key.model, str(key.version))
