"""Killed (SIGKILL) at each step between intent, registry and outcome: told, then finished or undone, never silent."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest

from core.bootstrap import open_stores
from core.entities import Actor, Difference, Event, Outcome, PromotionRequest, RequestStatus, Stage
from core.errors import AlreadyDecided, SelfApproval
from core.features.evidence.search_events import search_audit
from core.features.monitoring.findings import close_finding, list_findings
from core.features.monitoring.reconcile import (
    UNFINISHED_ACTION,
    UNFINISHED_REQUEST,
    close_action,
    find_differences,
    resolve_request,
)
from core.features.promotion.decide import approve
from core.features.promotion.request_promotion import list_requests, request_promotion
from core.features.stores import Stores
from core.settings import load_settings
from tests.features.dying import STEPS, expire_locks, run_and_die

pytestmark = pytest.mark.both_databases

MODEL = "iris_classifier"
# Each step costs a process. `make test` kills at two, one before and one after the registry has the last word.
EACH_STEP = [
    pytest.param(step, marks=[] if step in ("halfway in the registry", "before the outcome") else pytest.mark.slow)
    for step in STEPS
]
Ask = Callable[[int], PromotionRequest]


@pytest.fixture
def ask(sample_stores: Stores, scientist: Actor) -> Ask:
    return lambda version: request_promotion(
        sample_stores, scientist, model=MODEL, version=version, to=Stage.PRODUCTION, reason="please"
    )


def stages(stores: Stores) -> dict[int, str]:
    return {v.version: v.stage.value for v in stores.models.versions(MODEL)}


def aliased(stores: Stores) -> list[int]:
    """What models:/iris_classifier@production leads to."""
    return [v.version for v in stores.models.versions(MODEL) if "production" in v.aliases]


@dataclass(frozen=True, kw_only=True)
class Left:
    """What a death leaves: how far the registry came, and what the decision says."""

    registry: str
    decision: str
    is_locked: bool = True


LEFT = {
    "before the lock": Left(registry="untouched", decision="none", is_locked=False),
    "before the decision": Left(registry="untouched", decision="none"),
    "before the registry": Left(registry="untouched", decision="unfinished"),
    "halfway in the registry": Left(registry="halfway", decision="unfinished"),
    "before the aliases": Left(registry="whole", decision="unfinished"),
    "after the registry": Left(registry="whole", decision="unfinished"),
    "before the outcome": Left(registry="whole", decision="approved"),
    "after the lock": Left(registry="whole", decision="approved", is_locked=False),
}
# Version 1 serves and 3 is approved; version 3 serves, 1 did before, and 3 is rolled back.
APPROVED = {
    "untouched": {1: "Production", 2: "None", 3: "None"},
    "halfway": {1: "Archived", 2: "None", 3: "None"},
    "whole": {1: "Archived", 2: "None", 3: "Production"},
}
ROLLED_BACK = {
    "untouched": {1: "Archived", 2: "None", 3: "Production"},
    "halfway": {1: "Archived", 2: "None", 3: "Archived"},
    "whole": {1: "Production", 2: "None", 3: "Archived"},
}


def end(stores: Stores, manager: Actor, found: Difference, intent: Event, left: Left) -> None:
    """What a manager does about the one difference that is told after the restart."""
    if left.is_locked:
        expire_locks(stores)
    if left.decision == "unfinished":
        assert (found.kind, found.request_id) == (UNFINISHED_REQUEST, intent.before["request"])
        resolve_request(stores, manager, str(found.request_id), reason="the server was restarted")
        return
    assert (found.kind, found.request_id) == (UNFINISHED_ACTION, intent.operation)
    closed = close_action(stores, manager, intent.operation, reason="the server was restarted")
    assert closed.outcome is (Outcome.SUCCESS if left.decision == "approved" else Outcome.FAILED)


def all_is_told(stores: Stores, auditor: Actor, intent: Event, serving: int) -> None:
    """One in Production, by stage and by alias; one intent, one outcome; nothing left open; the chain holds."""
    assert [number for number, stage in stages(stores).items() if stage == "Production"] == [serving]
    assert aliased(stores) == [serving]
    assert find_differences(stores, auditor) == ()
    assert stores.audit.unfinished() == ()
    assert stores.audit.verify().ok
    outcome, began = search_audit(stores, auditor, operation=intent.operation)
    assert (began.outcome, outcome.actor) == (Outcome.INTENT, "manager")
    assert outcome.outcome is not Outcome.INTENT
    assert "manager" in outcome.reason


@pytest.mark.both_databases(every_run=True)
@pytest.mark.parametrize("step", EACH_STEP)
def test_approval_killed_at_a_step_is_told_and_finished_or_undone(
    sample_stores: Stores, manager: Actor, auditor: Actor, ask: Ask, step: str
) -> None:
    approve(sample_stores, manager, ask(1).id, reason="first")
    asked, left = ask(3), LEFT[step]
    run_and_die(sample_stores, step, "approve", asked.id)
    stores = open_stores(sample_stores.settings)

    status = {"none": RequestStatus.OPEN}.get(left.decision) or RequestStatus(left.decision)
    assert stores.decisions.get(asked.id).status is status
    assert stages(stores) == APPROVED[left.registry]
    (intent,) = stores.audit.unfinished()
    assert (intent.action, intent.actor, intent.before["request"]) == ("promotion.decide", "manager", asked.id)
    (found,) = find_differences(stores, auditor)
    end(stores, manager, found, intent, left)

    is_done = left.registry != "untouched"
    done = stores.decisions.get(asked.id)
    assert done.status is (RequestStatus.APPROVED if is_done else RequestStatus.OPEN)
    assert stages(stores) == APPROVED["whole" if is_done else "untouched"]
    all_is_told(stores, auditor, intent, serving=3 if is_done else 1)


@pytest.mark.parametrize("step", EACH_STEP)
def test_rollback_killed_at_a_step_is_told_and_finished_or_undone(
    sample_stores: Stores, manager: Actor, auditor: Actor, ask: Ask, step: str
) -> None:
    for version in (1, 3):
        approve(sample_stores, manager, ask(version).id, reason="fine")
    left = LEFT[step]
    run_and_die(sample_stores, step, "roll_back", MODEL)
    stores = open_stores(sample_stores.settings)

    assert stages(stores) == ROLLED_BACK[left.registry]
    (intent,) = stores.audit.unfinished()
    assert (intent.action, intent.actor) == ("promotion.rollback", "manager")
    kept = [r for r in list_requests(stores, auditor, model=MODEL) if r.id == intent.before["request"]]
    assert [r.status.value for r in kept] == ([] if left.decision == "none" else [left.decision])
    (found,) = find_differences(stores, auditor)
    end(stores, manager, found, intent, left)

    is_done = left.registry != "untouched"
    if kept:
        done = stores.decisions.get(kept[0].id)
        assert done.status is (RequestStatus.APPROVED if is_done else RequestStatus.EXPIRED)
    assert stages(stores) == ROLLED_BACK["whole" if is_done else "untouched"]
    all_is_told(stores, auditor, intent, serving=1 if is_done else 3)


@pytest.mark.slow
@pytest.mark.parametrize("step", ["halfway in the registry", "before the outcome"])
def test_resolving_that_is_killed_too_is_resolved_again(
    sample_stores: Stores, manager: Actor, auditor: Actor, ask: Ask, step: str
) -> None:
    approve(sample_stores, manager, ask(1).id, reason="first")
    asked = ask(3)
    run_and_die(sample_stores, "halfway in the registry", "approve", asked.id)
    expire_locks(sample_stores)
    run_and_die(sample_stores, step, "resolve", asked.id)
    stores = open_stores(sample_stores.settings)
    intents = stores.audit.unfinished()
    assert [intent.action for intent in intents] == ["promotion.decide", "reconcile.resolve"]
    expire_locks(stores)
    if step == "before the outcome":
        assert {found.kind for found in find_differences(stores, auditor)} == {UNFINISHED_ACTION}
        for intent in intents:
            close_action(stores, manager, intent.operation, reason="the server was restarted again")
    else:
        resolve_request(stores, manager, asked.id, reason="the server was restarted again")
    assert stores.decisions.get(asked.id).status is RequestStatus.APPROVED
    for intent in intents:
        all_is_told(stores, auditor, intent, serving=3)


def test_request_that_was_taken_back_can_be_approved(
    sample_stores: Stores, manager: Actor, manager2: Actor, ask: Ask
) -> None:
    asked = ask(3)
    run_and_die(sample_stores, "before the registry", "approve", asked.id)
    expire_locks(sample_stores)
    resolve_request(sample_stores, manager, asked.id, reason="restart")
    done = approve(sample_stores, manager2, asked.id, reason="again")
    assert (done.status, done.decided_by) == (RequestStatus.APPROVED, "manager2")
    assert stages(sample_stores)[3] == "Production"


@pytest.mark.slow
def test_resolving_leaves_one_in_production_even_if_another_was_put_there_meanwhile(
    sample_stores: Stores, manager: Actor, ask: Ask
) -> None:
    approve(sample_stores, manager, ask(1).id, reason="first")
    asked = ask(3)
    run_and_die(sample_stores, "halfway in the registry", "approve", asked.id)
    sample_stores.models.set_stages(MODEL, {2: Stage.PRODUCTION})
    expire_locks(sample_stores)
    resolve_request(sample_stores, manager, asked.id, reason="restart")
    assert stages(sample_stores) == {1: "Archived", 2: "Archived", 3: "Production"}


@pytest.mark.slow
@pytest.mark.parametrize("step", ["halfway in the registry", "before the outcome"])
def test_emergency_rollback_that_died_waits_for_a_review_all_the_same(
    sample_stores: Stores,
    manager: Actor,
    manager2: Actor,
    ask: Ask,
    step: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for version in (1, 3):
        approve(sample_stores, manager, ask(version).id, reason="fine")
    monkeypatch.setenv("MODELLEDGER_APPROVALS", f'{{"{MODEL}": 2}}')
    stores = open_stores(load_settings(home=sample_stores.settings.home))
    run_and_die(stores, step, "roll_back", MODEL)
    expire_locks(stores)
    (intent,) = stores.audit.unfinished()
    if step == "before the outcome":
        close_action(stores, manager2, intent.operation, reason="restart")
    else:
        resolve_request(stores, manager2, intent.before["request"], reason="restart")
    (finding,) = [one for one in list_findings(stores, manager2) if one.kind == "emergency rollback"]
    assert "manager alone" in finding.found
    with pytest.raises(SelfApproval):
        close_finding(stores, manager, finding.id, reason="it was right")
    assert close_finding(stores, manager2, finding.id, reason="it was right").closed_by == "manager2"
    with pytest.raises(AlreadyDecided):
        resolve_request(stores, manager2, intent.before["request"], reason="once more")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("step", "left"),
    [
        ("halfway in the registry", {1: "Archived", 2: "None", 3: "None"}),
        ("before the aliases", {1: "Archived", 2: "None", 3: "Production"}),
    ],
)
def test_where_stages_are_aliases_a_death_leaves_at_most_one_too(
    sample_stores: Stores,
    manager: Actor,
    auditor: Actor,
    ask: Ask,
    step: str,
    left: dict[int, str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("MODELLEDGER_REGISTRY_STAGES", "aliases")
    stores = open_stores(load_settings(home=sample_stores.settings.home))
    approve(stores, manager, ask(1).id, reason="first")
    asked = ask(3)
    run_and_die(stores, step, "approve", asked.id)
    assert stages(stores) == left
    (intent,) = stores.audit.unfinished()
    expire_locks(stores)
    assert resolve_request(stores, manager, asked.id, reason="restart").status is RequestStatus.APPROVED
    all_is_told(stores, auditor, intent, serving=3)
