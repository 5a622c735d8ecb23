"""Promotions on the sample workspace: gates, four eyes, one Production, and a registry in trouble."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier, local

import pytest

from core.audit import decisions as decision_store
from core.audit.decisions import Decisions
from core.bootstrap import open_stores
from core.entities import Actor, ModelVersionKey, Outcome, PromotionRequest, RequestKind, RequestStatus, Role, Stage
from core.errors import (
    AlreadyDecided,
    CoreError,
    DatabaseUnavailable,
    Forbidden,
    GatesFailed,
    ModelNotFound,
    ModelVersionNotFound,
    Overtaken,
    ReasonMissing,
    Refused,
    RegistryUnavailable,
    RequestNotFound,
    SelfApproval,
)
from core.features.monitoring.findings import close_finding, inspect_registry
from core.features.monitoring.reconcile import find_differences, resolve_request
from core.features.promotion.decide import approve, reject
from core.features.promotion.request_promotion import count_decisions, list_requests, preview_gates, request_promotion
from core.features.promotion.roll_back import roll_back
from core.features.stores import Stores
from core.settings import load_settings
from tests.features.dying import expire_locks

pytestmark = pytest.mark.both_databases

MODEL = "iris_classifier"

Ask = Callable[..., PromotionRequest]


@pytest.fixture
def ask(sample_stores: Stores, scientist: Actor) -> Ask:
    def request(version: int, to: Stage = Stage.PRODUCTION, reason: str = "please") -> PromotionRequest:
        return request_promotion(sample_stores, scientist, model=MODEL, version=version, to=to, reason=reason)

    return request


@pytest.fixture
def promote(sample_stores: Stores, manager: Actor, ask: Ask) -> Ask:
    return lambda version: approve(sample_stores, manager, ask(version).id, reason="the numbers hold")


def stages(stores: Stores) -> dict[int, str]:
    return {v.version: v.stage.value for v in stores.models.versions(MODEL)}


def outcomes(stores: Stores, action: str) -> list[str]:
    return [event.outcome.value for event in reversed(stores.audit.search(action=action))]


def with_policy(stores: Stores, lines: list[dict[str, object]]) -> Stores:
    """The same stores under a policy of one's own."""
    return dataclasses.replace(stores, settings=stores.settings.model_copy(update={"policies": {MODEL: lines}}))


# ------------------------------------------------------------------------------------------- asking


def test_request_keeps_the_gates_with_their_numbers_and_the_evidence(sample_stores: Stores, ask: Ask) -> None:
    asked = ask(1)
    assert (asked.status, asked.kind, asked.requested_by) == (RequestStatus.OPEN, RequestKind.PROMOTION, "scientist")
    assert {gate.name for gate in asked.gates} >= {"data version recorded", "data still readable"}
    assert all(gate.passed for gate in asked.gates), asked.gates
    run = sample_stores.runs.get(str(asked.evidence["candidate"]["run_id"]))
    assert asked.evidence["candidate"]["metrics"]["precision"] == pytest.approx(run.metrics["precision"])
    assert asked.evidence["candidate"]["data"] == {"table": "iris_training_data", "version": 0}
    assert len(asked.evidence["fingerprint"]) == 64
    assert sample_stores.decisions.get(asked.id) == asked
    assert stages(sample_stores) == {1: "None", 2: "None", 3: "None"}


def test_request_is_in_the_audit_log_with_who_and_why(sample_stores: Stores, ask: Ask) -> None:
    asked = ask(1, reason="first model of all")
    intent, outcome = reversed(sample_stores.audit.search(action="promotion.request"))
    assert (intent.outcome, outcome.outcome) == (Outcome.INTENT, Outcome.SUCCESS)
    assert (outcome.actor, outcome.subject, outcome.reason) == ("scientist", f"{MODEL}/1", "first model of all")
    assert outcome.after["request"] == asked.id


