"""Compare runs: side by side, what differs, and how far each run is from its baseline."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum

from core.access.permissions import Action, require
from core.entities import Actor, ModelVersion, Run, Stage
from core.errors import RunNotFound
from core.features.history.as_of import state_at
from core.features.history.moment import Moment
from core.features.history.runs_as_of import run_at, versions_at
from core.features.lineage.version_data import with_data
from core.features.runs.runs import run_notes
from core.features.runs.version_metrics import VersionMetrics, read_version_metrics
from core.features.stores import Stores
from core.learning.kpis import is_kpi, is_lower_better
from core.texts import plural, text

_NAMED_MODELS = 5


class Direction(str, Enum):
    """The meaning of a difference from the baseline."""

    BETTER = "better"
    WORSE = "worse"
    SAME = "same"
    UNKNOWN = "unknown"


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Runs and model versions in the requested order. *deltas* are run minus baseline, only if both are finite.

    A model version is its run with the metrics and parameters of the version, under the id MODEL/N.

    *differing_params* and *differing_metrics* are the names with different values in the runs and their baselines.
    *notes* give the peculiarities of a run. *versions* are the model versions registered from each run. *baseline* is
    None if the runs have different baselines or none; *baseline_reason* says why.
    """

    runs: tuple[Run, ...]
    params: tuple[str, ...]
    metrics: tuple[str, ...]
    differing_params: tuple[str, ...]
    differing_metrics: tuple[str, ...]
    baseline: Run | None
    baseline_reason: str
    deltas: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    directions: Mapping[str, Mapping[str, Direction]] = field(default_factory=dict)
    notes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    versions: Mapping[str, tuple[ModelVersion, ...]] = field(default_factory=dict)


def compare_runs(
    stores: Stores, actor: Actor, run_ids: Sequence[str], baseline: str | None = None, *, at: Moment | None = None
) -> Comparison:
    """Compare runs and model versions with *baseline*, or with the version in Production of their own model.

    *run_ids* and *baseline* are run ids or MODEL/N. Deleted runs are compared too, with a note. With *at*, runs and
    stages are those of that moment.

    Raises:
        RunNotFound: `missing` names all runs that do not exist, and all versions without a run.
    """
    require(actor, Action.RUN_READ)
    ids = list(dict.fromkeys(run_ids))
    versions: Sequence[ModelVersion] = stores.models.versions()
    if at is not None:
        versions = versions_at(versions, state_at(stores, actor, at))
    registered = _versions_by_run(versions)
    all_ids = [*ids, *([baseline] if baseline else [])]
    read, version_notes = _read(stores, all_ids, versions)
    if at is not None:
        read = {run_id: run_at(run, at) for run_id, run in read.items() if run.started and run.started <= at.time}
    missing = tuple(run_id for run_id in all_ids if run_id not in read)
    if missing:
        raise RunNotFound(
            "MLflow has no run {runs}; choose runs from the list.", runs=", ".join(missing), missing=missing
        )
    runs = tuple(read[run_id] for run_id in ids)
    if baseline:
        against = _Baselines({run.run_id: read[baseline] for run in runs}, text("chosen by you"))
    else:
        against = _production_runs(stores, runs, registered)
    bases = {base.run_id: base for base in against.runs.values()}
    every = [*runs, *bases.values()]
    run_deltas = {
        run.run_id: deltas(run.metrics, base.metrics) if (base := against.runs.get(run.run_id)) else {} for run in runs
    }
    return Comparison(
        runs=runs,
        params=all_names(run.params for run in runs),
        metrics=all_names(run.metrics for run in runs),
        differing_params=_differing([run.params for run in every]),
        differing_metrics=_differing([run.metrics for run in every]),
        baseline=next(iter(bases.values())) if len(bases) == 1 else None,
        baseline_reason=against.reason,
        deltas=run_deltas,
        directions={
            run_id: {name: direction(name, delta) for name, delta in values.items()}
            for run_id, values in run_deltas.items()
        },
        notes={run.run_id: (*run_notes(run), *version_notes.get(run.run_id, ())) for run in runs},
        versions={run.run_id: registered.get(run.run_id, ()) for run in runs},
    )


def is_version(run_id: str) -> bool:
    """Return whether an id of a comparison is a model version, MODEL/N."""
    return "/" in run_id


def _read(
    stores: Stores, ids: Sequence[str], versions: Sequence[ModelVersion]
) -> tuple[dict[str, Run], dict[str, tuple[str, ...]]]:
    """Return the runs and model versions *ids*, and what to know about the metrics of a version or of its run."""
    by_key = {str(version.key): version for version in versions}
    named = [by_key[name] for name in ids if name in by_key]
    run_ids = [*(name for name in ids if not is_version(name)), *(version.run_id or "" for version in named)]
    found = stores.runs.get_many(run_ids)
    read = {run.run_id: run for run in with_data(stores, list(found.values()), versions)}
    notes: dict[str, tuple[str, ...]] = {
        run.run_id: (text("the run logged {count} models; the numbers are the run's", count=len(run.outputs)),)
        for run in read.values()
        if len(run.outputs) > 1
    }
    measured = read_version_metrics(stores, named, read)
    for version in named:
        run = read.get(version.run_id or "")
        if run is not None:
            read[str(version.key)] = _with_metrics(run, measured[version.key], run_id=str(version.key))
            notes[str(version.key)] = measured[version.key].notes
    return {name: read[name] for name in ids if name in read}, notes


