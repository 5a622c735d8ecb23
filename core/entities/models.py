"""Registered models, their versions and stages."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import Enum

from core.entities.data import TableVersion


class Stage(str, Enum):
    NONE = "None"
    STAGING = "Staging"
    PRODUCTION = "Production"
    ARCHIVED = "Archived"


@dataclass(frozen=True, kw_only=True)
class ModelVersionKey:
    """The key of a model version, written MODEL/N."""

    model: str
    version: int

    def __str__(self) -> str:
        return f"{self.model}/{self.version}"


@dataclass(frozen=True, kw_only=True)
class ModelVersion:
    """A registered model version. *run_id* may name a run that was deleted or never existed.

    *model_id* is the logged model of MLflow 3 that was registered; None for a model that was saved as files of a run.
    """

    model: str
    version: int
    stage: Stage
    run_id: str | None
    source: str | None
    created: datetime
    updated: datetime
    description: str
    tags: Mapping[str, str]
    aliases: tuple[str, ...] = ()
    model_id: str | None = None

    @property
    def key(self) -> ModelVersionKey:
        return ModelVersionKey(model=self.model, version=self.version)

    @property
    def data(self) -> TableVersion | None:
        """The data version from the tags of the model version itself (delta.table, delta.version)."""
        table, version = self.tags.get("delta.table"), self.tags.get("delta.version", "")
        return TableVersion(table=table, version=int(version)) if table and version.isdigit() else None


@dataclass(frozen=True, kw_only=True)
class RegisteredModel:
    name: str
    description: str
    created: datetime
    updated: datetime
    tags: Mapping[str, str]
