"""Training runs and their artifacts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import Enum

from core.entities.data import TableVersion


class RunStatus(str, Enum):
    """The statuses of a run, in MLflow's words."""

    SCHEDULED = "scheduled"
    RUNNING = "running"
    FINISHED = "finished"
    FAILED = "failed"
    KILLED = "killed"


@dataclass(frozen=True, kw_only=True)
class DatasetInput:
    """A dataset that a run logged by `mlflow.log_input`. *source* is JSON, whose keys depend on *source_type*.

    *context* is free text: training, evaluation, …; None if the run logged none. MLflow keeps one source for all
    datasets of an experiment with the same name and digest: *source* may come from another run (mlflow#11560).
    """

    name: str
    digest: str
    source_type: str
    source: str
    context: str | None


@dataclass(frozen=True, kw_only=True)
class Run:
    """One MLflow run. *metrics* keep NaN and infinities as floats. *data* is None where no data version was logged."""

    run_id: str
    name: str
    experiment: str
    status: RunStatus
    started: datetime | None
    ended: datetime | None
    user: str | None
    params: Mapping[str, str]
    metrics: Mapping[str, float]
    tags: Mapping[str, str]
    data: TableVersion | None
    inputs: tuple[DatasetInput, ...] = ()
    is_deleted: bool = False


@dataclass(frozen=True, kw_only=True)
class MetricPoint:
    value: float
    timestamp: datetime
    step: int


@dataclass(frozen=True, kw_only=True)
class Artifact:
    """One file below a run's or model's artifacts; *size_bytes* is None for a folder."""

    path: str
    is_folder: bool
    size_bytes: int | None
