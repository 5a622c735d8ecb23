"""Findings that a decision depends on: about the candidate, its data, its rival and the model."""

from __future__ import annotations

from core.entities import Actor, Severity, Stage
from core.features.monitoring.decision_findings import findings_of_decision
from core.features.monitoring.findings import close_finding, list_findings, open_finding
from core.features.promotion.decide import approve
from core.features.promotion.request_promotion import request_promotion
from core.features.stores import Stores

MODEL, TABLE = "iris_classifier", "iris_training_data"


def test_findings_are_listed_by_severity_and_by_what_they_are_about(
    sample_stores: Stores, scientist: Actor, manager: Actor, auditor: Actor
) -> None:
    first = request_promotion(sample_stores, scientist, model=MODEL, version=2, to=Stage.PRODUCTION, reason="first")
    approve(sample_stores, manager, first.id, reason="fine")
    asked = request_promotion(sample_stores, scientist, model=MODEL, version=3, to=Stage.PRODUCTION, reason="better")

    def opened(subject: str, severity: Severity = Severity.MEDIUM) -> str:
        return open_finding(sample_stores, auditor, subject=subject, detail=subject, severity=severity).id

    opened(f"{MODEL}/1")
    opened("diabetes_progression/1", Severity.HIGH)
    opened(TABLE)
    opened(f"{TABLE}@2", Severity.LOW)
    opened(f"{TABLE}@1", Severity.HIGH)
    opened(f"{MODEL}/2")
    opened(f"{MODEL}/3")
    opened(MODEL)
    closed = opened(f"{MODEL}/3", Severity.HIGH)
    close_finding(sample_stores, manager, closed, reason="known")

    found = findings_of_decision(list_findings(sample_stores, auditor), asked, asked.at_request)
    assert [(about.value, finding.subject) for about, finding in found] == [
        ("data of the version compared with", f"{TABLE}@1"),
        ("candidate", f"{MODEL}/3"),
        ("data of the candidate", TABLE),
        ("version compared with", f"{MODEL}/2"),
        ("model", MODEL),
        ("data of the candidate", f"{TABLE}@2"),
    ]


def test_other_versions_count_only_with_a_high_finding(sample_stores: Stores, scientist: Actor, auditor: Actor) -> None:
    asked = request_promotion(sample_stores, scientist, model=MODEL, version=3, to=Stage.PRODUCTION, reason="better")
    for severity in (Severity.MEDIUM, Severity.HIGH):
        open_finding(sample_stores, auditor, subject=f"{MODEL}/1", detail=severity.value, severity=severity)
    found = findings_of_decision(list_findings(sample_stores, auditor), asked, asked.at_request)
    assert [(about.value, finding.detail) for about, finding in found] == [("another version", "high")]
