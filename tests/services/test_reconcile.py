"""Killed between intent, registry and outcome: shown, then finished or undone. Changes behind our back: shown."""

from __future__ import annotations

import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from core.bootstrap import open_stores
from core.entities import Actor, Difference, Outcome, PromotionRequest, RequestStatus, Stage
from core.errors import (
    AlreadyDecided,
    Forbidden,
    ReasonMissing,
    RegistryUnavailable,
    RequestNotFound,
    SelfApproval,
)
from core.permissions import Action
from core.services.decide import approve, request_promotion
from core.services.findings import close_finding, list_findings
from core.services.prove import search_audit
from core.services.reconcile import (
    MISSING,
    SEVERAL,
    STAGE,
    UNFINISHED_ACTION,
    UNFINISHED_REQUEST,
    close_action,
    differences,
    resolve,
)
from core.services.stores import Stores
from core.settings import load_settings
from tests.services.dying import STEPS

ROOT = Path(__file__).resolve().parent.parent.parent
MODEL = "iris_classifier"


@pytest.fixture
def ask(sample_stores: Stores, scientist: Actor) -> Callable[[int], PromotionRequest]:
    return lambda version: request_promotion(
        sample_stores, scientist, model=MODEL, version=version, to=Stage.PRODUCTION, reason="please"
    )


def die(stores: Stores, step: str, verb: str, argument: str) -> None:
    """A process of its own carries *verb* out and is killed at *step*."""
    command = [sys.executable, "-m", "tests.services.dying", str(stores.settings.home), step, verb, argument]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr


def expire_locks(stores: Stores) -> None:
    """What a minute of waiting does: the lease of the dead promoter runs out."""
    connection = sqlite3.connect(stores.settings.home / "modelledger.db")
    with connection:
        assert connection.execute("SELECT count(*) FROM locks").fetchone()[0] == 1
        connection.execute("UPDATE locks SET expires = '2000-01-01T00:00:00.000000+00:00'")
    connection.close()


def stages(stores: Stores) -> dict[int, str]:
    return {v.version: v.stage.value for v in stores.models.versions(MODEL)}


def kinds(found: tuple[Difference, ...]) -> list[str]:
    return [difference.kind for difference in found]


# What each death leaves: the request's status, the stages, and what resolving makes of them.
AFTER = {
    "before the decision": ("open", {1: "Production", 2: "None", 3: "None"}),
    "before the registry": ("unfinished", {1: "Production", 2: "None", 3: "None"}),
    "halfway in the registry": ("unfinished", {1: "Archived", 2: "None", 3: "None"}),
    "after the registry": ("unfinished", {1: "Archived", 2: "None", 3: "Production"}),
    "before the outcome": ("approved", {1: "Archived", 2: "None", 3: "Production"}),
}
DONE = {1: "Archived", 2: "None", 3: "Production"}
UNDONE = {1: "Production", 2: "None", 3: "None"}
RESOLVED = {
    "before the registry": ("open", UNDONE),
    "halfway in the registry": ("approved", DONE),
    "after the registry": ("approved", DONE),
}


@pytest.mark.parametrize("step", STEPS)
def test_approval_killed_at_a_step_is_shown_and_resolved(
    sample_stores: Stores, manager: Actor, auditor: Actor, ask: Callable[[int], PromotionRequest], step: str
) -> None:
    approve(sample_stores, manager, ask(1).id, reason="first")
    asked = ask(3)
    die(sample_stores, step, "approve", asked.id)
    stores = open_stores(sample_stores.settings)

    status, left = AFTER[step]
    assert stores.decisions.get(asked.id).status.value == status
    assert stages(stores) == left
    (intent,) = stores.audit.unfinished()
    assert (intent.action, intent.actor, intent.before["request"]) == ("promotion.decide", "manager", asked.id)

    found = differences(stores, auditor)
    assert len(found) == 1, found
    expire_locks(stores)
    if status == "unfinished":
        assert (found[0].kind, found[0].request_id) == (UNFINISHED_REQUEST, asked.id)
        done = resolve(stores, manager, asked.id, reason="the server was restarted")
        expected_status, expected_stages = RESOLVED[step]
        assert done.status.value == expected_status
        assert stages(stores) == expected_stages
    else:
        assert (found[0].kind, found[0].request_id) == (UNFINISHED_ACTION, intent.operation)
        closed = close_action(stores, manager, intent.operation, reason="the server was restarted")
        assert closed.outcome is (Outcome.SUCCESS if status == "approved" else Outcome.FAILED)
        assert stages(stores) == left

    assert differences(stores, auditor) == ()
    assert stores.audit.unfinished() == ()
    assert stores.audit.verify().ok
    ended = search_audit(stores, auditor, operation=intent.operation)
    assert len(ended) == 2, "one intent, one outcome"
    assert "manager" in ended[0].reason


