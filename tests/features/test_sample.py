"""The sample workspace is made once: what somebody took away since is not made again at the next start."""

from __future__ import annotations

import shutil
from pathlib import Path

from core.entities import ModelVersionKey
from core.features.admin.sample import DIABETES_TABLE, IRIS_TABLE, build_sample
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


def delete_version(stores: Stores, key: ModelVersionKey) -> None:
    """As somebody does who has MLflow open beside the app."""
    from mlflow import MlflowClient

    client = MlflowClient(stores.settings.tracking_uri, stores.settings.registry_uri)
    client.delete_model_version(key.model, str(key.version))
