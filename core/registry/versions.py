"""MlflowRegistry: what both registries share, which is reading, registering, artifact files and aliases."""

from __future__ import annotations

import logging
import time
from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any, ClassVar

from core.entities import Artifact, ModelVersion, ModelVersionKey, RegisteredModel, Stage
from core.errors import (
    ArtifactNotFound,
    BadInput,
    ModelNotFound,
    ModelVersionNotFound,
    RunNotFound,
    ServerLacksCall,
)
from core.registry import search_filter
from core.registry.alias_names import AliasNames
from core.registry.artifacts import files as artifact_files
from core.registry.connection import Connection
from core.registry.from_mlflow import logged_model_id, to_model, to_version
from core.registry.models import ModelRegistry
from core.registry.search.call_size import CallSize

_MODELS_PER_CALL = 500
_TRUST_S = 60.0
# A promotion has no version in Production for the time of two calls; a reader waits this long for its end.
_BETWEEN_S = 2.0
_POLL_S = 0.02
_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class _CachedVersions:
    """Versions as they were read, with the values that show whether they have changed since."""

    marker: tuple[int, ...] | None
    model_states: tuple[object, ...]
    read_at: float
    versions: tuple[ModelVersion, ...]


class MlflowRegistry(ModelRegistry):
    """MLflow's registry. Subclasses decide how a stage is stored: `_stage_of` and `_set_stage`.

    Versions are cached. In an embedded store they are valid until the store's file changes. Behind a server they are
    valid while the models' times of last update and aliases are unchanged (one small call), and for at most a minute:
    an edited tag changes neither.
    """

    def __init__(
        self,
        tracking_uri: str,
        registry_uri: str | None = None,
        timeout_s: float = 5.0,
        artifact_root: Path | None = None,
        protected: Sequence[Path] = (),
        connection: Connection | None = None,
        alias_names: AliasNames | None = None,
    ) -> None:
        """Open the registry on first use, or read it through *connection*, which others share."""
        self._alias_names = alias_names or AliasNames()
        self._connection = connection or Connection(
            tracking_uri, registry_uri, timeout_s=timeout_s, artifact_root=artifact_root, protected=protected
        )
        self._cache: dict[str | None, _CachedVersions] = {}
        self._halted: dict[str, tuple[object, ...]] = {}
        self._call_size = CallSize()

    # ------------------------------------------------------------------------------- subclasses

    # The order in which `set_stages` sets stages.
    _stage_order: ClassVar[tuple[Stage, ...]]

    @abstractmethod
    def _stage_of(self, version: Any, aliases: Mapping[str, int]) -> Stage:
        """Return the stage of an MLflow model version; *aliases* are those of its model."""

    @abstractmethod
    def _set_stage(self, client: Any, model: str, version: int, stage: Stage) -> None:
        """Set the stage of one version in MLflow."""

    # ------------------------------------------------------------------------------------ reading

    def stage_aliases(self, model: str) -> Mapping[Stage, str]:
        return self._alias_names.of(model)

    def models(self) -> tuple[RegisteredModel, ...]:
        return tuple(sorted((to_model(model) for model in self._search_models()), key=lambda model: model.name))

    def model(self, name: str) -> RegisteredModel:
        return to_model(self._model(name))

    def versions(self, model: str | None = None, *, fresh: bool = False) -> tuple[ModelVersion, ...]:
        marker = self._connection.change_marker()
        cached = None if fresh else self._cache.get(model)
        if cached is not None and marker is not None and cached.marker == marker:
            return cached.versions
        models = self._search_models() if model is None else [self._model(model)]
        states = tuple((entry.name, entry.last_updated_timestamp, *sorted(_aliases(entry).items())) for entry in models)
        if (
            cached is not None
            and marker is None
            and cached.model_states == states
            and time.monotonic() - cached.read_at < _TRUST_S
        ):
            return cached.versions
        versions = self._after_promotions(self._read_versions(model, models), models)
        self._cache[model] = _CachedVersions(marker, states, time.monotonic(), versions)
        return versions

    def _read_versions(self, model: str | None, models: Sequence[Any]) -> tuple[ModelVersion, ...]:
        """Read versions in pages. MLflow may leave their aliases empty, so aliases come from *models*."""
        aliases = {entry.name: _aliases(entry) for entry in models}
        condition = "" if model is None else f"name = {search_filter.quote(model)}"
        versions: dict[tuple[str, int], Any] = {}
        token: str | None = None
        with self._connection.client() as client:
            while True:
                rows = self._call_size.rows
                with self._call_size.measured(rows):
                    # A page begins at a count of rows. MLflow's own order, by last update, would lose a version that
                    # changes between two pages.
                    page = client.search_model_versions(
                        condition, max_results=rows, order_by=["name ASC", "version_number ASC"], page_token=token
                    )
                versions.update({(version.name, int(version.version)): version for version in page})
                token = page.token or None
                if token is None:
                    break
        converted = [self._convert(version, aliases.get(version.name, {})) for version in versions.values()]
        return tuple(sorted(converted, key=lambda version: (version.model, -version.version)))

    def _after_promotions(self, versions: tuple[ModelVersion, ...], models: Sequence[Any]) -> tuple[ModelVersion, ...]:
        """Return *versions*; those of a model in the middle of a promotion are read again when it is over.

        Where a promotion was left halfway, the wait ends after _BETWEEN_S, and it is not repeated.
        """
        if self.is_stage_an_alias:
            return versions
        by_model: dict[str, Sequence[ModelVersion]] = {
            name: list(of_model) for name, of_model in groupby(versions, key=lambda version: version.model)
        }
        deadline = time.monotonic() + _BETWEEN_S
        for entry in models:
            state = self._between_two(entry, by_model.get(entry.name, ()))
            while state is not None and self._halted.get(entry.name) != state:
                if time.monotonic() > deadline:
                    self._halted[entry.name] = state
                    break
                time.sleep(_POLL_S)
                current = self._model(entry.name)
                by_model[entry.name] = self._read_versions(entry.name, [current])
                state = self._between_two(current, by_model[entry.name])
        return tuple(version for name in sorted(by_model) for version in by_model[name])

    def _between_two(self, model: Any, versions: Sequence[ModelVersion]) -> tuple[object, ...] | None:
        """Return the state of a model whose Production version was archived while its alias is still there; else None.

        A promotion archives the old version, then sets the new one, then moves the alias.
        """
        holder = _aliases(model).get(self.stage_aliases(model.name)[Stage.PRODUCTION])
        stages = {version.version: version.stage for version in versions}
        if Stage.PRODUCTION in stages.values() or holder is None or stages.get(holder) is not Stage.ARCHIVED:
            return None
        return (holder, *sorted((number, stage.value) for number, stage in stages.items()))

    def version(self, key: ModelVersionKey) -> ModelVersion:
        aliases = _aliases(self._model(key.model))
        with self._connection.client(_no_version(key.model, key.version)) as client:
            version = client.get_model_version(key.model, str(key.version))
        return self._convert(version, aliases)

    def production(self, model: str) -> ModelVersion | None:
        in_production = [version for version in self.versions(model) if version.stage is Stage.PRODUCTION]
        return max(in_production, key=lambda version: version.version, default=None)

    # ------------------------------------------------------------------------------------ writing

    def set_stages(
        self, model: str, stages: Mapping[int, Stage], *, confirm: Callable[[], None] = lambda: None
    ) -> None:
        for version in stages:
            self.version(ModelVersionKey(model=model, version=version))
        self._before_stages(model, stages)
        for version, stage in sorted(stages.items(), key=lambda item: self._stage_order.index(item[1])):
            confirm()
            with self._connection.client() as client:
                self._set_stage(client, model, version, stage)
        self._sync_aliases(model, stages)

    def _before_stages(self, model: str, changed: Mapping[int, Stage]) -> None:
        """Prepare MLflow for the change of stages that is about to begin."""

    def _sync_aliases(self, model: str, changed: Mapping[int, Stage]) -> None:
        """Let the aliases of Production and Staging follow the stages that *changed* set.

        An alias that the change does not concern may be somebody else's: it stays where it is.
        """
        self._cache.clear()
        registered = self._model(model)
        aliases, versions = _aliases(registered), self._read_versions(model, [registered])
        for stage, alias in self.stage_aliases(model).items():
            current = aliases.get(alias)
            if stage not in changed.values() and current not in changed:
                continue
            holder = max((version.version for version in versions if version.stage is stage), default=None)
            try:
                with self._connection.client() as client:
                    if holder is not None and current != holder:
                        client.set_registered_model_alias(model, alias, str(holder))
                    elif holder is None and current is not None:
                        client.delete_registered_model_alias(model, alias)
            except ServerLacksCall as error:
                if self.is_stage_an_alias:
                    raise
                _LOG.warning("%s has no alias %s: %s", model, alias, error)
                return

    def register(
        self, model: str, *, source: str, run_id: str, tags: Mapping[str, str], description: str = ""
    ) -> ModelVersion:
        if not model.strip() or "/" in model or ":" in model:
            raise BadInput(
                "{model!r} is not a valid model name: write at least one letter or digit, without / and :.", model=model
            )
        try:
            self._model(model)
        except ModelNotFound:
            self._create(model)
        with self._connection.client() as client:
            version = client.create_model_version(
                model, source, run_id, tags={key: str(value) for key, value in tags.items()}, description=description
            )
        return self._convert(version, {})

    def _create(self, model: str) -> None:
        try:
            with self._connection.client() as client:
                client.create_registered_model(model)
        except BadInput as error:
            # Another process may have created the model in the meantime.
            if error.values.get("code") != "RESOURCE_ALREADY_EXISTS":
                raise

    def describe(self, model: str, version: int | None, description: str) -> None:
        with self._changing(model, version) as client:
            if version is None:
                client.update_registered_model(model, description)
            else:
                client.update_model_version(model, str(version), description)

    def set_tag(self, model: str, version: int | None, name: str, value: str) -> None:
        with self._changing(model, version) as client:
            if version is None:
                client.set_registered_model_tag(model, name, value)
            else:
                client.set_model_version_tag(model, str(version), name, value)

    def delete_tag(self, model: str, version: int | None, name: str) -> None:
        with self._changing(model, version) as client:
            if version is None:
                client.delete_registered_model_tag(model, name)
            else:
                client.delete_model_version_tag(model, str(version), name)

    @contextmanager
    def _changing(self, model: str, version: int | None) -> Iterator[Any]:
        """Yield the client, and forget what was read of the versions."""
        missing = _no_model(model) if version is None else _no_version(model, version)
        try:
            with self._connection.client(missing) as client:
                yield client
        finally:
            self._cache.clear()

    # ---------------------------------------------------------------------------------- artifacts

    def artifacts(self, key: ModelVersionKey, *, below: str = "") -> tuple[Artifact, ...]:
        return artifact_files.list_files(
            self._connection, self._artifact_uri(key), lambda: self._owners(key), below=below
        )

    def download(self, key: ModelVersionKey, into: Path, *, path: str = "") -> Path:
        return artifact_files.fetch(
            self._connection, self._artifact_uri(key), lambda: self._owners(key), into, path=path
        )

    def _artifact_uri(self, key: ModelVersionKey) -> str:
        missing = ModelVersionNotFound("{model} has no version {version}.", model=key.model, version=key.version)
        no_artifact = ArtifactNotFound(
            "{model}/{version} has no artifact: its source or its run was deleted.",
            model=key.model,
            version=key.version,
        )
        with self._connection.client(missing) as client:
            version = client.get_model_version(key.model, str(key.version))
        if not version.source:
            raise no_artifact
        with self._connection.client(no_artifact) as client:
            return str(client.get_model_version_download_uri(key.model, str(key.version)))

    def _owners(self, key: ModelVersionKey) -> Iterator[str]:
        """Return the folders in which the version's artifact may lie: its run's and its logged model's, if any."""
        with self._connection.client() as client:
            version = client.get_model_version(key.model, str(key.version))
        if version.run_id:
            with suppress(RunNotFound), self._connection.client(RunNotFound("no such run")) as client:
                yield str(client.get_run(version.run_id).info.artifact_uri)
        model_id = logged_model_id(version)
        if model_id is not None:
            with suppress(ArtifactNotFound), self._connection.client(ArtifactNotFound("no such model")) as client:
                yield str(client.get_logged_model(model_id).artifact_location)

    # ------------------------------------------------------------------------------------ helpers

    def _model(self, name: str) -> Any:
        if not name:
            raise _no_model(name)
        with self._connection.client(_no_model(name)) as client:
            return client.get_registered_model(name)

    def _search_models(self) -> list[Any]:
        models: list[Any] = []
        token: str | None = None
        with self._connection.client() as client:
            while True:
                page = client.search_registered_models(max_results=_MODELS_PER_CALL, page_token=token)
                models += page
                token = page.token or None
                if token is None:
                    return models

    def _convert(self, version: Any, aliases: Mapping[str, int]) -> ModelVersion:
        held = {alias for alias, number in aliases.items() if number == int(version.version)}
        return to_version(version, stage=self._stage_of(version, aliases), aliases=held)


def _aliases(model: Any) -> dict[str, int]:
    """Return version numbers by alias."""
    return {alias: int(version) for alias, version in dict(model.aliases or {}).items()}


def _no_model(name: str) -> ModelNotFound:
    return ModelNotFound("There is no registered model {model!r}. Pick one from the list.", model=name)


def _no_version(model: str, version: int) -> ModelVersionNotFound:
    return ModelVersionNotFound(
        "{model} has no version {version}. Pick one from the list of its versions.", model=model, version=version
    )
