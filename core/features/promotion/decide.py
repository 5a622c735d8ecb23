"""Approves and rejects requests. The decision is the truth; the registry's stage follows it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from core.access.permissions import Action
from core.audit.row_snapshots import request_snapshot
from core.entities import Actor, Approval, GateResult, ModelVersionKey, PromotionRequest, RequestStatus, Stage
from core.errors import CoreError, GatesFailed, Overtaken
from core.features.promotion.apply_decision import (
    apply_decision,
    begin_decision,
    expire_and_raise,
    gates_at_decision,
    refuse_while_unfinished,
    stage_names,
    stages_of,
)
from core.features.promotion.evaluate_gates import GateEvaluation, changed_facts, evaluate_gates
from core.features.promotion.four_eyes import refuse_own_request, refuse_second_approval
from core.features.promotion.gates import passes
from core.features.promotion.reason import require_reason
from core.features.promotion.request_promotion import find_request
from core.features.promotion.review import approvals_needed
from core.features.stores import Stores


def approve(
    stores: Stores, actor: Actor, request_id: str, *, reason: str, seen_decisions: int | None = None
) -> PromotionRequest:
    """Approve an open request and apply it. The old Production version becomes Archived in the same step.

    Where the policy needs more approvals, the request stays open until enough people approved. *seen_decisions* is the
    count of decisions on the model (`count_decisions`) when the person opened the page; by default the present count.

    Raises:
        SelfApproval: the actor may be the requester.
        AlreadyDecided: another actor was first; the message names the actor.
        Overtaken: another decision on the model was applied meanwhile.
        GatesFailed: the request stays open.
        EvidenceChanged: the request has expired.
        RegistryUnavailable: the request is open where nothing changed, else unfinished.
        ReasonMissing.
    """
    request = find_request(stores, actor, Action.PROMOTION_DECIDE, request_id)
    basis = stores.decisions.count_approved(request.model) if seen_decisions is None else seen_decisions
    before = {"request": request.id, "status": request.status.value}
    with stores.audit.recording(
        actor,
        Action.PROMOTION_DECIDE,
        str(request.key),
        reason=reason,
        before=before,
        snapshot=request_snapshot(request.id),
    ) as record:
        reason = require_reason(reason)
        refuse_own_request(stores, request, actor)
        with stores.decisions.lock(request.model) as lock:
            _refuse_unless_open(stores, request.id)
            refuse_while_unfinished(stores, request.model)
            refuse_overtaken(stores, request.model, basis)
            evaluation = _evaluate_again(stores, request)
            needed = approvals_needed(stores, request.key, request.to, stage=evaluation.version.stage)
            approvals = _add_approval(stores, request, actor, reason, needed=needed)
            if len(approvals) < needed:
                record.after = {"request": request.id, "decision": f"approved, {len(approvals)} of {needed}"}
                return request
            versions = stores.models.versions(request.model)
            stages = stages_of(versions)
            record.before["stages"] = stage_names(stages)
            begun = begin_decision(
                stores,
                request,
                actor=actor,
                reason=reason,
                gates=evaluation.gates,
                evidence=evaluation.evidence,
                versions=versions,
            )
            approved = apply_decision(stores, begun, lock, before=stages)
        record.after = {"request": approved.id, "decision": "approved", "stages": dict(approved.stages)}
        record.after |= logged_gates(approved)
    return approved


def reject(stores: Stores, actor: Actor, request_id: str, *, reason: str) -> PromotionRequest:
    """Reject an open request. No stage changes. The rejection keeps the gates as they are at this moment.

    Raises:
        AlreadyDecided, SelfApproval, ReasonMissing.
    """
    request = find_request(stores, actor, Action.PROMOTION_DECIDE, request_id)
    before = {"request": request.id, "status": request.status.value}
    with stores.audit.recording(
        actor,
        Action.PROMOTION_DECIDE,
        str(request.key),
        reason=reason,
        before=before,
        snapshot=request_snapshot(request.id),
    ) as record:
        reason = require_reason(reason)
        refuse_own_request(stores, request, actor)
        _refuse_unless_open(stores, request.id)
        decision_gates = _gates_now(stores, request)
        rejected = stores.decisions.change_status(
            request.id,
            RequestStatus.OPEN,
            RequestStatus.REJECTED,
            decided_by=actor.name,
            decided_at=datetime.now(UTC),
            reason=reason,
            **decision_gates,
        )
        record.after = {"request": rejected.id, "decision": "rejected", **logged_gates(rejected)}
    return rejected


def logged_gates(request: PromotionRequest) -> dict[str, Any]:
    """Return what an event of a decision says about the gates: which passed, and the version compared with."""
    check = request.at_decision
    if check is None:
        return {}
    gates = [gate.record for gate in check.gates or ()]
    return {"decision_gates": gates, "gates_passed": check.passed, "compared_with": check.compared_with}


def refuse_overtaken(stores: Stores, model: str, seen_decisions: int) -> None:
    """Refuse a decision where another decision on the model was applied after the actor looked at its stages.

    The caller holds the model's lock.

    Raises:
        Overtaken: names the actor who was first.
    """
    if stores.decisions.count_approved(model) == seen_decisions:
        return
    first = stores.decisions.last_approved(model)
    raise Overtaken(
        "{decided_by} moved {model_version} to {stage} meanwhile (request {request_id}). Nothing was changed. Check "
        "which version is in Production now and decide again.",
        decided_by=first.decided_by,
        model_version=str(first.key),
        stage=first.to.value,
        request_id=first.id,
    )


def require_gates(key: ModelVersionKey, to: Stage, gates: tuple[GateResult, ...], *, request_id: str | None) -> None:
    """Raise GatesFailed, with the details of the failed gates, unless all gates passed."""
    if passes(gates):
        return
    raise GatesFailed(
        "{model_version} does not pass the gates for {stage}. {details}",
        model_version=str(key),
        stage=to.value,
        details=" ".join(f"{gate.name}: {gate.detail}" for gate in gates if not gate.passed),
        request_id=request_id,
    )


def _refuse_unless_open(stores: Stores, request_id: str) -> None:
    """Raise AlreadyDecided with the message of the decision store."""
    stores.decisions.change_status(request_id, RequestStatus.OPEN, RequestStatus.OPEN)


def _evaluate_again(stores: Stores, request: PromotionRequest) -> GateEvaluation:
    """Evaluate the request with its present evidence, which must be that of the request."""
    evaluation = evaluate_gates(stores, request.key, request.to)
    changed = changed_facts(request.evidence, evaluation.candidate)
    if changed is not None:
        expire_and_raise(stores, request, changed, gates_at_decision(evaluation.gates, evaluation.evidence))
    require_gates(request.key, request.to, evaluation.gates, request_id=request.id)
    return evaluation


def _gates_now(stores: Stores, request: PromotionRequest) -> dict[str, Any]:
    """Evaluate the gates for the record. A request can be rejected although its gates cannot be evaluated."""
    try:
        evaluation = evaluate_gates(stores, request.key, request.to)
    except CoreError as error:
        return gates_at_decision((), {"problem": str(error)})
    return gates_at_decision(evaluation.gates, evaluation.evidence)


def _add_approval(
    stores: Stores, request: PromotionRequest, actor: Actor, reason: str, *, needed: int
) -> tuple[Approval, ...]:
    """Add the actor's approval where one is missing, and return all approvals."""
    approvals = stores.decisions.approvals(request.id)
    if len(approvals) >= needed:
        return approvals
    refuse_second_approval(stores, actor, approvals)
    return stores.decisions.add_approval(
        Approval(request_id=request.id, by=actor.name, at=datetime.now(UTC), reason=reason)
    )
