"""Jobs, their log lines, and the triggers that start them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from typing import Any


class JobStatus(str, Enum):
    SCHEDULED = "scheduled"
    RUNNING = "running"
    FINISHED = "finished"
    FAILED = "failed"
    KILLED = "killed"

    @property
    def is_over(self) -> bool:
        return self in (JobStatus.FINISHED, JobStatus.FAILED, JobStatus.KILLED)


@dataclass(frozen=True, kw_only=True)
class Job:
    """Long work: a row in the job table, run by a worker process.

    *progress* runs from 0 to 1. *heartbeat* is the time of the last lease renewal.
    """

    id: str
    kind: str
    arguments: Mapping[str, Any]
    status: JobStatus
    actor: str
    role: str
    created: datetime
    started: datetime | None = None
    ended: datetime | None = None
    heartbeat: datetime | None = None
    progress: float = 0.0
    step: str = ""
    result: Mapping[str, Any] = field(default_factory=dict)
    error: str | None = None
    attempt: int = 0
    cancel_requested: bool = False
    trigger_id: str | None = None
    token: str | None = None


@dataclass(frozen=True, kw_only=True)
class JobLine:
    """One line of a job's log."""

    job_id: str
    number: int
    time: datetime
    text: str


@dataclass(frozen=True, kw_only=True)
class Trigger:
    """A schedule for retraining: a cron expression (UTC), or each new version of a table."""

    id: str
    kind: str
    job_kind: str
    arguments: Mapping[str, Any]
    actor: str
    role: str
    created: datetime
    cron: str | None = None
    table: str | None = None
    enabled: bool = True
    last_fired: datetime | None = None
    last_seen_version: int | None = None
    next_due: datetime | None = None
    token: str | None = None
