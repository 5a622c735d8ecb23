"""The overview: models in Production, open requests, recent activity, and risks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from core.access.permissions import Action
from core.entities import (
    Actor,
    DataSource,
    Difference,
    Event,
    Finding,
    Identity,
    Job,
    JobStatus,
    ModelVersion,
    ModelVersionKey,
    Outcome,
    PromotionRequest,
    ReadVerdict,
    RequestStatus,
    Run,
    Stage,
)
from core.errors import CoreError
from core.features.lineage.provenance import Provenance, provenance
from core.features.lineage.version_data import data_of
from core.features.monitoring.data_watch import replaced_data
from core.features.monitoring.reconcile import find_differences, find_unfinished
from core.features.open_requests.present_gates import PresentGates, present_gates_of
from core.features.runs.version_metrics import VersionMetrics, read_version_metrics
from core.features.stores import Stores
from core.learning.kpis import is_kpi
from core.texts import text

_RECENT = 12
_FAILED_JOBS = 5
# The number of versions in a sparkline.
_TREND = 20


@dataclass(frozen=True, kw_only=True)
class Serving:
    """One registered model and its version in Production.

    *trend* gives each KPI over the newest versions, oldest first; None where a version does not have the KPI.
    """

    model: str
    versions: int
    production: ModelVersion | None
    metrics: dict[str, float]
    trend: dict[str, tuple[float | None, ...]]
    data: DataSource | None
    verdict: ReadVerdict | None
    identity: Identity | None
    data_problem: str | None
    since: datetime | None
    decided_by: str | None


@dataclass(frozen=True, kw_only=True)
class Overview:
    """The content of the page Overview.

    *registry_problem* is set where MLflow does not answer; then *serving* is empty and the rest is still valid.
    *waiting_gates* are the gates of the first of *waiting* as they are now, by request id.
    *findings* are the open ones, by due date. A difference with an open finding is not repeated in *risks*.
    """

    serving: tuple[Serving, ...]
    waiting: tuple[PromotionRequest, ...]
    waiting_gates: Mapping[str, PresentGates]
    changes: tuple[Event, ...]
    risks: tuple[Difference, ...]
    findings: tuple[Finding, ...]
    failed_jobs: tuple[Job, ...]
    registry_problem: str | None
    tables: int


def overview(stores: Stores, actor: Actor) -> Overview:
    """Read the overview with a constant number of registry calls, whatever the number of models and versions."""
    stores.audit.require(actor, Action.MODEL_READ)
    problem: str | None = None
    serving: tuple[Serving, ...] = ()
    risks = find_unfinished(stores)
    waiting = stores.decisions.list(statuses=(RequestStatus.OPEN,))
    try:
        serving = _serving(stores)
        risks = (*find_differences(stores, actor), *_replaced(serving))
    except CoreError as error:
        problem = str(error)
    recent_jobs = stores.jobs.list(limit=50)
    findings = stores.findings.list()
    reported = {(f.kind, f.subject, f.expected, f.found) for f in findings}
    unreported = tuple(d for d in risks if (d.kind, d.subject, d.expected, d.found) not in reported)
    return Overview(
        serving=serving,
        waiting=waiting,
        waiting_gates=present_gates_of(stores, actor, waiting),
        changes=stores.audit.search(outcome=Outcome.SUCCESS.value, limit=_RECENT),
        risks=(*unreported, *_unreadable(serving)),
        findings=findings,
        failed_jobs=tuple(job for job in recent_jobs if job.status is JobStatus.FAILED)[:_FAILED_JOBS],
        registry_problem=problem,
        tables=len(stores.catalog.tables()),
    )


def _serving(stores: Stores) -> tuple[Serving, ...]:
    by_model: dict[str, list[ModelVersion]] = {model.name: [] for model in stores.models.models()}
    for version in stores.models.versions():
        by_model.setdefault(version.model, []).append(version)
    shown = [v for versions in by_model.values() for v in _newest_and_production(versions)]
    runs = stores.runs.get_many([v.run_id for v in shown if v.run_id])
    measured = read_version_metrics(stores, shown, runs)
    approved = stores.decisions.list(statuses=(RequestStatus.APPROVED,))
    reader = provenance(stores, runs.values())
    return tuple(
        _serving_model(stores, model, versions, runs, measured, approved, reader)
        for model, versions in sorted(by_model.items())
    )


def _newest_and_production(versions: list[ModelVersion]) -> list[ModelVersion]:
    """The newest versions and the one in Production, newest first."""
    return versions[:_TREND] + [v for v in versions[_TREND:] if v.stage is Stage.PRODUCTION]


def _serving_model(
    stores: Stores,
    model: str,
    versions: list[ModelVersion],
    runs: dict[str, Run],
    measured: Mapping[ModelVersionKey, VersionMetrics],
    approved: tuple[PromotionRequest, ...],
    reader: Provenance,
) -> Serving:
    production = next((v for v in versions if v.stage is Stage.PRODUCTION), None)
    newest = [measured[v.key].values for v in reversed(versions[:_TREND])]
    names = sorted({name for values in newest for name in values if is_kpi(name)})
    run = runs.get(production.run_id or "") if production else None
    data = data_of(stores, run, production, reader=reader)[0] if production else None
    last = next((r for r in approved if production and r.key == production.key and r.to is Stage.PRODUCTION), None)
    return Serving(
        model=model,
        versions=len(versions),
        production=production,
        metrics={name: value for name, value in measured[production.key].values.items() if is_kpi(name)}
        if production
        else {},
        trend={name: tuple(values.get(name) for values in newest) for name in names},
        data=data.source if data and data.source.claimed is not None else None,
        verdict=data.verdict if data else None,
        identity=data.identity if data else None,
        data_problem=data.problem if data else None,
        since=last.decided_at if last else production.updated if production else None,
        decided_by=last.decided_by if last else None,
    )


def _replaced(serving: tuple[Serving, ...]) -> tuple[Difference, ...]:
    """Models in Production whose training data has been replaced by other data of its name."""
    return tuple(
        replaced_data(model.production, model.data, model.identity)
        for model in serving
        if model.production and model.data and model.identity and model.identity.is_contradicted
    )


def _unreadable(serving: tuple[Serving, ...]) -> tuple[Difference, ...]:
    """Models in Production whose training data is not readable."""
    return tuple(
        Difference(
            kind="data not readable",
            subject=str(model.production.key),
            expected=text("{data} is readable", data=str(model.data)) if model.data else text("a data version"),
            found=model.verdict.verdict.value if model.verdict else text("unknown"),
            detail=model.verdict.reason
            if model.verdict
            else model.data_problem or text("The run records no data version that is registered here."),
        )
        for model in serving
        if model.production is not None and (model.verdict is None or not model.verdict.is_readable)
    )
