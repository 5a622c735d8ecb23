"""Carries out a decision: intent into the request, evidence hashed once more, stages into the registry, outcome.

Killed after the first step the request is unfinished; `reconcile` finishes or undoes it.
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


def begin_decision(
    stores: Stores,
    request: PromotionRequest,
    *,
    actor: Actor,
    reason: str,
    gates: tuple[GateResult, ...],
    versions: tuple[ModelVersion, ...],
) -> PromotionRequest:
    """Writes down who decided and which stages are about to change; a rollback is kept here for the first time.

    Raises AlreadyDecided: somebody else was first.
    """
    changes: dict[str, Any] = {
        "decided_by": actor.name,
        "decided_at": datetime.now(UTC),
        "reason": reason,
        "gates": gates,
        "intended": {
            str(n): stage.value for n, stage in intended_stages(versions, request.version, request.to).items()
        },
        "previous": next((v.version for v in versions if v.stage is Stage.PRODUCTION), None),
    }
    if request.kind is RequestKind.ROLLBACK:
        return stores.decisions.add(replace(request, status=RequestStatus.UNFINISHED, **changes))
    return stores.decisions.move(request.id, RequestStatus.OPEN, RequestStatus.UNFINISHED, **changes)


def apply_decision(
    stores: Stores, request: PromotionRequest, lock: ModelLock, *, before: Mapping[int, Stage]
) -> PromotionRequest:
    """Changes the registry as `begin` wrote it down, after a last look at the evidence. Hold the model's lock.

    Where it fails and nothing changed the decision is undone; where that is not known it stays unfinished.
    Raises EvidenceChanged (expired), LeaseLost, RegistryUnavailable.
    """
    try:
        require_unchanged_evidence(stores, request)
        lock.confirm()
    except EvidenceChanged:
        raise  # it has expired
    except CoreError:
        undo_decision(stores, request, "the registry was not changed")
        raise
    intended = {int(number): Stage(stage) for number, stage in request.intended.items()}
    try:
        return finish_decision(stores, request, intended, lock)
    except CoreError as error:
        if not _is_unchanged(stores, request, before, error):
            raise RegistryUnavailable(
                f"{error} The decision {request.id} was begun and may have taken effect: it is unfinished until it is "
                "resolved (Promotions, or reconcile --resolve).",
                request_id=request.id,
            ) from error
        undo_decision(stores, request, "the registry was not changed")
        raise


def require_unchanged_evidence(stores: Stores, request: PromotionRequest) -> None:
    """Hashes the evidence again. Raises EvidenceChanged, ModelVersionNotFound, RegistryUnavailable."""
    changed = changed_facts(request.evidence, read_candidate(stores, request.key))
    if changed is not None:
        expire_and_raise(stores, request, changed)


def expire_and_raise(stores: Stores, request: PromotionRequest, changed: str) -> NoReturn:
    """Ends the request and raises EvidenceChanged."""
    done = expire_request(stores, request, changed)
    raise EvidenceChanged(
        f"Request {done.id} has expired: {done.reason}; look at {done.key} and ask again.", request_id=done.id
    )


def expire_request(stores: Stores, request: PromotionRequest, changed: str) -> PromotionRequest:
    """Ends a request, however many have approved it, because *changed* of its evidence is no longer what it was."""
    return stores.decisions.move(
        request.id,
        request.status,
        RequestStatus.EXPIRED,
        decided_by=None,
        decided_at=datetime.now(UTC),
        reason=f"what was asked for has changed since ({changed})",
        intended={},
        previous=None,
    )


def change_stages(stores: Stores, model: str, stages: Mapping[int, Stage], lock: ModelLock) -> None:
    """Stages into the registry. Where no answer came the lock is left to run out: the change may still arrive.

    Raises LeaseLost, RegistryUnavailable.
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
    """Stages into the registry, looks that they are there, and ends the request as approved; some wait for a review.

    For Production it looks as well that no other version is there: a change left behind may have arrived meanwhile.
    """
    change_stages(stores, request.model, intended, lock)
    after = current_stages(stores, request.model)
    astray = [f"{request.model}/{n}" for n, stage in intended.items() if after.get(n) is not stage]
    if request.to is Stage.PRODUCTION:
        serving = (n for n, stage in after.items() if stage is Stage.PRODUCTION and n not in intended)
        astray += [f"{request.model}/{n}" for n in serving]
    if astray:
        raise RegistryUnavailable(
            f"The registry took the change of {', '.join(astray)} and shows another stage; look at the differences on "
            "Promotions.",
            model=request.model,
        )
    if needs_review(stores, request):
        open_review_finding(stores, request)  # before the outcome: whoever dies in between leaves it to be finished
    return stores.decisions.move(
        request.id,
        RequestStatus.UNFINISHED,
        RequestStatus.APPROVED,
        intended={str(number): stage.value for number, stage in intended.items()},
        stages=stage_names(after),
    )


