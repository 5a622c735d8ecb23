"""The summary of a dossier: each sentence follows the facts, and what is missing is named."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from core.bootstrap import open_stores
from core.entities import (
    Actor,
    Difference,
    Event,
    Finding,
    GateResult,
    Identity,
    IdentityVerdict,
    ModelVersionKey,
    Outcome,
    PromotionRequest,
    RequestKind,
    RequestStatus,
    Role,
    Severity,
    Stage,
)
from core.features.evidence.collect import ModelEvidence, collect_evidence
from core.features.evidence.section import localized
from core.features.evidence.summary.in_words import in_words
from core.features.takeover.acceptances import Acceptance
from core.settings import load_settings

KEY = ModelVersionKey(model="iris_classifier", version=3)
DAY = [datetime(2026, 3, day, 12, 0, tzinfo=UTC) for day in range(1, 29)]
PASSED = (GateResult(name="data readable", passed=True, detail="Readable."),)
FAILED = (*PASSED, GateResult(name="f1 not worse than Production", passed=False, detail="f1 is 0.5, and 0.9 for x/1."))
RIVAL = {
    "candidate": {"data": {"table": "t", "version": 2}},
    "production": {
        "model_version": "iris_classifier/1",
        "serves": True,
        "metrics": {"f1": 0.5, "log_loss": 0.1},
        "data": {"table": "t", "version": 2},
    },
}
ALONE: dict[str, Any] = {"candidate": {}, "production": {"model_version": None, "metrics": {}}}


@pytest.fixture(scope="module")
def sample_evidence(sample_home: Path) -> ModelEvidence:
    stores = open_stores(load_settings(home=sample_home, database_url=None))
    return collect_evidence(stores, Actor(name="auditor", roles=frozenset({Role.AUDITOR})), KEY)


@pytest.fixture
def evidence(sample_evidence: ModelEvidence) -> ModelEvidence:
    """Facts with round numbers, without any decision."""
    view = sample_evidence.view
    measured = replace(view.measured, values={"f1": 0.75, "log_loss": 0.3, "TrainRows": 105.0, "TestRows": 45.0})
    return replace(sample_evidence, view=replace(view, measured=measured), requests=(), findings=(), differences=())


def request(status: RequestStatus = RequestStatus.APPROVED, **changes: Any) -> PromotionRequest:
    is_decided = status in (RequestStatus.APPROVED, RequestStatus.REJECTED, RequestStatus.UNFINISHED)
    facts: dict[str, Any] = {
        "id": "r1",
        "kind": RequestKind.PROMOTION,
        "model": KEY.model,
        "version": KEY.version,
        "to": Stage.PRODUCTION,
        "status": status,
        "gates": PASSED,
        "requested_by": "sara",
        "requested_at": DAY[0],
        "request_reason": "Better.",
        "decided_by": "max" if is_decided else None,
        "decided_at": DAY[1] if is_decided else None,
        "reason": "It holds." if is_decided else None,
        "evidence": ALONE,
        "decision_gates": PASSED if is_decided else None,
        "decision_evidence": ALONE if is_decided else None,
        "stages": {"3": "Production"} if status is RequestStatus.APPROVED else {},
    }
    return PromotionRequest(**{**facts, **changes})


def in_stage(evidence: ModelEvidence, stage: Stage) -> ModelEvidence:
    return replace(evidence, view=replace(evidence.view, version=replace(evidence.view.version, stage=stage)))


def sentences(evidence: ModelEvidence) -> tuple[str, tuple[str, ...]]:
    summary, missing = (localized(section, "en") for section in in_words(evidence))
    return "\n".join(summary.paragraphs), missing.points


def comparison_event(verdict: str, *, first: str = "iris_classifier/1") -> Event:
    numbers = {"first": 0.7, "second": 0.75, "difference": 0.05, "low": 0.01, "high": 0.09, "verdict": verdict}
    after: Mapping[str, Any] = {"first": first, "data": "holdout@2", "rows": 500, "metrics": {"f1": numbers}}
    return Event(
        sequence=99,
        time=DAY[2],
        actor="sara",
        role="scientist",
        channel="command",
        action="model.compare",
        subject=str(KEY),
        outcome=Outcome.SUCCESS,
        reason="",
        operation="o",
        before={},
        after=after,
        previous="",
        hash="",
    )


def test_approved_version_is_told_from_the_data_to_production(evidence: ModelEvidence) -> None:
    approved = request(evidence=RIVAL, decision_evidence=RIVAL)
    said, missing = sentences(in_stage(replace(evidence, requests=(approved,)), Stage.PRODUCTION))
    assert "iris_classifier/3 is a classification model, registered on " in said
    assert "scientist trained it with logistic_regression." in said
    assert "It was trained on iris_training_data@2, which has 150 rows: 105 for training and 45 for testing." in said
    assert "All rows were read when this dossier was made" in said
    assert "Their SHA-256 is the one that the training recorded" in said
    assert "sara requested the stage Production on 2026-03-01 12:00:00 UTC (“Better.”)." in said
    assert "max approved the request on 2026-03-02 12:00:00 UTC (“It holds.”)." in said
    assert "At the decision, 1 of 1 gate passed (2026-03-02 12:00:00 UTC)." in said
    assert "Its main KPI, f1, is 0.75: better by 0.25 than the 0.5 of iris_classifier/1." in said
    assert "iris_classifier/1 was in Production then." in said
    assert "It has been in Production since 2026-03-02 12:00:00 UTC." in said
    assert not any("No approval" in point for point in missing)
    assert "No head-to-head comparison with iris_classifier/1 on the same rows is recorded." in missing


def test_version_that_nobody_requested(evidence: ModelEvidence) -> None:
    said, missing = sentences(evidence)
    assert "Nobody has requested a stage for this version, and nobody has approved it." in said
    assert "because no promotion to Production was requested" in said
    assert "It was never in Production, as far as the decisions say." in said
    assert missing[0] == "No approval: no person has approved this version for a stage."


@pytest.mark.parametrize(
    ("status", "sentence"),
    [
        (RequestStatus.REJECTED, "max rejected the request on 2026-03-02 12:00:00 UTC (“It holds.”)."),
        (RequestStatus.OPEN, "The request is open: nobody has decided on it."),
        (RequestStatus.EXPIRED, "The request expired without a decision: no reason is recorded."),
        (RequestStatus.UNFINISHED, "The approval by max on 2026-03-02 12:00:00 UTC is unfinished"),
    ],
    ids=lambda value: value.value if isinstance(value, RequestStatus) else "",
)
def test_request_without_an_approval_is_no_approval(
    evidence: ModelEvidence, status: RequestStatus, sentence: str
) -> None:
    said, missing = sentences(replace(evidence, requests=(request(status),)))
    assert sentence in said
    assert "approved the request" not in said
    assert "No approval: no person has approved this version for a stage." in missing


def test_approval_for_staging_is_none_for_production(evidence: ModelEvidence) -> None:
    said, missing = sentences(replace(evidence, requests=(request(to=Stage.STAGING, stages={"3": "Staging"}),)))
    assert "sara requested the stage Staging" in said
    assert "No approval for Production: the approval is for the stage Staging." in missing
    assert "It was never in Production" in said


def test_rolled_back_version_was_in_production_for_a_time(evidence: ModelEvidence) -> None:
    away = request(
        id="r2",
        kind=RequestKind.ROLLBACK,
        version=1,
        decided_at=DAY[9],
        requested_by="max",
        reason="Wrong prices.",
        stages={"1": "Production", "3": "Archived"},
    )
    said, _ = sentences(in_stage(replace(evidence, requests=(request(), away)), Stage.ARCHIVED))
    assert (
        "It was in Production from 2026-03-02 12:00:00 UTC until 2026-03-10 12:00:00 UTC, when max rolled back to "
        "iris_classifier/1 (“Wrong prices.”). It is not in Production now."
    ) in said


def test_replaced_version_names_its_successor(evidence: ModelEvidence) -> None:
    after = request(id="r2", version=4, decided_at=DAY[9], stages={"4": "Production", "3": "Archived"})
    said, _ = sentences(in_stage(replace(evidence, requests=(request(), after)), Stage.ARCHIVED))
    assert "until 2026-03-10 12:00:00 UTC, when iris_classifier/4 replaced it. It is not in Production now." in said


def test_registry_that_differs_from_the_decisions_is_told(evidence: ModelEvidence) -> None:
    said, _ = sentences(in_stage(replace(evidence, requests=(request(),)), Stage.NONE))
    assert "By the decisions it has been in Production since 2026-03-02 12:00:00 UTC, but the registry shows" in said
    said, _ = sentences(in_stage(evidence, Stage.PRODUCTION))
    assert "The registry shows it in Production, but no decision put it there." in said


def test_version_accepted_as_found_is_not_called_approved(evidence: ModelEvidence) -> None:
    found = Acceptance(
        model=KEY.model,
        sequence=5,
        time=DAY[3],
        actor="ada",
        reason="As it was.",
        stages={3: Stage.PRODUCTION},
        aliases={},
        in_production={3: {}},
    )
    said, missing = sentences(in_stage(replace(evidence, acceptance=found), Stage.PRODUCTION))
    assert "ada accepted it as found, in the stage Production, on 2026-03-04 12:00:00 UTC (“As it was.”)." in said
    assert "It has been in Production since 2026-03-04 12:00:00 UTC." in said
    assert "No approval: no person has approved this version for a stage." in missing


def test_worse_and_equal_kpis_are_called_so(evidence: ModelEvidence) -> None:
    def said(metrics: dict[str, float]) -> str:
        facts = {**RIVAL, "production": {**RIVAL["production"], "metrics": metrics}}
        return sentences(replace(evidence, requests=(request(decision_evidence=facts),)))[0]

    assert "Its main KPI, f1, is 0.75: WORSE by 0.15 than the 0.9 of iris_classifier/1." in said({"f1": 0.9})
    assert "Its main KPI, f1, is 0.75, the same as of iris_classifier/1." in said({"f1": 0.75})
    # Of log_loss, the lower value is the better one.
    assert "Its main KPI, log_loss, is 0.3: better by 0.2 than the 0.5" in said({"log_loss": 0.5})
    assert "The version has no KPI in common with iris_classifier/1." in said({"rmse": 3.0})


def test_absent_rival_and_lost_evidence_are_told(evidence: ModelEvidence) -> None:
    said, _ = sentences(replace(evidence, requests=(request(),)))
    assert "No other version was in Production then, so there was nothing to compare with." in said
    last = {**RIVAL, "production": {**RIVAL["production"], "serves": False}}
    said, _ = sentences(replace(evidence, requests=(request(decision_evidence=last),)))
    assert "iris_classifier/1 was the last version in Production; none was there then." in said
    old = request(record=1, evidence={}, decision_gates=None, decision_evidence=None)
    said, missing = sentences(replace(evidence, requests=(old,)))
    assert "The evidence of the comparison was not kept." in said
    assert "The gates of the request were not kept: an earlier version of ModelLedger replaced them." in missing


def test_kpis_of_different_test_data_do_not_compare_strictly(evidence: ModelEvidence) -> None:
    other = {**RIVAL, "production": {**RIVAL["production"], "data": {"table": "t", "version": 1}}}
    said, _ = sentences(replace(evidence, requests=(request(decision_evidence=other),)))
    assert "The two were tested on rows of different data versions (t@2 and t@1)" in said


@pytest.mark.parametrize(
    ("verdict", "words"),
    [("better", "so it is better."), ("worse", "so it is WORSE."), ("no difference shown", "no difference is shown.")],
)
def test_head_to_head_is_told_with_its_interval(evidence: ModelEvidence, verdict: str, words: str) -> None:
    approved = replace(evidence, requests=(request(decision_evidence=RIVAL),))
    said, missing = sentences(replace(approved, events=(comparison_event(verdict),)))
    assert (
        "Head to head on the same 500 rows of holdout@2, f1 is 0.75 against 0.7 of iris_classifier/1: "
        "difference +0.05, 95 % interval [+0.01, +0.09], "
    ) in said
    assert words in said
    assert not any("head-to-head" in point for point in missing)
    other = comparison_event(verdict, first="iris_classifier/2")
    said, missing = sentences(replace(approved, events=(other,)))
    assert "Head to head" not in said
    assert any("head-to-head" in point for point in missing)


def test_comparison_without_a_request_is_a_comparison(evidence: ModelEvidence) -> None:
    said, _ = sentences(replace(evidence, events=(comparison_event("better"),)))
    assert "so it is better." in said
    assert "was not compared" not in said


def test_gates_that_did_not_pass_are_named(evidence: ModelEvidence) -> None:
    rejected = request(RequestStatus.REJECTED, decision_gates=FAILED)
    said, missing = sentences(replace(evidence, requests=(rejected,)))
    assert "At the decision, 1 of 2 gates passed" in said
    assert "The gate “f1 not worse than Production” did not pass: f1 is 0.5, and 0.9 for x/1." in missing


def test_foreign_model_without_a_run(evidence: ModelEvidence) -> None:
    view = replace(
        evidence.view,
        run=None,
        run_problem="The version names no run, so its origin is unknown.",
        measured=replace(evidence.view.measured, values={}),
        version=replace(evidence.view.version, tags={}),
    )
    said, missing = sentences(replace(evidence, view=view, data=(), pictures=None))
    assert "iris_classifier/3 is a model whose task is not recorded" in said
    assert "The version names no run, so its origin is unknown." in said
    assert "No data version is recorded, so the training data is unknown." in said
    assert {"No training data: no data version is recorded.", "No KPI is recorded."} <= set(missing)
    assert "The version names no run, so its origin is unknown." in missing


def test_data_that_is_lost_or_other_data(evidence: ModelEvidence) -> None:
    (item,) = evidence.data
    lost = replace(item, rows=None, recomputed=None, verdict="files vacuumed: 3 files are missing.")
    said, missing = sentences(replace(evidence, data=(lost,)))
    assert "The rows could not be read when this dossier was made (files vacuumed: 3 files are missing.)." in said
    assert "The training recorded their SHA-256, which cannot be checked now." in said
    assert "The rows of iris_training_data@2 are not readable." in missing
    other = replace(item, identity=Identity(verdict=IdentityVerdict.OTHER_ROWS, comparisons=()))
    said, missing = sentences(replace(evidence, data=(other,)))
    assert "These are NOT the data of the training" in said
    assert "iris_training_data@2 is not the data of the training." in missing
    unproven = replace(item, recorded=None, identity=None)
    said, missing = sentences(replace(evidence, data=(unproven,)))
    assert "The training recorded no SHA-256 of the rows, so it is not proven" in said


def test_open_findings_and_differences_are_counted(evidence: ModelEvidence) -> None:
    finding = Finding(
        id="f1",
        kind="metric changed",
        subject=str(KEY),
        severity=Severity.HIGH,
        owner="max",
        due=DAY[9],
        expected="f1 0.9",
        found="f1 0.5",
        detail="",
        opened_by="system",
        opened_at=DAY[0],
        last_seen=DAY[0],
    )
    minor = replace(finding, id="f2", severity=Severity.LOW)
    difference = Difference(kind="stage differs", subject=str(KEY), expected="a", found="b", detail="c")
    _, missing = sentences(replace(evidence, findings=(finding, minor), differences=(difference,)))
    assert "1 finding of high severity is open: metric changed." in missing
    assert "1 other finding is open." in missing
    assert "1 difference between registry and decisions has no finding yet." in missing


def test_code_without_a_commit_is_missing(evidence: ModelEvidence) -> None:
    assert evidence.view.run is not None
    run = replace(evidence.view.run, tags={})
    _, missing = sentences(replace(evidence, view=replace(evidence.view, run=run)))
    assert "No commit: the run records no Git commit, so the code is unknown." in missing


def test_complete_evidence_says_that_no_gap_was_found(evidence: ModelEvidence) -> None:
    assert evidence.registered is not None
    described = replace(evidence.registered, description="Sorts flowers for the catalogue.")
    assert evidence.view.run is not None
    run = replace(evidence.view.run, tags={**evidence.view.run.tags, "mlflow.source.git.commit": "c0ffee"})
    run = replace(run, tags={**run.tags, "modelledger.source.git.dirty": "false"})
    whole = replace(evidence, registered=described, requests=(request(),), view=replace(evidence.view, run=run))
    said, missing = sentences(in_stage(whole, Stage.PRODUCTION))
    assert "Its purpose, as described: “Sorts flowers for the catalogue”." in said
    assert missing == ()
    _, section = in_words(in_stage(whole, Stage.PRODUCTION))
    assert section.paragraphs == ("These checks found no gap: approval, gates, comparison, data, code, findings.",)