@pytest.mark.parametrize("reason", ["", "   ", "\n\t"])
def test_reason_is_needed_to_ask(sample_stores: Stores, ask: Ask, reason: str) -> None:
    with pytest.raises(ReasonMissing):
        ask(1, reason=reason)
    assert list_requests(sample_stores, Actor(name="a", roles=frozenset({Role.AUDITOR}))) == ()


def test_reason_with_markup_quotes_and_emoji_is_kept_as_written(sample_stores: Stores, ask: Ask) -> None:
    text = "<script>alert('x')</script> \"=1+1\" 🚀 Zürich; DROP TABLE requests;--"
    assert sample_stores.decisions.get(ask(1, reason=text).id).request_reason == text


def test_same_request_twice_is_refused_while_the_first_is_open(ask: Ask) -> None:
    first = ask(1)
    with pytest.raises(AlreadyDecided, match=first.id):
        ask(1)
    assert ask(1, Stage.STAGING).status is RequestStatus.OPEN


def test_version_or_model_that_is_not_there_is_named(sample_stores: Stores, scientist: Actor, ask: Ask) -> None:
    with pytest.raises(ModelVersionNotFound, match="99"):
        ask(99)
    with pytest.raises(ModelNotFound, match="nothing_like_it"):
        request_promotion(
            sample_stores, scientist, model="nothing_like_it", version=1, to=Stage.PRODUCTION, reason="please"
        )


@pytest.mark.parametrize("role", [Role.AUDITOR, Role.MANAGER, Role.ADMIN])
def test_only_a_scientist_asks_and_a_refusal_is_recorded(sample_stores: Stores, role: Role) -> None:
    other = Actor(name="somebody", roles=frozenset({role}), channel="test")
    with pytest.raises(Forbidden):
        request_promotion(sample_stores, other, model=MODEL, version=1, to=Stage.PRODUCTION, reason="please")
    assert outcomes(sample_stores, "promotion.request") == ["denied"]


def test_looking_at_the_gates_first_changes_nothing(sample_stores: Stores, auditor: Actor) -> None:
    before = sample_stores.audit.count()
    seen = preview_gates(sample_stores, auditor, ModelVersionKey(model=MODEL, version=3), Stage.PRODUCTION)
    assert seen.passed
    assert sample_stores.audit.count() == before


# ---------------------------------------------------------------------------------------- approving


def test_approved_version_is_in_production_and_the_old_one_archived(sample_stores: Stores, promote: Ask) -> None:
    first = promote(1)
    assert stages(sample_stores) == {1: "Production", 2: "None", 3: "None"}
    second = promote(3)
    assert stages(sample_stores) == {1: "Archived", 2: "None", 3: "Production"}
    assert (first.previous, second.previous) == (None, 1)
    assert second.status is RequestStatus.APPROVED
    assert second.stages == {"1": "Archived", "2": "None", "3": "Production"}
    assert (second.decided_by, second.reason) == ("manager", "the numbers hold")


def test_approval_is_in_the_audit_log_with_stages_before_and_after(sample_stores: Stores, promote: Ask) -> None:
    promote(1)
    event = sample_stores.audit.search(action="promotion.decide", outcome="success")[0]
    assert event.before["stages"] == {"1": "None", "2": "None", "3": "None"}
    assert event.after["stages"] == {"1": "Production", "2": "None", "3": "None"}
    assert sample_stores.audit.verify().ok


def test_author_of_the_request_cannot_approve_it(sample_stores: Stores) -> None:
    both = Actor(name="ada", roles=frozenset({Role.SCIENTIST, Role.MANAGER}), channel="test")
    asked = request_promotion(sample_stores, both, model=MODEL, version=1, to=Stage.PRODUCTION, reason="please")
    for decide in (approve, reject):
        with pytest.raises(SelfApproval, match="Another person must decide"):
            decide(sample_stores, both, asked.id, reason="I like it")
    assert sample_stores.decisions.get(asked.id).status is RequestStatus.OPEN
    assert outcomes(sample_stores, "promotion.decide") == ["intent", "denied", "intent", "denied"]
    assert set(stages(sample_stores).values()) == {"None"}


