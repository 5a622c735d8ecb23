"""Gates, promotion requests and approvals."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from typing import Any

from core.entities.models import ModelVersionKey, Stage


@dataclass(frozen=True, kw_only=True)
class GateResult:
    """The result of one gate; *detail* is a sentence with the compared numbers."""

    name: str
    passed: bool
    detail: str


class RequestStatus(str, Enum):
    OPEN = "open"
    APPROVED = "approved"
    REJECTED = "rejected"
    EXPIRED = "expired"
    UNFINISHED = "unfinished"


class RequestKind(str, Enum):
    PROMOTION = "promotion"
    ROLLBACK = "rollback"


@dataclass(frozen=True, kw_only=True)
class PromotionRequest:
    """A request to move a model version to a stage, and its decision.

    *stages* are the stages of all versions after the decision took effect; empty while undecided.
    *intended* are the stage changes that the approval intends (for reconcile).
    *evidence* holds the facts that the gates checked (metrics of both versions, data readability, hashes).
    """

    id: str
    kind: RequestKind
    model: str
    version: int
    to: Stage
    status: RequestStatus
    gates: tuple[GateResult, ...]
    requested_by: str
    requested_at: datetime
    request_reason: str
    decided_by: str | None = None
    decided_at: datetime | None = None
    reason: str | None = None
    evidence: Mapping[str, Any] = field(default_factory=dict)
    intended: Mapping[str, str] = field(default_factory=dict)
    stages: Mapping[str, str] = field(default_factory=dict)
    previous: int | None = None

    @property
    def key(self) -> ModelVersionKey:
        return ModelVersionKey(model=self.model, version=self.version)


@dataclass(frozen=True, kw_only=True)
class Approval:
    """One person's yes to a request. A policy can require several before the decision is applied."""

    request_id: str
    by: str
    at: datetime
    reason: str
