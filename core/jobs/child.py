"""The worker's child process: runs one claimed job and records how the job ended."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Mapping
from types import FrameType
from typing import Any

from core.entities import Actor, Job, JobStatus
from core.errors import CoreError, JobCancelled, LeaseLost, first_line
from core.jobs.progress import Progress
from core.jobs.store import JobStore, actor_of
from core.logs import bound_contextvars, get_logger

# The worker passes its process id to its child in this variable.
PARENT = "MODELLEDGER_WORKER_PID"
_WATCH_S = 0.5
_LOG = get_logger(__name__)

Work = Callable[[Actor, str, Mapping[str, Any], Progress], Mapping[str, Any]]


def run_job(jobs: JobStore, job_id: str, *, attempt: int, work: Work) -> JobStatus:
    """Run one claimed job in this process. Nothing runs where another attempt owns the job by now."""
    _end_with_parent()
    stopped = _raise_on_signals()
    job = jobs.get(job_id)
    with bound_contextvars(job_id=job_id, attempt=attempt, actor=job.actor, kind=job.kind):
        return _run(jobs, job, attempt, work, stopped)


def _run(jobs: JobStore, job: Job, attempt: int, work: Work, stopped: threading.Event) -> JobStatus:
    job_id, progress = job.id, _JobProgress(jobs, job.id, attempt)
    try:
        progress.checkpoint()
        result = work(actor_of(job), job.kind, job.arguments, progress)
        jobs.finish(job_id, attempt, result)
        return JobStatus.FINISHED
    except JobCancelled as error:
        if jobs.get(job_id).cancel_requested:
            jobs.kill(job_id, attempt, str(error))
            return JobStatus.KILLED
        if stopped.is_set():
            # Nobody cancelled the job: its worker is being stopped, and another worker must run the job.
            return jobs.release(job_id, attempt, "its worker was stopped").status
        jobs.fail(job_id, attempt, f"{error} Nobody asked this job to stop.")
        return JobStatus.FAILED
    except LeaseLost as error:
        _LOG.warning("the job belongs to another attempt", error=str(error))
        return JobStatus.FAILED
    except CoreError as error:
        jobs.fail(job_id, attempt, str(error))
        return JobStatus.FAILED
    except Exception as error:  # noqa: BLE001 -- the job boundary: whatever went wrong is recorded
        _LOG.exception("the job failed")
        jobs.fail(job_id, attempt, f"{type(error).__name__}: {first_line(error)}")
        return JobStatus.FAILED


class _JobProgress:
    """Progress that writes to the job table."""

    def __init__(self, jobs: JobStore, job_id: str, attempt: int) -> None:
        self._jobs, self._job_id, self._attempt = jobs, job_id, attempt

    def report(self, fraction: float, step: str) -> None:
        self._jobs.report(self._job_id, self._attempt, fraction, step)

    def line(self, text: str) -> None:
        self._jobs.write_line(self._job_id, text)

    def remember(self, **facts: str) -> None:
        self._jobs.remember(self._job_id, self._attempt, facts)

    def checkpoint(self) -> None:
        if self._jobs.beat(self._job_id, self._attempt):
            raise JobCancelled("cancelled on request", job_id=self._job_id)


def _raise_on_signals() -> threading.Event:
    """Let SIGINT and SIGTERM raise JobCancelled in the work; return an event that is set by either signal."""
    stopped = threading.Event()

    def stop(signum: int, frame: FrameType | None) -> None:
        stopped.set()
        raise JobCancelled("asked to stop")

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop)
    return stopped


def _end_with_parent() -> None:
    """End this process when its worker was killed: another worker takes over the job."""
    parent = int(os.environ.get(PARENT, "0"))
    if not parent:
        return

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(_WATCH_S)
        if os.getpgrp() == os.getpid():
            os.killpg(0, signal.SIGKILL)  # with its own children: the process of a model, a JVM
        os._exit(70)

    threading.Thread(target=watch, daemon=True, name="parent-watch").start()
