"""Carries out a decision: intent into the request, stages into the registry, outcome into the request.

Killed after the first step the request is unfinished; `reconcile` finishes or undoes it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from core.audit.decisions import ModelLock
from core.entities import Actor, GateResult, ModelVersion, PromotionRequest, RequestKind, RequestStatus, Stage
from core.errors import CoreError, Refused, RegistryUnavailable
from core.services.stores import Stores


def begin(
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


def carry_out(
    stores: Stores, request: PromotionRequest, lock: ModelLock, *, before: Mapping[int, Stage]
) -> PromotionRequest:
    """Changes the registry as `begin` wrote it down. Where it fails and nothing changed, the decision is undone."""
    try:
        lock.confirm()
        intended = {int(number): Stage(stage) for number, stage in request.intended.items()}
        return finish(stores, request, intended)
    except CoreError:
        _undo_if_nothing_changed(stores, request, before)
        raise


def finish(stores: Stores, request: PromotionRequest, intended: Mapping[int, Stage]) -> PromotionRequest:
    """Stages into the registry, looks that they are there, and ends the request as approved."""
    stores.models.set_stages(request.model, intended)
    after = current_stages(stores, request.model)
    astray = [f"{request.model}/{n}" for n, stage in intended.items() if after.get(n) is not stage]
    if astray:
        raise RegistryUnavailable(
            f"The registry took the change of {', '.join(astray)} and shows another stage; look at the differences on "
            "Promotions.",
            model=request.model,
        )
    return stores.decisions.move(
        request.id,
        RequestStatus.UNFINISHED,
        RequestStatus.APPROVED,
        intended={str(number): stage.value for number, stage in intended.items()},
        stages=named(after),
    )


def undo(stores: Stores, request: PromotionRequest, why: str) -> PromotionRequest:
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


def named(stages: Mapping[int, Stage]) -> dict[str, str]:
    """For the request and the audit log: version number to the stage's word, in the order of the numbers."""
    return {str(number): stages[number].value for number in sorted(stages)}


def _undo_if_nothing_changed(stores: Stores, request: PromotionRequest, before: Mapping[int, Stage]) -> None:
    try:
        unchanged = current_stages(stores, request.model) == dict(before)
    except CoreError:
        return  # unknown: the request stays unfinished, and reconcile will look
    if unchanged:
        undo(stores, request, "the registry was not changed")
