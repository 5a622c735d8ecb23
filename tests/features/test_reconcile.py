"""What was begun and not ended, and what was changed behind our back: shown, resolved by whom it concerns."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from core.access.permissions import Action
from core.bootstrap import open_stores
from core.entities import Actor, Difference, Outcome, PromotionRequest, RequestStatus, Stage
from core.errors import AlreadyDecided, Forbidden, ReasonMissing, RegistryUnavailable, RequestNotFound
from core.features.monitoring import reconcile
from core.features.monitoring.findings import inspect_registry
from core.features.monitoring.reconcile import (
    MISSING,
    SEVERAL,
    STAGE,
    UNFINISHED_ACTION,
    close_action,
    find_differences,
    resolve_request,
)
from core.features.promotion.decide import approve
from core.features.promotion.request_promotion import request_promotion
from core.features.stores import Stores
from tests.features.dying import expire_locks, run_and_die

ROOT = Path(__file__).resolve().parent.parent.parent
MODEL = "iris_classifier"


@pytest.fixture
def ask(sample_stores: Stores, scientist: Actor) -> Callable[[int], PromotionRequest]:
    return lambda version: request_promotion(
        sample_stores, scientist, model=MODEL, version=version, to=Stage.PRODUCTION, reason="please"
    )


def stages(stores: Stores) -> dict[int, str]:
    return {v.version: v.stage.value for v in stores.models.versions(MODEL)}


def kinds(found: tuple[Difference, ...]) -> list[str]:
    return [difference.kind for difference in found]


def test_only_a_manager_resolves_with_a_reason_and_once(
    sample_stores: Stores, manager: Actor, scientist: Actor, ask: Callable[[int], PromotionRequest]
) -> None:
    asked = ask(3)
    run_and_die(sample_stores, "before the registry", "approve", asked.id)
    expire_locks(sample_stores)
    with pytest.raises(Forbidden):
        resolve_request(sample_stores, scientist, asked.id, reason="me too")
    with pytest.raises(ReasonMissing):
        resolve_request(sample_stores, manager, asked.id, reason="")
    assert sample_stores.decisions.get(asked.id).status is RequestStatus.UNFINISHED
    resolve_request(sample_stores, manager, asked.id, reason="restart")
    with pytest.raises(AlreadyDecided, match="Only an unfinished request can be resolved"):
        resolve_request(sample_stores, manager, asked.id, reason="again")
    with pytest.raises(RequestNotFound):
        resolve_request(sample_stores, manager, "nope", reason="restart")


_INGESTER = """
import os, signal, sys
from pathlib import Path
from core.bootstrap import open_stores
from core.entities import Actor, Role
from core.access.permissions import Action
from core.settings import load_settings
stores = open_stores(load_settings(home=Path(sys.argv[1])))
who = Actor(name="scientist", roles=frozenset({Role.SCIENTIST}), channel="test")
with stores.audit.recording(who, Action.DATA_INGEST, "sales", reason="monthly"):
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_any_action_that_died_is_shown_and_closed_as_failed(stores: Stores, manager: Actor, auditor: Actor) -> None:
    done = subprocess.run([sys.executable, "-c", _INGESTER, str(stores.settings.home)], cwd=ROOT, check=False)
    assert done.returncode == -signal.SIGKILL
    (found,) = find_differences(stores, auditor)
    assert (found.kind, found.subject) == (UNFINISHED_ACTION, "sales")
    assert "scientist began data.ingest" in found.detail
    with pytest.raises(Forbidden):
        close_action(stores, auditor, str(found.request_id), reason="I saw it")
    closed = close_action(stores, manager, str(found.request_id), reason="power cut")
    assert (closed.outcome, closed.action, closed.subject) == (Outcome.FAILED, "data.ingest", "sales")
    assert "power cut" in closed.reason
    assert find_differences(stores, auditor) == ()
    with pytest.raises(RequestNotFound):
        close_action(stores, manager, str(found.request_id), reason="again")


