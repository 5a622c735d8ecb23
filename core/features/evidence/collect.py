"""The material of a dossier: everything that is known about a model version, read once."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from core.access.permissions import Action
from core.entities import (
    Actor,
    Commit,
    Difference,
    Event,
    Finding,
    ModelVersionKey,
    PredictionBatch,
    PromotionRequest,
    RegisteredModel,
    RequestStatus,
    Snapshot,
    Stage,
    TableVersion,
)
from core.errors import CoreError
from core.features.lineage.version_data import DataView
from core.features.monitoring.reconcile import find_differences
from core.features.runs.models import ModelSummary, ModelVersionView, list_models, show_model_version
from core.features.scoring.batches import list_batches
from core.features.stores import Stores
from core.learning.kpis import is_kpi, is_lower_better

# Exports say nothing about the model; left out, a dossier made twice is the same although the first one was recorded.
_NOT_ABOUT_THE_MODEL = (Action.AUDIT_EXPORT.value, Action.AUDIT_VERIFY.value)


@dataclass(frozen=True, kw_only=True)
class DataEvidence:
    """A data version that the model claims: *recorded* is the hash of its rows then, *recomputed* the one now."""

    key: TableVersion
    verdict: str
    source_of_truth: str
    findings: tuple[str, ...]
    snapshot: Snapshot | None = None
    commit: Commit | None = None
    rows: int | None = None
    recorded: str | None = None
    recomputed: str | None = None
    problem: str | None = None


@dataclass(frozen=True, kw_only=True)
class ModelEvidence:
    """What a dossier is written from. *differences* are those that no finding stands for yet."""

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

    @property
    def key(self) -> ModelVersionKey:
        return self.view.version.key


def collect_evidence(stores: Stores, actor: Actor, key: ModelVersionKey) -> ModelEvidence:
    """Reads everything once, the rows of the data included. Raises ModelVersionNotFound, RegistryUnavailable."""
    view = show_model_version(stores, actor, key)
    (model,) = list_models(stores, actor, model=key.model)
    recorded = (view.run.tags if view.run else view.version.tags).get("delta.content_sha256")
    problems: list[str] = []
    batches: tuple[PredictionBatch, ...] = ()
    try:
        batches = tuple(batch for batch in list_batches(stores, actor) if batch.key == key)
    except CoreError as error:
        problems.append(f"The predictions could not be read: {error}")
    requests = tuple(r for r in stores.decisions.list(model=key.model) if r.version == key.version or _moved(r, key))
    # The export that this is gathered for is itself unfinished now; it says nothing about the model.
    exports = {event.operation for event in stores.audit.unfinished() if event.action in _NOT_ABOUT_THE_MODEL}
    used = [item.source.key for item in view.data if item.source.key]
    subjects = {str(key), key.model, *map(str, used), *(one.table for one in used)}
    opened = tuple(f for f in stores.findings.list() if f.subject in subjects)
    found = {(f.kind, f.subject, f.expected, f.found) for f in opened}
    about = [d for d in find_differences(stores, actor) if d.subject in (str(key), key.model)]
    return ModelEvidence(
        view=view,
        model=model,
        registered=next((one for one in stores.models.models() if one.name == key.model), None),
        data=tuple(_data(stores, item.source.key, item, recorded) for item in view.data if item.source.key),
        requests=tuple(reversed(requests)),
        batches=tuple(sorted(batches, key=lambda batch: batch.time)),
        findings=opened,
        differences=tuple(
            d for d in about if d.request_id not in exports and (d.kind, d.subject, d.expected, d.found) not in found
        ),
        events=related_events(stores, key, used),
        problems=tuple(problems),
    )


def related_events(stores: Stores, key: ModelVersionKey, data: Iterable[TableVersion] = ()) -> tuple[Event, ...]:
    """Events about the version, its model's decisions and its data, oldest first; each action with all its events."""
    subjects = [str(key), key.model, *map(str, data)]
    found = {e.sequence: e for subject in subjects for e in stores.audit.search(subject=subject, limit=None)}
    for event in stores.audit.search(text=f'"{key.model}/', limit=None):
        found.setdefault(event.sequence, event)
    for request in stores.decisions.list(model=key.model):
        for event in stores.audit.search(subject=str(request.key), limit=None):
            found.setdefault(event.sequence, event)
    for operation in {event.operation for event in found.values()}:
        for event in stores.audit.search(operation=operation, limit=None):
            found.setdefault(event.sequence, event)
    return tuple(found[number] for number in sorted(found) if found[number].action not in _NOT_ABOUT_THE_MODEL)


def replaced_version(material: ModelEvidence) -> tuple[str | None, Mapping[str, float]]:
    """The version that was in Production when this one was decided on, and its metrics as the gates saw them."""
    decided = [r for r in material.requests if r.version == material.key.version and r.to is Stage.PRODUCTION]
    approved = [r for r in decided if r.status is RequestStatus.APPROVED]
    for request in (*reversed(approved), *reversed(decided)):
        seen = request.evidence.get("production") or {}
        if seen.get("model_version"):
            return str(seen["model_version"]), seen.get("metrics") or {}
    return None, {}


def compare_kpis(material: ModelEvidence) -> list[tuple[str, float, float | None, str]]:
    """KPI, this version's value, the replaced one's, and whether that is better."""
    _, rival = replaced_version(material)
    rows = []
    for name in sorted(filter(is_kpi, material.view.metrics)):
        value, other = material.view.metrics[name], rival.get(name)
        rows.append((name, value, None if other is None else float(other), _word(name, value, other)))
    return rows


def _word(name: str, value: float, other: float | str | None) -> str:
    if other is None or not math.isfinite(float(other)) or not math.isfinite(value):
        return "nothing to compare with"
    if value == float(other):
        return "the same"
    return "better" if (value < float(other)) == is_lower_better(name) else "worse"


def _moved(request: PromotionRequest, key: ModelVersionKey) -> bool:
    """Whether carrying the request out changed this version's stage."""
    return str(key.version) in request.intended or request.previous == key.version


def _data(stores: Stores, key: TableVersion, view: DataView, recorded: str | None) -> DataEvidence:
    verdict = f"{view.verdict.verdict.value}: {view.verdict.reason}" if view.verdict else (view.problem or "unknown")
    known = DataEvidence(
        key=key,
        verdict=verdict,
        source_of_truth=view.source.source_of_truth,
        findings=view.source.findings,
        recorded=recorded,
    )
    return (
        known
        if view.problem
        else _looked_at(stores, known, is_readable=bool(view.verdict and view.verdict.is_readable))
    )


def _looked_at(stores: Stores, known: DataEvidence, *, is_readable: bool) -> DataEvidence:
    """Adds commit, schema, rows and the hash of the rows as they are now, as far as they can be read."""
    try:
        table = stores.catalog.resolve(known.key.table)
        commit = next((c for c in stores.engine.history(table) if c.version == known.key.version), None)
        known = replace(known, commit=commit, snapshot=stores.engine.snapshot(table, version=known.key.version))
        if is_readable:
            content = stores.engine.content(table, version=known.key.version)
            known = replace(known, rows=content.rows, recomputed=content.sha256)
    except CoreError as error:
        return replace(known, problem=str(error))
    return known
