"""Open requests are evaluated when they are looked at; a decision keeps the gates of the request and its own."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from mlflow import MlflowClient

from core.entities import Actor, ModelVersionKey, PromotionRequest, RequestStatus, Stage
from core.errors import AlreadyDecided, EvidenceChanged, RegistryUnavailable
from core.features.open_requests import present_gates
from core.features.open_requests.present_gates import MOST_PER_LIST, present_gates_of
from core.features.promotion import evaluate_gates
from core.features.promotion.decide import approve, reject
from core.features.promotion.request_promotion import list_requests, request_promotion
from core.features.promotion.roll_back import roll_back
from core.features.stores import Stores

MODEL = "iris_classifier"


@pytest.fixture(autouse=True)
def nothing_kept() -> None:
    present_gates._kept.clear()


def ask(stores: Stores, scientist: Actor, version: int) -> PromotionRequest:
    return request_promotion(stores, scientist, model=MODEL, version=version, to=Stage.PRODUCTION, reason="r")


def promote(stores: Stores, scientist: Actor, manager: Actor, version: int) -> PromotionRequest:
    return approve(stores, manager, ask(stores, scientist, version).id, reason="r")


def failed(gates: Any) -> bool:
    return not all(gate.passed for gate in gates)


def test_request_that_passed_fails_after_another_version_took_production(
    sample_stores: Stores, scientist: Actor, manager: Actor
) -> None:
    request = ask(sample_stores, scientist, 2)
    assert request.at_request.passed
    promote(sample_stores, scientist, manager, 3)
    present = present_gates.present_gates(sample_stores, manager, request)
    assert present is not None
    assert present.check.passed is False
    assert present.check.compared_with == f"{MODEL}/3"
    assert any(
        change.endswith(f": passed when requested; fails now: Production changed to {MODEL}/3.")
        for change in present.changes
    )
    assert present.expiry is None
    (listed,) = present_gates_of(sample_stores, manager, list_requests(sample_stores, manager)).values()
    assert (listed.check.gates, listed.changes) == (present.check.gates, present.changes)


def test_decision_keeps_the_gates_of_the_request_and_its_own(
    sample_stores: Stores, scientist: Actor, manager: Actor
) -> None:
    promote(sample_stores, scientist, manager, 1)
    promote(sample_stores, scientist, manager, 3)
    request = ask(sample_stores, scientist, 2)
    assert (request.at_request.passed, request.at_request.compared_with) == (False, f"{MODEL}/3")
    roll_back(sample_stores, manager, MODEL, to=1, reason="r")
    present = present_gates.present_gates(sample_stores, manager, request)
    assert present is not None
    assert any("failed when requested; passes now: Production changed to" in change for change in present.changes)
    approved = approve(sample_stores, manager, request.id, reason="r")
    decision = approved.at_decision
    assert decision is not None
    assert (decision.passed, decision.compared_with, decision.is_rival_in_production) == (True, f"{MODEL}/1", True)
    assert (approved.at_request.passed, approved.at_request.compared_with) == (False, f"{MODEL}/3")
    assert approved.at_request.at == request.requested_at < decision.at
    assert present_gates.present_gates(sample_stores, manager, approved) is None
    assert sample_stores.row_integrity.tampered_rows() == ()
    event = list(sample_stores.audit.events())[-1]
    assert (event.after["compared_with"], event.after["gates_passed"]) == (f"{MODEL}/1", True)


def test_rejection_keeps_the_gates_as_they_are_then(
    sample_stores: Stores, scientist: Actor, manager: Actor, manager2: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = ask(sample_stores, scientist, 2)
    promote(sample_stores, scientist, manager, 3)
    rejected = reject(sample_stores, manager, request.id, reason="r")
    assert rejected.at_request.passed
    assert rejected.at_decision is not None
    assert (rejected.at_decision.passed, rejected.at_decision.compared_with) == (False, f"{MODEL}/3")

    other = ask(sample_stores, scientist, 1)

    def away(*_: Any, **__: Any) -> None:
        raise RegistryUnavailable("MLflow does not answer.")

    monkeypatch.setattr(sample_stores.models, "production", away)
    refused = reject(sample_stores, manager2, other.id, reason="r")
    assert refused.status is RequestStatus.REJECTED
    assert refused.at_decision is not None
    assert (refused.at_decision.passed, refused.at_decision.problem) == (None, "MLflow does not answer.")


def test_expired_request_keeps_the_gates_as_they_are_then(
    sample_stores: Stores, scientist: Actor, manager: Actor
) -> None:
    request = ask(sample_stores, scientist, 3)
    client = MlflowClient(sample_stores.settings.tracking_uri)
    run_id = sample_stores.models.version(ModelVersionKey(model=MODEL, version=3)).run_id
    client.log_metric(str(run_id), "fairness", 1.0)
    present = present_gates.present_gates(sample_stores, manager, request)
    assert present is not None
    assert present.expiry == "metrics"
    with pytest.raises(EvidenceChanged):
        approve(sample_stores, manager, request.id, reason="r")
    expired = sample_stores.decisions.get(request.id)
    assert expired.at_decision is not None
    assert expired.at_decision.evidence is not None
    assert expired.at_decision.evidence["candidate"]["metrics"]["fairness"] == 1.0
    assert "fairness" not in expired.at_request.evidence["candidate"]["metrics"]  # type: ignore[index]


def test_result_is_kept_until_something_changes_that_it_depends_on(
    sample_stores: Stores, scientist: Actor, manager: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = ask(sample_stores, scientist, 2)
    evaluations: list[str] = []
    whole = evaluate_gates.evaluate_gates

    def counted(stores: Stores, key: ModelVersionKey, *rest: Any, **options: Any) -> Any:
        evaluations.append(str(key))
        return whole(stores, key, *rest, **options)

    monkeypatch.setattr(present_gates, "evaluate_gates", counted)
    first = present_gates.present_gates(sample_stores, manager, request)
    assert present_gates.present_gates(sample_stores, manager, request) == first
    assert len(evaluations) == 1
    client = MlflowClient(sample_stores.settings.tracking_uri)
    client.set_model_version_tag(MODEL, "2", "note", "x")
    present_gates.present_gates(sample_stores, manager, request)
    assert len(evaluations) == 2


def test_outage_is_the_answer_for_all_requests_of_a_list_after_one_call(
    sample_stores: Stores, scientist: Actor, manager: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    requests = [ask(sample_stores, scientist, version) for version in (1, 2, 3)]
    calls: list[str] = []

    def away(model: str) -> None:
        calls.append(model)
        raise RegistryUnavailable("MLflow does not answer.")

    monkeypatch.setattr(sample_stores.models, "versions", away)
    present = present_gates_of(sample_stores, manager, requests)
    assert [entry.check.problem for entry in present.values()] == ["MLflow does not answer."] * 3
    assert len(calls) == 1
    assert len(present_gates_of(sample_stores, manager, requests * 20)) <= MOST_PER_LIST


@pytest.mark.both_databases
def test_people_who_ask_at_once_get_one_request(sample_stores: Stores, scientist: Actor) -> None:
    ready = threading.Barrier(4)

    def once(_: int) -> str:
        ready.wait()
        try:
            return ask(sample_stores, scientist, 3).id
        except AlreadyDecided as error:
            return str(error)

    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(once, range(4)))
    (request,) = list_requests(sample_stores, scientist)
    assert answers.count(request.id) == 1
    refusal = f"scientist already requested Production for {MODEL}/3. Request {request.id} is open."
    assert answers.count(refusal) == 3
    assert sample_stores.row_integrity.tampered_rows() == ()