def test_work_that_a_live_job_is_doing_is_not_unfinished(stores: Stores, scientist: Actor, auditor: Actor) -> None:
    job = stores.jobs.submit("train", {}, scientist)
    stores.jobs.claim("w1")
    intent = stores.audit.append(scientist, Action.RUN_TRAIN.value, "iris", Outcome.INTENT)
    stores.jobs.remember(job.id, 1, {"operation": intent.operation})
    assert find_differences(stores, auditor) == ()
    stores.jobs.fail(job.id, 1, "boom")
    assert kinds(find_differences(stores, auditor)) == [UNFINISHED_ACTION]


# --------------------------------------------------------------------------------- behind our back


def test_untouched_sample_differs_in_nothing(sample_stores: Stores, auditor: Actor) -> None:
    assert find_differences(sample_stores, auditor) == ()


def test_stage_changed_outside_is_shown_and_not_repaired(
    sample_stores: Stores, manager: Actor, auditor: Actor, ask: Callable[[int], PromotionRequest]
) -> None:
    approve(sample_stores, manager, ask(1).id, reason="first")
    sample_stores.models.set_stages(MODEL, {1: Stage.ARCHIVED})
    (found,) = find_differences(sample_stores, auditor)
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
    (found,) = find_differences(sample_stores, auditor)
    assert (found.subject, found.expected, found.found) == (f"{MODEL}/2", "None", "Production")
    assert "No decision was ever made" in found.detail


def test_two_in_production_are_shown(
    sample_stores: Stores, manager: Actor, auditor: Actor, ask: Callable[[int], PromotionRequest]
) -> None:
    approve(sample_stores, manager, ask(1).id, reason="first")
    sample_stores.models.set_stages(MODEL, {2: Stage.PRODUCTION})
    found = find_differences(sample_stores, auditor)
    assert SEVERAL in kinds(found)
    assert next(one for one in found if one.kind == SEVERAL).found == "1, 2"


def test_version_deleted_from_the_registry_is_shown(
    sample_stores: Stores, manager: Actor, auditor: Actor, ask: Callable[[int], PromotionRequest]
) -> None:
    from mlflow import MlflowClient

    approve(sample_stores, manager, ask(1).id, reason="first")
    client = MlflowClient(sample_stores.settings.tracking_uri)
    client.delete_model_version(MODEL, "3")
    found = find_differences(open_stores(sample_stores.settings), auditor)
    assert [(one.kind, one.subject) for one in found] == [(MISSING, f"{MODEL}/3")]


def test_model_version_trained_after_the_decision_is_no_difference(
    sample_stores: Stores, manager: Actor, auditor: Actor, ask: Callable[[int], PromotionRequest]
) -> None:
    approve(sample_stores, manager, ask(1).id, reason="first")
    first = sample_stores.models.version(ask(2).key)
    sample_stores.models.register(MODEL, source=str(first.source), run_id=str(first.run_id), tags={})
    assert find_differences(sample_stores, auditor) == ()


def test_registry_that_does_not_answer_is_told_not_guessed(
    sample_stores: Stores, auditor: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    def down(model: str | None = None) -> None:
        raise RegistryUnavailable("MLflow does not answer.")

    monkeypatch.setattr(sample_stores.models, "versions", down)
    with pytest.raises(RegistryUnavailable):
        find_differences(sample_stores, auditor)


def test_action_that_ends_during_an_inspection_is_no_finding(
    sample_stores: Stores, scientist: Actor, auditor: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    find = reconcile.find_changes

    def while_somebody_ingests(stores: Stores) -> tuple[Difference, ...]:
        with stores.audit.recording(scientist, Action.DATA_INGEST, "sales"):
            return find(stores)

    monkeypatch.setattr(reconcile, "find_changes", while_somebody_ingests)
    assert inspect_registry(sample_stores, auditor) == ()
    assert sample_stores.findings.list() == ()
