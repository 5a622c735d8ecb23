"""Requests as they stood at a moment: what was asked and decided by then, from the log alone."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from core.access.permissions import Action
from core.audit.row_snapshots import BINDS, bound_row
from core.entities import (
    Actor,
    Approval,
    Event,
    GateResult,
    Outcome,
    PromotionRequest,
    RequestKind,
    RequestStatus,
    Stage,
)
from core.features.stores import Stores

# Actions whose events say what became of a request.
DECISIONS = (
    Action.PROMOTION_REQUEST,
    Action.PROMOTION_DECIDE,
    Action.PROMOTION_ROLLBACK,
    Action.RECONCILE_RESOLVE,
)
_WAITING = (RequestStatus.OPEN, RequestStatus.UNFINISHED)


@dataclass(frozen=True, kw_only=True)
class RequestAsOf:
    """A request as it stood, and who had said yes by then. Its *evidence* is empty: the log holds the hash of it."""

    request: PromotionRequest
    approvals: tuple[Approval, ...] = ()

    @property
    def is_waiting(self) -> bool:
        return self.request.status in _WAITING


def requests_at(stores: Stores, actor: Actor, moment: datetime, *, model: str | None = None) -> tuple[RequestAsOf, ...]:
    """What had been asked by *moment*, newest first, as it stood then; a row that was deleted since is told too."""
    stores.audit.require(actor, Action.PROMOTION_READ, model or "")
    told = stores.audit.search(actions=DECISIONS, until=moment, limit=None)
    then = requests_then(stores, reversed(told), moment).values()
    chosen = [one for one in then if model in (None, one.request.model)]
    return tuple(sorted(chosen, key=lambda one: one.request.requested_at, reverse=True))


def requests_then(stores: Stores, events: Iterable[Event], moment: datetime) -> dict[str, RequestAsOf]:
    """By id, from events until *moment*, oldest first."""
    intents: dict[str, Event] = {}
    then: dict[str, RequestAsOf] = {}
    unbound: set[str] = set()
    for event in events:
        if event.outcome is Outcome.INTENT:
            intents[event.operation] = event
            continue
        request_id = str(event.after.get("request") or event.before.get("request") or "")
        if not request_id:
            continue
        if BINDS not in event.after:
            unbound.add(request_id)
        # Where it died somebody else wrote its outcome: who did it, and why, stands in the intent.
        begun = intents.get(event.operation, event)
        known = then.get(request_id) or _asked(event, begun, request_id)
        if known is not None:
            then[request_id] = _decided(known, event, begun)
    return {one: _ended_unsaid(stores, found, moment) if one in unbound else found for one, found in then.items()}


def _asked(event: Event, begun: Event, request_id: str) -> RequestAsOf | None:
    """The request as its first event tells it; None for a refusal, which left no request."""
    row = bound_row(event.after, "request")
    if event.outcome is not Outcome.SUCCESS and not row:
        return None
    model, _, number = event.subject.rpartition("/")
    is_rollback = event.action == Action.PROMOTION_ROLLBACK.value or row.get("kind") == RequestKind.ROLLBACK.value
    to = row.get("to_stage") or event.after.get("to") or (Stage.PRODUCTION.value if is_rollback else None)
    if not number.isdigit() or to is None:
        return None
    request = PromotionRequest(
        id=request_id,
        kind=RequestKind.ROLLBACK if is_rollback else RequestKind.PROMOTION,
        model=model,
        version=int(number),
        to=Stage(to),
        status=RequestStatus.OPEN,
        gates=tuple(GateResult(**gate) for gate in event.after.get("gates") or ()),
        requested_by=str(row.get("requested_by") or begun.actor),
        requested_at=_time(row.get("requested_at"), event.time),
        request_reason=begun.reason,
    )
    return RequestAsOf(request=request)


def _decided(known: RequestAsOf, event: Event, begun: Event) -> RequestAsOf:
    """What an event changed of a request: by the row that it binds, else by what it says."""
    after, row, request = event.after, bound_row(event.after, "request"), known.request
    is_done = event.outcome is Outcome.SUCCESS
    said = {"approved": RequestStatus.APPROVED, "rejected": RequestStatus.REJECTED}.get(str(after.get("decision")))
    if event.action == Action.PROMOTION_ROLLBACK.value and is_done:
        said = RequestStatus.APPROVED
    if event.action == Action.RECONCILE_RESOLVE.value and after.get("status"):
        said = RequestStatus(after["status"])
    status = RequestStatus(row["status"]) if row.get("status") else said if is_done and said else request.status
    changes: dict[str, Any] = {"status": status}
    if status not in _WAITING and request.status is not status:
        decider = row.get("decided_by") if "decided_by" in row or BINDS in after else begun.actor
        changes |= {"decided_by": decider, "decided_at": _time(row.get("decided_at"), event.time)}
        changes |= {"reason": begun.reason if status is not RequestStatus.EXPIRED else event.reason}
    for name in ("intended", "stages"):
        if isinstance(found := row.get(name, after.get(name)), Mapping) and status is RequestStatus.APPROVED:
            changes[name] = dict(found)
    if isinstance(row.get("previous"), int):
        changes["previous"] = row["previous"]
    return RequestAsOf(
        request=replace(request, **changes), approvals=(*known.approvals, *_new_approvals(known, event, begun))
    )


def _new_approvals(known: RequestAsOf, event: Event, begun: Event) -> list[Approval]:
    binds = event.after.get(BINDS)
    names = list((binds.get("approvals") or {}) if binds is not None else ())
    is_yes = event.outcome is Outcome.SUCCESS and str(event.after.get("decision", "")).startswith("approved")
    if binds is None and is_yes and event.action == Action.PROMOTION_DECIDE.value:
        names = [begun.actor]
    before = {one.by for one in known.approvals}
    at, why = event.time, begun.reason
    return [Approval(request_id=known.request.id, by=by, at=at, reason=why) for by in names if by not in before]


def _ended_unsaid(stores: Stores, found: RequestAsOf, moment: datetime) -> RequestAsOf:
    """Before events bound rows none said that a request expired: where it still waits in the log, its row is asked."""
    if not found.is_waiting:
        return found
    for row in stores.decisions.list(model=found.request.model, statuses=(RequestStatus.EXPIRED,)):
        if row.id == found.request.id and row.decided_at is not None and row.decided_at <= moment:
            ended = replace(found.request, status=row.status, decided_at=row.decided_at, reason=row.reason)
            return replace(found, request=ended)
    return found


def _time(text: str | None, otherwise: datetime) -> datetime:
    return datetime.fromisoformat(text) if text else otherwise
