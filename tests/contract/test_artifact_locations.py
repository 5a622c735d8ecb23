"""Where a version's artifact may lie on this machine's disk: in its run or its logged model, never where keys are."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from core.bootstrap import open_stores
from core.entities import Actor, ModelVersionKey
from core.errors import ArtifactNotFound, ArtifactOutside
from core.features.stores import Stores
from core.settings import load_settings


@pytest.fixture
def stores(home: Path) -> Stores:
    """An embedded installation whose key has been made, and a file of everybody's beside it."""
    stores = open_stores(load_settings(home=home))
    (home / "signing-key.pem").write_text("PRIVATE")
    (home / "tables").mkdir()
    (home / "tables" / "other.txt").write_text("other")
    return stores


def registered(stores: Stores, source: str, run_id: str = "") -> ModelVersionKey:
    return stores.models.register("sly", source=source, run_id=run_id, tags={}).key


def logged(stores: Stores, folder: Path) -> tuple[str, str]:
    """A run with a model of one file; its id and the model's source."""
    (folder / "model").mkdir()
    (folder / "model" / "MLmodel").write_text("flavors: {}\n")
    run_id = stores.runs.start("e", "r", "scientist", {})
    return run_id, stores.runs.log_model(run_id, folder / "model")


def refused(stores: Stores, key: ModelVersionKey, into: Path) -> str:
    """Nothing of it is listed, copied or read; the reason."""
    reads: tuple[Callable[[], object], ...] = (
        lambda: stores.models.artifacts(key),
        lambda: stores.models.download(key, into),
        lambda: stores.models.download(key, into, path="signing-key.pem"),
    )
    messages = []
    for read in reads:
        with pytest.raises(ArtifactOutside) as outside:
            read()
        messages.append(str(outside.value))
    assert not list(into.glob("**/*"))
    return messages[0]


def test_the_home_is_never_an_artifact_however_it_is_spelled(stores: Stores, home: Path, tmp_path: Path) -> None:
    (home / "artifacts").mkdir(exist_ok=True)
    (home / "link").symlink_to(home)
    run_id, _ = logged(stores, tmp_path)
    for spelled in (f"{home}", f"file://{home}", f"file:{home}", f"{home}/artifacts/..", f"{home}/link", "/"):
        for of in ("", run_id):
            message = refused(stores, registered(stores, spelled, of), tmp_path / "copy")
            assert "private files of this installation" in message, spelled


def test_a_folder_of_another_kind_is_no_artifact(stores: Stores, home: Path, tmp_path: Path) -> None:
    run_id, _ = logged(stores, tmp_path)
    message = refused(stores, registered(stores, str(home / "tables"), run_id), tmp_path / "copy")
    assert "outside the folder of the artifact's run" in message
    assert "register it from there" in message


def test_the_folder_of_a_key_kept_elsewhere_is_closed_too(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = home / "artifacts" / "keys"
    keys.mkdir(parents=True)
    (keys / "k.pem").write_text("PRIVATE")
    monkeypatch.setenv("MODELLEDGER_SIGNING_KEY", str(keys / "k.pem"))
    stores = open_stores(load_settings(home=home))
    assert "private files of this installation" in refused(stores, registered(stores, str(keys)), tmp_path / "copy")


def test_what_was_logged_to_its_run_is_read(stores: Stores, tmp_path: Path) -> None:
    run_id, source = logged(stores, tmp_path)
    for named in (source, f"runs:/{run_id}/model"):
        key = registered(stores, named, run_id)
        assert [item.path for item in stores.models.artifacts(key)] == ["MLmodel"]
        assert (stores.models.download(key, tmp_path / f"copy{key.version}") / "MLmodel").is_file()


def test_a_model_logged_the_way_of_mlflow_3_is_read(
    stores: Stores, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """models:/m-… lies beside its experiment's runs, not in one."""
    from mlflow import MlflowClient

    run_id, _ = logged(stores, tmp_path)
    client = MlflowClient(stores.settings.tracking_uri)
    elsewhere = client.create_experiment("elsewhere", artifact_location=(tmp_path / "elsewhere").as_uri())
    model = client.create_logged_model(elsewhere, "m")
    client.log_model_artifacts(model.model_id, str(tmp_path / "model"))
    client.finalize_logged_model(model.model_id, "READY")
    with monkeypatch.context() as environment:  # MLflow looks for a logged model where the environment says
        environment.setenv("MLFLOW_TRACKING_URI", stores.settings.tracking_uri)
        key = registered(stores, f"models:/{model.model_id}", run_id)
    assert [item.path for item in stores.models.artifacts(key)] == ["MLmodel"]
    assert (stores.models.download(key, tmp_path / "copy") / "MLmodel").is_file()


def test_a_runs_uri_that_climbs_out_of_its_run_is_refused(stores: Stores, home: Path, tmp_path: Path) -> None:
    run_id, _ = logged(stores, tmp_path)
    for source in (f"runs:/{run_id}/../../../..", f"runs:/{run_id}/model/../../../../../tables"):
        key = registered(stores, source, run_id)
        with pytest.raises(ArtifactNotFound):
            stores.models.artifacts(key)
        with pytest.raises(ArtifactNotFound):
            stores.models.download(key, tmp_path / "copy")


def test_a_link_that_leads_out_of_the_artifact_is_refused_by_name(stores: Stores, home: Path, tmp_path: Path) -> None:
    run_id, source = logged(stores, tmp_path)
    place = Path(source.removeprefix("file://"))
    (place / "deep").mkdir()
    (place / "deep" / "note").symlink_to(home / "signing-key.pem")
    key = registered(stores, source, run_id)
    for path in ("", "deep", "deep/note"):
        with pytest.raises(ArtifactOutside, match="deep/note is a link that leads out"):
            stores.models.download(key, tmp_path / "copy", path=path)
    with pytest.raises(ArtifactOutside, match="deep/note is a link"):
        stores.runs.artifacts(run_id, "model/deep/note")


def test_the_page_of_such_a_version_says_why_and_gives_no_file(
    stores: Stores, home: Path, tmp_path: Path, auditor: Actor
) -> None:
    from core.features.runs.models import read_model_file, show_model_version

    run_id, _ = logged(stores, tmp_path)
    key = registered(stores, str(home), run_id)
    view = show_model_version(stores, auditor, key)
    assert view.info is None
    assert not view.artifacts
    with pytest.raises(ArtifactOutside):
        read_model_file(stores, auditor, key, "signing-key.pem")
