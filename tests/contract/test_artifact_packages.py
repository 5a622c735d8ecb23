"""Artifacts on an object store: the packages that are missing are named, as they are installed."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from core.entities import Actor, ModelVersionKey
from core.errors import StorageUnavailable
from core.features.runs.models import show_model_version
from core.features.stores import Stores

ON_STORES = {
    "s3://bucket/model": "python -m pip install boto3",
    "gs://bucket/model": "python -m pip install google-cloud-storage",
    "wasbs://box@account.blob.core.windows.net/model": "python -m pip install azure-storage-blob azure-identity",
    "abfss://b@account.dfs.core.windows.net/model": "python -m pip install azure-storage-file-datalake azure-identity",
}


@pytest.fixture(autouse=True)
def _no_cloud_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    """The packages may be installed for other tests: an import of them fails here."""
    for module in ("boto3", "botocore", "azure", "azure.storage", "azure.identity", "google.cloud", "google.auth"):
        monkeypatch.setitem(sys.modules, module, None)


@pytest.mark.parametrize(("source", "command"), ON_STORES.items())
def test_a_version_on_an_object_store_names_the_missing_packages(
    stores: Stores, auditor: Actor, source: str, command: str, migrated_home: Path
) -> None:
    run_id = stores.runs.start("e", "run", "ana", {})
    key = stores.models.register("remote", source=source, run_id=run_id, tags={}).key
    view = show_model_version(stores, auditor, key)
    assert view.info is None
    assert view.info_problem is not None
    assert command in view.info_problem
    assert source in view.info_problem


def test_a_store_that_cannot_be_reached_is_not_taken_for_mlflow(stores: Stores, migrated_home: Path) -> None:
    run_id = stores.runs.start("e", "run", "ana", {})
    key = stores.models.register("remote", source="ftp://127.0.0.1:9/model", run_id=run_id, tags={}).key
    with pytest.raises(StorageUnavailable, match="The artifact store at ftp://"):
        stores.models.artifacts(ModelVersionKey(model=key.model, version=key.version))
