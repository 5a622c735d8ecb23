"""The model registry's contract: native stages and aliases, over an embedded store and over a server."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient

from core.entities import ModelVersion, ModelVersionKey, RunStatus, Stage
from core.errors import (
    ArtifactNotFound,
    BadInput,
    ModelNotFound,
    ModelVersionNotFound,
    ServerLacksCall,
    StorageUnavailable,
)
from core.registry.alias_names import AliasNames
from core.registry.aliases import AliasRegistry
from core.registry.connection import Connection
from core.registry.models import ModelRegistry
from core.registry.runs import Runs
from core.registry.stages import StageRegistry
from tests.contract.gateway import gateway
from tests.contract.mlflow_server import mlflow_server
from tests.mlflow_store import make_store

REGISTRIES = {"native": StageRegistry, "aliases": AliasRegistry}


@pytest.fixture(scope="module", params=["embedded", "server"])
def place(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[str, Path | None]]:
    """A store's URI, and its artifact root where the store is embedded."""
    folder = tmp_path_factory.mktemp("mlflow")
    if request.param == "embedded":
        yield make_store(f"sqlite:///{folder / 'mlflow.db'}"), folder / "artifacts"
    else:
        with mlflow_server(folder) as uri:
            yield uri, None


@pytest.fixture(params=sorted(REGISTRIES))
def registry(request: pytest.FixtureRequest, place: tuple[str, Path | None]) -> ModelRegistry:
    return REGISTRIES[request.param](place[0], timeout_s=30.0)


@pytest.fixture
def runs(place: tuple[str, Path | None]) -> Runs:
    return Runs(place[0], 30.0, place[1])


@pytest.fixture
def model(request: pytest.FixtureRequest) -> str:
    """A name that no other test uses."""
    return re.sub(r"\W+", "-", request.node.name)


def add_versions(registry: ModelRegistry, runs: Runs, model: str, count: int, folder: Path) -> str:
    """Registers *count* versions of one run's artifact; returns the run's id."""
    run_id = runs.start("contract", model, "scientist", {})
    made = folder / "model"
    (made / "deep").mkdir(parents=True)
    (made / "MLmodel").write_text("flavors: {}\n")
    (made / "deep" / "note.txt").write_text("hello")
    source = runs.log_model(run_id, made)
    for _ in range(count):
        registry.register(model, source=source, run_id=run_id, tags={"delta.table": "t", "delta.version": "0"})
    runs.end(run_id, RunStatus.FINISHED)
    return run_id


def stages(registry: ModelRegistry, model: str) -> dict[int, str]:
    return {version.version: version.stage.value for version in registry.versions(model)}


def test_versions_count_from_one_and_start_in_no_stage(
    registry: ModelRegistry, runs: Runs, model: str, tmp_path: Path
) -> None:
    run_id = add_versions(registry, runs, model, 2, tmp_path)
    newest, oldest = registry.versions(model)
    assert (newest.version, oldest.version) == (2, 1)
    assert oldest.stage is Stage.NONE
    assert oldest.run_id == run_id
    assert oldest.data is not None
    assert str(oldest.data) == "t@0"
    assert registry.production(model) is None
    assert model in [one.name for one in registry.models()]


def test_a_promotion_leaves_one_version_in_production_and_moves_the_alias(
    registry: ModelRegistry, runs: Runs, model: str, tmp_path: Path
) -> None:
    add_versions(registry, runs, model, 3, tmp_path)
    registry.set_stages(model, {1: Stage.PRODUCTION})
    registry.set_stages(model, {1: Stage.ARCHIVED, 2: Stage.PRODUCTION, 3: Stage.STAGING})
    assert stages(registry, model) == {1: "Archived", 2: "Production", 3: "Staging"}
    serving = registry.production(model)
    assert serving is not None
    assert (serving.version, serving.aliases) == (2, ("production",))
    assert registry.version(ModelVersionKey(model=model, version=3)).aliases == ("staging",)


def test_models_at_production_resolves_in_mlflow_itself(
    registry: ModelRegistry, runs: Runs, model: str, tmp_path: Path, place: tuple[str, Path | None]
) -> None:
    add_versions(registry, runs, model, 2, tmp_path)
    registry.set_stages(model, {2: Stage.PRODUCTION})
    client = MlflowClient(place[0], place[0])
    assert int(client.get_model_version_by_alias(model, "production").version) == 2
    registry.set_stages(model, {2: Stage.ARCHIVED})
    assert "production" not in client.get_registered_model(model).aliases


