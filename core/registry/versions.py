"""What both registries share: reading models and versions, registering, artifact files, aliases."""

from __future__ import annotations

import re
import time
from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.entities import Artifact, ModelVersion, ModelVersionKey, RegisteredModel, Stage
from core.errors import ArtifactNotFound, BadInput, ModelNotFound, ModelVersionNotFound, RunNotFound
from core.registry import artifact_files
from core.registry.connection import Connection
from core.registry.from_mlflow import to_model, to_version
from core.registry.models import ModelRegistry

PRODUCTION_ALIAS, STAGING_ALIAS = "production", "staging"
ALIASES = {Stage.PRODUCTION: PRODUCTION_ALIAS, Stage.STAGING: STAGING_ALIAS}
# Production last: a failure halfway leaves no version in Production rather than two.
ORDER = (Stage.NONE, Stage.ARCHIVED, Stage.STAGING, Stage.PRODUCTION)
_MOST_VERSIONS = 200_000
_MOST_MODELS = 1_000
_TRUST_S = 60.0
# A source that is a model logged the way of MLflow 3: it lies beside its experiment's runs.
_LOGGED = re.compile(r"^models:/(m-[0-9a-f]+)(/|$)")


@dataclass(frozen=True)
class _Kept:
    """Versions as they were read, with what tells whether they changed since."""

    stamp: tuple[int, ...] | None
    marks: tuple[object, ...]
    read_at: float
    versions: tuple[ModelVersion, ...]


