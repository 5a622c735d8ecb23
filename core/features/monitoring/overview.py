"""Overview: what serves now, what waits for a decision, what changed lately, what is at risk."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from core.access.permissions import Action
from core.entities import (
    Actor,
    Difference,
    Event,
    Finding,
    Job,
    JobStatus,
    ModelVersion,
    Outcome,
    PromotionRequest,
    ReadVerdict,
    RequestStatus,
    Run,
    Stage,
    TableVersion,
)
from core.errors import CoreError
from core.features.lineage.version_data import data_of
from core.features.monitoring.reconcile import find_differences, find_unfinished
from core.features.stores import Stores
from core.learning.kpis import is_kpi

_RECENT = 12
_FAILED_JOBS = 5
# As many versions as a sparkline shows.
_TREND = 20


@dataclass(frozen=True, kw_only=True)
class Serving:
    """One registered model and what is in Production of it.

    *trend* gives each KPI over the newest versions, oldest first; None where a version has none.
    """

    model: str
    versions: int
    production: ModelVersion | None
    metrics: dict[str, float]
    trend: dict[str, tuple[float | None, ...]]
    data: TableVersion | None
    verdict: ReadVerdict | None
    since: datetime | None
    decided_by: str | None


@dataclass(frozen=True, kw_only=True)
class Overview:
    """*registry_problem* is set where MLflow does not answer; then *serving* is empty and the rest still holds.

    *findings* are the open ones, by due date; a difference that one of them tells is no *risk* beside it.
    """

    serving: tuple[Serving, ...]
    waiting: tuple[PromotionRequest, ...]
    changes: tuple[Event, ...]
    risks: tuple[Difference, ...]
    findings: tuple[Finding, ...]
    failed_jobs: tuple[Job, ...]
    registry_problem: str | None
    tables: int


def overview(stores: Stores, actor: Actor) -> Overview:
    """A constant number of registry calls, whatever the number of models and versions."""
    stores.audit.require(actor, Action.MODEL_READ)
    problem: str | None = None
    serving: tuple[Serving, ...] = ()
    risks = find_unfinished(stores)
    try:
        serving = _serving(stores)
        risks = find_differences(stores, actor)
    except CoreError as error:
        problem = str(error)
    recent = stores.jobs.list(limit=50)
    findings = stores.findings.list()
    told = {(one.kind, one.subject, one.expected, one.found) for one in findings}
    new = tuple(one for one in risks if (one.kind, one.subject, one.expected, one.found) not in told)
    return Overview(
        serving=serving,
        waiting=stores.decisions.list(statuses=(RequestStatus.OPEN,)),
        changes=stores.audit.search(outcome=Outcome.SUCCESS.value, limit=_RECENT),
        risks=(*new, *_unreadable(serving)),
        findings=findings,
        failed_jobs=tuple(job for job in recent if job.status is JobStatus.FAILED)[:_FAILED_JOBS],
        registry_problem=problem,
        tables=len(stores.catalog.tables()),
    )


def _serving(stores: Stores) -> tuple[Serving, ...]:
    by_model: dict[str, list[ModelVersion]] = {model.name: [] for model in stores.models.models()}
    for version in stores.models.versions():
        by_model.setdefault(version.model, []).append(version)
    shown = [v for versions in by_model.values() for v in _shown(versions)]
    runs = stores.runs.get_many([v.run_id for v in shown if v.run_id])
    decided = stores.decisions.list(statuses=(RequestStatus.APPROVED,))
    return tuple(_serving_model(stores, model, versions, runs, decided) for model, versions in sorted(by_model.items()))


def _shown(versions: list[ModelVersion]) -> list[ModelVersion]:
    """The newest versions and the one in Production, newest first."""
    return versions[:_TREND] + [v for v in versions[_TREND:] if v.stage is Stage.PRODUCTION]


def _serving_model(
    stores: Stores,
    model: str,
    versions: list[ModelVersion],
    runs: dict[str, Run],
    decided: tuple[PromotionRequest, ...],
) -> Serving:
    production = next((v for v in versions if v.stage is Stage.PRODUCTION), None)
    newest = [runs.get(v.run_id or "") for v in reversed(versions[:_TREND])]
    names = sorted({name for run in newest if run for name in run.metrics if is_kpi(name)})
    run = runs.get(production.run_id or "") if production else None
    data = data_of(stores, run, production)[0] if production else None
    last = next((r for r in decided if production and r.key == production.key and r.to is Stage.PRODUCTION), None)
    return Serving(
        model=model,
        versions=len(versions),
        production=production,
        metrics={name: value for name, value in run.metrics.items() if is_kpi(name)} if run else {},
        trend={name: tuple(r.metrics.get(name) if r else None for r in newest) for name in names},
        data=data.source.key if data else None,
        verdict=data.verdict if data else None,
        since=last.decided_at if last else production.updated if production else None,
        decided_by=last.decided_by if last else None,
    )


def _unreadable(serving: tuple[Serving, ...]) -> tuple[Difference, ...]:
    """Models in Production whose data nobody can show any more."""
    return tuple(
        Difference(
            kind="data not readable",
            subject=str(one.production.key),
            expected=f"{one.data} can be read" if one.data else "a data version",
            found=one.verdict.verdict.value if one.verdict else "unknown",
            detail=one.verdict.reason if one.verdict else "The run names no data version that is registered here.",
        )
        for one in serving
        if one.production is not None and (one.verdict is None or not one.verdict.is_readable)
    )
