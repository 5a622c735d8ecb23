"""Findings and differences between the registry and the decisions."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import Enum


@dataclass(frozen=True, kw_only=True)
class Difference:
    """One difference between the registry and the decisions, or one unfinished action."""

    kind: str
    subject: str
    expected: str
    found: str
    detail: str
    request_id: str | None = None


class Severity(str, Enum):
    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"


@dataclass(frozen=True, kw_only=True)
class Finding:
    """A fact that somebody must look into: found by an inspection of the registry, or opened by an auditor.

    *last_seen* is the last inspection that saw the fact; *gone* is the time since which it is no longer seen. The
    finding stays open until a person closes it with a reason.
    """

    id: str
    kind: str
    subject: str
    severity: Severity
    owner: str
    due: datetime
    expected: str
    found: str
    detail: str
    opened_by: str
    opened_at: datetime
    last_seen: datetime
    closed_by: str | None = None
    closed_at: datetime | None = None
    reason: str | None = None
    gone: datetime | None = None

    @property
    def is_open(self) -> bool:
        return self.closed_at is None

    def is_overdue(self, now: datetime) -> bool:
        return self.is_open and self.due < now


@dataclass(frozen=True, kw_only=True)
class Look:
    """One complete inspection: its end, who started it, and how many differences it saw, in all and new ones."""

    at: datetime
    by: str
    seen: int
    new: int
