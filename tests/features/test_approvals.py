"""N-of-M approval, and an emergency rollback by one person that waits for a review."""

from __future__ import annotations

from pathlib import Path

import pytest

from core.bootstrap import open_stores
from core.entities import Actor, PromotionRequest, RequestStatus, Stage
from core.errors import AlreadyDecided, SelfApproval
from core.features.monitoring.findings import close_finding, list_findings
from core.features.promotion.decide import approve
from core.features.promotion.request_promotion import list_approvals, request_promotion
from core.features.promotion.roll_back import roll_back
from core.features.stores import Stores
from core.settings import load_settings

pytestmark = pytest.mark.both_databases


@pytest.fixture
def two_needed(sample_stores: Stores) -> Stores:
    """The sample, where two people must approve iris_classifier for Production."""
    home: Path = sample_stores.settings.home
    return open_stores(load_settings(home=home, approvals={"iris_classifier": 2}))


def asked(stores: Stores, scientist: Actor, version: int, to: Stage = Stage.PRODUCTION) -> PromotionRequest:
    return request_promotion(stores, scientist, model="iris_classifier", version=version, to=to, reason="ready")


def stage_of(stores: Stores, version: int) -> Stage:
    return next(v.stage for v in stores.models.versions("iris_classifier") if v.version == version)


@pytest.mark.both_databases(every_run=True)
def test_first_yes_leaves_the_request_open_and_the_second_carries_it_out(
    two_needed: Stores, scientist: Actor, manager: Actor, manager2: Actor
) -> None:
    request = asked(two_needed, scientist, 1)
    first = approve(two_needed, manager, request.id, reason="looks right")
    assert first.status is RequestStatus.OPEN
    assert stage_of(two_needed, 1) is Stage.NONE
    done = approve(two_needed, manager2, request.id, reason="agreed")
    assert (done.status, done.decided_by) == (RequestStatus.APPROVED, "manager2")
    assert stage_of(two_needed, 1) is Stage.PRODUCTION
    assert [(a.by, a.reason) for a in list_approvals(two_needed, manager, request)] == [
        ("manager", "looks right"),
        ("manager2", "agreed"),
    ]


def test_one_person_cannot_say_yes_twice(two_needed: Stores, scientist: Actor, manager: Actor) -> None:
    request = asked(two_needed, scientist, 1)
    approve(two_needed, manager, request.id, reason="yes")
    with pytest.raises(AlreadyDecided, match="must come from another person"):
        approve(two_needed, manager, request.id, reason="yes again")
    assert stage_of(two_needed, 1) is Stage.NONE


def test_out_of_production_asks_for_as_many_as_into_it(
    two_needed: Stores, scientist: Actor, manager: Actor, manager2: Actor
) -> None:
    request = asked(two_needed, scientist, 1)
    approve(two_needed, manager, request.id, reason="yes")
    approve(two_needed, manager2, request.id, reason="yes")
    away = asked(two_needed, scientist, 1, Stage.ARCHIVED)
    assert approve(two_needed, manager, away.id, reason="take it away").status is RequestStatus.OPEN
    assert stage_of(two_needed, 1) is Stage.PRODUCTION
    approve(two_needed, manager2, away.id, reason="agreed")
    assert stage_of(two_needed, 1) is Stage.ARCHIVED


def test_other_stages_and_other_models_ask_for_one(two_needed: Stores, scientist: Actor, manager: Actor) -> None:
    staging = asked(two_needed, scientist, 1, Stage.STAGING)
    assert approve(two_needed, manager, staging.id, reason="try it").status is RequestStatus.APPROVED
    other = request_promotion(
        two_needed, scientist, model="diabetes_progression", version=1, to=Stage.PRODUCTION, reason="ready"
    )
    assert approve(two_needed, manager, other.id, reason="fine").status is RequestStatus.APPROVED


def test_an_emergency_rollback_is_done_at_once_marked_and_reviewed_by_another(
    two_needed: Stores, scientist: Actor, manager: Actor, manager2: Actor
) -> None:
    for version in (1, 2):
        request = asked(two_needed, scientist, version)
        approve(two_needed, manager, request.id, reason="yes")
        approve(two_needed, manager2, request.id, reason="yes")
    roll_back(two_needed, manager, "iris_classifier", reason="it is down")
    assert stage_of(two_needed, 1) is Stage.PRODUCTION
    (finding,) = [f for f in list_findings(two_needed, manager) if f.kind == "emergency rollback"]
    assert "manager alone" in finding.found
    with pytest.raises(SelfApproval, match="Another person must review"):
        close_finding(two_needed, manager, finding.id, reason="all fine")
    assert close_finding(two_needed, manager2, finding.id, reason="it was right").closed_by == "manager2"
    event = two_needed.audit.search(action="promotion.rollback", outcome="success")[0]
    assert "waits for a review" in event.after["decision"]


def test_without_such_a_policy_one_yes_and_a_plain_rollback_do(
    sample_stores: Stores, scientist: Actor, manager: Actor
) -> None:
    for version in (1, 2):
        request = asked(sample_stores, scientist, version)
        assert approve(sample_stores, manager, request.id, reason="yes").status is RequestStatus.APPROVED
    roll_back(sample_stores, manager, "iris_classifier", reason="worse")
    assert list_findings(sample_stores, manager) == ()
