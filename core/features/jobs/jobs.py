"""Jobs: list them, read their log, and cancel them."""

from __future__ import annotations

from core.access.permissions import Action, require
from core.entities import Actor, Job, JobLine
from core.features.stores import Stores


def list_jobs(
    stores: Stores,
    actor: Actor,
    *,
    kind: str | None = None,
    live_only: bool = False,
    limit: int = 100,
    offset: int = 0,
) -> tuple[Job, ...]:
    """Return at most *limit* jobs, newest first, after the *offset* newest."""
    require(actor, Action.JOB_READ)
    return stores.jobs.list(kind=kind, live_only=live_only, limit=limit, offset=offset)


def count_jobs(stores: Stores, actor: Actor, *, kind: str | None = None) -> int:
    """Return the number of all jobs, finished ones too; of one *kind* if it is given."""
    require(actor, Action.JOB_READ)
    return stores.jobs.count(kind=kind)


def show_job(stores: Stores, actor: Actor, job_id: str) -> Job:
    """Return one job as it is now. Raises JobNotFound."""
    require(actor, Action.JOB_READ)
    return stores.jobs.get(job_id)


def job_lines(stores: Stores, actor: Actor, job_id: str, *, after: int = 0) -> tuple[JobLine, ...]:
    """Return the lines of the job's log after line number *after*, oldest first."""
    require(actor, Action.JOB_READ)
    return stores.jobs.lines(job_id, after=after)


def cancel_job(stores: Stores, actor: Actor, job_id: str, *, reason: str = "") -> Job:
    """Ask a job to stop; it ends as killed at its next checkpoint. A finished job stays. Raises JobNotFound."""
    job = stores.jobs.get(job_id)
    with stores.audit.recording(
        actor, Action.JOB_CANCEL, f"job {job_id}", reason=reason, before={"kind": job.kind, "status": job.status.value}
    ) as recording:
        after = stores.jobs.request_cancel(job_id, actor.name)
        recording.after = {"status": after.status.value, "cancel_requested": after.cancel_requested}
    return after
