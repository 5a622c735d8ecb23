"""Events of the audit log, the verdict on their chain, and rows that differ from the log."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import Any


class Outcome(str, Enum):
    INTENT = "intent"
    SUCCESS = "success"
    DENIED = "denied"
    FAILED = "failed"


@dataclass(frozen=True, kw_only=True)
class Event:
    """One event of the audit log. *hash* is SHA-256 over the canonical JSON of all other fields, *previous* included.

    *operation* joins the intent of an action with its outcome.
    """

    sequence: int
    time: datetime
    actor: str
    role: str
    channel: str
    action: str
    subject: str
    outcome: Outcome
    reason: str
    operation: str
    before: Mapping[str, Any]
    after: Mapping[str, Any]
    previous: str
    hash: str


@dataclass(frozen=True, kw_only=True)
class ChainVerdict:
    """Whether the chain holds; *first_broken* is the sequence number of the first event that does not."""

    ok: bool
    events: int
    first_broken: int | None
    detail: str
    head: str


@dataclass(frozen=True, kw_only=True)
class TamperedRow:
    """A request, its approvals or a finding whose row differs from its last snapshot in the log.

    *kind* is "request", "approvals of request" or "finding". *fields* names the fields that differ; the tuple is empty
    if the whole row was deleted or inserted. *detail* is a sentence.
    """

    kind: str
    id: str
    subject: str
    fields: tuple[str, ...]
    expected: str
    found: str
    detail: str
