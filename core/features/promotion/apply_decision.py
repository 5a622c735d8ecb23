"""Applies a decision: records the intended stages, checks the evidence again, and changes the registry.

If the process dies after the first step, the request stays unfinished. `reconcile` finishes or undoes it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, NoReturn

from core.audit.decisions import ModelLock
from core.entities import Actor, GateResult, ModelVersion, PromotionRequest, RequestKind, RequestStatus, Stage
from core.errors import CoreError, EvidenceChanged, Refused, RegistryUnavailable
from core.features.promotion.evaluate_gates import changed_facts, read_candidate
from core.features.promotion.review import needs_review, open_review_finding
from core.features.stores import Stores
from core.texts import text


def begin_decision(
    stores: Stores,
    request: PromotionRequest,
    *,
    actor: Actor,
    reason: str,
    gates: tuple[GateResult, ...],
    evidence: Mapping[str, Any],
    versions: tuple[ModelVersion, ...],
) -> PromotionRequest:
    """Record the decider, the gates with their evidence, and the intended stages. A rollback is first saved here.

    Raises:
        AlreadyDecided: another actor was first.
    """
    changes: dict[str, Any] = {
        "decided_by": actor.name,
        "decided_at": datetime.now(UTC),
        "reason": reason,
        **gates_at_decision(gates, evidence),
        "intended": {
            str(n): stage.value for n, stage in intended_stages(versions, request.version, request.to).items()
        },
        "previous": next((v.version for v in versions if v.stage is Stage.PRODUCTION), None),
    }
    if request.kind is RequestKind.ROLLBACK:
        return stores.decisions.add(replace(request, status=RequestStatus.UNFINISHED, **changes))
    return stores.decisions.change_status(request.id, RequestStatus.OPEN, RequestStatus.UNFINISHED, **changes)


def gates_at_decision(gates: tuple[GateResult, ...], evidence: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of a request that keep the gates as they are now, at its decision."""
    return {"decision_gates": gates, "decision_evidence": evidence, "checked_at": datetime.now(UTC)}


def apply_decision(
    stores: Stores, request: PromotionRequest, lock: ModelLock, *, before: Mapping[int, Stage]
) -> PromotionRequest:
    """Change the registry as `begin_decision` recorded, after a last check of the evidence. *lock* is held.

    If it fails and the registry surely did not change, the decision is undone. Otherwise it stays unfinished.

    Raises:
        EvidenceChanged: the request has expired.
        LeaseLost, RegistryUnavailable.
    """
    try:
        require_unchanged_evidence(stores, request)
        lock.confirm()
    except EvidenceChanged:
        raise  # the request has expired already
    except CoreError:
        undo_decision(stores, request, text("the registry was not changed"))
        raise
    intended = {int(number): Stage(stage) for number, stage in request.intended.items()}
    try:
        return finish_decision(stores, request, intended, lock)
    except CoreError as error:
        if not _is_unchanged(stores, request, before, error):
            raise RegistryUnavailable(
                "{problem} Decision {request_id} may have taken effect and stays unfinished. Resolve it on Promotions "
                "or with reconcile --resolve.",
                problem=str(error),
                request_id=request.id,
            ) from error
        undo_decision(stores, request, text("the registry was not changed"))
        raise


def require_unchanged_evidence(stores: Stores, request: PromotionRequest) -> None:
    """Read and hash the evidence again.

    Raises:
        EvidenceChanged: the evidence differs from that of the request, which has expired.
        ModelVersionNotFound, RegistryUnavailable.
    """
    changed = changed_facts(request.evidence, read_candidate(stores, request.key))
    if changed is not None:
        expire_and_raise(stores, request, changed)


def expire_and_raise(
    stores: Stores, request: PromotionRequest, changed: str, decision_gates: Mapping[str, Any] | None = None
) -> NoReturn:
    """End the request as expired and raise EvidenceChanged."""
    expired = expire_request(stores, request, changed, decision_gates)
    raise EvidenceChanged(
        "Request {request_id} has expired: {reason}. Check {model_version} and request it again.",
        request_id=expired.id,
        reason=expired.reason,
        model_version=str(expired.key),
    )


def expire_request(
    stores: Stores, request: PromotionRequest, changed: str, decision_gates: Mapping[str, Any] | None = None
) -> PromotionRequest:
    """End a request, whatever its approvals, because the facts named in *changed* changed after the request.

    *decision_gates* are the gates as they are now (`gates_at_decision`), where the request does not keep them yet.
    """
    return stores.decisions.change_status(
        request.id,
        request.status,
        RequestStatus.EXPIRED,
        decided_by=None,
        decided_at=datetime.now(UTC),
        reason=text("the evidence changed after the request ({changed})", changed=changed),
        intended={},
        previous=None,
        **(decision_gates or {}),
    )


