"""The dossier of a model version: the facts in words, pictures, and all evidence as sections of an annex."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from core.entities import ModelVersionKey
from core.features.evidence import decision_sections, model_sections
from core.features.evidence.annex_iv import Fact, coverage
from core.features.evidence.collect import ModelEvidence
from core.features.evidence.drawings import sections as drawings
from core.features.evidence.section import Section, localized, plain
from core.features.evidence.summary.in_words import in_words
from core.learning.kpis import is_kpi
from core.texts import SOURCE_LANGUAGE, text, translate_sentence


@dataclass(frozen=True, kw_only=True)
class Dossier:
    """A dossier in *language*.

    *as_of* is the time of the newest fact, not the time of the export: the same state gives the same dossier.
    """

    key: ModelVersionKey
    title: str
    as_of: datetime
    language: str
    sections: tuple[Section, ...]


def build_dossier(evidence: ModelEvidence, language: str = SOURCE_LANGUAGE) -> Dossier:
    """Build the sections, what a reader must know first, then the annexes in the order of an audit. Reads nothing."""
    sections = (
        *in_words(evidence),
        *drawings.pictures(evidence, language),
        model_sections.summary(evidence),
        model_sections.purpose(evidence),
        *model_sections.data(evidence),
        model_sections.code(evidence),
        model_sections.environment(evidence),
        model_sections.training(evidence),
        model_sections.signature(evidence),
        model_sections.kpis(evidence),
        model_sections.reproductions(evidence),
        decision_sections.gates(evidence),
        decision_sections.decisions(evidence),
        decision_sections.predictions(evidence),
        decision_sections.findings(evidence),
        model_sections.versions(evidence),
        model_sections.files(evidence),
        decision_sections.events(evidence),
        decision_sections.annex(coverage(_recorded_facts(evidence))),
    )
    title = translate_sentence(text("Dossier of {version}", version=plain(str(evidence.key))), language)
    return Dossier(
        key=evidence.key,
        title=title,
        as_of=evidence.as_of,
        language=language,
        sections=tuple(localized(section, language) for section in sections),
    )


def _recorded_facts(evidence: ModelEvidence) -> frozenset[Fact]:
    view, run = evidence.view, evidence.view.run
    has_description = bool((evidence.registered and evidence.registered.description) or view.version.description)
    facts = {
        Fact.PURPOSE: has_description,
        Fact.DATA: any(data.key for data in evidence.data),
        Fact.DATA_READABLE: any(data.recomputed for data in evidence.data),
        Fact.CODE: bool(run and run.tags.get("mlflow.source.git.commit")),
        Fact.ENVIRONMENT: bool(view.info and view.info.requirements),
        Fact.SIGNATURE: bool(view.info and view.info.inputs),
        Fact.PARAMS: bool(run and run.params),
        Fact.METRICS: any(map(is_kpi, view.metrics)),
        Fact.GATES: any(request.gates for request in evidence.requests),
        Fact.DECISIONS: any(request.decided_by for request in evidence.requests),
        Fact.PREDICTIONS: bool(evidence.batches),
        Fact.HISTORY: len(evidence.model.versions) > 1,
    }
    return frozenset(fact for fact, is_recorded in facts.items() if is_recorded)