def undo_decision(stores: Stores, request: PromotionRequest, why: str) -> PromotionRequest:
    """Takes an unfinished decision back: a request is open again; a rollback nobody asked for before has expired."""
    if request.kind is RequestKind.ROLLBACK:
        return stores.decisions.move(
            request.id, RequestStatus.UNFINISHED, RequestStatus.EXPIRED, reason=f"{request.reason} ({why})"
        )
    reopened: dict[str, Any] = {
        "decided_by": None,
        "decided_at": None,
        "reason": None,
        "intended": {},
        "previous": None,
    }
    return stores.decisions.move(request.id, RequestStatus.UNFINISHED, RequestStatus.OPEN, **reopened)


def restore_production(stores: Stores, request: PromotionRequest, now: Mapping[int, Stage], lock: ModelLock) -> None:
    """What served before serves again, where a change was left halfway and nothing else serves meanwhile."""
    served = request.previous
    if served is not None and served in now and Stage.PRODUCTION not in now.values():
        change_stages(stores, request.model, {served: Stage.PRODUCTION}, lock)


def refuse_while_unfinished(stores: Stores, model: str) -> None:
    """Raises Refused while an earlier decision on *model* is unfinished. Hold the lock: then nobody is at it."""
    for other in stores.decisions.list(model=model, statuses=(RequestStatus.UNFINISHED,), limit=1):
        raise Refused(
            f"The decision {other.id} of {other.decided_by} on {other.key} was begun and not ended; resolve it first "
            "(Promotions, or reconcile --resolve).",
            request_id=other.id,
        )


def intended_stages(versions: tuple[ModelVersion, ...], version: int, to: Stage) -> dict[int, Stage]:
    """What has to change so that *version* is in *to*; for Production every other one there becomes Archived."""
    intended = {version: to}
    if to is Stage.PRODUCTION:
        intended |= {
            v.version: Stage.ARCHIVED for v in versions if v.stage is Stage.PRODUCTION and v.version != version
        }
    return intended


def current_stages(stores: Stores, model: str) -> dict[int, Stage]:
    """Stage of every version as the registry says now."""
    return stages_of(stores.models.versions(model))


def stages_of(versions: tuple[ModelVersion, ...]) -> dict[int, Stage]:
    return {v.version: v.stage for v in versions}


def stage_names(stages: Mapping[int, Stage]) -> dict[str, str]:
    """For the request and the audit log: version number to the stage's word, in the order of the numbers."""
    return {str(number): stages[number].value for number in sorted(stages)}


def _is_unchanged(stores: Stores, request: PromotionRequest, before: Mapping[int, Stage], error: CoreError) -> bool:
    """Whether the registry surely is as it was: a call that got no answer may still be carried out there."""
    if error.values.get("in_flight"):
        return False
    try:
        return current_stages(stores, request.model) == dict(before)
    except CoreError:
        return False  # unknown: reconcile will look