def change_stages(stores: Stores, model: str, stages: Mapping[int, Stage], lock: ModelLock) -> None:
    """Write stages to the registry. If no answer came, the lock runs out by itself: the change may still arrive.

    Raises:
        LeaseLost, RegistryUnavailable.
    """
    try:
        stores.models.set_stages(model, stages, confirm=lock.confirm)
    except CoreError as error:
        if error.values.get("in_flight"):
            lock.leave()
        raise


def finish_decision(
    stores: Stores, request: PromotionRequest, intended: Mapping[int, Stage], lock: ModelLock
) -> PromotionRequest:
    """Write the stages to the registry, check them there, and end the request as approved. Some rollbacks get a review.

    For Production the check includes that no other version is there: a change left behind may have arrived meanwhile.
    """
    change_stages(stores, request.model, intended, lock)
    after = current_stages(stores, request.model)
    wrong = [f"{request.model}/{n}" for n, stage in intended.items() if after.get(n) is not stage]
    if request.to is Stage.PRODUCTION:
        others = (n for n, stage in after.items() if stage is Stage.PRODUCTION and n not in intended)
        wrong += [f"{request.model}/{n}" for n in others]
    if wrong:
        raise RegistryUnavailable(
            "The registry accepted the change, but {versions} has another stage than intended. See the differences on "
            "Promotions.",
            versions=", ".join(wrong),
            model=request.model,
        )
    if needs_review(stores, request):
        open_review_finding(stores, request)  # before the outcome, so that a process that dies leaves it unfinished
    return stores.decisions.change_status(
        request.id,
        RequestStatus.UNFINISHED,
        RequestStatus.APPROVED,
        intended={str(number): stage.value for number, stage in intended.items()},
        stages=stage_names(after),
    )


def undo_decision(stores: Stores, request: PromotionRequest, why: str) -> PromotionRequest:
    """Undo an unfinished decision. A request is open again; a rollback, which had no request before, has expired."""
    if request.kind is RequestKind.ROLLBACK:
        return stores.decisions.change_status(
            request.id, RequestStatus.UNFINISHED, RequestStatus.EXPIRED, reason=f"{request.reason} ({why})"
        )
    reopened: dict[str, Any] = {
        "decided_by": None,
        "decided_at": None,
        "reason": None,
        "intended": {},
        "previous": None,
        "decision_gates": None,
        "decision_evidence": None,
        "checked_at": None,
    }
    return stores.decisions.change_status(request.id, RequestStatus.UNFINISHED, RequestStatus.OPEN, **reopened)


def restore_production(stores: Stores, request: PromotionRequest, stages: Mapping[int, Stage], lock: ModelLock) -> None:
    """Put the previous version back into Production, where a change stopped halfway and none is in Production now."""
    previous = request.previous
    if previous is not None and previous in stages and Stage.PRODUCTION not in stages.values():
        change_stages(stores, request.model, {previous: Stage.PRODUCTION}, lock)


def refuse_while_unfinished(stores: Stores, model: str) -> None:
    """Raise Refused while an earlier decision on *model* is unfinished. The caller holds the model's lock."""
    for unfinished in stores.decisions.list(model=model, statuses=(RequestStatus.UNFINISHED,), limit=1):
        raise Refused(
            "Decision {request_id} of {decider} on {model_version} is unfinished. Resolve it first, on Promotions or "
            "with reconcile --resolve.",
            request_id=unfinished.id,
            decider=unfinished.decided_by,
            model_version=str(unfinished.key),
        )


def intended_stages(versions: tuple[ModelVersion, ...], version: int, to: Stage) -> dict[int, Stage]:
    """Return the stages that must change for *version* to reach *to*. Others in Production become Archived."""
    intended = {version: to}
    if to is Stage.PRODUCTION:
        intended |= {
            v.version: Stage.ARCHIVED for v in versions if v.stage is Stage.PRODUCTION and v.version != version
        }
    return intended


def current_stages(stores: Stores, model: str) -> dict[int, Stage]:
    """Return the present stage of every version in the registry."""
    return stages_of(stores.models.versions(model))


def stages_of(versions: tuple[ModelVersion, ...]) -> dict[int, Stage]:
    return {v.version: v.stage for v in versions}


def stage_names(stages: Mapping[int, Stage]) -> dict[str, str]:
    """Return version number to stage name, in the order of the numbers, as requests and audit log hold them."""
    return {str(number): stages[number].value for number in sorted(stages)}


def _is_unchanged(stores: Stores, request: PromotionRequest, before: Mapping[int, Stage], error: CoreError) -> bool:
    """Whether the registry surely did not change. A call without an answer may still take effect there."""
    if error.values.get("in_flight"):
        return False
    try:
        return current_stages(stores, request.model) == dict(before)
    except CoreError:
        return False  # unknown: reconcile will check
