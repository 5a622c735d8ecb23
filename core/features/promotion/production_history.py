"""The history of Production: which versions of a model were put there by an approved decision."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

from core.entities import ModelVersionKey, PromotionRequest, RequestKind, RequestStatus, Stage
from core.features.stores import Stores

_NEVER = datetime.min.replace(tzinfo=UTC)


def production_decisions(stores: Stores, model: str) -> tuple[PromotionRequest, ...]:
    """Return the decisions that put a version of *model* into Production, newest first."""
    approved = stores.decisions.list(model=model, statuses=(RequestStatus.APPROVED,))
    decisions = [request for request in approved if request.to is Stage.PRODUCTION]
    return tuple(sorted(decisions, key=lambda request: request.decided_at or _NEVER, reverse=True))


def production_approval(stores: Stores, key: ModelVersionKey) -> PromotionRequest | None:
    """Return the newest promotion that put *key* into Production, or None where it was never approved for Production.

    A rollback is not an approval.
    """
    return next(
        (
            request
            for request in production_decisions(stores, key.model)
            if request.version == key.version and request.kind is RequestKind.PROMOTION
        ),
        None,
    )


def last_production_decision(stores: Stores, model: str) -> PromotionRequest | None:
    """Return the newest decision that put a version of *model* into Production, or None."""
    return next(iter(production_decisions(stores, model)), None)


def evidence_metrics(decision: PromotionRequest) -> Mapping[str, float]:
    """Return the metrics of the decided version as the gates saw them. Undefined values become NaN or infinity."""
    metrics = decision.evidence.get("candidate", {}).get("metrics", {})
    return {name: float(value) for name, value in metrics.items()}
