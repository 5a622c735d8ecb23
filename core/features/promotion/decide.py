"""Decides: asks for a stage, approves, rejects, rolls back. The decision is the truth, the stage its projection."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from uuid import uuid4

from core.access.permissions import Action
from core.audit.canonical_json import storable
from core.audit.row_snapshots import of_request
from core.entities import (
    Actor,
    Approval,
    GateResult,
    ModelVersion,
    ModelVersionKey,
    PromotionRequest,
    RequestKind,
    RequestStatus,
    Stage,
)
from core.errors import (
    AlreadyDecided,
    GatesFailed,
    ModelVersionNotFound,
    NothingInProduction,
    Overtaken,
    ReasonMissing,
    Refused,
    RequestNotFound,
)
from core.features.promotion.apply_decision import (
    apply_decision,
    begin_decision,
    expire_and_raise,
    refuse_while_unfinished,
    stage_names,
    stages_of,
)
from core.features.promotion.evaluate_gates import GateEvaluation, changed_facts, evaluate_gates
from core.features.promotion.four_eyes import refuse_own_request, refuse_second_approval
from core.features.promotion.gates import passes
from core.features.promotion.review import approvals_needed, needs_review
from core.features.promotion.rollback_checks import check_rollback, require_rollback_target
from core.features.stores import Stores

_LONGEST_REASON = 4_000


def list_requests(stores: Stores, actor: Actor, *, model: str | None = None) -> tuple[PromotionRequest, ...]:
    """Return requests and rollbacks, newest first."""
    stores.audit.require(actor, Action.PROMOTION_READ, model or "")
    return stores.decisions.list(model=model)


def preview_gates(stores: Stores, actor: Actor, key: ModelVersionKey, to: Stage) -> GateEvaluation:
    """What the gates would say now. Changes nothing."""
    stores.audit.require(actor, Action.PROMOTION_READ, str(key))
    return evaluate_gates(stores, key, to)


def request_promotion(
    stores: Stores, actor: Actor, *, model: str, version: int, to: Stage, reason: str
) -> PromotionRequest:
    """Asks that a version be moved to *to*; the gates' verdicts and the evidence are kept with the request.

    A request whose gates fail is kept too: it cannot be approved, but it shows that it was asked and why not.
    Raises ReasonMissing, ModelVersionNotFound, AlreadyDecided (the same is already asked), RegistryUnavailable.
    """
    key = ModelVersionKey(model=model, version=version)
    request_id = uuid4().hex[:12]
    before = {"to": to.value, "request": request_id}
    with stores.audit.recording(
        actor, Action.PROMOTION_REQUEST, str(key), reason=reason, before=before, binds=of_request(request_id)
    ) as record:
        reason = require_reason(reason)
        for other in stores.decisions.list(model=model, statuses=(RequestStatus.OPEN,)):
            if other.version == version and other.to is to:
                raise AlreadyDecided(
                    f"{other.requested_by} already asked for {key} in {to.value} (request {other.id}); it is open.",
                    request_id=other.id,
                )
        seen = evaluate_gates(stores, key, to)
        request = PromotionRequest(
            id=request_id,
            kind=RequestKind.PROMOTION,
            model=model,
            version=version,
            to=to,
            status=RequestStatus.OPEN,
            gates=seen.gates,
            requested_by=actor.name,
            requested_at=datetime.now(UTC),
            request_reason=reason,
            evidence=seen.evidence,
        )
        stores.decisions.add(request)
        record.after = {"request": request.id, "to": to.value, "gates_passed": seen.passed}
        record.after["gates"] = [asdict(gate) for gate in seen.gates]
    return request


def approve(
    stores: Stores, actor: Actor, request_id: str, *, reason: str, seen_decisions: int | None = None
) -> PromotionRequest:
    """Approves an open request and carries it out: the old Production version becomes Archived in the same step.

    Where the policy asks for more people the request stays open until enough have approved. *seen_decisions*: how many
    decisions on the model there were when the person looked (`decisions_made`); default now.
    Raises SelfApproval, AlreadyDecided (names who was first), Overtaken (another decision on the model came in
    between), GatesFailed (the request stays open), EvidenceChanged (it expires), ReasonMissing, RegistryUnavailable
    (open where nothing was changed, else unfinished).
    """
    request = find_request(stores, actor, Action.PROMOTION_DECIDE, request_id)
    basis = stores.decisions.made(request.model) if seen_decisions is None else seen_decisions
    before = {"request": request.id, "status": request.status.value}
    with stores.audit.recording(
        actor, Action.PROMOTION_DECIDE, str(request.key), reason=reason, before=before, binds=of_request(request.id)
    ) as record:
        reason = require_reason(reason)
        refuse_own_request(stores, request, actor)
        with stores.decisions.lock(request.model) as lock:
            _refuse_unless_open(stores, request.id)
            refuse_while_unfinished(stores, request.model)
            _refuse_overtaken(stores, request.model, basis)
            seen = evaluate_gates(stores, request.key, request.to)
            changed = changed_facts(request.evidence, seen.candidate)
            if changed is not None:
                expire_and_raise(stores, request, changed)
            if not seen.passed:
                raise GatesFailed(_failed_gates(request, seen.gates), request_id=request.id)
            needed = approvals_needed(stores, request.key, request.to, stage=seen.version.stage)
            said_yes = stores.decisions.approvals(request.id)
            if len(said_yes) < needed:
                refuse_second_approval(stores, actor, said_yes)
                said_yes = stores.decisions.add_approval(
                    Approval(request_id=request.id, by=actor.name, at=datetime.now(UTC), reason=reason)
                )
            if len(said_yes) < needed:
                record.after = {"request": request.id, "decision": f"approved, {len(said_yes)} of {needed}"}
                return request
            versions = stores.models.versions(request.model)
            was = stages_of(versions)
            record.before["stages"] = stage_names(was)
            begun = begin_decision(stores, request, actor=actor, reason=reason, gates=seen.gates, versions=versions)
            done = apply_decision(stores, begun, lock, before=was)
        record.after = {"request": done.id, "decision": "approved", "stages": dict(done.stages)}
    return done


def decisions_made(stores: Stores, actor: Actor, model: str) -> int:
    """How many decisions on *model* were carried out so far: what a page that shows its stages stands on."""
    stores.audit.require(actor, Action.PROMOTION_READ, model)
    return stores.decisions.made(model)


def list_approvals(stores: Stores, actor: Actor, request: PromotionRequest) -> tuple[Approval, ...]:
    """Who said yes so far, in order."""
    stores.audit.require(actor, Action.PROMOTION_READ, str(request.key))
    return stores.decisions.approvals(request.id)


def reject(stores: Stores, actor: Actor, request_id: str, *, reason: str) -> PromotionRequest:
    """Rejects an open request; no stage changes. Raises AlreadyDecided, SelfApproval, ReasonMissing."""
    request = find_request(stores, actor, Action.PROMOTION_DECIDE, request_id)
    before = {"request": request.id, "status": request.status.value}
    with stores.audit.recording(
        actor, Action.PROMOTION_DECIDE, str(request.key), reason=reason, before=before, binds=of_request(request.id)
    ) as record:
        reason = require_reason(reason)
        refuse_own_request(stores, request, actor)
        done = stores.decisions.move(
            request.id,
            RequestStatus.OPEN,
            RequestStatus.REJECTED,
            decided_by=actor.name,
            decided_at=datetime.now(UTC),
            reason=reason,
        )
        record.after = {"request": done.id, "decision": "rejected"}
    return done


def roll_back(
    stores: Stores,
    actor: Actor,
    model: str,
    *,
    to: int | None = None,
    reason: str,
    seen_decisions: int | None = None,
) -> PromotionRequest:
    """Puts an earlier version back into Production, after a check that it loads and that its data can be read.

    One person may do it even where a promotion asks for several, or to an earlier version that nobody ever approved;
    then a finding waits for another's review. *to*: default the version that was in Production before;
    *seen_decisions* as in `approve`: of two people who roll back at once the second is told. Raises
    NothingInProduction, ModelVersionNotFound, Refused (no earlier version), Overtaken, GatesFailed (with what the check
    found), ReasonMissing, RegistryUnavailable.
    """
    request_id = uuid4().hex[:12]
    basis = stores.decisions.made(model) if seen_decisions is None else seen_decisions
    before = {"to": to, "request": request_id}
    with stores.audit.recording(
        actor, Action.PROMOTION_ROLLBACK, model, reason=reason, before=before, binds=of_request(request_id)
    ) as record:
        reason = require_reason(reason)
        with stores.decisions.lock(model) as lock:
            refuse_while_unfinished(stores, model)
            _refuse_overtaken(stores, model, basis)
            versions = stores.models.versions(model)
            was = stages_of(versions)
            record.before["stages"] = stage_names(was)
            key = ModelVersionKey(model=model, version=_previous_version(stores, model, versions) if to is None else to)
            record.subject = str(key)
            seen = evaluate_gates(stores, key, Stage.PRODUCTION)
            if seen.version.stage is Stage.PRODUCTION:
                raise Refused(f"{key} is in Production already; nothing to roll back.")
            require_rollback_target(stores, key, versions)
            gates = check_rollback(stores, seen)
            request = PromotionRequest(
                id=request_id,
                kind=RequestKind.ROLLBACK,
                model=model,
                version=key.version,
                to=Stage.PRODUCTION,
                status=RequestStatus.OPEN,
                gates=gates,
                requested_by=actor.name,
                requested_at=datetime.now(UTC),
                request_reason=reason,
                evidence=seen.evidence,
            )
            if not passes(gates):
                raise GatesFailed(_failed_gates(request, gates), request_id=None)
            begun = begin_decision(stores, request, actor=actor, reason=reason, gates=gates, versions=versions)
            done = apply_decision(stores, begun, lock, before=was)
        word = "rolled back by one person, waits for a review" if needs_review(stores, done) else "rolled back"
        record.after = {"request": done.id, "decision": word, "stages": dict(done.stages)}
        record.after["gates"] = [asdict(gate) for gate in gates]
    return done


def find_request(stores: Stores, actor: Actor, action: Action, request_id: str) -> PromotionRequest:
    """The request that *action* is about; that it is not there is told only to who may do that.

    Raises RequestNotFound, Forbidden.
    """
    try:
        return stores.decisions.get(request_id)
    except RequestNotFound:
        stores.audit.require(actor, action, request_id)
        raise


def _refuse_unless_open(stores: Stores, request_id: str) -> None:
    """Raises AlreadyDecided in the words of the decision store."""
    stores.decisions.move(request_id, RequestStatus.OPEN, RequestStatus.OPEN)


def _refuse_overtaken(stores: Stores, model: str, basis: int) -> None:
    """Who decides has looked at what serves; where that changed meanwhile they look again. Hold the model's lock.

    Raises Overtaken, which names who was first.
    """
    if stores.decisions.made(model) == basis:
        return
    first = stores.decisions.last(model)
    raise Overtaken(
        f"{first.decided_by} moved {first.key} to {first.to.value} meanwhile (request {first.id}); nothing was "
        "changed: look at what serves now and decide again.",
        request_id=first.id,
        decided_by=first.decided_by,
    )


def _failed_gates(request: PromotionRequest, gates: tuple[GateResult, ...]) -> str:
    said = " ".join(f"{gate.name}: {gate.detail}" for gate in gates if not gate.passed)
    return f"{request.key} does not pass for {request.to.value}. {said}"


def _previous_version(stores: Stores, model: str, versions: tuple[ModelVersion, ...]) -> int:
    """The version that was in Production before, from the decisions."""
    serving = next((v.version for v in versions if v.stage is Stage.PRODUCTION), None)
    there = {v.version for v in versions}
    for decision in stores.decisions.list(model=model, statuses=(RequestStatus.APPROVED,)):
        if decision.to is Stage.PRODUCTION and decision.version == serving and decision.previous in there:
            return int(decision.previous)
    if serving is None:
        raise NothingInProduction(f"No version of {model} is in Production; name one with --to N.", model=model)
    raise ModelVersionNotFound(
        f"No earlier version of {model} was in Production before version {serving}; name one with --to N.", model=model
    )


def require_reason(reason: str) -> str:
    """The reason as it is kept. Raises ReasonMissing."""
    text = storable(reason).strip()
    if not text:
        raise ReasonMissing("A reason is needed: say in a sentence why; it is kept in the audit log.")
    if len(text) > _LONGEST_REASON:
        raise ReasonMissing(f"The reason is longer than {_LONGEST_REASON} characters; shorten it.")
    return text
