"""Findings that a decision depends on: about the candidate, its data, the version compared with, and the model."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import Enum
from typing import Any, Protocol

from core.entities import Finding, GateCheck, ModelVersionKey, Severity
from core.features.monitoring.findings import findings_about_model


class About(str, Enum):
    """What a finding is about, the most important first."""

    CANDIDATE = "candidate"
    CANDIDATE_DATA = "data of the candidate"
    RIVAL = "version compared with"
    RIVAL_DATA = "data of the version compared with"
    MODEL = "model"
    OTHER_VERSION = "another version"


class AboutVersion(Protocol):
    """A request for a model version, or the preview of a rollback to it."""

    @property
    def key(self) -> ModelVersionKey: ...


def findings_of_decision(
    findings: Iterable[Finding], request: AboutVersion, check: GateCheck
) -> tuple[tuple[About, Finding], ...]:
    """Return the open findings that matter for a decision on *request*, by severity and then by what they are about.

    *check* names the data and the version that the gates compare with. Of other versions of the model only findings of
    high severity are listed.
    """
    candidate = (check.evidence or {}).get("candidate") or {}
    production = (check.evidence or {}).get("production") or {}
    subjects = {
        **dict.fromkeys(_data_subjects(production.get("data")), About.RIVAL_DATA),
        **dict.fromkeys(_data_subjects(candidate.get("data")), About.CANDIDATE_DATA),
        **({check.compared_with: About.RIVAL} if check.compared_with else {}),
        request.key.model: About.MODEL,
        str(request.key): About.CANDIDATE,
    }
    opened = [finding for finding in findings if finding.is_open]
    found = [(subjects[finding.subject], finding) for finding in opened if finding.subject in subjects]
    found += [
        (About.OTHER_VERSION, finding)
        for finding in findings_about_model(opened, request.key.model)
        if finding.subject not in subjects and finding.severity is Severity.HIGH
    ]
    severities, order = list(Severity), list(About)
    return tuple(
        sorted(found, key=lambda item: (severities.index(item[1].severity), order.index(item[0]), item[1].due))
    )


def _data_subjects(data: Mapping[str, Any] | None) -> tuple[str, ...]:
    """The subjects of findings about a data version: the version, and its table as a whole."""
    if not data or data.get("table") is None:
        return ()
    table, version = str(data["table"]), data.get("version")
    return (table,) if version is None else (table, f"{table}@{version}")
