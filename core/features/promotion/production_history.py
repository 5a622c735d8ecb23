"""Served: which versions of a model were put into Production by an approved decision, as the decisions tell."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

from core.entities import ModelVersionKey, PromotionRequest, RequestKind, RequestStatus, Stage
from core.features.stores import Stores

_NEVER = datetime.min.replace(tzinfo=UTC)


def production_decisions(stores: Stores, model: str) -> tuple[PromotionRequest, ...]:
    """Decisions that put a version of *model* into Production, newest first."""
    approved = stores.decisions.list(model=model, statuses=(RequestStatus.APPROVED,))
    found = [one for one in approved if one.to is Stage.PRODUCTION]
    return tuple(sorted(found, key=lambda one: one.decided_at or _NEVER, reverse=True))


def production_approval(stores: Stores, key: ModelVersionKey) -> PromotionRequest | None:
    """The newest promotion that put *key* into Production; None where nobody ever approved it for there."""
    return next(
        (
            one
            for one in production_decisions(stores, key.model)
            if one.version == key.version and one.kind is RequestKind.PROMOTION
        ),
        None,
    )


def last_production_decision(stores: Stores, model: str) -> PromotionRequest | None:
    """The decision by which the last version of *model* came into Production; None where none ever did."""
    return next(iter(production_decisions(stores, model)), None)


def evidence_metrics(decision: PromotionRequest) -> Mapping[str, float]:
    """KPIs of its version as the gates saw them; undefined ones are kept as words there."""
    kept = decision.evidence.get("candidate", {}).get("metrics", {})
    return {name: float(value) for name, value in kept.items()}
