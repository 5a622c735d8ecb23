"""Models: list registered models and their versions, and show a version with its run, data and artifact."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from core.access.permissions import Action, require
from core.entities import (
    Actor,
    Artifact,
    DataSource,
    ModelVersion,
    ModelVersionKey,
    RegisteredModel,
    Run,
    Stage,
)
from core.errors import BadInput, CoreError, ModelNotFound, ModelVersionNotFound
from core.features.lineage.provenance import Provenance, provenance
from core.features.lineage.version_data import DataView, data_of, run_of
from core.features.runs.runs import late_metrics, run_notes
from core.features.runs.version_metrics import VersionMetrics, metrics_of_version, read_version_metrics
from core.features.stores import Stores
from core.learning.artifact_files import folder_sha256, list_all
from core.learning.kpis import is_kpi
from core.learning.safety.inspect_model import ModelInfo, inspect_model
from core.texts import text

_TOO_LARGE_BYTES = 5_000_000


@dataclass(frozen=True, kw_only=True)
class VersionSummary:
    """A row of a model's versions. *problem* says why its run is unknown or unreliable.

    *data* is the training data that a claim names; see core.features.lineage.provenance. *metrics* are the version's
    own; *notes* name the KPIs that are only the run's.
    """

    version: int
    stage: Stage
    run_id: str | None
    run_name: str | None
    user: str | None
    created: datetime
    metrics: Mapping[str, float]
    data: tuple[DataSource, ...]
    aliases: tuple[str, ...]
    problem: str | None
    model_id: str | None
    notes: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class ModelSummary:
    """A registered model with its versions, newest first. *production* is the version in Production, or None."""

    name: str
    description: str
    created: datetime
    updated: datetime
    versions: tuple[VersionSummary, ...]

    @property
    def production(self) -> int | None:
        return max((version.version for version in self.versions if version.stage is Stage.PRODUCTION), default=None)


@dataclass(frozen=True, kw_only=True)
class ModelVersions:
    """The versions of a registered model as the registry has them, newest first, without their runs."""

    name: str
    versions: tuple[ModelVersion, ...]


@dataclass(frozen=True, kw_only=True)
class ModelVersionView:
    """A model version with its evidence. *run_problem* and *info_problem* say what could not be read, and why.

    *metrics* are those of *measured*, which keeps apart what the run logged for several models. *late_metrics* gives
    the time of each metric that was logged after the run's end. *sha256* is that of the artifact's files, where it was
    asked for and the files can be read.
    """

    version: ModelVersion
    run: Run | None
    run_problem: str | None
    notes: tuple[str, ...]
    measured: VersionMetrics
    late_metrics: Mapping[str, datetime]
    data: tuple[DataView, ...]
    artifacts: tuple[Artifact, ...]
    info: ModelInfo | None
    info_problem: str | None
    sha256: str | None = None

    @property
    def metrics(self) -> Mapping[str, float]:
        return self.measured.values


def list_models(stores: Stores, actor: Actor, *, model: str | None = None) -> tuple[ModelSummary, ...]:
    """Return all registered models (or one) with versions, in a constant number of calls. Raises ModelNotFound."""
    require(actor, Action.MODEL_READ)
    registered = [entry for entry in stores.models.models() if model is None or entry.name == model]
    if model is not None and not registered:
        raise ModelNotFound("There is no registered model {model!r}; choose a model from the list.", model=model)
    versions = stores.models.versions(model)
    runs = stores.runs.get_many(version.run_id for version in versions if version.run_id)
    measured = read_version_metrics(stores, versions, runs)
    reader = provenance(stores, runs.values())
    grouped: dict[str, list[VersionSummary]] = {}
    for version in versions:
        summary = _summary(version, runs.get(version.run_id or ""), measured[version.key], reader)
        grouped.setdefault(version.model, []).append(summary)
    return tuple(_model(entry, grouped.get(entry.name, [])) for entry in registered)


def list_versions(stores: Stores, actor: Actor) -> tuple[ModelVersions, ...]:
    """Return the models that have versions, by name. It reads no run, so it is fast with a thousand versions."""
    require(actor, Action.MODEL_READ)
    grouped: dict[str, list[ModelVersion]] = {}
    for version in stores.models.versions():
        grouped.setdefault(version.model, []).append(version)
    return tuple(ModelVersions(name=name, versions=tuple(versions)) for name, versions in grouped.items())


def find_by_alias(stores: Stores, actor: Actor, model: str, alias: str) -> ModelVersionKey:
    """Return the version of *model* that holds *alias* now. Raises ModelNotFound, ModelVersionNotFound."""
    require(actor, Action.MODEL_READ)
    versions = stores.models.versions(model)
    for version in versions:
        if alias in version.aliases:
            return version.key
    raise ModelVersionNotFound(
        "{model} has no alias {alias!r}; its aliases are: {aliases}.",
        model=model,
        alias=alias,
        aliases=", ".join(sorted(name for version in versions for name in version.aliases)) or text("none"),
    )


def show_model_version(
    stores: Stores, actor: Actor, key: ModelVersionKey, *, with_sha256: bool = False
) -> ModelVersionView:
    """Return a version with its run, data and artifact, as far as they can be read. Raises ModelVersionNotFound.

    The artifact is inspected, never loaded. *with_sha256* also hashes its files.
    """
    require(actor, Action.MODEL_READ)
    version = stores.models.version(key)
    run = run_of(stores, version)
    measured = metrics_of_version(stores, version, run)
    data = data_of(stores, run, version)
    if run is not None:
        run = replace(run, data=tuple(view.source for view in data))
    artifact = _read_artifact(stores, key, with_sha256=with_sha256)
    return ModelVersionView(
        version=version,
        run=run,
        run_problem=_run_problem(version, run),
        notes=run_notes(replace(run, metrics=measured.values)) if run else (),
        measured=measured,
        late_metrics=late_metrics(stores, run, filter(is_kpi, run.metrics)) if run else {},
        data=data,
        artifacts=artifact.files,
        info=artifact.info,
        info_problem=artifact.problem,
        sha256=artifact.sha256,
    )


def read_model_file(stores: Stores, actor: Actor, key: ModelVersionKey, path: str) -> bytes:
    """Return one file of a version's artifact. Raises ArtifactNotFound, and BadInput for a folder or a large file."""
    require(actor, Action.MODEL_READ)
    with tempfile.TemporaryDirectory(prefix="modelledger-") as folder:
        file = stores.models.download(key, Path(folder), path=path)
        if not file.is_file():
            raise BadInput("{path!r} is a folder; choose a file in it.", path=path)
        size = file.stat().st_size
        if size > _TOO_LARGE_BYTES:
            raise BadInput("{path!r} has {size:,} bytes, which is too large to be shown here.", path=path, size=size)
        return file.read_bytes()