def test_open_request_can_be_approved_after_it_was_undone(
    sample_stores: Stores, manager: Actor, manager2: Actor, ask: Callable[[int], PromotionRequest]
) -> None:
    asked = ask(3)
    die(sample_stores, "before the registry", "approve", asked.id)
    expire_locks(sample_stores)
    resolve(sample_stores, manager, asked.id, reason="restart")
    done = approve(sample_stores, manager2, asked.id, reason="again")
    assert (done.status, done.decided_by) == (RequestStatus.APPROVED, "manager2")
    assert stages(sample_stores)[3] == "Production"


@pytest.mark.parametrize(
    ("step", "status", "expected"),
    [
        ("before the registry", "expired", DONE),
        ("halfway in the registry", "approved", UNDONE | {3: "Archived"}),
        ("after the registry", "approved", UNDONE | {3: "Archived"}),
    ],
)
def test_rollback_killed_at_a_step_is_finished_or_undone(
    sample_stores: Stores,
    manager: Actor,
    ask: Callable[[int], PromotionRequest],
    step: str,
    status: str,
    expected: dict[int, str],
) -> None:
    for version in (1, 3):
        approve(sample_stores, manager, ask(version).id, reason="fine")
    die(sample_stores, step, "roll_back", MODEL)
    (found,) = differences(sample_stores, manager)
    assert found.kind == UNFINISHED_REQUEST
    expire_locks(sample_stores)
    done = resolve(sample_stores, manager, str(found.request_id), reason="restart")
    assert done.status.value == status
    assert stages(sample_stores) == expected
    assert differences(sample_stores, manager) == ()


