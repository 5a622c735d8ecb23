"""The dossier of a model version: what is known about it, as sections that a PDF and a page show alike."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from core.entities import ModelVersionKey
from core.features.evidence import dossier_sections as parts
from core.features.evidence.annex_iv import Fact, coverage
from core.features.evidence.collect import ModelEvidence
from core.features.evidence.dossier_sections import Section, plain
from core.learning.kpis import is_kpi


@dataclass(frozen=True, kw_only=True)
class Dossier:
    """*as_of* is the time of the newest thing in it, not of its making: the same state gives the same dossier."""

    key: ModelVersionKey
    title: str
    as_of: datetime
    sections: tuple[Section, ...]


def build_dossier(material: ModelEvidence) -> Dossier:
    """The sections, in the order in which an auditor asks. Reads nothing."""
    sections = (
        parts.summary(material),
        parts.purpose(material),
        *parts.data(material),
        parts.code(material),
        parts.environment(material),
        parts.training(material),
        parts.signature(material),
        parts.kpis(material),
        parts.reproductions(material),
        parts.gates(material),
        parts.decisions(material),
        parts.predictions(material),
        parts.findings(material),
        parts.versions(material),
        parts.files(material),
        parts.events(material),
        parts.annex(coverage(_held(material))),
    )
    title = plain(f"Dossier of {material.key}")
    return Dossier(key=material.key, title=title, as_of=_as_of(material), sections=sections)


def _held(material: ModelEvidence) -> frozenset[Fact]:
    view, run = material.view, material.view.run
    described = bool((material.registered and material.registered.description) or view.version.description)
    facts = {
        Fact.PURPOSE: described,
        Fact.DATA: bool(material.data),
        Fact.DATA_READABLE: any(one.recomputed for one in material.data),
        Fact.CODE: bool(run and run.tags.get("mlflow.source.git.commit")),
        Fact.ENVIRONMENT: bool(view.info and view.info.requirements),
        Fact.SIGNATURE: bool(view.info and view.info.inputs),
        Fact.PARAMS: bool(run and run.params),
        Fact.METRICS: any(map(is_kpi, view.metrics)),
        Fact.GATES: any(request.gates for request in material.requests),
        Fact.DECISIONS: any(request.decided_by for request in material.requests),
        Fact.PREDICTIONS: bool(material.batches),
        Fact.HISTORY: len(material.model.versions) > 1,
    }
    return frozenset(fact for fact, is_held in facts.items() if is_held)


def _as_of(material: ModelEvidence) -> datetime:
    times: list[datetime | None] = [material.view.version.created]
    times += [event.time for event in material.events]
    times += [batch.time for batch in material.batches]
    times += [request.decided_at or request.requested_at for request in material.requests]
    times += list(material.view.late_metrics.values())
    if material.view.run is not None:
        times.append(material.view.run.ended)
    return max(time for time in times if time is not None)
