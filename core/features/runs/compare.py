"""Compare: runs side by side, what differs, and how far each is from the run in Production."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum

from core.access.permissions import Action, require
from core.entities import Actor, ModelVersion, Run, RunStatus, Stage, TableVersion
from core.errors import RunNotFound
from core.features.stores import Stores
from core.learning.kpis import is_kpi, is_lower_better
from core.registry.runs import RunPage, failure_reason


class Direction(str, Enum):
    """What a difference from the baseline means."""

    BETTER = "better"
    WORSE = "worse"
    SAME = "same"
    UNKNOWN = "unknown"


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Runs in the order asked for. *deltas* are run minus baseline, only where both have a finite value.

    *differing_…* are the names whose values are not the same in all runs and their baselines. *notes* say what is odd
    about a run. *versions* are the model versions registered from each run. *baselines* is the run that each is
    measured against: one for all, or that of its own model; *baseline* is None, with a reason, where they differ.
    """

    runs: tuple[Run, ...]
    params: tuple[str, ...]
    metrics: tuple[str, ...]
    differing_params: tuple[str, ...]
    differing_metrics: tuple[str, ...]
    baseline: Run | None
    baseline_reason: str
    baselines: Mapping[str, Run] = field(default_factory=dict)
    deltas: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    directions: Mapping[str, Mapping[str, Direction]] = field(default_factory=dict)
    notes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    versions: Mapping[str, tuple[ModelVersion, ...]] = field(default_factory=dict)


def list_runs(
    stores: Stores,
    actor: Actor,
    *,
    experiments: Sequence[str] = (),
    text: str = "",
    table: str | None = None,
    version: int | None = None,
    status: RunStatus | None = None,
    limit: int = 100,
    token: str | None = None,
) -> RunPage:
    """One page of runs, newest first; *table* and *version* keep those trained on it."""
    require(actor, Action.RUN_READ)
    data = TableVersion(table=table, version=version) if table is not None and version is not None else None
    return stores.runs.page(experiments, text, table=table, data=data, status=status, limit=limit, token=token)


def list_experiments(stores: Stores, actor: Actor) -> tuple[str, ...]:
    """Names of MLflow's experiments."""
    require(actor, Action.RUN_READ)
    return stores.runs.experiments()


def compare_runs(stores: Stores, actor: Actor, run_ids: Sequence[str], baseline: str | None = None) -> Comparison:
    """Runs beside *baseline* (a run id), or beside the run in Production of the model they belong to.

    Deleted runs are compared too and noted. Raises RunNotFound (`missing` names all that are not there).
    """
    require(actor, Action.RUN_READ)
    wanted = list(dict.fromkeys(run_ids))
    registered = _versions_by_run(stores.models.versions())
    found = stores.runs.get_many([*wanted, *([baseline] if baseline else [])])
    missing = tuple(run_id for run_id in [*wanted, *([baseline] if baseline else [])] if run_id not in found)
    if missing:
        raise RunNotFound(
            f"There is no run {', '.join(missing)} in MLflow; pick runs from the list of runs.", missing=missing
        )
    runs = tuple(found[run_id] for run_id in wanted)
    if baseline:
        measured = _Baselines({run.run_id: found[baseline] for run in runs}, "chosen by you")
    else:
        measured = _production_runs(stores, runs, registered)
    bases = {base.run_id: base for base in measured.runs.values()}
    every = [*runs, *bases.values()]
    deltas = {run.run_id: _deltas(run, measured.runs.get(run.run_id)) for run in runs}
    return Comparison(
        runs=runs,
        params=_names(run.params for run in runs),
        metrics=_names(run.metrics for run in runs),
        differing_params=_differing([run.params for run in every]),
        differing_metrics=_differing([run.metrics for run in every]),
        baseline=next(iter(bases.values())) if len(bases) == 1 else None,
        baseline_reason=measured.reason,
        baselines=measured.runs,
        deltas=deltas,
        directions={
            run_id: {name: direction(name, delta) for name, delta in values.items()}
            for run_id, values in deltas.items()
        },
        notes={run.run_id: run_notes(run) for run in runs},
        versions={run.run_id: registered.get(run.run_id, ()) for run in runs},
    )


