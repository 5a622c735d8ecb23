"""Review: a rollback by one person that nobody else had a say in waits for another's eyes as a finding."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from core.entities import Finding, ModelVersionKey, PromotionRequest, RequestKind, Role, Severity, Stage
from core.errors import NotFound
from core.features.promotion.production_history import production_approval
from core.features.stores import Stores

EMERGENCY_ROLLBACK = "emergency rollback"
_DUE = timedelta(days=3)


def production_approvals_needed(stores: Stores, model: str) -> int:
    """How many people must say yes before a version of *model* goes to Production or leaves it, by setting."""
    asked = stores.settings.approvals
    return max(1, asked.get(model, asked.get("*", 1)))


def approvals_needed(stores: Stores, key: ModelVersionKey, to: Stage, *, stage: Stage | None = None) -> int:
    """How many people must say yes: `approvers` into Production and out of it, one for any other change.

    *stage*: where *key* is now; asked of the registry where it matters and is left out.
    Raises ModelVersionNotFound, RegistryUnavailable.
    """
    needed = production_approvals_needed(stores, key.model)
    if needed == 1 or to is Stage.PRODUCTION:
        return needed
    now = stage or stores.models.version(key).stage
    return needed if now is Stage.PRODUCTION else 1


def was_approved(stores: Stores, request: PromotionRequest) -> bool:
    """Whether the version of a rollback was ever put into Production by a promotion."""
    return production_approval(stores, request.key) is not None


def needs_review(stores: Stores, request: PromotionRequest) -> bool:
    """Whether one person alone moved what policy asks several about, or what nobody had ever approved."""
    if request.kind is not RequestKind.ROLLBACK:
        return False
    return production_approvals_needed(stores, request.model) > 1 or not was_approved(stores, request)


def open_review_finding(stores: Stores, request: PromotionRequest) -> None:
    """Keeps the finding; once, however often the rollback has to be finished. Hold the model's lock."""
    try:
        stores.findings.get(request.id)
    except NotFound:
        stores.findings.add(_review_finding(stores, request))


def _review_finding(stores: Stores, request: PromotionRequest) -> Finding:
    """What somebody other than who rolled back has to close. Its id is the request's."""
    moment = datetime.now(UTC)
    known = was_approved(stores, request)
    return Finding(
        id=request.id,
        kind=EMERGENCY_ROLLBACK,
        subject=str(request.key),
        severity=Severity.HIGH,
        owner=Role.MANAGER.value,
        due=moment + _DUE,
        expected="several approvals" if known else "an approval before it serves",
        found=f"rolled back by {request.decided_by} alone" + ("" if known else "; nobody ever approved this version"),
        detail=f"{request.decided_by} put {request.key} {'back ' if known else ''}into Production: {request.reason}",
        opened_by=request.decided_by or request.requested_by,
        opened_at=moment,
        last_seen=moment,
    )
