"""Review: a rollback by one person, where policy asks for more, waits for another's eyes as a finding."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from core.entities import Finding, PromotionRequest, Role, Severity

EMERGENCY = "emergency rollback"
_DUE = timedelta(days=3)


def awaits_review(request: PromotionRequest) -> Finding:
    """The finding that somebody other than who rolled back has to close."""
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
