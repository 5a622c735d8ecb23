"""Gates, promotion requests and approvals."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from enum import Enum
from typing import Any

from core.entities.models import ModelVersionKey, Stage


@dataclass(frozen=True, kw_only=True)
class GateNumbers:
    """What a gate compared of one KPI.

    *bound* is the least value of the KPI that passes, or with *is_most* the greatest one; None for a gate on a
    head-to-head comparison. Such a gate names the rows as *data*, and has the *difference* (candidate minus the version
    compared with) and the ends of its 95 % interval, None where they are undefined.
    """

    kpi: str
    bound: float | None = None
    is_most: bool = False
    data: str | None = None
    difference: float | None = None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, kw_only=True)
class GateResult:
    """The result of one gate; *detail* is a sentence with the compared numbers.

    *numbers* is None for a gate that is not about a KPI, and in records of earlier versions of ModelLedger.
    """

    name: str
    passed: bool
    detail: str
    numbers: GateNumbers | None = None

    @property
    def record(self) -> dict[str, Any]:
        """The result as the database and the audit log keep it."""
        record: dict[str, Any] = {"name": self.name, "passed": self.passed, "detail": self.detail}
        return record if self.numbers is None else {**record, "numbers": asdict(self.numbers)}

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> GateResult:
        """Return the result that *record* holds."""
        numbers = record.get("numbers")
        return cls(
            name=record["name"],
            passed=record["passed"],
            detail=record["detail"],
            numbers=None if numbers is None else GateNumbers(**numbers),
        )


@dataclass(frozen=True, kw_only=True)
class GateCheck:
    """The gates at one moment, with the facts that they saw. *gates* or *evidence* is None where it was not kept.

    *problem* says why the gates could not be evaluated.
    """

    at: datetime
    gates: tuple[GateResult, ...] | None
    evidence: Mapping[str, Any] | None

    @property
    def problem(self) -> str | None:
        return None if self.evidence is None else self.evidence.get("problem")

    @property
    def passed(self) -> bool | None:
        """Whether all gates passed; None where this is unknown."""
        if self.gates is None or self.problem is not None:
            return None
        return bool(self.gates) and all(gate.passed for gate in self.gates)

    @property
    def compared_with(self) -> str | None:
        """The model version that the candidate was compared with; None where there was none or this is unknown."""
        return self._production.get("model_version")

    @property
    def is_rival_in_production(self) -> bool:
        """Whether that version was in Production then, and not only the last one there."""
        return bool(self._production.get("serves", self.compared_with is not None))

    @property
    def _production(self) -> Mapping[str, Any]:
        return (self.evidence or {}).get("production") or {}


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
    *gates* and *evidence* are those of the request, *decision_gates* and *decision_evidence* those of the decision,
    with the facts that the gates checked (metrics of both versions, data readability, hashes). In a row of *record* 1
    an approval has replaced the gates of the request.
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
    decision_gates: tuple[GateResult, ...] | None = None
    decision_evidence: Mapping[str, Any] | None = None
    checked_at: datetime | None = None
    record: int = 2

    @property
    def at_request(self) -> GateCheck:
        """The gates when the request was made."""
        gates = None if self._are_gates_of_decision else self.gates
        return GateCheck(at=self.requested_at, gates=gates, evidence=self.evidence or None)

    @property
    def at_decision(self) -> GateCheck | None:
        """The gates when the request was approved, rejected or expired; None where they were not evaluated then."""
        if self._are_gates_of_decision and self.decided_at is not None:
            return GateCheck(at=self.decided_at, gates=self.gates, evidence=None)
        if self.decision_gates is None:
            return None
        at = self.checked_at or self.decided_at or self.requested_at
        return GateCheck(at=at, gates=self.decision_gates, evidence=self.decision_evidence)

    @property
    def _are_gates_of_decision(self) -> bool:
        return (
            self.record < 2
            and self.decision_gates is None
            and self.kind is RequestKind.PROMOTION
            and self.status in (RequestStatus.APPROVED, RequestStatus.UNFINISHED)
        )

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