def direction(metric: str, delta: float | None) -> Direction:
    """What *delta* (value minus baseline) of *metric* means; a metric that is no KPI has no better and worse."""
    if delta is None or not math.isfinite(delta) or not is_kpi(metric):
        return Direction.UNKNOWN
    if math.isclose(delta, 0.0, abs_tol=1e-12):
        return Direction.SAME
    return Direction.BETTER if (delta < 0) == is_lower_better(metric) else Direction.WORSE


def run_notes(run: Run) -> tuple[str, ...]:
    """What a reader must know before believing a run's numbers."""
    notes = []
    if run.is_deleted:
        notes.append("deleted in MLflow")
    if run.data is None:
        notes.append("no data version was logged")
    if run.status in (RunStatus.FAILED, RunStatus.KILLED):
        reason = failure_reason(run)
        notes.append(f"{run.status.value}: {reason}" if reason else run.status.value)
    if run.status is RunStatus.RUNNING:
        notes.append("still running")
    undefined = sorted(name for name, value in run.metrics.items() if not math.isfinite(value))
    if undefined:
        notes.append(f"no finite value of {', '.join(undefined)}")
    return tuple(notes)


@dataclass(frozen=True)
class _Baselines:
    """The run that each run id is measured against, and why."""

    runs: Mapping[str, Run]
    reason: str


def _production_runs(
    stores: Stores, runs: Sequence[Run], registered: Mapping[str, tuple[ModelVersion, ...]]
) -> _Baselines:
    """Each run against the Production version of its own model."""
    models = {run.run_id: _model_of(run, registered.get(run.run_id, ())) for run in runs}
    names = sorted({name for name in models.values() if name is not None})
    if not names:
        return _Baselines({}, "none of these runs was registered as a model")
    serving = {name: _serving(name, registered) for name in names}
    read = stores.runs.get_many(version.run_id for version in serving.values() if version and version.run_id)
    bases = {name: read.get(version.run_id or "") if version else None for name, version in serving.items()}
    reason = "; ".join(_reason(name, serving[name], bases[name]) for name in names)
    measured = {run_id: base for run_id, name in models.items() if name and (base := bases[name]) is not None}
    return _Baselines(measured, reason)


def _model_of(run: Run, versions: Sequence[ModelVersion]) -> str | None:
    newest = _newest(versions)
    return newest.model if newest else run.tags.get("model.name")


def _serving(model: str, registered: Mapping[str, tuple[ModelVersion, ...]]) -> ModelVersion | None:
    every = (version for versions in registered.values() for version in versions)
    return _newest([version for version in every if version.model == model and version.stage is Stage.PRODUCTION])


def _reason(model: str, serving: ModelVersion | None, base: Run | None) -> str:
    if serving is None:
        return f"{model} has no version in Production"
    if base is None:
        return f"the run of {serving.key}, which is in Production, is not in MLflow"
    return f"{serving.key} is in Production"


def _versions_by_run(versions: Sequence[ModelVersion]) -> dict[str, tuple[ModelVersion, ...]]:
    found: dict[str, tuple[ModelVersion, ...]] = {}
    for version in versions:
        key = version.run_id or ""
        found[key] = (*found.get(key, ()), version)
    return found


def _newest(versions: Sequence[ModelVersion]) -> ModelVersion | None:
    return max(versions, key=lambda version: version.version, default=None)


def _deltas(run: Run, baseline: Run | None) -> dict[str, float]:
    if baseline is None:
        return {}
    both = (name for name in run.metrics if name in baseline.metrics)
    return {
        name: run.metrics[name] - baseline.metrics[name]
        for name in both
        if math.isfinite(run.metrics[name]) and math.isfinite(baseline.metrics[name])
    }


def _names(mappings: Iterable[Mapping[str, object]]) -> tuple[str, ...]:
    """Every name, in the order in which it first occurs."""
    return tuple(dict.fromkeys(name for mapping in mappings for name in mapping))


def _differing(mappings: Sequence[Mapping[str, object]]) -> tuple[str, ...]:
    """Names whose values are not all the same; NaN is the same as NaN, absent is not the same as present."""
    return tuple(
        name for name in _names(mappings) if len({repr(mapping.get(name, _ABSENT)) for mapping in mappings}) > 1
    )


_ABSENT = object()