class MlflowRegistry(ModelRegistry):
    """MLflow's registry without an opinion where the stage is kept: `_stage_of` and `_move` say that.

    Versions are kept while an embedded store's file is unchanged; behind a server while the model's time of last
    change and its aliases are (one small call), at most a minute: a tag that somebody edits moves neither.
    """

    def __init__(
        self,
        tracking_uri: str,
        registry_uri: str | None = None,
        timeout_s: float = 5.0,
        artifact_root: Path | None = None,
        closed: Sequence[Path] = (),
    ) -> None:
        self._connection = Connection(
            tracking_uri, registry_uri, timeout_s=timeout_s, artifact_root=artifact_root, closed=closed
        )
        self._kept: dict[str | None, _Kept] = {}

    # ------------------------------------------------------------------------------ what differs

    @abstractmethod
    def _stage_of(self, version: Any, aliases: Mapping[str, int]) -> Stage:
        """The stage of an MLflow model version; *aliases* are those of its model."""

    @abstractmethod
    def _move(self, client: Any, model: str, version: int, stage: Stage) -> None:
        """Moves one version to *stage* in MLflow."""

    # ------------------------------------------------------------------------------------ reading

    def models(self) -> tuple[RegisteredModel, ...]:
        return tuple(sorted((to_model(model) for model in self._search_models()), key=lambda model: model.name))

    def versions(self, model: str | None = None) -> tuple[ModelVersion, ...]:
        stamp = self._connection.stamp()
        kept = self._kept.get(model)
        if kept is not None and stamp is not None and kept.stamp == stamp:
            return kept.versions
        models = self._search_models() if model is None else [self._model(model)]
        marks = tuple((one.name, one.last_updated_timestamp, *sorted(_aliases(one).items())) for one in models)
        if kept is not None and stamp is None and kept.marks == marks and time.monotonic() - kept.read_at < _TRUST_S:
            return kept.versions
        found = self._read_versions(model, models)
        self._kept[model] = _Kept(stamp, marks, time.monotonic(), found)
        return found

    def _read_versions(self, model: str | None, models: Sequence[Any]) -> tuple[ModelVersion, ...]:
        """One call. A search of versions may leave aliases empty: they come from *models*."""
        aliases = {one.name: _aliases(one) for one in models}
        with self._connection.answering() as client:
            found = client.search_model_versions(
                "" if model is None else f"name = {_quoted(model)}", max_results=_MOST_VERSIONS
            )
        read = [self._convert(version, aliases.get(version.name, {})) for version in found]
        return tuple(sorted(read, key=lambda version: (version.model, -version.version)))

    def version(self, key: ModelVersionKey) -> ModelVersion:
        missing = ModelVersionNotFound(
            f"{key.model} has no version {key.version}; pick one from the list of its versions.",
            model=key.model,
            version=key.version,
        )
        aliases = _aliases(self._model(key.model))
        with self._connection.answering(missing) as client:
            found = client.get_model_version(key.model, str(key.version))
        return self._convert(found, aliases)

    def production(self, model: str) -> ModelVersion | None:
        serving = [version for version in self.versions(model) if version.stage is Stage.PRODUCTION]
        return max(serving, key=lambda version: version.version, default=None)

    # ------------------------------------------------------------------------------------ writing

    def set_stages(
        self, model: str, stages: Mapping[int, Stage], *, confirm: Callable[[], None] = lambda: None
    ) -> None:
        for version in stages:
            self.version(ModelVersionKey(model=model, version=version))
        for version, stage in sorted(stages.items(), key=lambda item: ORDER.index(item[1])):
            confirm()
            with self._connection.answering() as client:
                self._move(client, model, version, stage)
        self._keep_aliases(model)

    def _keep_aliases(self, model: str) -> None:
        """Points `production` and `staging` at the versions in those stages, or removes them."""
        self._kept.clear()
        found = self._model(model)
        aliases, current = _aliases(found), self._read_versions(model, [found])
        for stage, alias in ALIASES.items():
            holder = max((version.version for version in current if version.stage is stage), default=None)
            with self._connection.answering() as client:
                if holder is None and alias in aliases:
                    client.delete_registered_model_alias(model, alias)
                elif holder is not None and aliases.get(alias) != holder:
                    client.set_registered_model_alias(model, alias, str(holder))

    def register(
        self, model: str, *, source: str, run_id: str, tags: Mapping[str, str], description: str = ""
    ) -> ModelVersion:
        if not model.strip() or "/" in model or ":" in model:
            raise BadInput(
                f"{model!r} cannot name a model: leave out / and :, and give at least a letter.", model=model
            )
        try:
            self._model(model)
        except ModelNotFound:
            self._create(model)
        with self._connection.answering() as client:
            made = client.create_model_version(
                model, source, run_id, tags={key: str(value) for key, value in tags.items()}, description=description
            )
        return self._convert(made, {})

    def _create(self, model: str) -> None:
        try:
            with self._connection.answering() as client:
                client.create_registered_model(model)
        except BadInput as error:
            # Another process made it between our look and our call: that is what we wanted.
            if error.values.get("code") != "RESOURCE_ALREADY_EXISTS":
                raise

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
        missing = ModelVersionNotFound(f"There is no model version {key}.", model=key.model, version=key.version)
        gone = ArtifactNotFound(
            f"{key} has no artifact any more: its source or its run is gone.", model=key.model, version=key.version
        )
        with self._connection.answering(missing) as client:
            found = client.get_model_version(key.model, str(key.version))
        if not found.source:
            raise gone
        with self._connection.answering(gone) as client:
            return str(client.get_model_version_download_uri(key.model, str(key.version)))

    def _owners(self, key: ModelVersionKey) -> Iterator[str]:
        """Where the version's artifact may lie: in its run's folder, or its logged model's, while these are known."""
        with self._connection.answering() as client:
            found = client.get_model_version(key.model, str(key.version))
        if found.run_id:
            with suppress(RunNotFound), self._connection.answering(RunNotFound("no such run")) as client:
                yield str(client.get_run(found.run_id).info.artifact_uri)
        logged = _LOGGED.match(str(found.source))
        if logged:
            with suppress(ArtifactNotFound), self._connection.answering(ArtifactNotFound("no such model")) as client:
                yield str(client.get_logged_model(logged[1]).artifact_location)

    # ------------------------------------------------------------------------------------ helpers

    def _model(self, name: str) -> Any:
        missing = ModelNotFound(f"There is no registered model {name!r}; pick one from the list.", model=name)
        if not name:
            raise missing
        with self._connection.answering(missing) as client:
            return client.get_registered_model(name)

    def _search_models(self) -> list[Any]:
        found: list[Any] = []
        token: str | None = None
        with self._connection.answering() as client:
            while True:
                page = client.search_registered_models(max_results=_MOST_MODELS, page_token=token)
                found += page
                token = page.token or None
                if token is None:
                    return found

    def _convert(self, version: Any, aliases: Mapping[str, int]) -> ModelVersion:
        held = {alias for alias, number in aliases.items() if number == int(version.version)}
        return to_version(version, stage=self._stage_of(version, aliases), aliases=held)


def _aliases(model: Any) -> dict[str, int]:
    """Alias to version number."""
    return {alias: int(version) for alias, version in dict(model.aliases or {}).items()}


def _quoted(name: str) -> str:
    """A name for MLflow's filter language, which has no escape."""
    if "'" not in name:
        return f"'{name}'"
    if '"' not in name:
        return f'"{name}"'
    raise BadInput("MLflow cannot look for a model whose name holds both kinds of quotes.", model=name)