@pytest.mark.parametrize("role", [Role.AUDITOR, Role.SCIENTIST, Role.ADMIN])
def test_only_a_manager_decides_and_rolls_back(sample_stores: Stores, promote: Ask, ask: Ask, role: Role) -> None:
    promote(1)
    asked = ask(3)
    other = Actor(name="somebody", roles=frozenset({role}), channel="test")
    for attempt in (
        lambda: approve(sample_stores, other, asked.id, reason="please"),
        lambda: reject(sample_stores, other, asked.id, reason="please"),
        lambda: roll_back(sample_stores, other, MODEL, to=2, reason="please"),
    ):
        with pytest.raises(Forbidden):
            attempt()
    assert stages(sample_stores)[1] == "Production"
    assert sample_stores.decisions.get(asked.id).status is RequestStatus.OPEN


def test_reason_is_needed_to_decide(sample_stores: Stores, manager: Actor, ask: Ask) -> None:
    asked = ask(1)
    for decide in (approve, reject):
        with pytest.raises(ReasonMissing):
            decide(sample_stores, manager, asked.id, reason=" ")
    assert sample_stores.decisions.get(asked.id).status is RequestStatus.OPEN


def test_rejected_request_changes_no_stage_and_stays_rejected(
    sample_stores: Stores, manager: Actor, manager2: Actor, ask: Ask
) -> None:
    asked = ask(1)
    done = reject(sample_stores, manager, asked.id, reason="not yet")
    assert (done.status, done.decided_by, done.reason) == (RequestStatus.REJECTED, "manager", "not yet")
    with pytest.raises(AlreadyDecided, match="rejected by manager "):
        approve(sample_stores, manager2, asked.id, reason="but yes")
    assert set(stages(sample_stores).values()) == {"None"}


def test_unknown_request_is_named(sample_stores: Stores, manager: Actor) -> None:
    with pytest.raises(RequestNotFound, match="nope"):
        approve(sample_stores, manager, "nope", reason="please")


def test_worse_version_is_asked_for_with_its_failed_gate_and_cannot_be_approved(
    sample_stores: Stores, manager: Actor, promote: Ask, ask: Ask
) -> None:
    runs = {v.version: sample_stores.runs.get(str(v.run_id)) for v in sample_stores.models.versions(MODEL)}
    best, worst = max(runs, key=lambda n: runs[n].metrics["f1"]), min(runs, key=lambda n: runs[n].metrics["f1"])
    assert runs[best].metrics["f1"] > runs[worst].metrics["f1"], "the sample has a better and a worse version"
    promote(best)
    asked = ask(worst)
    failed = [gate for gate in asked.gates if not gate.passed]
    assert "f1 not worse than Production" in [gate.name for gate in failed]
    with pytest.raises(GatesFailed, match="f1 not worse than Production"):
        approve(sample_stores, manager, asked.id, reason="all the same")
    assert sample_stores.decisions.get(asked.id).status is RequestStatus.OPEN
    assert stages(sample_stores)[best] == "Production"


def test_gates_are_asked_again_at_approval_under_the_policy_of_then(
    sample_stores: Stores, manager: Actor, ask: Ask
) -> None:
    asked = ask(1)
    strict = with_policy(sample_stores, [{"gate": "at_least", "metric": "f1", "bound": 1.01}])
    with pytest.raises(GatesFailed, match=r"at least 1\.01"):
        approve(strict, manager, asked.id, reason="please")


def test_policy_without_gates_lets_nothing_into_production(sample_stores: Stores, manager: Actor, ask: Ask) -> None:
    asked = ask(1)
    with pytest.raises(GatesFailed, match="no gates"):
        approve(with_policy(sample_stores, []), manager, asked.id, reason="please")


@pytest.mark.parametrize("to", [Stage.STAGING, Stage.ARCHIVED])
def test_other_stages_leave_production_alone(
    sample_stores: Stores, manager: Actor, promote: Ask, ask: Ask, to: Stage
) -> None:
    promote(1)
    done = approve(sample_stores, manager, ask(2, to).id, reason="fine")
    assert done.status is RequestStatus.APPROVED
    assert stages(sample_stores) == {1: "Production", 2: to.value, 3: "None"}


