"""Where the registry and the decisions disagree, and who looks into it until when."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import Enum


@dataclass(frozen=True, kw_only=True)
class Difference:
    """One place where the registry and the decisions disagree, or an action that never finished."""

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
    """Something that somebody has to look into: found by a pass over the registry, or opened by an auditor.

    *last_seen* is when the pass saw it last, *gone* since when it sees it no more; it stays open until a person closes
    it with a reason.
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
    """One whole pass that looked for findings: when it ended, who asked for it, how much it saw and what was new."""

    at: datetime
    by: str
    seen: int
    new: int
