"""Requests a stage for a model version, and reads requests, their approvals and a preview of their gates."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import uuid4

from core.access.permissions import Action
from core.audit.row_snapshots import request_snapshot
from core.entities import Actor, Approval, ModelVersionKey, PromotionRequest, RequestKind, RequestStatus, Stage
from core.errors import RequestNotFound
from core.features.promotion.evaluate_gates import GateEvaluation, evaluate_gates
from core.features.promotion.reason import require_reason
from core.features.stores import Stores


def list_requests(stores: Stores, actor: Actor, *, model: str | None = None) -> tuple[PromotionRequest, ...]:
    """Return requests and rollbacks, newest first."""
    stores.audit.require(actor, Action.PROMOTION_READ, model or "")
    return stores.decisions.list(model=model)


def list_approvals(stores: Stores, actor: Actor, request: PromotionRequest) -> tuple[Approval, ...]:
    """Return the approvals of a request so far, oldest first."""
    stores.audit.require(actor, Action.PROMOTION_READ, str(request.key))
    return stores.decisions.approvals(request.id)


def count_decisions(stores: Stores, actor: Actor, model: str) -> int:
    """Return how many decisions on *model* were applied so far. A page that shows the model's stages remembers it."""
    stores.audit.require(actor, Action.PROMOTION_READ, model)
    return stores.decisions.count_approved(model)


def find_request(stores: Stores, actor: Actor, action: Action, request_id: str) -> PromotionRequest:
    """Return the request that *action* is about. Only an actor who may do *action* learns that it does not exist.

    Raises:
        RequestNotFound, Forbidden.
    """
    try:
        return stores.decisions.get(request_id)
    except RequestNotFound:
        stores.audit.require(actor, action, request_id)
        raise


def preview_gates(stores: Stores, actor: Actor, key: ModelVersionKey, to: Stage) -> GateEvaluation:
    """Run the gates without making a request. Changes nothing."""
    stores.audit.require(actor, Action.PROMOTION_READ, str(key))
    return evaluate_gates(stores, key, to)


def request_promotion(
    stores: Stores, actor: Actor, *, model: str, version: int, to: Stage, reason: str
) -> PromotionRequest:
    """Request the stage *to* for a version. The request keeps the results of the gates and the evidence.

    A request whose gates fail is kept too: it cannot be approved, but shows who requested what and why it failed.

    Raises:
        AlreadyDecided: the same request is open already, or another actor makes it at this moment.
        ReasonMissing, ModelVersionNotFound, RegistryUnavailable.
    """
    key = ModelVersionKey(model=model, version=version)
    request_id = uuid4().hex[:12]
    before = {"to": to.value, "request": request_id}
    with stores.audit.recording(
        actor, Action.PROMOTION_REQUEST, str(key), reason=reason, before=before, snapshot=request_snapshot(request_id)
    ) as record:
        reason = require_reason(reason)
        stores.decisions.refuse_second(model, version, to)
        evaluation = evaluate_gates(stores, key, to)
        request = PromotionRequest(
            id=request_id,
            kind=RequestKind.PROMOTION,
            model=model,
            version=version,
            to=to,
            status=RequestStatus.OPEN,
            gates=evaluation.gates,
            requested_by=actor.name,
            requested_at=datetime.now(UTC),
            request_reason=reason,
            evidence=evaluation.evidence,
        )
        stores.decisions.add(request)
        record.after = {"request": request.id, "to": to.value, "gates_passed": evaluation.passed}
        record.after["gates"] = [gate.record for gate in evaluation.gates]
    return request
