"""What is pending for a person: requests that they may decide, and findings of high severity or theirs."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from core.entities import Actor, Role, Severity, Stage
from core.features.monitoring.findings import assign_finding, open_finding
from core.features.open_requests.pending_for import Pending, latest_change, pending_for
from core.features.promotion.decide import approve, reject
from core.features.promotion.request_promotion import request_promotion
from core.features.stores import Stores

MODEL = "iris_classifier"


def test_requests_count_for_those_who_may_decide(
    sample_stores: Stores, scientist: Actor, manager: Actor, manager2: Actor, auditor: Actor
) -> None:
    assert pending_for(sample_stores, manager) == Pending(requests=0, findings=0)
    asked = [
        request_promotion(sample_stores, scientist, model=MODEL, version=version, to=Stage.STAGING, reason="r")
        for version in (1, 2)
    ]
    both = Actor(name=scientist.name, roles=frozenset({Role.SCIENTIST, Role.MANAGER}), channel="test")
    found = {actor: pending_for(sample_stores, actor).requests for actor in (manager, scientist, auditor, both)}
    assert found == {manager: 2, scientist: 0, auditor: 0, both: 0}
    reject(sample_stores, manager2, asked[0].id, reason="no")
    assert pending_for(sample_stores, manager).requests == 1


def test_request_that_a_person_approved_already_does_not_count_for_them(
    sample_stores: Stores, scientist: Actor, manager: Actor, manager2: Actor
) -> None:
    two = replace(sample_stores, settings=sample_stores.settings.model_copy(update={"approvals": {MODEL: 2}}))
    asked = request_promotion(two, scientist, model=MODEL, version=1, to=Stage.PRODUCTION, reason="r")
    approve(two, manager, asked.id, reason="fine")
    assert [pending_for(two, actor).requests for actor in (manager, manager2)] == [0, 1]


def test_findings_count_where_they_are_high_or_of_the_person(
    sample_stores: Stores, scientist: Actor, manager: Actor, auditor: Actor
) -> None:
    low = open_finding(sample_stores, auditor, subject=MODEL, detail="d", severity=Severity.LOW)
    counted = lambda actor: pending_for(sample_stores, actor).findings  # noqa: E731
    assert [counted(actor) for actor in (manager, scientist, auditor)] == [1, 0, 0]  # managers own a new finding
    due = datetime.now(UTC) + timedelta(days=1)
    assign_finding(sample_stores, auditor, low.id, owner="scientist", due=due, reason="r")
    assert [counted(actor) for actor in (manager, scientist, auditor)] == [0, 1, 0]
    open_finding(sample_stores, auditor, subject=MODEL, detail="d", severity=Severity.HIGH)
    assert [counted(actor) for actor in (manager, scientist, auditor)] == [1, 2, 1]


def test_latest_change_grows_with_requests_decisions_and_findings(
    sample_stores: Stores, scientist: Actor, manager: Actor, auditor: Actor
) -> None:
    numbers = [latest_change(sample_stores, auditor)]
    asked = request_promotion(sample_stores, scientist, model=MODEL, version=1, to=Stage.STAGING, reason="r")
    numbers.append(latest_change(sample_stores, auditor))
    reject(sample_stores, manager, asked.id, reason="no")
    numbers.append(latest_change(sample_stores, auditor))
    open_finding(sample_stores, auditor, subject=MODEL, detail="d", severity=Severity.LOW)
    numbers.append(latest_change(sample_stores, auditor))
    assert numbers == sorted(set(numbers))
