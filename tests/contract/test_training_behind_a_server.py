"""The whole training against a real `mlflow server`: logged, registered, promoted and loadable as an embedded one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from core.bootstrap import open_stores
from core.entities import Actor, RunStatus, Stage
from core.features.runs.models import show_model_version
from core.features.runs.runs import show_run
from core.features.training.train import train
from core.learning.safety.check_loads import check_loads
from core.settings import load_settings
from tests.contract.mlflow_server import mlflow_server
from tests.features.iris import TABLE, write_iris


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with mlflow_server(tmp_path_factory.mktemp("server")) as uri:
        yield uri


@pytest.mark.parametrize("stages", ["native", "aliases"])
def test_a_training_is_logged_registered_promoted_and_loads(
    server: str, stages: str, home: Path, tmp_path: Path, scientist: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "30")
    stores = open_stores(load_settings(home=home, registry_stages=stages))
    assert stores.models.name == stages
    write_iris(stores, sizes=(50,))
    first = train(stores, scientist, recipe="iris_classifier")
    second = train(stores, scientist, recipe="iris_classifier")
    assert stores.runs.get(second.run_id).status is RunStatus.FINISHED
    assert stores.runs.get(second.run_id).params["ModelV"] == str(second.model.version)
    stores.models.set_stages("iris_classifier", {first.model.version: Stage.PRODUCTION})
    stores.models.set_stages(
        "iris_classifier", {first.model.version: Stage.ARCHIVED, second.model.version: Stage.PRODUCTION}
    )
    serving = stores.models.production("iris_classifier")
    assert serving is not None
    assert (serving.key, str(serving.data)) == (second.model, f"{TABLE}@0")
    assert check_loads(stores.models.download(second.model, tmp_path)).format == "skops"
    view = show_model_version(stores, scientist, second.model)
    assert view.run_problem is None
    assert "model.skops" in {item.path for item in view.artifacts}
    assert "model/model.skops" in {item.path for item in show_run(stores, scientist, second.run_id).artifacts}
