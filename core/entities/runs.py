"""Training runs, the models that they logged, and their artifacts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import Enum

from core.entities.claims import DataSource


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
class ModelOutput:
    """A logged model that a run made, and the step of the training at which it was saved."""

    model_id: str
    step: int


@dataclass(frozen=True, kw_only=True)
class Run:
    """One MLflow run. *metrics* keep NaN and infinities as floats.

    *outputs* are the logged models of MLflow 3, by step.
    *data* is what the run used, as its claims say: core.features.lineage fills it for runs that are shown, and it is
    empty as the registry returns a run.
    """

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
    inputs: tuple[DatasetInput, ...] = ()
    data: tuple[DataSource, ...] = ()
    is_deleted: bool = False
    outputs: tuple[ModelOutput, ...] = ()

    @property
    def parent_id(self) -> str | None:
        """The run in which this run is nested, or None."""
        return self.tags.get("mlflow.parentRunId") or None


@dataclass(frozen=True, kw_only=True)
class MetricPoint:
    value: float
    timestamp: datetime
    step: int


@dataclass(frozen=True, kw_only=True)
class MetricHistory:
    """The logged values of a metric, oldest first. A long history is sampled: it has more values than *points*.

    *total* is the number of logged values, None where MLflow does not say how many were left out.
    """

    points: tuple[MetricPoint, ...]
    total: int | None

    @property
    def is_sampled(self) -> bool:
        return self.total is None or self.total > len(self.points)


@dataclass(frozen=True, kw_only=True)
class ModelMetric:
    """One value of a metric of a logged model.

    *dataset* and *digest* name the data that the value was measured on, None where it was logged without a dataset.
    *run_id* is the run that logged the value: the training run or a later evaluation.
    """

    name: str
    value: float
    timestamp: datetime
    step: int
    dataset: str | None
    digest: str | None
    run_id: str | None


@dataclass(frozen=True, kw_only=True)
class LoggedModel:
    """A model that a run logged, for example one checkpoint of a training.

    *metrics* hold the newest value of each metric, dataset and run: the highest step, then the latest time.
    """

    model_id: str
    name: str
    run_id: str | None
    status: str
    created: datetime
    params: Mapping[str, str]
    tags: Mapping[str, str]
    metrics: tuple[ModelMetric, ...]


@dataclass(frozen=True, kw_only=True)
class Artifact:
    """One file below a run's or model's artifacts; *size_bytes* is None for a folder."""

    path: str
    is_folder: bool
    size_bytes: int | None
