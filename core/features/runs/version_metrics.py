"""The metrics of a model version: those of its logged model, and those of its run only where they are the version's."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from core.entities import LoggedModel, ModelMetric, ModelVersion, ModelVersionKey, Run
from core.features.stores import Stores
from core.learning.kpis import SYSTEM_PREFIX, is_kpi
from core.texts import text


@dataclass(frozen=True, kw_only=True)
class VersionMetrics:
    """The metrics and parameters of a model version.

    *values* are the version's own, without system metrics. *run_only* are the KPIs that its run logged for none of its
    several models: they may be those of another checkpoint, so no gate compares them. *measured* lists every value of
    the logged model with its dataset, the one that counts for a name last. *notes* say what a reader must know before
    trusting the numbers.
    """

    values: Mapping[str, float] = field(default_factory=dict)
    params: Mapping[str, str] = field(default_factory=dict)
    run_only: Mapping[str, float] = field(default_factory=dict)
    measured: tuple[ModelMetric, ...] = ()
    logged_model: LoggedModel | None = None
    notes: tuple[str, ...] = ()


def read_version_metrics(
    stores: Stores, versions: Sequence[ModelVersion], runs: Mapping[str, Run], *, fresh: bool = False
) -> dict[ModelVersionKey, VersionMetrics]:
    """Return the metrics of *versions* by key. *runs* holds their runs by id; a lost run is left out.

    The number of calls to MLflow grows with the logged models by one for a hundred. With *fresh* nothing comes from a
    cache.

    Raises:
        RegistryUnavailable: MLflow does not answer.
    """
    ids = [version.model_id for version in versions if version.model_id]
    models = stores.runs.logged_models.get_many(ids, fresh=fresh) if ids else {}
    of_run: dict[str, set[str]] = {}
    for model in models.values():
        of_run.setdefault(model.run_id or "", set()).add(model.model_id)
    return {
        version.key: _metrics_of(
            version,
            run := runs.get(version.run_id or ""),
            models.get(version.model_id or ""),
            len(of_run.get(version.run_id or "", set()) | {output.model_id for output in run.outputs} if run else ()),
        )
        for version in versions
    }


def metrics_of_version(stores: Stores, version: ModelVersion, run: Run | None) -> VersionMetrics:
    """Return the metrics of one version as MLflow has them now. Raises RegistryUnavailable."""
    runs = {run.run_id: run} if run is not None else {}
    return read_version_metrics(stores, [version], runs, fresh=True)[version.key]


def test_rows_of(data: Mapping[str, Any] | None, params: Mapping[str, str]) -> str | None:
    """Name the test rows of a training in ModelLedger: the split is determined by these values."""
    fraction, seed = params.get("test_fraction"), params.get("seed")
    if not data or data.get("table") is None or data.get("version") is None or fraction is None or seed is None:
        return None
    values = {"table": data["table"], "version": data["version"], "fraction": fraction, "seed": seed}
    return text("{fraction} of {table}@{version}, drawn with the seed {seed}", **values)


def _metrics_of(
    version: ModelVersion, run: Run | None, model: LoggedModel | None, models_in_run: int
) -> VersionMetrics:
    """*models_in_run* is the number of logged models of the run: with several, the run's KPIs are no version's."""
    notes: list[str] = []
    if version.model_id and model is None:
        notes.append(text("the logged model {model} is not in MLflow", model=version.model_id))
    measured = _in_order(model.metrics, run) if model else ()
    values = {metric.name: metric.value for metric in measured}
    run_metrics = run.metrics if run else {}
    others = {
        name: value for name, value in run_metrics.items() if name not in values and not name.startswith(SYSTEM_PREFIX)
    }
    is_shared = models_in_run > 1 and run is not None
    run_only = {name: value for name, value in others.items() if is_shared and is_kpi(name)}
    if run_only and run is not None:
        notes.append(
            text(
                "KPI of the run, not of this version: {metrics}. Run {run} logged {count} models",
                metrics=", ".join(sorted(run_only)),
                run=run.run_id,
                count=models_in_run,
            )
        )
    notes += _dataset_notes(measured)
    return VersionMetrics(
        values={**{name: value for name, value in others.items() if name not in run_only}, **values},
        params={**(run.params if run else {}), **(model.params if model else {})},
        run_only=run_only,
        measured=measured,
        logged_model=model,
        notes=tuple(notes),
    )


def _in_order(metrics: Iterable[ModelMetric], run: Run | None) -> tuple[ModelMetric, ...]:
    """Return *metrics* by name, the one that counts last: the newest by step and time, not on training data."""
    training = {(item.name, item.digest) for item in (run.inputs if run else ()) if item.context == "training"}

    def rank(metric: ModelMetric) -> tuple[str, bool, int, datetime]:
        return metric.name, (metric.dataset, metric.digest) not in training, metric.step, metric.timestamp

    return tuple(sorted(metrics, key=rank))


def _dataset_notes(measured: Sequence[ModelMetric]) -> list[str]:
    """Say which dataset counts for the metrics that have different values on several datasets."""
    by_name: dict[str, list[ModelMetric]] = {}
    for metric in measured:
        by_name.setdefault(metric.name, []).append(metric)
    names_by_dataset: dict[str, list[str]] = {}
    for name, metrics in by_name.items():
        if len({(metric.dataset, metric.digest) for metric in metrics}) > 1 and len({m.value for m in metrics}) > 1:
            names_by_dataset.setdefault(metrics[-1].dataset or text("no dataset"), []).append(name)
    return [
        text(
            "several datasets have values of {metrics}; those on {dataset} count",
            metrics=", ".join(names),
            dataset=dataset,
        )
        for dataset, names in names_by_dataset.items()
    ]
