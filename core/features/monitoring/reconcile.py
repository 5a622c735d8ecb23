"""Reconciles: what differs between the registry and the decisions, and what never finished."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

from core.access.permissions import Action
from core.audit.decisions import ModelLock
from core.audit.row_snapshots import Bind, everything, of_finding, of_request, what_was_decided
from core.entities import (
    Actor,
    Difference,
    Event,
    ModelVersion,
    Outcome,
    PromotionRequest,
    RequestKind,
    RequestStatus,
    Stage,
)
from core.errors import AlreadyDecided, RequestNotFound
from core.features.promotion.apply_decision import (
    expire_request,
    finish_decision,
    intended_stages,
    restore_production,
    stage_names,
    stages_of,
    undo_decision,
)
from core.features.promotion.evaluate_gates import changed_facts, read_candidate
from core.features.promotion.reason import require_reason
from core.features.promotion.request_promotion import find_request
from core.features.stores import Stores

STAGE = "stage differs"
SEVERAL = "several in Production"
MISSING = "version missing"
TAMPERED_DECISION = "decision rewritten"
TAMPERED_FINDING = "finding rewritten"
UNFINISHED_REQUEST = "unfinished decision"
UNFINISHED_ACTION = "unfinished action"


def find_differences(stores: Stores, actor: Actor) -> tuple[Difference, ...]:
    """Unfinished decisions and actions, rows that the log does not bear out, stages moved behind the decisions' back.

    In that order; nothing is repaired.

    Raises RegistryUnavailable: what the registry says cannot be guessed.
    """
    stores.audit.require(actor, Action.RECONCILE_READ)
    return (*find_unfinished(stores), *_tampered(stores), *_moved(stores))


def find_unfinished(stores: Stores) -> tuple[Difference, ...]:
    """Decisions and actions that were begun and never ended; work that a live job is doing is not among them."""
    requests = stores.decisions.list(statuses=(RequestStatus.UNFINISHED,))
    of_requests = tuple(
        Difference(
            kind=UNFINISHED_REQUEST,
            subject=str(request.key),
            expected=", ".join(f"{number}: {stage}" for number, stage in sorted(request.intended.items())),
            found="no outcome",
            detail=f"{request.decided_by} approved {request.key} for {request.to.value}; it was begun and not ended.",
            request_id=request.id,
        )
        for request in requests
    )
    live = {job.result.get("operation") for job in stores.jobs.list(live_only=True)}
    known = {request.id for request in requests}
    return of_requests + tuple(
        Difference(
            kind=UNFINISHED_ACTION,
            subject=event.subject,
            expected="an outcome",
            found="intent only",
            detail=f"{event.actor} began {event.action} at {event.time:%Y-%m-%d %H:%M:%S} UTC; no outcome was written: "
            "it died, or it is still at it.",
            request_id=event.operation,
        )
        for event in stores.audit.unfinished()
        if event.operation not in live and event.before.get("request") not in known
    )


def _tampered(stores: Stores) -> Iterator[Difference]:
    """Requests, approvals and findings that were changed in the database past the log."""
    for row in stores.bound.rewritten():
        yield Difference(
            kind=TAMPERED_FINDING if row.what == "finding" else TAMPERED_DECISION,
            subject=row.subject,
            expected=row.expected,
            found=row.found,
            detail=row.detail,
            request_id=row.id,
        )


def resolve_request(stores: Stores, actor: Actor, request_id: str, *, reason: str) -> PromotionRequest:
    """Finishes or undoes an unfinished decision.

    Where the registry shows some or all of the intended stages the rest is carried out and the request is approved, as
    was decided; where it shows none, or the version is gone, the decision is taken back; where it shows some and the
    evidence has changed since, it is taken back and has expired. Raises AlreadyDecided where it is not unfinished.
    """
    request = find_request(stores, actor, Action.RECONCILE_RESOLVE, request_id)
    before = {"request": request.id, "intended": dict(request.intended)}
    # A rollback that died was never held by an outcome; of a request that was asked for the decision was not.
    always = everything if request.kind is RequestKind.ROLLBACK else what_was_decided
    binds = of_request(request.id, always=always)
    with stores.audit.recording(
        actor, Action.RECONCILE_RESOLVE, str(request.key), reason=reason, before=before, binds=binds
    ) as record:
        require_reason(reason)
        with stores.decisions.lock(request.model) as lock:
            request = stores.decisions.get(request_id)
            if request.status is not RequestStatus.UNFINISHED:
                raise AlreadyDecided(f"Request {request.id} is {request.status.value}; nothing is unfinished.")
            versions = stores.models.versions(request.model)
            record.before["stages"] = stage_names(stages_of(versions))
            done = _resolved(stores, request, lock, versions, actor)
        for event in stores.audit.unfinished():
            if event.before.get("request") == request.id and event.operation != record.operation:
                _close(stores, actor, event, f"resolved by {actor.name}")
        record.after = {"request": done.id, "status": done.status.value, "stages": dict(done.stages)}
    return done


def _resolved(
    stores: Stores, request: PromotionRequest, lock: ModelLock, versions: tuple[ModelVersion, ...], actor: Actor
) -> PromotionRequest:
    now = stages_of(versions)
    intended = {int(number): Stage(stage) for number, stage in request.intended.items()}
    taken = [number for number, stage in intended.items() if now.get(number) is stage]
    if not taken:
        return undo_decision(stores, request, f"undone by {actor.name}: the registry was not changed")
    if request.version not in now:
        lock.confirm()
        restore_production(stores, request, now, lock)
        return undo_decision(stores, request, f"undone by {actor.name}: the version is not in the registry any more")
    # Where all of it was taken the evidence was the one that was approved: what changed since is a finding.
    changed = (
        None if len(taken) == len(intended) else changed_facts(request.evidence, read_candidate(stores, request.key))
    )
    lock.confirm()
    if changed is not None:
        restore_production(stores, request, now, lock)
        return expire_request(stores, request, changed)
    # What is in Production now may be another one than when it was decided: there must be one at the end.
    wanted = {number: stage for number, stage in intended.items() if number in now}
    return finish_decision(stores, request, wanted | intended_stages(versions, request.version, request.to), lock)


def close_action(stores: Stores, actor: Actor, operation: str, *, reason: str) -> Event:
    """Writes the missing outcome of an action that died, with what was found: failed, unless its decision stands.

    Raises RequestNotFound.
    """
    intent = next((event for event in stores.audit.unfinished() if event.operation == operation), None)
    if intent is None:
        raise RequestNotFound(f"No unfinished request or action {operation!r}; `reconcile` lists them.", id=operation)
    with stores.audit.recording(
        actor, Action.RECONCILE_RESOLVE, intent.subject, reason=reason, before={"operation": operation}
    ) as record:
        why = f"closed by {actor.name}: {require_reason(reason)}"
        closed = _close(stores, actor, intent, why)
        record.after = {"sequence": closed.sequence, "outcome": closed.outcome.value}
    return closed


def _of(stores: Stores, intent: Event) -> PromotionRequest | None:
    """The request that an intent was about, where it stands as that intent set out to leave it."""
    try:
        request = stores.decisions.get(str(intent.before.get("request")))
    except RequestNotFound:
        return None
    if intent.action == Action.PROMOTION_REQUEST.value:
        return request
    own = request.decided_by == intent.actor and request.decided_at is not None and request.decided_at >= intent.time
    return request if own and request.status in (RequestStatus.APPROVED, RequestStatus.REJECTED) else None


def _close(stores: Stores, actor: Actor, intent: Event, why: str) -> Event:
    """The outcome that is missing: success where what was begun is found done, else failed."""
    done = _of(stores, intent)
    return stores.audit.append(
        actor,
        intent.action,
        intent.subject,
        Outcome.SUCCESS if done else Outcome.FAILED,
        reason=f"{why}; found: request {done.id} is {done.status.value}" if done else why,
        operation=intent.operation,
        before=intent.before,
        after={"request": done.id, "stages": dict(done.stages)} if done else None,
        binds=_bound(intent),
    )


def _bound(intent: Event) -> Bind | None:
    """The row that an action was about: what it may have changed before it died."""
    if request := intent.before.get("request"):
        is_new = intent.action in (Action.PROMOTION_REQUEST.value, Action.PROMOTION_ROLLBACK.value)
        return of_request(str(request), always=everything if is_new else what_was_decided)
    finding = intent.before.get("finding")
    return of_finding(str(finding), always=everything) if finding else None


def _moved(stores: Stores) -> Iterator[Difference]:
    """The last approved decision of each model against the registry's stages."""
    versions = stores.models.versions()
    decided = stores.decisions.list(statuses=(RequestStatus.APPROVED,))
    busy = {request.model for request in stores.decisions.list(statuses=(RequestStatus.UNFINISHED,))}
    for model in sorted({v.model for v in versions} | {request.model for request in decided}):
        if model in busy:
            continue  # told as an unfinished decision
        last = max((r for r in decided if r.model == model), key=_decided_at, default=None)
        now = {v.version: v.stage for v in versions if v.model == model}
        expected = {int(number): Stage(stage) for number, stage in last.stages.items()} if last else {}
        yield from _compared(model, expected, now, last)


