"""Runs: one run with everything that it logged, and what was changed after it had ended."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from core.access.permissions import Action, require
from core.entities import Actor, Artifact, MetricPoint, ModelVersion, Run
from core.features.runs.compare import run_notes
from core.features.stores import Stores
from core.learning.artifact_files import list_all
from core.registry.runs import failure_reason


@dataclass(frozen=True, kw_only=True)
class RunView:
    """*history* holds every value of each metric, oldest first; *late* are those logged after the run had ended."""

    run: Run
    reason: str | None
    notes: tuple[str, ...]
    versions: tuple[ModelVersion, ...]
    history: Mapping[str, tuple[MetricPoint, ...]]
    late: Mapping[str, tuple[MetricPoint, ...]]
    artifacts: tuple[Artifact, ...]


def show_run(stores: Stores, actor: Actor, run_id: str) -> RunView:
    """One run as it is now, a deleted one too. Raises RunNotFound, RegistryUnavailable."""
    require(actor, Action.RUN_READ)
    run = stores.runs.get(run_id)
    history = {name: stores.runs.metric_history(run_id, name) for name in run.metrics}
    return RunView(
        run=run,
        reason=failure_reason(run),
        notes=run_notes(run),
        versions=tuple(version for version in stores.models.versions() if version.run_id == run_id),
        history=history,
        late={name: after for name, points in history.items() if (after := _late(run, points))},
        artifacts=list_all(lambda folder: stores.runs.artifacts(run_id, folder)),
    )


def _late(run: Run, points: tuple[MetricPoint, ...]) -> tuple[MetricPoint, ...]:
    """MLflow lets anybody log a metric after the end; both points stay, and the newer one is what is shown."""
    return () if run.ended is None else tuple(point for point in points if point.timestamp > run.ended)