def _with_metrics(run: Run, measured: VersionMetrics, *, run_id: str) -> Run:
    return replace(run, run_id=run_id, metrics=measured.values, params=measured.params)


def direction(metric: str, delta: float | None) -> Direction:
    """Return the meaning of *delta*, value minus baseline. A metric that is not a KPI is neither better nor worse."""
    if delta is None or not math.isfinite(delta) or not is_kpi(metric):
        return Direction.UNKNOWN
    if math.isclose(delta, 0.0, abs_tol=1e-12):
        return Direction.SAME
    lower = is_lower_better(metric)
    if lower is None:
        return Direction.UNKNOWN
    return Direction.BETTER if (delta < 0) == lower else Direction.WORSE


def deltas(values: Mapping[str, float], baseline: Mapping[str, float]) -> dict[str, float]:
    """Return value minus baseline, by metric, where both are finite."""
    return {
        name: value - baseline[name]
        for name, value in values.items()
        if name in baseline and math.isfinite(value) and math.isfinite(baseline[name])
    }


def all_names(mappings: Iterable[Mapping[str, object]]) -> tuple[str, ...]:
    """Return every name once, in the order of the first occurrence."""
    return tuple(dict.fromkeys(name for mapping in mappings for name in mapping))


@dataclass(frozen=True)
class _Baselines:
    """The run that each run id is measured against, and why."""

    runs: Mapping[str, Run]
    reason: str


def _production_runs(
    stores: Stores, runs: Sequence[Run], registered: Mapping[str, tuple[ModelVersion, ...]]
) -> _Baselines:
    """Return each model's Production version, as its run with the version's metrics, as the baseline of its runs."""
    models = {run.run_id: _model_of(run, registered.get(run.run_id, ())) for run in runs}
    names = sorted({name for name in models.values() if name is not None})
    if not names:
        return _Baselines({}, text("none of these runs was registered as a model"))
    production = {name: _production(name, registered) for name in names}
    named = [version for version in production.values() if version and version.run_id]
    found = stores.runs.get_many(version.run_id for version in named if version.run_id)
    read = {run.run_id: run for run in with_data(stores, list(found.values()), named)}
    measured = read_version_metrics(stores, named, read)
    bases = {
        name: _with_metrics(run, measured[version.key], run_id=run.run_id)
        if version and (run := read.get(version.run_id or ""))
        else None
        for name, version in production.items()
    }
    reason = "; ".join(_reasons(names, production, bases))
    baselines = {run_id: base for run_id, name in models.items() if name and (base := bases[name]) is not None}
    return _Baselines(baselines, reason)


def _model_of(run: Run, versions: Sequence[ModelVersion]) -> str | None:
    newest = _newest(versions)
    return newest.model if newest else run.tags.get("model.name")


def _production(model: str, registered: Mapping[str, tuple[ModelVersion, ...]]) -> ModelVersion | None:
    every = (version for versions in registered.values() for version in versions)
    return _newest([version for version in every if version.model == model and version.stage is Stage.PRODUCTION])


def _reasons(
    names: Sequence[str], production: Mapping[str, ModelVersion | None], bases: Mapping[str, Run | None]
) -> list[str]:
    """Return a reason per model, models in Production first. Beyond the first few, models are only counted."""
    ordered = sorted(names, key=lambda name: production[name] is None)
    reasons = [_reason(name, production[name], bases[name]) for name in ordered[:_NAMED_MODELS]]
    more = len(ordered) - len(reasons)
    return [*reasons, plural("{n} more model", "{n} more models", more)] if more else reasons


def _reason(model: str, production: ModelVersion | None, base: Run | None) -> str:
    if production is None:
        return text("{model} has no version in Production", model=model)
    if base is None:
        return text("the run of {model}, which is in Production, is not in MLflow", model=production.key)
    return text("{model} is in Production", model=production.key)


def _versions_by_run(versions: Sequence[ModelVersion]) -> dict[str, tuple[ModelVersion, ...]]:
    by_run: dict[str, tuple[ModelVersion, ...]] = {}
    for version in versions:
        key = version.run_id or ""
        by_run[key] = (*by_run.get(key, ()), version)
        by_run[str(version.key)] = (version,)
    return by_run


def _newest(versions: Sequence[ModelVersion]) -> ModelVersion | None:
    return max(versions, key=lambda version: version.version, default=None)


def _differing(mappings: Sequence[Mapping[str, object]]) -> tuple[str, ...]:
    """Return the names with different values. NaN equals NaN; an absent value differs from any value."""
    return tuple(
        name for name in all_names(mappings) if len({repr(mapping.get(name, _ABSENT)) for mapping in mappings}) > 1
    )


_ABSENT = object()