def _compared(
    model: str, expected: dict[int, Stage], now: dict[int, Stage], last: PromotionRequest | None
) -> Iterator[Difference]:
    by = f"decision {last.id} of {last.decided_by}" if last else "no decision was ever made"
    serving = [number for number, stage in now.items() if stage is Stage.PRODUCTION]
    if len(serving) > 1:
        yield Difference(
            kind=SEVERAL,
            subject=model,
            expected="one version in Production",
            found=", ".join(map(str, sorted(serving))),
            detail="More than one version is in Production; roll back to the one that should serve.",
        )
    for number in sorted(expected.keys() | now.keys()):
        wanted = expected.get(number, Stage.NONE)
        if number not in now:
            yield Difference(
                kind=MISSING,
                subject=f"{model}/{number}",
                expected=wanted.value,
                found="not in the registry",
                detail=f"The version was deleted from the registry; {by} knew it.",
            )
        elif now[number] is not wanted:
            yield Difference(
                kind=STAGE,
                subject=f"{model}/{number}",
                expected=wanted.value,
                found=now[number].value,
                detail=f"The stage was changed outside ModelLedger: {by}.",
            )


def _decided_at(request: PromotionRequest) -> datetime:
    return request.decided_at or datetime.min.replace(tzinfo=UTC)