@pytest.mark.both_databases(every_run=True)
def test_two_who_approve_at_once_one_wins_and_the_other_is_told_who(
    sample_stores: Stores, manager: Actor, manager2: Actor, ask: Ask
) -> None:
    asked = ask(1)
    start = Barrier(2)

    def decide(actor: Actor) -> str:
        own = open_stores(sample_stores.settings)
        start.wait()
        try:
            return approve(own, actor, asked.id, reason="fine").decided_by or ""
        except AlreadyDecided as error:
            return f"told: {error}"

    with ThreadPoolExecutor(2) as pool:
        said = list(pool.map(decide, [manager, manager2]))
    winner = next(text for text in said if not text.startswith("told"))
    loser = next(text for text in said if text.startswith("told"))
    assert f"by {winner} (" in loser
    assert stages(sample_stores) == {1: "Production", 2: "None", 3: "None"}
    assert sorted(outcomes(sample_stores, "promotion.decide")) == ["denied", "intent", "intent", "success"]


def test_who_decides_on_another_sight_than_what_serves_now_is_told_and_may_look_again(
    sample_stores: Stores, manager: Actor, manager2: Actor, ask: Ask
) -> None:
    first, second = ask(1), ask(3)
    seen = count_decisions(sample_stores, manager2, MODEL)
    approve(sample_stores, manager, first.id, reason="fine")
    with pytest.raises(Overtaken, match=f"manager moved {MODEL}/1 to Production meanwhile"):
        approve(sample_stores, manager2, second.id, reason="fine", seen_decisions=seen)
    assert sample_stores.decisions.get(second.id).status is RequestStatus.OPEN
    assert stages(sample_stores) == {1: "Production", 2: "None", 3: "None"}
    approve(sample_stores, manager2, second.id, reason="better than that one, too")
    assert stages(sample_stores) == {1: "Archived", 2: "None", 3: "Production"}


