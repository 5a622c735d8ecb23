"""Runs: their experiments, and one run with everything that it logged, also after its end."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from core.access.permissions import Action, require
from core.entities import Actor, Artifact, MetricPoint, ModelVersion, Run, RunStatus
from core.features.lineage.version_data import with_data
from core.features.stores import Stores
from core.learning.artifact_files import list_all
from core.registry.runs import failure_reason
from core.texts import text

# Enough for the time of every value but those of a long curve, whose last value is always there.
_POINTS_FOR_TIMES = 500


@dataclass(frozen=True, kw_only=True)
class RunView:
    """One run. *history* holds every value of each metric, oldest first; *late* those logged after the run's end."""

    run: Run
    reason: str | None
    notes: tuple[str, ...]
    versions: tuple[ModelVersion, ...]
    history: Mapping[str, tuple[MetricPoint, ...]]
    late: Mapping[str, tuple[MetricPoint, ...]]
    artifacts: tuple[Artifact, ...]


def list_experiments(stores: Stores, actor: Actor) -> tuple[str, ...]:
    """Return the names of MLflow's experiments."""
    require(actor, Action.RUN_READ)
    return stores.runs.experiments()


def show_run(stores: Stores, actor: Actor, run_id: str) -> RunView:
    """Return a run as it is now, a deleted run too. Raises RunNotFound, RegistryUnavailable."""
    require(actor, Action.RUN_READ)
    versions = tuple(version for version in stores.models.versions() if version.run_id == run_id)
    (run,) = with_data(stores, [stores.runs.get(run_id)], versions)
    history = {name: stores.runs.metric_history(run_id, name) for name in run.metrics}
    return RunView(
        run=run,
        reason=failure_reason(run),
        notes=run_notes(run),
        versions=versions,
        history=history,
        late={name: points for name in history if (points := _late(run, history[name]))},
        artifacts=list_all(lambda folder: stores.runs.artifacts(run_id, folder)),
    )


def run_notes(run: Run) -> tuple[str, ...]:
    """Return what a reader must know before trusting the numbers of *run*."""
    notes: list[str] = []
    if run.is_deleted:
        notes.append(text("deleted in MLflow"))
    if not any(source.version is not None for source in run.data if source.is_training):
        notes.append(text("no data version was logged"))
    if run.status in (RunStatus.FAILED, RunStatus.KILLED):
        reason = failure_reason(run)
        notes.append(f"{run.status.value}: {reason}" if reason else run.status.value)
    if run.status is RunStatus.RUNNING:
        notes.append(text("still running"))
    undefined = sorted(name for name, value in run.metrics.items() if not math.isfinite(value))
    if undefined:
        notes.append(text("no finite value of {metrics}", metrics=", ".join(undefined)))
    return tuple(notes)


def late_metrics(stores: Stores, run: Run, names: Iterable[str]) -> dict[str, datetime]:
    """Return, by metric, the time of the newest value that was logged after the run's end."""
    if run.ended is None:
        return {}
    histories = stores.runs.metric_histories(run.run_id, sorted(names), max_points=_POINTS_FOR_TIMES)
    newest = {name: max(point.timestamp for point in history.points) for name, history in histories.items()}
    return {name: time for name, time in newest.items() if time > run.ended}


def _late(run: Run, points: tuple[MetricPoint, ...]) -> tuple[MetricPoint, ...]:
    """Return the points logged after the run's end. MLflow accepts them, keeps all points and shows the newest."""
    return () if run.ended is None else tuple(point for point in points if point.timestamp > run.ended)
