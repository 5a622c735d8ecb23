"""Promotion requests as they were at an earlier time, computed from the audit log alone."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from core.access.permissions import Action
from core.audit.row_snapshots import SNAPSHOT, hash_of, snapshot_row
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
from core.features.history.moment import Moment
from core.features.stores import Stores

# Actions whose events change a request.
DECISIONS = (
    Action.PROMOTION_REQUEST,
    Action.PROMOTION_DECIDE,
    Action.PROMOTION_ROLLBACK,
    Action.RECONCILE_RESOLVE,
)
_PENDING = (RequestStatus.OPEN, RequestStatus.UNFINISHED)


@dataclass(frozen=True, kw_only=True)
class RequestAsOf:
    """A request and its approvals at a given time.

    The log holds only hashes of the evidence, *evidence_hash* and *decision_evidence_hash*. `requests_at` adds the
    evidence from the request's row where it still has these hashes; otherwise it is empty.
    """

    request: PromotionRequest
    approvals: tuple[Approval, ...] = ()
    evidence_hash: str | None = None
    decision_evidence_hash: str | None = None

    @property
    def is_pending(self) -> bool:
        return self.request.status in _PENDING


def requests_at(stores: Stores, actor: Actor, moment: Moment, *, model: str | None = None) -> tuple[RequestAsOf, ...]:
    """Return the requests made by *moment*, newest first, as they were then.

    Requests that were deleted from the database since are included.
    """
    stores.audit.require(actor, Action.PROMOTION_READ, model or "")
    events = stores.audit.search(actions=DECISIONS, before_sequence=moment.before_sequence, limit=None)
    requests = replay_requests(reversed(events)).values()
    rows = {row.id: row for row in stores.decisions.list(model=model)}
    selected = [
        _with_evidence(state, rows.get(state.request.id)) for state in requests if model in (None, state.request.model)
    ]
    return tuple(sorted(selected, key=lambda state: state.request.requested_at, reverse=True))


def _with_evidence(state: RequestAsOf, row: PromotionRequest | None) -> RequestAsOf:
    """Add the evidence of *row*, the request as it is now, where the log proves that it is the evidence of then."""
    request = state.request
    if row is not None and hash_of(row.evidence) == state.evidence_hash:
        request = replace(request, evidence=row.evidence)
    decided = row.decision_evidence if row is not None else None
    if decided is not None and hash_of(decided) == state.decision_evidence_hash:
        request = replace(request, decision_evidence=decided)
    return replace(state, request=request)


def replay_requests(events: Iterable[Event]) -> dict[str, RequestAsOf]:
    """Compute the requests, by id, that *events* (oldest first) leave behind."""
    intents: dict[str, Event] = {}
    requests: dict[str, RequestAsOf] = {}
    for event in events:
        if event.outcome is Outcome.INTENT:
            intents[event.operation] = event
            continue
        request_id = str(event.after.get("request") or event.before.get("request") or "")
        if not request_id or SNAPSHOT not in event.after:
            continue
        # When a process dies, another actor writes the outcome. The intent names the original actor and reason.
        intent = intents.get(event.operation, event)
        state = requests.get(request_id) or _first_state(event, intent, request_id)
        if state is not None:
            requests[request_id] = _next_state(state, event, intent)
    return requests


def _first_state(event: Event, intent: Event, request_id: str) -> RequestAsOf | None:
    """Build the request from the event that first holds its whole row. None for a refusal, which leaves no request."""
    row = snapshot_row(event.after, "request")
    model, _, number = event.subject.rpartition("/")
    if "id" not in row or not number.isdigit():
        return None
    request = PromotionRequest(
        id=request_id,
        kind=RequestKind(row["kind"]),
        model=model,
        version=int(number),
        to=Stage(row["to_stage"]),
        status=RequestStatus.OPEN,
        gates=tuple(GateResult.from_record(gate) for gate in event.after.get("gates") or ()),
        requested_by=str(row["requested_by"]),
        requested_at=datetime.fromisoformat(row["requested_at"]),
        request_reason=intent.reason,
    )
    return RequestAsOf(request=request, evidence_hash=row.get("evidence"))


def _next_state(state: RequestAsOf, event: Event, intent: Event) -> RequestAsOf:
    """Apply what *event* changed of the request's row and of its approvals."""
    row, request = snapshot_row(event.after, "request"), state.request
    status = RequestStatus(row["status"]) if row.get("status") else request.status
    changes: dict[str, Any] = {"status": status}
    if status not in _PENDING and request.status is not status:
        decided_at = row.get("decided_at")
        changes |= {
            "decided_by": row.get("decided_by"),
            "decided_at": datetime.fromisoformat(decided_at) if decided_at else event.time,
            "reason": event.reason if status is RequestStatus.EXPIRED else intent.reason,
        }
    if "decision_gates" in event.after and status not in _PENDING:
        changes["decision_gates"] = tuple(GateResult.from_record(gate) for gate in event.after["decision_gates"])
        changes["checked_at"] = event.time
    for name in ("intended", "stages"):
        if status is RequestStatus.APPROVED and isinstance(row.get(name), Mapping):
            changes[name] = dict(row[name])
    if isinstance(row.get("previous"), int):
        changes["previous"] = row["previous"]
    return replace(
        state,
        request=replace(request, **changes),
        approvals=(*state.approvals, *_new_approvals(state, event, intent)),
        decision_evidence_hash=row.get("decision_evidence") or state.decision_evidence_hash,
    )


def _new_approvals(state: RequestAsOf, event: Event, intent: Event) -> list[Approval]:
    approvers = {approval.by for approval in state.approvals}
    return [
        Approval(request_id=state.request.id, by=name, at=event.time, reason=intent.reason)
        for name in snapshot_row(event.after, "approvals")
        if name not in approvers
    ]
