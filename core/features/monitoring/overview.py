"""The overview: models in Production, open requests, recent activity, and risks."""

from __future__ import annotations

from collections.abc import Callable, Container, Hashable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial

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
from core.features.lineage.version_data import DataView, data_of
from core.features.monitoring.data_checks import DataChecks
from core.features.monitoring.data_watch import replaced_data
from core.features.monitoring.reconcile import find_changes, find_unfinished
from core.features.open_requests.present_gates import PresentGates, present_gates_of
from core.features.runs.version_metrics import VersionMetrics, read_version_metrics
from core.features.stores import Stores
from core.features.takeover.acceptances import (
    Acceptance,
    UntakenModel,
    find_untaken,
    logged_name,
    read_acceptances,
    was_accepted_in_production,
)
from core.learning.kpis import is_kpi, main_kpi
from core.texts import text

_CHECKS = DataChecks()
_RECENT = 12
_FAILED_JOBS = 5
# The number of versions in a sparkline.
_TREND = 20


@dataclass(frozen=True, kw_only=True)
class Serving:
    """One registered model and its version in Production.

    *trend* gives each KPI over the newest versions, oldest first; None where a version does not have the KPI.
    *is_checked* is false while the readability of the data has not been checked yet. *main_kpi* leads the line of a
    model. *accepted_by* is set where the version was found in Production and accepted, and not decided on since.
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
    updated: datetime
    staging: tuple[int, ...] = ()
    aliases: tuple[str, ...] = ()
    is_checked: bool = True
    main_kpi: str | None = None
    accepted_by: str | None = None


@dataclass(frozen=True, kw_only=True)
class Overview:
    """The content of the page Overview.

    *registry_problem* is set where MLflow does not answer; then *serving* is empty and the rest is still valid.
    *waiting_gates* are the gates of the first of *waiting* as they are now, by request id.
    *findings* are the open ones, by due date. A difference with an open finding is not repeated in *risks*. *untaken*
    are the models that are not taken over yet.
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
    untaken: tuple[UntakenModel, ...] = ()


def overview(stores: Stores, actor: Actor) -> Overview:
    """Read the overview with a constant number of registry calls, whatever the number of models and versions."""
    stores.audit.require(actor, Action.MODEL_READ)
    problem: str | None = None
    serving: tuple[Serving, ...] = ()
    untaken: tuple[UntakenModel, ...] = ()
    risks = find_unfinished(stores)
    waiting = stores.decisions.list(statuses=(RequestStatus.OPEN,))
    try:
        serving = _serving(stores)
        untaken = find_untaken(stores, stores.models.versions())
        risks = (*find_changes(stores), *_replaced(serving, {model.model for model in untaken}))
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
        risks=(*unreported, *_unreadable(serving, {model.model for model in untaken})),
        findings=findings,
        failed_jobs=tuple(job for job in recent_jobs if job.status is JobStatus.FAILED)[:_FAILED_JOBS],
        registry_problem=problem,
        tables=len(stores.catalog.tables()),
        untaken=untaken,
    )


def _serving(stores: Stores) -> tuple[Serving, ...]:
    registered = stores.models.models()
    by_model: dict[str, list[ModelVersion]] = {model.name: [] for model in registered}
    for version in stores.models.versions():
        by_model.setdefault(version.model, []).append(version)
    updated = {model.name: model.updated for model in registered}
    shown = [v for versions in by_model.values() for v in _newest_and_production(versions)]
    runs = stores.runs.get_many([v.run_id for v in shown if v.run_id])
    measured = read_version_metrics(stores, shown, runs)
    approved = stores.decisions.list(statuses=(RequestStatus.APPROVED,))
    acceptances = read_acceptances(stores)
    production = {model: _production(versions) for model, versions in by_model.items()}
    data = _data_in_production(stores, [version for version in production.values() if version is not None], runs)
    return tuple(
        _serving_model(
            model,
            versions,
            measured,
            data.get(model),
            last=_last_decision(approved, production[model]),
            accepted=acceptances.get(logged_name(stores, model)),
            updated=max([*([updated[model]] if model in updated else []), *(v.updated for v in versions)]),
        )
        for model, versions in sorted(by_model.items())
    )


