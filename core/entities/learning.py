"""Recipes and the results of trainings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from core.entities.data import TableVersion
from core.entities.models import ModelVersionKey


class Task(str, Enum):
    CLASSIFICATION = "classification"
    REGRESSION = "regression"


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How a model is made from a table: target, features, estimator and its parameters.

    *estimator* is a name of learning.estimators; empty *features* means every column but the target.
    """

    name: str
    model: str
    task: Task
    table: str
    target: str
    estimator: str
    features: tuple[str, ...] = ()
    params: Mapping[str, Any] = field(default_factory=dict)
    test_fraction: float = 0.3
    seed: int = 0
    description: str = ""


@dataclass(frozen=True, kw_only=True)
class TrainingResult:
    """The result of one training."""

    run_id: str
    model: ModelVersionKey
    data: TableVersion
    params: Mapping[str, str]
    metrics: Mapping[str, float]
