"""The contract of a model registry: versions, stages, artifacts. MLflow's words."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import ClassVar

from core.entities import Artifact, ModelVersion, ModelVersionKey, RegisteredModel, Stage


class ModelRegistry(ABC):
    """Registered models and the stages of their versions.

    Two implementations: registry/stages.py (MLflow's native stages) and registry/aliases.py (aliases and
    tags, for registries without stages). `models:/NAME@production` works in either.
    Errors: ModelNotFound, ModelVersionNotFound, RegistryUnavailable (bounded wait, says what to check).
    """

    name: ClassVar[str]
    # Whether the alias `production` decides what serves, or is kept beside the stage.
    is_stage_an_alias: ClassVar[bool] = False

    @abstractmethod
    def models(self) -> tuple[RegisteredModel, ...]:
        """All registered models by name; one call."""

    @abstractmethod
    def versions(self, model: str | None = None) -> tuple[ModelVersion, ...]:
        """Versions of *model* (of all models if None), newest number first; a constant number of calls."""

    @abstractmethod
    def version(self, key: ModelVersionKey) -> ModelVersion:
        """One version, with its stage and aliases."""

    @abstractmethod
    def production(self, model: str) -> ModelVersion | None:
        """The version in Production or None; where several are (made behind our back), the highest number."""

    @abstractmethod
    def set_stages(
        self, model: str, stages: Mapping[int, Stage], *, confirm: Callable[[], None] = lambda: None
    ) -> None:
        """Moves each named version to its stage; Production last, so that a failure leaves none rather than two.

        Not atomic in MLflow: callers hold the model's lock (core.audit.decisions) and record their intent first.
        *confirm* is called before each change and raises where the lock was lost meanwhile.
        """

    @abstractmethod
    def register(
        self, model: str, *, source: str, run_id: str, tags: Mapping[str, str], description: str = ""
    ) -> ModelVersion:
        """Makes the next version of *model* (and the model, where new) from a run's artifact."""

    @abstractmethod
    def artifacts(self, key: ModelVersionKey, *, below: str = "") -> tuple[Artifact, ...]:
        """Files of the version's model artifact, folders included, one level."""

    @abstractmethod
    def download(self, key: ModelVersionKey, into: Path, *, path: str = "") -> Path:
        """Copies the artifact (or one file of it) below *into*; returns where it is. ArtifactNotFound."""
