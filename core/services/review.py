"""Review: a rollback by one person, where policy asks for more, waits for another's eyes as a finding."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from core.entities import Finding, PromotionRequest, RequestKind, Role, Severity, Stage
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


def needs_review(stores: Stores, request: PromotionRequest) -> bool:
    """Whether one person alone moved what policy asks several about."""
    return request.kind is RequestKind.ROLLBACK and approvals_needed(stores, request.model, request.to) > 1


def await_review(stores: Stores, request: PromotionRequest) -> None:
    """Keeps the finding; once, however often the rollback has to be finished. Hold the model's lock."""
    try:
        stores.findings.get(request.id)
    except NotFound:
        stores.findings.add(_awaits_review(request))


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