def aliases(client: MlflowClient, model: str) -> dict[str, int]:
    """An embedded store gives numbers, a server texts."""
    return {alias: int(version) for alias, version in client.get_registered_model(model).aliases.items()}


TEAM = AliasNames.parse({"*": {"Production": "champion", "Staging": "challenger"}, "vip": {"Production": "live"}})


def test_aliases_have_the_names_that_the_team_gives_them(
    registry: ModelRegistry, runs: Runs, model: str, tmp_path: Path, place: tuple[str, Path | None]
) -> None:
    add_versions(registry, runs, model, 3, tmp_path)
    client = MlflowClient(place[0], place[0])
    client.set_registered_model_alias(model, "production", "3")
    named = type(registry)(place[0], timeout_s=30.0, alias_names=TEAM)
    named.set_stages(model, {1: Stage.PRODUCTION, 2: Stage.STAGING})
    assert aliases(client, model) == {"champion": 1, "challenger": 2, "production": 3}
    named.set_stages(model, {1: Stage.ARCHIVED, 2: Stage.PRODUCTION})
    assert aliases(client, model) == {"champion": 2, "production": 3}
    assert stages(named, model) == {1: "Archived", 2: "Production", 3: "None"}
    assert named.versions(model)[1].aliases == ("champion",)
    assert named.stage_aliases("vip") == {Stage.PRODUCTION: "live", Stage.STAGING: "challenger"}


def test_alias_of_somebody_else_stays_where_it_is_if_the_stage_is_not_concerned(
    runs: Runs, model: str, tmp_path: Path, place: tuple[str, Path | None]
) -> None:
    native = StageRegistry(place[0], timeout_s=30.0)
    add_versions(native, runs, model, 3, tmp_path)
    client = MlflowClient(place[0], place[0])
    client.set_registered_model_alias(model, "production", "3")
    native.set_stages(model, {1: Stage.STAGING})
    native.set_stages(model, {2: Stage.ARCHIVED})
    assert aliases(client, model) == {"production": 3, "staging": 1}


def test_stages_work_on_a_server_without_aliases(
    runs: Runs, model: str, tmp_path: Path, place: tuple[str, Path | None]
) -> None:
    if not place[0].startswith("http"):
        pytest.skip("an embedded store always has aliases")
    add_versions(StageRegistry(place[0], timeout_s=30.0), runs, model, 1, tmp_path)
    with gateway(place[0]) as before:
        before.trouble, before.only = "404", "registered-models/alias"
        old = StageRegistry(before.uri, timeout_s=30.0)
        old.set_stages(model, {1: Stage.PRODUCTION})
        assert stages(old, model) == {1: "Production"}
        with pytest.raises(ServerLacksCall, match="lacks a call"):
            AliasRegistry(before.uri, timeout_s=30.0).set_stages(model, {1: Stage.STAGING})


