"""How many approvals a decision needs, and the finding that asks for a review of a rollback by one person."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from core.entities import Finding, ModelVersionKey, PromotionRequest, RequestKind, Role, Severity, Stage
from core.errors import NotFound
from core.features.promotion.production_history import production_approval
from core.features.stores import Stores
from core.features.takeover.acceptances import find_acceptance, was_accepted_in_production
from core.texts import text

EMERGENCY_ROLLBACK = "emergency rollback"
_DUE = timedelta(days=3)


def production_approvals_needed(stores: Stores, model: str) -> int:
    """Return how many people must approve before a version of *model* enters or leaves Production."""
    by_model = stores.settings.approvals
    return max(1, by_model.get(model, by_model.get("*", 1)))


def approvals_needed(stores: Stores, key: ModelVersionKey, to: Stage, *, stage: Stage | None = None) -> int:
    """Return how many people must approve the change: one, unless it leads into or out of Production.

    *stage* is the present stage of *key*. If it is None and matters, the registry is read.

    Raises:
        ModelVersionNotFound, RegistryUnavailable: the registry was read and does not give the stage.
    """
    needed = production_approvals_needed(stores, key.model)
    if needed == 1 or to is Stage.PRODUCTION:
        return needed
    current = stage or stores.models.version(key).stage
    return needed if current is Stage.PRODUCTION else 1


def was_approved(stores: Stores, request: PromotionRequest) -> bool:
    """Return whether the version of a rollback was ever put into Production by a promotion."""
    return production_approval(stores, request.key) is not None


def needs_review(stores: Stores, request: PromotionRequest) -> bool:
    """Return whether a rollback by one person needs a review."""
    return request.kind is RequestKind.ROLLBACK and review_reason(stores, request.key) is not None


def review_reason(stores: Stores, key: ModelVersionKey) -> str | None:
    """Return why a rollback to *key* by one person needs a review by another, or None where it needs none.

    It does where the policy asks for several approvals, or where the version was never approved.
    """
    if production_approval(stores, key) is None:
        if was_accepted_in_production(find_acceptance(stores, key.model), key):
            return text(
                "{version} was in Production when the model was taken over, but never approved", version=str(key)
            )
        return text("{version} was never approved for Production", version=str(key))
    needed = production_approvals_needed(stores, key.model)
    return text("a promotion to Production needs {needed} approvals", needed=needed) if needed > 1 else None


def open_review_finding(stores: Stores, request: PromotionRequest) -> None:
    """Open the finding that asks for a review, once per rollback. The caller holds the model's lock."""
    try:
        stores.findings.get(request.id)
    except NotFound:
        stores.findings.add(_review_finding(stores, request))


def _review_finding(stores: Stores, request: PromotionRequest) -> Finding:
    """Build the finding. It has the id of the request, and somebody other than the decider must close it."""
    now = datetime.now(UTC)
    if was_approved(stores, request):
        expected = text("several approvals")
        found = text("rolled back by {actor} alone", actor=request.decided_by)
        detail = text(
            "{actor} put {version} back into Production: {reason}",
            actor=request.decided_by,
            version=str(request.key),
            reason=request.reason,
        )
    else:
        expected = text("an approval before the version enters Production")
        found = text("rolled back by {actor} alone; this version was never approved", actor=request.decided_by)
        if was_accepted_in_production(find_acceptance(stores, request.model), request.key):
            found = text(
                "rolled back by {actor} alone; this version was in Production when the model was taken over",
                actor=request.decided_by,
            )
        detail = text(
            "{actor} put {version} into Production: {reason}",
            actor=request.decided_by,
            version=str(request.key),
            reason=request.reason,
        )
    return Finding(
        id=request.id,
        kind=EMERGENCY_ROLLBACK,
        subject=str(request.key),
        severity=Severity.HIGH,
        owner=Role.MANAGER.value,
        due=now + _DUE,
        expected=expected,
        found=found,
        detail=detail,
        opened_by=request.decided_by or request.requested_by,
        opened_at=now,
        last_seen=now,
    )