def _data_in_production(
    stores: Stores, production: Sequence[ModelVersion], runs: Mapping[str, Run]
) -> dict[str, DataView | None]:
    """Return the data of each model's version in Production, None where it was not checked yet."""
    place = (stores.settings.database, stores.settings.tracking_uri)
    reader = provenance(stores, runs.values())
    wanted: dict[Hashable, Callable[[], DataView]] = {
        (place, version.key, version.run_id): partial(
            _first_data, stores, runs.get(version.run_id or ""), version, reader
        )
        for version in production
    }
    views = _CHECKS.views(wanted)
    return {version.model: views[place, version.key, version.run_id] for version in production}


def _first_data(stores: Stores, run: Run | None, version: ModelVersion, reader: Provenance) -> DataView:
    return data_of(stores, run, version, reader=reader)[0]


def _production(versions: Sequence[ModelVersion]) -> ModelVersion | None:
    return next((version for version in versions if version.stage is Stage.PRODUCTION), None)


def _last_decision(approved: Sequence[PromotionRequest], production: ModelVersion | None) -> PromotionRequest | None:
    if production is None:
        return None
    return next((r for r in approved if r.key == production.key and r.to is Stage.PRODUCTION), None)


def _newest_and_production(versions: list[ModelVersion]) -> list[ModelVersion]:
    """The newest versions and the one in Production, newest first."""
    return versions[:_TREND] + [v for v in versions[_TREND:] if v.stage is Stage.PRODUCTION]


def _serving_model(
    model: str,
    versions: list[ModelVersion],
    measured: Mapping[ModelVersionKey, VersionMetrics],
    data: DataView | None,
    *,
    last: PromotionRequest | None,
    accepted: Acceptance | None,
    updated: datetime,
) -> Serving:
    production = _production(versions)
    newest = [measured[v.key].values for v in reversed(versions[:_TREND])]
    names = sorted({name for values in newest for name in values if is_kpi(name)})
    values = measured[production.key].values if production else {}
    metrics = {name: value for name, value in values.items() if is_kpi(name)}
    is_as_found = last is None and production is not None and was_accepted_in_production(accepted, production.key)
    return Serving(
        model=model,
        versions=len(versions),
        production=production,
        metrics=metrics,
        trend={name: tuple(values.get(name) for values in newest) for name in names},
        data=data.source if data and data.source.claimed is not None else None,
        verdict=data.verdict if data else None,
        identity=data.identity if data else None,
        data_problem=data.problem if data else None,
        since=last.decided_at if last else production.updated if production else None,
        decided_by=last.decided_by if last else None,
        updated=updated,
        staging=tuple(version.version for version in versions if version.stage is Stage.STAGING),
        aliases=tuple(sorted(alias for version in versions for alias in version.aliases)),
        is_checked=production is None or data is not None,
        main_kpi=main_kpi(metrics or names),
        accepted_by=accepted.actor if accepted is not None and is_as_found else None,
    )


def _replaced(serving: tuple[Serving, ...], untaken: Container[str]) -> tuple[Difference, ...]:
    """Models in Production, taken over, whose training data has been replaced by other data of its name."""
    return tuple(
        replaced_data(model.production, model.data, model.identity)
        for model in serving
        if model.production and model.data and model.identity and model.identity.is_contradicted
        if model.model not in untaken
    )


def _unreadable(serving: tuple[Serving, ...], untaken: Container[str]) -> tuple[Difference, ...]:
    """Models in Production whose training data is not readable.

    A version that was in Production before ModelLedger may name no data.
    """
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
        if model.production is not None
        and model.is_checked
        and (not _may_name_no_data(model, untaken) if model.verdict is None else not model.verdict.is_readable)
    )


def _may_name_no_data(model: Serving, untaken: Container[str]) -> bool:
    return model.model in untaken or model.accepted_by is not None