@pytest.mark.parametrize("has_alias", [True, False])
def test_reader_in_the_middle_of_a_promotion_gets_the_old_or_the_new_version(
    registry: ModelRegistry,
    runs: Runs,
    model: str,
    tmp_path: Path,
    place: tuple[str, Path | None],
    has_alias: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    add_versions(registry, runs, model, 2, tmp_path)
    registry.set_stages(model, {1: Stage.PRODUCTION})
    client = MlflowClient(place[0], place[0])
    if registry.name == "native" and not has_alias:
        client.delete_registered_model_alias(model, "production")
    reader, seen = type(registry)(place[0], timeout_s=30.0), []

    def look() -> None:
        production = reader.production(model)
        whole = [version.version for version in reader.versions() if version.model == model and is_serving(version)]
        seen.append((production.version if production else None, whole))

    whole_step = registry._set_stage  # type: ignore[attr-defined]
    threads: list[threading.Thread] = []

    def step(*given: Any) -> None:
        whole_step(*given)
        threads.append(threading.Thread(target=look))
        threads[-1].start()
        threads[-1].join(0.3)

    monkeypatch.setattr(registry, "_set_stage", step)
    registry.set_stages(model, {1: Stage.ARCHIVED, 2: Stage.PRODUCTION})
    for thread in threads:
        thread.join(10)
    assert len(seen) == 2
    assert all(entry in [(1, [1]), (2, [2])] for entry in seen), seen


def is_serving(version: ModelVersion) -> bool:
    return version.stage is Stage.PRODUCTION


def test_promotion_left_halfway_is_waited_for_once(
    runs: Runs, model: str, tmp_path: Path, place: tuple[str, Path | None], monkeypatch: pytest.MonkeyPatch
) -> None:
    native = StageRegistry(place[0], timeout_s=30.0)
    add_versions(native, runs, model, 2, tmp_path)
    native.set_stages(model, {1: Stage.PRODUCTION})
    monkeypatch.setattr(native, "_sync_aliases", lambda *_: None)
    native.set_stages(model, {1: Stage.ARCHIVED})
    waits: list[float] = []
    monkeypatch.setattr("core.registry.versions._BETWEEN_S", 0.2)
    monkeypatch.setattr("core.registry.versions.time.sleep", waits.append)
    reader = StageRegistry(place[0], timeout_s=30.0)
    assert reader.production(model) is None
    first = len(waits)
    assert first > 0
    reader._cache.clear()
    assert reader.production(model) is None
    assert len(waits) == first


def test_both_registries_name_the_same_version_as_production(
    registry: ModelRegistry, runs: Runs, model: str, tmp_path: Path, place: tuple[str, Path | None]
) -> None:
    add_versions(registry, runs, model, 2, tmp_path)
    native = StageRegistry(place[0], timeout_s=30.0)
    native.set_stages(model, {1: Stage.PRODUCTION})
    serving = AliasRegistry(place[0], timeout_s=30.0).production(model)
    assert serving is not None
    assert serving.version == 1


def test_a_stage_for_a_version_that_does_not_exist_changes_nothing(
    registry: ModelRegistry, runs: Runs, model: str, tmp_path: Path
) -> None:
    add_versions(registry, runs, model, 1, tmp_path)
    with pytest.raises(ModelVersionNotFound, match="has no version 9"):
        registry.set_stages(model, {1: Stage.PRODUCTION, 9: Stage.ARCHIVED})
    assert stages(registry, model) == {1: "None"}


def test_a_change_by_somebody_else_is_seen_at_once(
    registry: ModelRegistry, runs: Runs, model: str, tmp_path: Path, place: tuple[str, Path | None]
) -> None:
    add_versions(registry, runs, model, 2, tmp_path)
    assert stages(registry, model) == {1: "None", 2: "None"}
    type(registry)(place[0], timeout_s=30.0).set_stages(model, {1: Stage.PRODUCTION})
    assert stages(registry, model) == {1: "Production", 2: "None"}


def test_the_number_of_calls_does_not_depend_on_the_number_of_versions(
    registry: ModelRegistry, runs: Runs, model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_versions(registry, runs, model, 1, tmp_path / "one")
    add_versions(registry, runs, f"{model}-many", 20, tmp_path / "many")
    calls: list[str] = []
    open_client = Connection.client

    def counted(self: Connection, missing: Exception | None = None) -> object:
        calls.append("call")
        return open_client(self, missing)  # type: ignore[arg-type]

    monkeypatch.setattr(Connection, "client", counted)
    assert len(registry.versions(model)) == 1
    for_one, _ = len(calls), calls.clear()
    assert len(registry.versions(f"{model}-many")) == 20
    assert len(calls) == for_one <= 2


@pytest.mark.parametrize("name", ["it's", '<b onmouseover="x">', "Blüte 🌸", "a b;--"])
def test_names_are_taken_as_they_are(registry: ModelRegistry, runs: Runs, name: str, tmp_path: Path) -> None:
    model = f"{name} {registry.name}"
    add_versions(registry, runs, model, 1, tmp_path)
    registry.set_stages(model, {1: Stage.PRODUCTION})
    serving = registry.production(model)
    assert serving is not None
    assert serving.model == model


@pytest.mark.parametrize("name", ["", "  ", "a/b", "a:b"])
def test_a_name_that_mlflow_cannot_address_is_refused(registry: ModelRegistry, name: str) -> None:
    with pytest.raises(BadInput):
        registry.register(name, source="file:///nowhere", run_id="0" * 32, tags={})


def test_descriptions_and_tags_of_versions_and_models_change(
    registry: ModelRegistry, runs: Runs, model: str, tmp_path: Path, place: tuple[str, Path | None]
) -> None:
    add_versions(registry, runs, model, 1, tmp_path)
    key = ModelVersionKey(model=model, version=1)
    registry.versions(model)
    for version in (None, 1):
        registry.describe(model, version, "Über <b>")
        registry.set_tag(model, version, "validated by", "ana")
        registry.set_tag(model, version, "owner", "")
    found = registry.version(key)
    assert (found.description, found.tags["validated by"], found.tags["owner"]) == ("Über <b>", "ana", "")
    assert registry.versions(model)[0].tags["validated by"] == "ana", "the cache is forgotten"
    assert (registry.model(model).description, registry.model(model).tags["owner"]) == ("Über <b>", "")
    for version in (None, 1):
        registry.describe(model, version, "")
        registry.delete_tag(model, version, "owner")
        registry.delete_tag(model, version, "never there")
    assert (registry.version(key).description, registry.model(model).description) == ("", "")
    assert "owner" not in {**registry.version(key).tags, **registry.model(model).tags}
    assert registry.version(key).stage is Stage.NONE
    # Somebody else's edit of a tag: a cache behind a server does not notice it, a fresh read does.
    MlflowClient(place[0], place[0]).set_model_version_tag(model, "1", "owner", "bo")
    assert registry.versions(model, fresh=True)[0].tags["owner"] == "bo"
    for version in (9, None):
        with pytest.raises(ModelVersionNotFound if version else ModelNotFound):
            registry.set_tag(model if version else "nobody", version, "a", "b")
        with pytest.raises(ModelVersionNotFound if version else ModelNotFound):
            registry.describe(model if version else "nobody", version, "b")
    with pytest.raises(BadInput, match="MLflow rejects this"):
        registry.set_tag(model, 1, "a=b", "c")


def test_unknown_models_and_versions_are_named(registry: ModelRegistry) -> None:
    with pytest.raises(ModelNotFound, match="nobody"):
        registry.versions("nobody")
    with pytest.raises(ModelNotFound, match="nobody"):
        registry.version(ModelVersionKey(model="nobody", version=1))


def test_artifact_files_are_listed_level_by_level_and_copied(
    registry: ModelRegistry, runs: Runs, model: str, tmp_path: Path
) -> None:
    add_versions(registry, runs, model, 1, tmp_path)
    key = ModelVersionKey(model=model, version=1)
    assert [(item.path, item.is_folder) for item in registry.artifacts(key)] == [("MLmodel", False), ("deep", True)]
    assert [(item.path, item.size_bytes) for item in registry.artifacts(key, below="deep")] == [("deep/note.txt", 5)]
    folder = registry.download(key, tmp_path / "copy")
    assert (folder / "deep" / "note.txt").read_text() == "hello"
    assert registry.download(key, tmp_path / "one", path="deep/note.txt").read_text() == "hello"


@pytest.mark.parametrize("path", ["../secret", "/etc/passwd", "deep/../../x", "file:///etc/passwd"])
def test_a_path_cannot_leave_the_artifact(
    registry: ModelRegistry, runs: Runs, model: str, tmp_path: Path, path: str
) -> None:
    add_versions(registry, runs, model, 1, tmp_path)
    key = ModelVersionKey(model=model, version=1)
    with pytest.raises(BadInput):
        registry.download(key, tmp_path / "copy", path=path)
    with pytest.raises(BadInput):
        registry.artifacts(key, below=path)


def test_a_file_that_is_not_in_the_artifact_is_not_found(
    registry: ModelRegistry, runs: Runs, model: str, tmp_path: Path
) -> None:
    add_versions(registry, runs, model, 1, tmp_path)
    with pytest.raises(ArtifactNotFound):
        registry.download(ModelVersionKey(model=model, version=1), tmp_path / "copy", path="nothing.txt")


def test_a_version_may_name_a_run_that_never_existed(
    registry: ModelRegistry, runs: Runs, model: str, place: tuple[str, Path | None]
) -> None:
    client = MlflowClient(place[0], place[0])
    client.create_registered_model(model)
    client.create_model_version(model, "s3://elsewhere/model", "f" * 32)
    (version,) = registry.versions(model)
    assert version.run_id == "f" * 32
    assert runs.get_many([version.run_id]) == {}


def test_a_deleted_version_leaves_a_gap(
    registry: ModelRegistry, runs: Runs, model: str, tmp_path: Path, place: tuple[str, Path | None]
) -> None:
    add_versions(registry, runs, model, 3, tmp_path)
    MlflowClient(place[0], place[0]).delete_model_version(model, "2")
    assert [version.version for version in registry.versions(model)] == [3, 1]
    with pytest.raises(ModelVersionNotFound):
        registry.version(ModelVersionKey(model=model, version=2))


def test_an_artifact_in_a_store_that_cannot_be_reached_is_unavailable(
    registry: ModelRegistry, model: str, place: tuple[str, Path | None], tmp_path: Path
) -> None:
    registry.register(model, source="s3://nowhere/model", run_id="f" * 32, tags={})
    key = ModelVersionKey(model=model, version=1)
    for read in (lambda: registry.artifacts(key), lambda: registry.download(key, tmp_path / "copy")):
        with pytest.raises(StorageUnavailable, match="s3://nowhere/model"):
            read()
