"""Runs: their experiments, and one run with everything that it logged, also after its end."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from core.access.permissions import Action, require
from core.entities import (
    Actor,
    Artifact,
    LoggedModel,
    MetricHistory,
    MetricPoint,
    ModelOutput,
    ModelVersion,
    Run,
    RunStatus,
)
from core.features.lineage.version_data import with_data
from core.features.stores import Stores
from core.learning.artifact_files import list_all
from core.learning.kpis import SYSTEM_PREFIX
from core.registry.runs import failure_reason
from core.registry.search.listing import RunPage
from core.texts import text

# Enough for the time of every value but those of a long curve, whose last value is always there.
_POINTS_FOR_TIMES = 500
# One page shows at most about this many values of a metric, and of all metrics together.
MOST_POINTS = 1_000
_ALL_POINTS = 10_000
_LEAST_POINTS = 20
_MOST_MODELS = 100


@dataclass(frozen=True, kw_only=True)
class RunView:
    """One run with everything that it logged.

    *history* holds the values of each metric, sampled where there are many; system metrics and, behind an old server,
    the metrics in *unread* are left out. *late* are the values that were logged after the run's end. *children* are the
    newest runs that are nested in it. *models* are its logged models by step, None for one that MLflow lost.
    """

    run: Run
    reason: str | None
    notes: tuple[str, ...]
    versions: tuple[ModelVersion, ...]
    history: Mapping[str, MetricHistory]
    unread: tuple[str, ...]
    late: Mapping[str, tuple[MetricPoint, ...]]
    artifacts: tuple[Artifact, ...]
    parent: Run | None
    children: RunPage
    models: tuple[tuple[ModelOutput, LoggedModel | None], ...]


def list_experiments(stores: Stores, actor: Actor) -> tuple[str, ...]:
    """Return the names of MLflow's experiments."""
    require(actor, Action.RUN_READ)
    return stores.runs.experiments()


def show_run(stores: Stores, actor: Actor, run_id: str) -> RunView:
    """Return a run as it is now, a deleted run too, in few calls of MLflow. Raises RunNotFound, RegistryUnavailable."""
    require(actor, Action.RUN_READ)
    versions = tuple(version for version in stores.models.versions() if version.run_id == run_id)
    (run,) = with_data(stores, [stores.runs.get(run_id)], versions)
    names = [name for name in run.metrics if not name.startswith(SYSTEM_PREFIX)]
    most = max(_LEAST_POINTS, min(MOST_POINTS, _ALL_POINTS // max(1, len(names))))
    history = stores.runs.metric_histories(run_id, names, max_points=most)
    models = stores.runs.logged_models.get_many([output.model_id for output in run.outputs[-_MOST_MODELS:]])
    return RunView(
        run=run,
        reason=failure_reason(run),
        notes=run_notes(run),
        versions=versions,
        history=history,
        unread=tuple(name for name in names if name not in history),
        late={name: points for name in history if (points := _late(run, history[name].points))},
        artifacts=list_all(lambda folder: stores.runs.artifacts(run_id, folder)),
        parent=stores.runs.get_many([run.parent_id]).get(run.parent_id) if run.parent_id else None,
        children=stores.runs.children(run_id),
        models=tuple((output, models.get(output.model_id)) for output in run.outputs[-_MOST_MODELS:]),
    )


def metric_curves(stores: Stores, actor: Actor, run_id: str, names: Sequence[str]) -> Mapping[str, MetricHistory]:
    """Return the histories of a few metrics, system metrics too, for a chart: at most about 1,000 values of each."""
    require(actor, Action.RUN_READ)
    return stores.runs.metric_histories(run_id, names, max_points=MOST_POINTS)


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
