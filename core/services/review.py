"""Review: a rollback by one person, where policy asks for more, waits for another's eyes as a finding."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from core.entities import Finding, PromotionRequest, RequestKind, RequestStatus, Role, Severity, Stage
from core.errors import NotFound
from core.services.stores import Stores

EMERGENCY = "emergency rollback"
_DUE = timedelta(days=3)


def approvals_needed(stores: Stores, model: str, to: Stage) -> int:
    """How many people must say yes: by setting for Production, one for any other stage."""
    if to is not Stage.PRODUCTION:
        return 1
    asked = stores.settings.approvals
    return max(1, asked.get(model, asked.get("*", 1)))


def mark_emergency(stores: Stores, request: PromotionRequest) -> Finding | None:
    """Keeps the finding of a rollback that took effect by one person's word where policy asks for more, once.

    None where it is no such rollback. Whoever ends a rollback calls it: who made it, or who resolves what was left.
    """
    took_effect = request.kind is RequestKind.ROLLBACK and request.status is RequestStatus.APPROVED
    if not took_effect or approvals_needed(stores, request.model, request.to) < 2:
        return None
    try:
        return stores.findings.get(request.id)
    except NotFound:
        return stores.findings.add(_awaits_review(request))


def _awaits_review(request: PromotionRequest) -> Finding:
    """What somebody other than who rolled back has to close. Its id is the request's."""
    moment = datetime.now(UTC)
    return Finding(
        id=request.id,
        kind=EMERGENCY,
        subject=str(request.key),
        severity=Severity.HIGH,
        owner=Role.MANAGER.value,
        due=moment + _DUE,
        expected="several approvals",
        found=f"rolled back by {request.decided_by} alone",
        detail=f"{request.decided_by} put {request.key} back into Production: {request.reason}",
        opened_by=request.decided_by or request.requested_by,
        opened_at=moment,
        last_seen=moment,
    )
