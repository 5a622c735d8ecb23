"""The job store: submits jobs, leases them to workers, and takes them over from workers that died."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from core.database.engine import Database
from core.database.tables import job_lines, jobs
from core.entities import Actor, Job, JobLine, JobStatus, Role
from core.errors import JobNotFound, LeaseLost
from core.jobs.triggers import Triggers
from core.redact import everywhere, redactor

MOST_ATTEMPTS = 2
# A worker is often stopped for reasons unrelated to its job, such as an update: more attempts than for a lost worker.
# A job that makes its worker stop must still end.
MOST_STOPS = 5
MOST_LINES = 10_000
_LONGEST_LINE = 2_000
_LIVE = (JobStatus.SCHEDULED.value, JobStatus.RUNNING.value)


class JobStore:
    """The jobs in one database. A job is taken over when its worker did not renew the lease for *lease_s* seconds.

    Each change by a worker names its attempt: after a takeover, the earlier attempt can change nothing. *redact* masks
    secrets in arguments, log lines, steps, errors and results before they are stored.
    """

    def __init__(self, database: Database, lease_s: float, *, redact: Callable[[str], str] | None = None) -> None:
        self._database = database
        self._redact = redact or redactor()
        self.lease = timedelta(seconds=lease_s)
        self.triggers = Triggers(database, redact=self._redact)

    def submit(
        self,
        kind: str,
        arguments: Mapping[str, Any],
        actor: Actor,
        *,
        trigger_id: str | None = None,
        job_id: str | None = None,
    ) -> Job:
        """Store a job. Workers take jobs in the order of submission.

        A second submission with the same *job_id* stores nothing and returns the first job.
        """
        job = Job(
            id=job_id or uuid4().hex[:12],
            kind=kind,
            arguments=everywhere(arguments, self._redact),
            status=JobStatus.SCHEDULED,
            actor=actor.name,
            role=",".join(sorted(role.value for role in actor.roles)),
            created=datetime.now(UTC),
            step="waiting for a worker",
            trigger_id=trigger_id,
            token=actor.token,
        )
        with self._database.write() as connection:
            if job_id is not None and connection.execute(sa.select(jobs.c.id).where(jobs.c.id == job_id)).first():
                return self.get(job_id)
            connection.execute(
                sa.insert(jobs).values(
                    id=job.id,
                    kind=kind,
                    arguments=json.dumps(job.arguments),
                    status=job.status.value,
                    actor=job.actor,
                    role=job.role,
                    created=job.created,
                    progress=0.0,
                    step=job.step,
                    result="{}",
                    attempt=0,
                    cancel_requested=False,
                    trigger_id=trigger_id,
                    token=actor.token,
                )
            )
        return job

    def get(self, job_id: str) -> Job:
        """Return one job. Raises JobNotFound."""
        with self._database.read() as connection:
            row = connection.execute(sa.select(jobs).where(jobs.c.id == job_id)).mappings().first()
        if row is None:
            raise JobNotFound("There is no job {job_id!r}.", job_id=job_id)
        return _job(row)

    def list(
        self,
        *,
        kind: str | None = None,
        live_only: bool = False,
        until: datetime | None = None,
        limit: int = 100,
        offset: int = 0,
    ) -> tuple[Job, ...]:
        """Return jobs, newest first, without the *offset* newest; with *until* those submitted by then."""
        query = sa.select(jobs).order_by(jobs.c.created.desc(), jobs.c.id).limit(limit).offset(offset)
        if kind is not None:
            query = query.where(jobs.c.kind == kind)
        if live_only:
            query = query.where(jobs.c.status.in_(_LIVE))
        if until is not None:
            query = query.where(jobs.c.created <= until)
        with self._database.read() as connection:
            return tuple(_job(row) for row in connection.execute(query).mappings())

    def failed_since(self, moment: datetime) -> tuple[Job, ...]:
        """Return the jobs that failed at or after *moment*, oldest first."""
        query = sa.select(jobs).where(jobs.c.status == JobStatus.FAILED.value, jobs.c.ended >= moment)
        with self._database.read() as connection:
            return tuple(_job(row) for row in connection.execute(query.order_by(jobs.c.ended, jobs.c.id)).mappings())

    def count(self, *, kind: str | None = None) -> int:
        """Return the number of jobs ever submitted, of one kind or of all kinds."""
        query = sa.select(sa.func.count()).select_from(jobs)
        if kind is not None:
            query = query.where(jobs.c.kind == kind)
        with self._database.read() as connection:
            return int(connection.execute(query).scalar_one())

    def claim(self, worker: str) -> Job | None:
        """Lease the oldest scheduled job to *worker*; None where no job is scheduled. Only one worker gets a job."""
        now = datetime.now(UTC)
        oldest = (
            sa.select(jobs.c.id)
            .where(jobs.c.status == JobStatus.SCHEDULED.value)
            .order_by(jobs.c.created, jobs.c.id)
            .limit(1)
        )
        with self._database.write() as connection:
            if self._database.is_postgres:
                oldest = oldest.with_for_update(skip_locked=True)
            job_id = connection.execute(oldest).scalar()
            if job_id is None:
                return None
            connection.execute(
                sa.update(jobs)
                .where(jobs.c.id == job_id)
                .values(
                    status=JobStatus.RUNNING.value,
                    worker=worker,
                    started=sa.func.coalesce(jobs.c.started, sa.literal(now, jobs.c.started.type)),
                    heartbeat=now,
                    attempt=jobs.c.attempt + 1,
                    step="starting",
                )
            )
        return self.get(job_id)

    def beat(self, job_id: str, attempt: int) -> bool:
        """Renew the lease and return whether a cancellation was requested. Raises LeaseLost."""
        self._change(job_id, attempt, heartbeat=datetime.now(UTC))
        return self.get(job_id).cancel_requested

    def report(self, job_id: str, attempt: int, progress: float, step: str) -> None:
        """Store progress (0 to 1) and step, and renew the lease. Raises LeaseLost."""
        self._change(
            job_id, attempt, progress=min(max(progress, 0.0), 1.0), step=self._redact(step), heartbeat=datetime.now(UTC)
        )

    def remember(self, job_id: str, attempt: int, facts: Mapping[str, str]) -> None:
        """Merge *facts* into the result of a running job. Raises LeaseLost."""
        self._change(job_id, attempt, result=self._as_json({**self.get(job_id).result, **facts}))

    def write_line(self, job_id: str, text: str) -> None:
        """Add one line to the job's log."""
        self.write_lines(job_id, [text])

    def write_lines(self, job_id: str, texts: Sequence[str]) -> None:
        """Add lines to the job's log, at most MOST_LINES in all; the last line then says that lines were left out."""
        now = datetime.now(UTC)
        with self._database.write() as connection:
            if self._database.is_postgres:
                connection.execute(sa.select(jobs.c.id).where(jobs.c.id == job_id).with_for_update())
            last = sa.select(sa.func.coalesce(sa.func.max(job_lines.c.number), 0)).where(job_lines.c.job_id == job_id)
            number = int(connection.execute(last).scalar_one())
            room = MOST_LINES - number
            kept = list(texts) if len(texts) < room else [*texts[: room - 1], "… more lines were left out"][:room]
            if kept:
                connection.execute(
                    sa.insert(job_lines),
                    [
                        {"job_id": job_id, "number": number + n, "time": now, "text": self._stored_line(text)}
                        for n, text in enumerate(kept, start=1)
                    ],
                )

    def _as_json(self, facts: Mapping[str, Any]) -> str:
        return json.dumps(everywhere(facts, self._redact))

    def _stored_line(self, text: str) -> str:
        return self._redact(text).replace("\x00", "")[:_LONGEST_LINE]

    def lines(self, job_id: str, *, after: int = 0) -> tuple[JobLine, ...]:
        """Return the job's log, oldest line first, after line number *after*."""
        query = (
            sa.select(job_lines)
            .where(job_lines.c.job_id == job_id, job_lines.c.number > after)
            .order_by(job_lines.c.number)
        )
        with self._database.read() as connection:
            return tuple(JobLine(**row) for row in connection.execute(query).mappings())

    def finish(self, job_id: str, attempt: int, result: Mapping[str, Any]) -> None:
        """End a job that succeeded. Raises LeaseLost."""
        self._end(job_id, attempt, JobStatus.FINISHED, progress=1.0, step="done", result=self._as_json(result))

    def fail(self, job_id: str, attempt: int, error: str) -> None:
        """End a job that failed. Raises LeaseLost."""
        self._end(job_id, attempt, JobStatus.FAILED, error=self._redact(error))

    def kill(self, job_id: str, attempt: int, why: str) -> None:
        """End a job that was cancelled. Raises LeaseLost."""
        self._end(job_id, attempt, JobStatus.KILLED, error=self._redact(why))

    def release(self, job_id: str, attempt: int, why: str) -> Job:
        """Schedule a running job again, from its beginning; after MOST_STOPS attempts the job fails.

        Return the job as it is then. Raises LeaseLost.
        """
        if attempt < MOST_STOPS:
            self._change(
                job_id, attempt, status=JobStatus.SCHEDULED.value, step=f"waiting: {self._redact(why)}", progress=0.0
            )
        else:
            self.fail(job_id, attempt, f"{why}, in attempt {attempt} again; submit it once more")
        return self.get(job_id)

    def request_cancel(self, job_id: str, by: str) -> Job:
        """Request that a job stops. A job that has not begun ends at once; a job that is over does not change."""
        job = self.get(job_id)
        with self._database.write() as connection:
            connection.execute(
                sa.update(jobs)
                .where(jobs.c.id == job_id, jobs.c.status == JobStatus.SCHEDULED.value)
                .values(status=JobStatus.KILLED.value, ended=datetime.now(UTC), error=f"cancelled by {by}")
            )
            connection.execute(
                sa.update(jobs).where(jobs.c.id == job_id, jobs.c.status.in_(_LIVE)).values(cancel_requested=True)
            )
        if not job.status.is_over:
            self.write_line(job_id, f"{by} asked to cancel")
        return self.get(job_id)

    def reap(self) -> tuple[Job, ...]:
        """Schedule running jobs with an expired lease again, or fail them after the last attempt; return these jobs."""
        silent_since = datetime.now(UTC) - self.lease
        query = sa.select(jobs).where(jobs.c.status == JobStatus.RUNNING.value, jobs.c.heartbeat < silent_since)
        reaped = []
        with self._database.write() as connection:
            for row in connection.execute(query).mappings().all():
                self._take_over(connection, _job(row), silent_since)
                reaped.append(row["id"])
        for job_id in reaped:
            self.write_line(job_id, f"its worker did not respond for more than {self.lease.total_seconds():.0f} s")
        return tuple(self.get(job_id) for job_id in reaped)

    def _take_over(self, connection: Connection, job: Job, silent_since: datetime) -> None:
        now = datetime.now(UTC)
        if job.cancel_requested:
            values: dict[str, Any] = {"status": JobStatus.KILLED.value, "ended": now, "error": "cancelled"}
        elif job.attempt < MOST_ATTEMPTS:
            values = {"status": JobStatus.SCHEDULED.value, "step": "waiting: its worker was lost", "progress": 0.0}
        else:
            why = (
                f"its worker was lost, in attempt {job.attempt} again (last sign of life "
                f"{job.heartbeat:%Y-%m-%d %H:%M:%S} UTC)"
            )
            values = {"status": JobStatus.FAILED.value, "ended": now, "error": why}
        connection.execute(
            sa.update(jobs)
            .where(jobs.c.id == job.id, jobs.c.attempt == job.attempt, jobs.c.heartbeat < silent_since)
            .values(values)
        )

    def _end(self, job_id: str, attempt: int, status: JobStatus, **values: Any) -> None:
        self._change(job_id, attempt, status=status.value, ended=datetime.now(UTC), **values)

    def _change(self, job_id: str, attempt: int, **values: Any) -> None:
        with self._database.write() as connection:
            changed = connection.execute(
                sa.update(jobs)
                .where(jobs.c.id == job_id, jobs.c.attempt == attempt, jobs.c.status == JobStatus.RUNNING.value)
                .values(values)
            )
        if changed.rowcount != 1:
            raise LeaseLost(
                "Attempt {attempt} no longer owns job {job_id}; it writes nothing more.", attempt=attempt, job_id=job_id
            )


def actor_of(job: Job) -> Actor:
    """Return the actor on whose behalf a job runs."""
    roles = frozenset(Role(role) for role in job.role.split(",") if role)
    return Actor(name=job.actor, roles=roles, channel="worker", token=job.token)


def _job(row: Mapping[Any, Any]) -> Job:
    values = {name: row[name] for name in row if name not in ("arguments", "result", "status", "worker")}
    return Job(
        **values,
        arguments=json.loads(row["arguments"]),
        result=json.loads(row["result"]),
        status=JobStatus(row["status"]),
    )