def test_two_who_promote_different_versions_at_once_one_wins_and_the_other_is_told_what_serves(
    sample_stores: Stores, manager: Actor, manager2: Actor, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = {"manager": ask(1), "manager2": ask(3)}
    both, first_look, made = Barrier(2), local(), Decisions.count_approved

    def both_have_looked(decisions: Decisions, model: str) -> int:
        found = made(decisions, model)
        if not hasattr(first_look, "done"):
            first_look.done = True
            both.wait()
        return found

    monkeypatch.setattr(Decisions, "count_approved", both_have_looked)

    def decide(actor: Actor) -> str:
        try:
            return approve(open_stores(sample_stores.settings), actor, asked[actor.name].id, reason="fine").id
        except Overtaken as error:
            return str(error)

    with ThreadPoolExecutor(2) as pool:
        said = dict(zip(asked, pool.map(decide, [manager, manager2]), strict=True))
    winner = next(name for name in asked if said[name] == asked[name].id)
    (loser,) = set(asked) - {winner}
    assert f"{winner} moved {asked[winner].key} to Production meanwhile" in said[loser]
    assert sample_stores.decisions.get(asked[loser].id).status is RequestStatus.OPEN
    assert [n for n, stage in stages(sample_stores).items() if stage == "Production"] == [asked[winner].version]


# ------------------------------------------------------------------------------- a registry in trouble


def test_registry_that_fails_before_anything_changed_leaves_the_request_open(
    sample_stores: Stores, manager: Actor, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = ask(1)

    def down(model: str, stages: object, **_: object) -> None:
        raise RegistryUnavailable("MLflow does not answer.")

    monkeypatch.setattr(sample_stores.models, "set_stages", down)
    with pytest.raises(RegistryUnavailable):
        approve(sample_stores, manager, asked.id, reason="fine")
    again = sample_stores.decisions.get(asked.id)
    assert (again.status, again.decided_by, dict(again.intended)) == (RequestStatus.OPEN, None, {})
    assert outcomes(sample_stores, "promotion.decide") == ["intent", "failed"]
    monkeypatch.undo()
    assert approve(sample_stores, manager, asked.id, reason="now").status is RequestStatus.APPROVED


def test_registry_that_fails_halfway_leaves_the_decision_unfinished_and_blocks_the_next(
    sample_stores: Stores, manager: Actor, promote: Ask, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    promote(1)
    asked, other = ask(3), ask(2)
    whole = sample_stores.models.set_stages

    def half(model: str, stages: dict[int, Stage], **_: object) -> None:
        whole(model, {number: stage for number, stage in stages.items() if stage is Stage.ARCHIVED})
        raise RegistryUnavailable("MLflow does not answer.")

    monkeypatch.setattr(sample_stores.models, "set_stages", half)
    with pytest.raises(RegistryUnavailable):
        approve(sample_stores, manager, asked.id, reason="fine")
    monkeypatch.undo()
    unfinished = sample_stores.decisions.get(asked.id)
    assert unfinished.status is RequestStatus.UNFINISHED
    assert unfinished.intended == {"1": "Archived", "3": "Production"}
    with pytest.raises(Refused, match=asked.id):
        approve(sample_stores, manager, other.id, reason="then this one")
    with pytest.raises(Refused, match=asked.id):
        roll_back(sample_stores, manager, MODEL, to=1, reason="back")


def test_change_that_arrives_late_never_makes_a_second_one_in_production(
    sample_stores: Stores,
    manager: Actor,
    auditor: Actor,
    promote: Ask,
    ask: Ask,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    promote(1)
    asked, other = ask(3), ask(2)
    whole, late = sample_stores.models.set_stages, []

    def unanswered(model: str, stages: dict[int, Stage], **_: object) -> None:
        late.append(stages)
        raise RegistryUnavailable("MLflow does not answer.", in_flight=True)

    monkeypatch.setattr(sample_stores.models, "set_stages", unanswered)
    with pytest.raises(RegistryUnavailable, match="unfinished"):
        approve(sample_stores, manager, asked.id, reason="fine")
    monkeypatch.undo()

    # Nobody takes it back or promotes another one while it may still arrive.
    monkeypatch.setattr(decision_store, "_LOCK_WAIT_S", 0.2)
    for meanwhile in (
        lambda: resolve_request(sample_stores, manager, asked.id, reason="restart"),
        lambda: approve(sample_stores, manager, other.id, reason="then this one"),
    ):
        with pytest.raises(DatabaseUnavailable, match="MLflow did not answer the last decision"):
            meanwhile()
    whole(MODEL, late[0])
    expire_locks(sample_stores)
    assert resolve_request(sample_stores, manager, asked.id, reason="restart").status is RequestStatus.APPROVED
    assert {v.version: v.stage.value for v in sample_stores.models.versions(MODEL)} == {
        1: "Archived",
        2: "None",
        3: "Production",
    }
    assert find_differences(sample_stores, auditor) == ()


def test_another_version_found_in_production_at_the_end_leaves_the_decision_unfinished(
    sample_stores: Stores, manager: Actor, promote: Ask, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    promote(1)
    asked, whole = ask(3), sample_stores.models.set_stages

    def crossed(model: str, stages: dict[int, Stage], **confirm: object) -> None:
        whole(model, stages, **confirm)
        whole(model, {2: Stage.PRODUCTION})

    monkeypatch.setattr(sample_stores.models, "set_stages", crossed)
    with pytest.raises(RegistryUnavailable, match=f"{MODEL}/2"):
        approve(sample_stores, manager, asked.id, reason="fine")
    monkeypatch.undo()
    assert sample_stores.decisions.get(asked.id).status is RequestStatus.UNFINISHED
    resolve_request(sample_stores, manager, asked.id, reason="another one was there")
    assert [v.version for v in sample_stores.models.versions(MODEL) if v.stage is Stage.PRODUCTION] == [3]


def test_who_takes_production_away_first_does_not_escape_the_comparison(
    sample_stores: Stores, scientist: Actor, manager: Actor, promote: Ask, ask: Ask
) -> None:
    promote(3)
    away = request_promotion(
        sample_stores, scientist, model=MODEL, version=3, to=Stage.ARCHIVED, reason="out of the way"
    )
    approve(sample_stores, manager, away.id, reason="fine")
    kept, worse = sample_stores.decisions.get(away.id).evidence["candidate"]["metrics"], ask(1)
    assert worse.evidence["production"]["model_version"] == f"{MODEL}/3"
    assert worse.evidence["production"]["metrics"] == kept
    compared = [gate.detail for gate in worse.gates if gate.name == "precision not worse than Production"]
    assert compared[0].startswith("precision is ")
    assert f"for {MODEL}/3 (last in Production)" in compared[0]
    assert "No version is in Production" in next(
        gate.detail for gate in ask(3).gates if gate.name == "precision not worse than Production"
    )


# ------------------------------------------------------------------------------------- runs in trouble


def test_version_whose_run_was_deleted_fails_a_gate_that_says_so(sample_stores: Stores, ask: Ask) -> None:
    from mlflow import MlflowClient

    run_id = sample_stores.models.version(ModelVersionKey(model=MODEL, version=1)).run_id
    MlflowClient(sample_stores.settings.tracking_uri).delete_run(run_id)
    failed = [gate.detail for gate in ask(1).gates if not gate.passed]
    assert any("was deleted" in detail for detail in failed)


def test_a_number_that_was_edited_after_the_run_stops_a_promotion_until_its_finding_is_closed(
    sample_stores: Stores, auditor: Actor, manager: Actor, ask: Ask
) -> None:
    run_id = sample_stores.models.version(ModelVersionKey(model=MODEL, version=3)).run_id
    sample_stores.runs.log(str(run_id), metrics={"f1": 0.999})
    (found,) = inspect_registry(sample_stores, auditor)
    asked = ask(3)
    assert [g.detail for g in asked.gates if not g.passed] == [
        f"Open: metric changed (finding {found.id}). Repair the cause or close the finding with a reason first."
    ]
    with pytest.raises(GatesFailed, match=found.id):
        approve(sample_stores, manager, asked.id, reason="a fine number")
    close_finding(sample_stores, manager, found.id, reason="measured again by hand: it is right")
    assert approve(sample_stores, manager, asked.id, reason="a fine number").status is RequestStatus.APPROVED


def test_a_finding_that_is_seen_no_more_or_is_about_another_version_stops_nothing(
    sample_stores: Stores, auditor: Actor, ask: Ask
) -> None:
    run_id = str(sample_stores.models.version(ModelVersionKey(model=MODEL, version=3)).run_id)
    logged = sample_stores.runs.get(run_id).metrics["f1"]
    sample_stores.runs.log(run_id, metrics={"f1": 0.999})
    inspect_registry(sample_stores, auditor)
    assert all(gate.passed for gate in ask(1).gates)
    sample_stores.runs.log(run_id, metrics={"f1": logged})
    inspect_registry(sample_stores, auditor)
    assert all(gate.passed for gate in ask(3).gates)


def test_undefined_metric_fails_the_comparison_in_words(sample_stores: Stores, ask: Ask) -> None:
    run_id = sample_stores.models.version(ModelVersionKey(model=MODEL, version=1)).run_id
    sample_stores.runs.log(str(run_id), metrics={"f1": float("nan")})
    asked = ask(1)
    assert any("has no f1, or its value is not a number" in gate.detail for gate in asked.gates if not gate.passed)
    assert asked.evidence["candidate"]["metrics"]["f1"] == "NaN" or asked.evidence["candidate"]["metrics"]["f1"] != 0
    assert sample_stores.decisions.get(asked.id).evidence["candidate"]["metrics"]["f1"] == "NaN"


def test_policy_that_cannot_be_used_is_told_in_one_sentence(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODELLEDGER_POLICIES", '{"*": [{"gate": "moon_phase"}]}')
    from core.features.promotion.policy import check_policies

    with pytest.raises(CoreError, match="moon_phase"):
        check_policies(load_settings(home=home).policies)
