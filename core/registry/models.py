"""ModelRegistry: the contract of a model registry, in MLflow's terms."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import ClassVar

from core.entities import Artifact, ModelVersion, ModelVersionKey, RegisteredModel, Stage


class ModelRegistry(ABC):
    """Registered models and the stages of their versions.

    There are two implementations: registry/stages.py (MLflow's native stages) and registry/aliases.py (aliases and a
    tag, for registries without stages). `models:/NAME@ALIAS` works with both, for the aliases of `stage_aliases`.

    Every method can raise RegistryUnavailable, within a bounded time. Methods that take a model or a version raise
    ModelNotFound and ModelVersionNotFound.
    """

    name: ClassVar[str]
    # Whether the alias of Production decides which version is in Production, or only follows the stage.
    is_stage_an_alias: ClassVar[bool] = False

    @abstractmethod
    def stage_aliases(self, model: str) -> Mapping[Stage, str]:
        """Return the alias of Production and of Staging for *model*, as the settings name them."""

    @abstractmethod
    def models(self) -> tuple[RegisteredModel, ...]:
        """Return all registered models by name."""

    @abstractmethod
    def model(self, name: str) -> RegisteredModel:
        """Return one registered model as MLflow has it now."""

    @abstractmethod
    def versions(self, model: str | None = None, *, fresh: bool = False) -> tuple[ModelVersion, ...]:
        """Return the versions of *model*, or of all models, by model name and then newest first.

        MLflow is called once per 500 versions, or fewer if it answers slowly. With *fresh* nothing comes from a cache.
        """

    @abstractmethod
    def version(self, key: ModelVersionKey) -> ModelVersion:
        """Return one version with its stage and aliases."""

    @abstractmethod
    def production(self, model: str) -> ModelVersion | None:
        """Return the version in Production, or None.

        If MLflow was changed directly and several versions are in Production, return the highest number.
        """

    @abstractmethod
    def set_stages(
        self, model: str, stages: Mapping[int, Stage], *, confirm: Callable[[], None] = lambda: None
    ) -> None:
        """Set the stage of each version in *stages*. A failure never leaves two versions in Production.

        `versions` and `production` give the stages from before or after a promotion, not from its middle. The change
        is not atomic in MLflow: callers hold the model's lock (core.audit.decisions) and record their intent first.
        *confirm* is called before each change and raises if the caller has lost the lock.
        """

    @abstractmethod
    def register(
        self, model: str, *, source: str, run_id: str, tags: Mapping[str, str], description: str = ""
    ) -> ModelVersion:
        """Create the next version of *model* from a run's artifact; create the model if it does not exist."""

    @abstractmethod
    def describe(self, model: str, version: int | None, description: str) -> None:
        """Change the description of a version; None is the registered model itself."""

    @abstractmethod
    def set_tag(self, model: str, version: int | None, name: str, value: str) -> None:
        """Set a tag of a version; None is the registered model itself."""

    @abstractmethod
    def delete_tag(self, model: str, version: int | None, name: str) -> None:
        """Delete a tag of a version, if it exists; None is the registered model itself."""

    @abstractmethod
    def artifacts(self, key: ModelVersionKey, *, below: str = "") -> tuple[Artifact, ...]:
        """Return the files and folders one level below *below* in the version's artifact."""

    @abstractmethod
    def download(self, key: ModelVersionKey, into: Path, *, path: str = "") -> Path:
        """Copy the artifact, or one file of it, below *into* and return its path.

        Raises:
            ArtifactNotFound: the artifact or the file does not exist.
        """