@pytest.mark.parametrize("step", ["after the registry", "before the outcome"])
def test_an_emergency_rollback_that_died_waits_for_a_review_too_once_it_is_resolved(
    sample_stores: Stores,
    manager: Actor,
    manager2: Actor,
    ask: Callable[[int], PromotionRequest],
    step: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for version in (1, 3):
        approve(sample_stores, manager2, ask(version).id, reason="fine")
    monkeypatch.setenv("MODELLEDGER_APPROVALS", f'{{"{MODEL}": 2}}')
    stores = open_stores(load_settings(home=sample_stores.settings.home))
    die(stores, step, "roll_back", MODEL)
    (left,) = differences(stores, manager2)
    expire_locks(stores)
    if step == "before the outcome":
        close_action(stores, manager2, str(left.request_id), reason="power cut")
    else:
        resolve(stores, manager2, str(left.request_id), reason="power cut")
    (finding,) = list_findings(stores, manager2)
    assert (finding.kind, finding.subject) == ("emergency rollback", f"{MODEL}/1")
    assert finding.found == "rolled back by manager alone"
    with pytest.raises(SelfApproval, match="somebody else"):
        close_finding(stores, manager, finding.id, reason="all fine")


def test_resolving_leaves_one_in_production_even_if_another_was_put_there_meanwhile(
    sample_stores: Stores, manager: Actor, ask: Callable[[int], PromotionRequest]
) -> None:
    approve(sample_stores, manager, ask(1).id, reason="first")
    asked = ask(3)
    die(sample_stores, "halfway in the registry", "approve", asked.id)
    sample_stores.models.set_stages(MODEL, {2: Stage.PRODUCTION})
    expire_locks(sample_stores)
    resolve(sample_stores, manager, asked.id, reason="restart")
    assert stages(sample_stores) == {1: "Archived", 2: "Archived", 3: "Production"}


def test_only_a_manager_resolves_with_a_reason_and_once(
    sample_stores: Stores, manager: Actor, scientist: Actor, ask: Callable[[int], PromotionRequest]
) -> None:
    asked = ask(3)
    die(sample_stores, "before the registry", "approve", asked.id)
    expire_locks(sample_stores)
    with pytest.raises(Forbidden):
        resolve(sample_stores, scientist, asked.id, reason="me too")
    with pytest.raises(ReasonMissing):
        resolve(sample_stores, manager, asked.id, reason="")
    assert sample_stores.decisions.get(asked.id).status is RequestStatus.UNFINISHED
    resolve(sample_stores, manager, asked.id, reason="restart")
    with pytest.raises(AlreadyDecided, match="nothing is unfinished"):
        resolve(sample_stores, manager, asked.id, reason="again")
    with pytest.raises(RequestNotFound):
        resolve(sample_stores, manager, "nope", reason="restart")


_INGESTER = """
import os, signal, sys
from pathlib import Path
from core.bootstrap import open_stores
from core.entities import Actor, Role
from core.permissions import Action
from core.settings import load_settings
stores = open_stores(load_settings(home=Path(sys.argv[1])))
who = Actor(name="scientist", roles=frozenset({Role.SCIENTIST}), channel="test")
with stores.audit.recording(who, Action.DATA_INGEST, "sales", reason="monthly"):
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_any_action_that_died_is_shown_and_closed_as_failed(stores: Stores, manager: Actor, auditor: Actor) -> None:
    done = subprocess.run([sys.executable, "-c", _INGESTER, str(stores.settings.home)], cwd=ROOT, check=False)
    assert done.returncode == -signal.SIGKILL
    (found,) = differences(stores, auditor)
    assert (found.kind, found.subject) == (UNFINISHED_ACTION, "sales")
    assert "scientist began data.ingest" in found.detail
    with pytest.raises(Forbidden):
        close_action(stores, auditor, str(found.request_id), reason="I saw it")
    closed = close_action(stores, manager, str(found.request_id), reason="power cut")
    assert (closed.outcome, closed.action, closed.subject) == (Outcome.FAILED, "data.ingest", "sales")
    assert "power cut" in closed.reason
    assert differences(stores, auditor) == ()
    with pytest.raises(RequestNotFound):
        close_action(stores, manager, str(found.request_id), reason="again")


def test_work_that_a_live_job_is_doing_is_not_unfinished(stores: Stores, scientist: Actor, auditor: Actor) -> None:
    job = stores.jobs.submit("train", {}, scientist)
    stores.jobs.claim("w1")
    intent = stores.audit.append(scientist, Action.RUN_TRAIN.value, "iris", Outcome.INTENT)
    stores.jobs.remember(job.id, 1, {"operation": intent.operation})
    assert differences(stores, auditor) == ()
    stores.jobs.fail(job.id, 1, "boom")
    assert kinds(differences(stores, auditor)) == [UNFINISHED_ACTION]


# --------------------------------------------------------------------------------- behind our back


def test_untouched_sample_differs_in_nothing(sample_stores: Stores, auditor: Actor) -> None:
    assert differences(sample_stores, auditor) == ()


def test_stage_changed_outside_is_shown_and_not_repaired(
    sample_stores: Stores, manager: Actor, auditor: Actor, ask: Callable[[int], PromotionRequest]
) -> None:
    approve(sample_stores, manager, ask(1).id, reason="first")
    sample_stores.models.set_stages(MODEL, {1: Stage.ARCHIVED})
    (found,) = differences(sample_stores, auditor)
    assert (found.kind, found.subject, found.expected, found.found) == (
        STAGE,
        f"{MODEL}/1",
        "Production",
        "Archived",
    )
    assert "manager" in found.detail
    assert stages(sample_stores)[1] == "Archived"


def test_version_put_into_production_without_any_decision_is_shown(sample_stores: Stores, auditor: Actor) -> None:
    sample_stores.models.set_stages(MODEL, {2: Stage.PRODUCTION})
    (found,) = differences(sample_stores, auditor)
    assert (found.subject, found.expected, found.found) == (f"{MODEL}/2", "None", "Production")
    assert "no decision was ever made" in found.detail


def test_two_in_production_are_shown(
    sample_stores: Stores, manager: Actor, auditor: Actor, ask: Callable[[int], PromotionRequest]
) -> None:
    approve(sample_stores, manager, ask(1).id, reason="first")
    sample_stores.models.set_stages(MODEL, {2: Stage.PRODUCTION})
    found = differences(sample_stores, auditor)
    assert SEVERAL in kinds(found)
    assert next(one for one in found if one.kind == SEVERAL).found == "1, 2"


def test_version_deleted_from_the_registry_is_shown(
    sample_stores: Stores, manager: Actor, auditor: Actor, ask: Callable[[int], PromotionRequest]
) -> None:
    from mlflow import MlflowClient

    approve(sample_stores, manager, ask(1).id, reason="first")
    client = MlflowClient(sample_stores.settings.tracking_uri)
    client.delete_model_version(MODEL, "3")
    found = differences(open_stores(sample_stores.settings), auditor)
    assert [(one.kind, one.subject) for one in found] == [(MISSING, f"{MODEL}/3")]


def test_model_version_trained_after_the_decision_is_no_difference(
    sample_stores: Stores, manager: Actor, auditor: Actor, ask: Callable[[int], PromotionRequest]
) -> None:
    approve(sample_stores, manager, ask(1).id, reason="first")
    first = sample_stores.models.version(ask(2).key)
    sample_stores.models.register(MODEL, source=str(first.source), run_id=str(first.run_id), tags={})
    assert differences(sample_stores, auditor) == ()


def test_registry_that_does_not_answer_is_told_not_guessed(
    sample_stores: Stores, auditor: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    def down(model: str | None = None) -> None:
        raise RegistryUnavailable("MLflow does not answer.")

    monkeypatch.setattr(sample_stores.models, "versions", down)
    with pytest.raises(RegistryUnavailable):
        differences(sample_stores, auditor)