def _model(model: RegisteredModel, versions: list[VersionSummary]) -> ModelSummary:
    return ModelSummary(
        name=model.name,
        description=model.description,
        created=model.created,
        updated=max([model.updated, *(version.created for version in versions)]),
        versions=tuple(versions),
    )


def _summary(version: ModelVersion, run: Run | None, measured: VersionMetrics, reader: Provenance) -> VersionSummary:
    return VersionSummary(
        version=version.version,
        stage=version.stage,
        run_id=version.run_id,
        run_name=run.name if run else None,
        user=run.user if run else None,
        created=version.created,
        metrics=dict(measured.values),
        data=tuple(s for s in reader.sources(run, version) if s.is_training and s.claimed is not None),
        aliases=version.aliases,
        problem=_run_problem(version, run),
        model_id=version.model_id,
        notes=measured.notes,
    )


def _run_problem(version: ModelVersion, run: Run | None) -> str | None:
    if version.run_id is None:
        return text("The version names no run, so its origin is unknown.")
    if run is None:
        return text("The run {run} is not in MLflow: it was erased, or it never existed.", run=version.run_id)
    if run.is_deleted:
        return text(
            "The run {run} was deleted in MLflow; its contents can be read until MLflow erases it.", run=version.run_id
        )
    return None


@dataclass(frozen=True, kw_only=True)
class _ArtifactView:
    files: tuple[Artifact, ...] = ()
    info: ModelInfo | None = None
    problem: str | None = None
    sha256: str | None = None


def _read_artifact(stores: Stores, key: ModelVersionKey, *, with_sha256: bool) -> _ArtifactView:
    """Return what the files say. A lost or foreign artifact is a problem to show, not an error."""
    files: tuple[Artifact, ...] = ()
    sha256 = None
    try:
        files = list_all(lambda folder: stores.models.artifacts(key, below=folder))
        with tempfile.TemporaryDirectory(prefix="modelledger-") as folder:
            copy = stores.models.download(key, Path(folder))
            sha256 = folder_sha256(copy) if with_sha256 else None
            return _ArtifactView(files=files, info=inspect_model(copy), sha256=sha256)
    except CoreError as error:
        return _ArtifactView(files=files, problem=str(error), sha256=sha256)
