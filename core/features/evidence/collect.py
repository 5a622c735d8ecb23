"""Collects the evidence about a model version, read once: the content of a dossier and a bundle."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime

from core.access.permissions import Action
from core.entities import (
    Actor,
    Commit,
    DataUse,
    Difference,
    Event,
    Finding,
    GateCheck,
    Identity,
    ModelVersionKey,
    PredictionBatch,
    PromotionRequest,
    RegisteredModel,
    RequestKind,
    RequestStatus,
    Snapshot,
    Stage,
    Table,
    TableVersion,
)
from core.errors import CoreError
from core.features.evidence.section import recorded
from core.features.evidence.words import word
from core.features.history.stage_timeline import ModelTimeline, stage_timeline
from core.features.lineage.identity import compare_identity
from core.features.lineage.version_data import DataView
from core.features.monitoring.reconcile import find_differences
from core.features.runs.models import ModelSummary, ModelVersionView, list_models, show_model_version
from core.features.runs.pictures import version_pictures
from core.features.scoring.batches import list_batches
from core.features.stores import Stores
from core.features.takeover.acceptances import Acceptance, find_acceptance
from core.learning.kpis import is_kpi, is_lower_better
from core.learning.pictures.pictures import Pictures
from core.texts import text

# Exports say nothing about the model. Without them, a second dossier equals the first although its export is an event.
_NOT_ABOUT_THE_MODEL = (Action.AUDIT_EXPORT.value, Action.AUDIT_VERIFY.value)


@dataclass(frozen=True, kw_only=True)
class DataEvidence:
    """Data that the model claims, written *data*. *key* is None if its table is not registered or its version unknown.

    *recorded* is its content hash at training, *recomputed* the one now. *identity* compares it with what the training
    recorded, the content of the rows included if they are readable.
    """

    data: str
    key: TableVersion | None
    use: str
    verdict: str
    source_of_truth: str
    findings: tuple[str, ...]
    snapshot: Snapshot | None = None
    commit: Commit | None = None
    rows: int | None = None
    recorded: str | None = None
    recomputed: str | None = None
    problem: str | None = None
    identity: Identity | None = None


@dataclass(frozen=True, kw_only=True)
class ModelEvidence:
    """All evidence about a model version. *differences* are those without an open finding.

    *acceptance* is set where the version was there before ModelLedger and its model's state as found was accepted.
    *pictures* and *rival_pictures* are those of the version and of the version that it was compared with. *timeline*
    has the stages of all versions, None where it could not be read.
    """

    view: ModelVersionView
    model: ModelSummary
    registered: RegisteredModel | None
    data: tuple[DataEvidence, ...]
    requests: tuple[PromotionRequest, ...]
    batches: tuple[PredictionBatch, ...]
    findings: tuple[Finding, ...]
    differences: tuple[Difference, ...]
    events: tuple[Event, ...]
    problems: tuple[str, ...] = ()
    acceptance: Acceptance | None = None
    pictures: Pictures | None = None
    rival_pictures: Pictures | None = None
    pictures_problems: tuple[str, ...] = ()
    timeline: ModelTimeline | None = None

    @property
    def key(self) -> ModelVersionKey:
        return self.view.version.key

    @property
    def as_of(self) -> datetime:
        """The time of the newest fact."""
        times: list[datetime | None] = [self.view.version.created]
        times += [event.time for event in self.events]
        times += [batch.time for batch in self.batches]
        times += [request.decided_at or request.requested_at for request in self.requests]
        times += list(self.view.late_metrics.values())
        if self.view.run is not None:
            times.append(self.view.run.ended)
        return max(time for time in times if time is not None)

    @property
    def training_data(self) -> list[DataEvidence]:
        return [item for item in self.data if item.use == DataUse.TRAINING.value]


def collect_evidence(stores: Stores, actor: Actor, key: ModelVersionKey) -> ModelEvidence:
    """Read all evidence once, including the rows of the data.

    Raises:
        ModelVersionNotFound, RegistryUnavailable.
    """
    view = show_model_version(stores, actor, key)
    (model,) = list_models(stores, actor, model=key.model)
    problems: list[str] = []
    batches: tuple[PredictionBatch, ...] = ()
    try:
        batches = tuple(batch for batch in list_batches(stores, actor) if batch.key == key)
    except CoreError as error:
        problems.append(text("The predictions could not be read: {problem}", problem=recorded(str(error))))
    timeline: ModelTimeline | None = None
    try:
        timeline = stage_timeline(stores, actor, key.model)
    except CoreError as error:
        problems.append(text("The timeline of stages could not be read: {problem}", problem=recorded(str(error))))
    requests = tuple(
        r for r in stores.decisions.list(model=key.model) if r.version == key.version or _changed_stage(r, key)
    )
    # The export that collects this evidence is itself unfinished now. It says nothing about the model.
    exports = {event.operation for event in stores.audit.unfinished() if event.action in _NOT_ABOUT_THE_MODEL}
    acceptance = find_acceptance(stores, key.model)
    used = [item.source.key for item in view.data if item.source.key]
    subjects = {str(key), key.model, *map(str, used), *(version.table for version in used)}
    findings = tuple(f for f in stores.findings.list() if f.subject in subjects)
    reported = {(f.kind, f.subject, f.expected, f.found) for f in findings}
    differences = [d for d in find_differences(stores, actor) if d.subject in (str(key), key.model)]
    evidence = ModelEvidence(
        view=view,
        model=model,
        registered=next((model for model in stores.models.models() if model.name == key.model), None),
        data=tuple(_data_evidence(stores, item) for item in view.data if item.source.claimed is not None),
        requests=tuple(reversed(requests)),
        batches=tuple(sorted(batches, key=lambda batch: batch.time)),
        findings=findings,
        differences=tuple(
            d
            for d in differences
            if d.request_id not in exports and (d.kind, d.subject, d.expected, d.found) not in reported
        ),
        events=related_events(stores, key, used),
        problems=tuple(problems),
        timeline=timeline,
        acceptance=acceptance if acceptance is not None and key.version in acceptance.stages else None,
    )
    return _with_pictures(stores, actor, evidence)


def _with_pictures(stores: Stores, actor: Actor, evidence: ModelEvidence) -> ModelEvidence:
    """Add the pictures of the version and of its rival."""
    check = compared(evidence)
    model, _, number = ((check.compared_with if check else None) or "").rpartition("/")
    rival = ModelVersionKey(model=model, version=int(number)) if model and number.isdigit() else None
    found: dict[ModelVersionKey, Pictures | None] = {}
    problems: list[str] = []
    for key in (evidence.key, *([rival] if rival else [])):
        try:
            found[key] = version_pictures(stores, actor, key)
        except CoreError as error:
            problem = recorded(str(error))
            problems.append(
                text("The pictures of {version} could not be read: {problem}", version=key, problem=problem)
            )
    return replace(
        evidence,
        pictures=found.get(evidence.key),
        rival_pictures=found.get(rival) if rival else None,
        pictures_problems=tuple(problems),
    )


def related_events(stores: Stores, key: ModelVersionKey, data: Iterable[TableVersion] = ()) -> tuple[Event, ...]:
    """Return the events about the version, its model's decisions and its data, oldest first.

    Each action comes with its intent and its outcome.
    """
    subjects = [str(key), key.model, *map(str, data)]
    events = {e.sequence: e for subject in subjects for e in stores.audit.search(subject=subject, limit=None)}
    for event in stores.audit.search(text=f'"{key.model}/', limit=None):
        events.setdefault(event.sequence, event)
    for request in stores.decisions.list(model=key.model):
        for event in stores.audit.search(subject=str(request.key), limit=None):
            events.setdefault(event.sequence, event)
    for operation in {event.operation for event in events.values()}:
        for event in stores.audit.search(operation=operation, limit=None):
            events.setdefault(event.sequence, event)
    return tuple(events[number] for number in sorted(events) if events[number].action not in _NOT_ABOUT_THE_MODEL)


def compared(material: ModelEvidence) -> GateCheck | None:
    """Return the gates by which Production was decided on this version, else those of its last request, if any.

    An older record does not keep the evidence of its decision; then the answer is the check of the request.
    """
    requests = [r for r in material.requests if r.version == material.key.version and r.to is Stage.PRODUCTION]
    approved = [r for r in requests if r.status is RequestStatus.APPROVED]
    for request in (*reversed(approved), *reversed(requests)):
        check = request.at_decision
        return request.at_request if check is None or check.evidence is None or check.problem else check
    return None


def decisive_request(evidence: ModelEvidence) -> PromotionRequest | None:
    """Return the last approved promotion of this version to Production, else its last promotion request, if any."""
    requests = [r for r in evidence.requests if r.version == evidence.key.version and r.kind is RequestKind.PROMOTION]
    to_production = [request for request in requests if request.to is Stage.PRODUCTION]
    approved = [request for request in to_production if request.status is RequestStatus.APPROVED]
    return next((found[-1] for found in (approved, to_production, requests) if found), None)


def compare_kpis(material: ModelEvidence) -> list[tuple[str, float, float | None, str]]:
    """Return KPI, the value of this version, the value of the version compared with, and which is better."""
    check = compared(material)
    baseline = (((check.evidence if check else None) or {}).get("production") or {}).get("metrics") or {}
    rows = []
    for name in sorted(filter(is_kpi, material.view.metrics)):
        value, other = material.view.metrics[name], baseline.get(name)
        rows.append((name, value, None if other is None else float(other), _comparison(name, value, other)))
    return rows


def _comparison(name: str, value: float, other: float | str | None) -> str:
    if other is None or not math.isfinite(float(other)) or not math.isfinite(value):
        return text("nothing to compare with")
    if value == float(other):
        return text("the same")
    lower = is_lower_better(name)
    if lower is None:
        return text("different")
    return text("better") if (value < float(other)) == lower else text("worse")


def _changed_stage(request: PromotionRequest, key: ModelVersionKey) -> bool:
    """Whether applying the request changed the stage of this version."""
    return str(key.version) in request.intended or request.previous == key.version


def _data_evidence(stores: Stores, view: DataView) -> DataEvidence:
    source = view.source
    verdict = view.problem or text("unknown")
    if view.verdict:
        verdict = text("{verdict}: {reason}", verdict=word(view.verdict.verdict), reason=recorded(view.verdict.reason))
    evidence = DataEvidence(
        data=str(source),
        key=source.key,
        use=source.context.value,
        verdict=verdict,
        source_of_truth=source.source_of_truth,
        findings=(*source.findings, *([source.weak] if source.weak else [])),
        recorded=view.recorded.content_sha256,
        identity=view.identity,
    )
    if view.problem or source.resolved is None or source.version is None:
        return evidence
    return _read_data(stores, evidence, view, source.resolved, source.version)


def _read_data(stores: Stores, evidence: DataEvidence, view: DataView, table: Table, version: int) -> DataEvidence:
    """Add commit, schema, number of rows and the present hash of the rows, as far as they are readable."""
    try:
        commit, snapshot = stores.engine.commit(table, version), stores.engine.snapshot(table, version=version)
        evidence = replace(evidence, commit=commit, snapshot=snapshot)
        if view.verdict and view.verdict.is_readable:
            content = stores.engine.content(table, version=version)
            identity = compare_identity(view.recorded, snapshot, commit, content)
            evidence = replace(evidence, rows=content.rows, recomputed=content.sha256, identity=identity)
    except CoreError as error:
        return replace(evidence, problem=str(error))
    return evidence
