"""Models in the services: versions, evidence, artifacts, and lost evidence."""

from __future__ import annotations

import shutil
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from core.entities import Actor, ModelVersionKey, Stage, TableVersion
from core.errors import (
    ArtifactNotFound,
    BadInput,
    Forbidden,
    ModelNotFound,
    ModelUnloadable,
    ModelVersionNotFound,
)
from core.features.runs.models import list_models, list_versions, read_model_file, show_model_version
from core.features.stores import Stores
from core.features.training.train import train
from core.learning.safety.check_loads import check_loads
from tests.features.iris import TABLE, write_iris

KEY = ModelVersionKey(model="iris_classifier", version=1)


@pytest.fixture
def trained(stores: Stores, scientist: Actor) -> Stores:
    """One model version on iris_training_data@0."""
    write_iris(stores, sizes=(50, 50))
    train(stores, scientist, recipe="iris_classifier", version=0)
    return stores


def artifact_folder(stores: Stores, key: ModelVersionKey) -> Path:
    source = stores.models.version(key).source
    assert source is not None
    return Path(unquote(urlsplit(source).path))


def test_without_models_the_list_is_empty(stores: Stores, auditor: Actor) -> None:
    assert list_models(stores, auditor) == ()


def test_versions_are_listed_with_stage_metrics_data_and_run(trained: Stores, auditor: Actor) -> None:
    trained.models.set_stages("iris_classifier", {1: Stage.PRODUCTION})
    (model,) = list_models(trained, auditor)
    (version,) = model.versions
    assert (model.name, model.production) == ("iris_classifier", 1)
    (data,) = version.data
    assert (version.stage, data.key) == (Stage.PRODUCTION, TableVersion(table=TABLE, version=0))
    assert version.metrics["TrainRows"] == 35
    assert version.user == "scientist"
    assert version.problem is None
    assert list_models(trained, auditor, model="iris_classifier") == (model,)


def test_versions_are_picked_without_reading_their_runs(
    trained: Stores, auditor: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trained.runs, "get_many", None)
    (model,) = list_versions(trained, auditor)
    assert model.name == "iris_classifier"
    assert [version.version for version in model.versions] == sorted(
        (version.version for version in model.versions), reverse=True
    )


def test_a_version_shows_its_evidence(trained: Stores, auditor: Actor) -> None:
    view = show_model_version(trained, auditor, KEY)
    assert view.run is not None
    assert view.run_problem is None
    (data,) = view.data
    assert data.source.key == TableVersion(table=TABLE, version=0)
    assert data.verdict is not None
    assert data.verdict.is_readable
    assert {"MLmodel", "model.skops", "requirements.txt"} <= {item.path for item in view.artifacts}
    assert view.info is not None
    assert (view.info.format, view.info.is_safe) == ("skops", True)
    assert [column.name for column in view.info.outputs] == ["species"]
    assert any(line.startswith("scikit-learn==") for line in view.info.requirements)
    assert view.late_metrics == {}


def test_a_run_with_a_data_version_has_no_note_about_its_data(trained: Stores, auditor: Actor) -> None:
    assert show_model_version(trained, auditor, KEY).notes == ()


def test_a_metric_that_was_changed_after_the_run_ended_is_reported(trained: Stores, auditor: Actor) -> None:
    run_id = trained.models.version(KEY).run_id
    assert run_id is not None
    trained.runs.log(run_id, metrics={"f1": 1.0})
    view = show_model_version(trained, auditor, KEY)
    assert set(view.late_metrics) == {"f1"}
    assert view.metrics["f1"] == 1.0


def test_the_deleted_run_of_a_version_is_reported_and_still_read(trained: Stores, auditor: Actor) -> None:
    from mlflow import MlflowClient

    run_id = trained.models.version(KEY).run_id
    MlflowClient(trained.settings.tracking_uri).delete_run(run_id)
    view = show_model_version(trained, auditor, KEY)
    assert view.run is not None
    assert "was deleted in MLflow" in (view.run_problem or "")
    assert view.metrics["TrainRows"] == 35
    assert "was deleted" in (list_models(trained, auditor)[0].versions[0].problem or "")


def test_a_version_of_a_run_that_never_existed_is_reported(stores: Stores, auditor: Actor) -> None:
    stores.models.register(
        "m", source="s3://nowhere/x", run_id="f" * 32, tags={"delta.table": "t", "delta.version": "0"}
    )
    (version,) = list_models(stores, auditor)[0].versions
    assert "it was erased, or it never existed" in (version.problem or "")
    (data,) = version.data
    assert (data.table, data.version, data.key) == ("t", 0, None), "no table t is registered"
    assert version.metrics == {}


def test_a_lost_artifact_is_a_sentence_and_not_the_end_of_the_page(
    trained: Stores, auditor: Actor, tmp_path: Path
) -> None:
    shutil.rmtree(artifact_folder(trained, KEY))
    view = show_model_version(trained, auditor, KEY)
    assert view.info is None
    assert "deleted or moved" in (view.info_problem or "")
    assert view.metrics["TrainRows"] == 35
    with pytest.raises(ArtifactNotFound):
        trained.models.download(KEY, tmp_path)


def test_lost_data_is_a_problem(trained: Stores, auditor: Actor) -> None:
    shutil.rmtree(Path(trained.catalog.resolve(TABLE).uri))
    (data,) = show_model_version(trained, auditor, KEY).data
    assert data.verdict is None
    assert TABLE in (data.problem or "")


def test_a_model_loads_and_a_damaged_one_does_not(trained: Stores, auditor: Actor, tmp_path: Path) -> None:
    assert check_loads(trained.models.download(KEY, tmp_path / "whole")).format == "skops"
    (artifact_folder(trained, KEY) / "model.skops").write_bytes(b"PK no zip")
    with pytest.raises(ModelUnloadable, match="damaged"):
        check_loads(trained.models.download(KEY, tmp_path / "damaged"))
    view = show_model_version(trained, auditor, KEY)
    assert "damaged" in (view.info_problem or "")
    assert view.artifacts


def test_files_of_a_version_are_read_and_nothing_outside(trained: Stores, auditor: Actor) -> None:
    assert b"scikit-learn==" in read_model_file(trained, auditor, KEY, "requirements.txt")
    with pytest.raises(ArtifactNotFound):
        read_model_file(trained, auditor, KEY, "secrets.txt")
    with pytest.raises(BadInput):
        read_model_file(trained, auditor, KEY, "../../../modelledger.db")


def test_a_missing_model_version_or_file_is_named(stores: Stores, auditor: Actor) -> None:
    with pytest.raises(ModelNotFound):
        list_models(stores, auditor, model="nobody")
    with pytest.raises((ModelNotFound, ModelVersionNotFound)):
        show_model_version(stores, auditor, KEY)


def test_an_actor_without_a_role_sees_no_models(stores: Stores) -> None:
    nobody = Actor(name="nobody", roles=frozenset())
    with pytest.raises(Forbidden):
        list_models(stores, nobody)
    with pytest.raises(Forbidden):
        show_model_version(stores, nobody, KEY)
    with pytest.raises(Forbidden):
        read_model_file(stores, nobody, KEY, "MLmodel")
