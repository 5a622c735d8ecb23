"""The worker: claims jobs, runs each in a child process, renews its lease, ends it on cancel."""

from __future__ import annotations

import logging
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from types import FrameType
from typing import IO, Any
from uuid import uuid4

from core.entities import Actor, Job, JobStatus
from core.errors import CoreError, DatabaseUnavailable, JobCancelled, LeaseLost
from core.jobs.progress import Progress
from core.jobs.store import JobStore, actor_of

_LOG = logging.getLogger(__name__)
_POLL_S = 0.5
_GRACE_S = 10.0
_LONGEST_LINE = 2_000
_PARENT = "MODELLEDGER_WORKER_PID"

Work = Callable[[Actor, str, Mapping[str, Any], Progress], Mapping[str, Any]]


def run_worker(
    jobs: JobStore,
    *,
    command: Callable[[str, int], Sequence[str]],
    between: Callable[[], object],
    on_lost: Callable[[Job], object],
) -> int:
    """Works until SIGTERM or SIGINT; returns 0.

    *command* gives the child process for a job and its attempt; *between* runs about twice a second (triggers);
    *on_lost* tidies up what a job left whose process died before it could say how it ended.
    A database that does not answer is waited for.
    """
    name = f"{socket.gethostname()}-{os.getpid()}-{uuid4().hex[:6]}"
    stopping = threading.Event()

    def stop(signum: int, frame: FrameType | None) -> None:
        stopping.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop)
    while not stopping.is_set():
        try:
            for lost in jobs.reap():
                on_lost(lost)
            between()
            job = jobs.claim(name)
            if job is not None:
                _supervise(jobs, job, command, between, on_lost, stopping)
        except DatabaseUnavailable as error:
            _LOG.warning("%s", error)
            stopping.wait(5)
        except CoreError as error:
            # A trigger or the tidying of one job must not end the worker of all others.
            _LOG.warning("%s", error)
            stopping.wait(_POLL_S)
        stopping.wait(_POLL_S)
    return 0


def run_job(jobs: JobStore, job_id: str, *, attempt: int, work: Work) -> JobStatus:
    """Does one claimed job in this process, the worker's child; every way of ending is recorded."""
    _end_with_parent()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _raise_cancelled)
    job = jobs.get(job_id)
    progress = _JobProgress(jobs, job_id, attempt)
    try:
        progress.checkpoint()
        result = work(actor_of(job), job.kind, job.arguments, progress)
        jobs.finish(job_id, attempt, result)
        return JobStatus.FINISHED
    except JobCancelled as error:
        if jobs.get(job_id).cancel_requested:
            jobs.kill(job_id, attempt, str(error))
            return JobStatus.KILLED
        # Nobody cancelled it: its worker is being stopped, and the work must not be lost with it.
        jobs.release(job_id, attempt, "its worker was stopped")
        return JobStatus.SCHEDULED
    except LeaseLost as error:
        print(error, file=sys.stderr)
        return JobStatus.FAILED
    except CoreError as error:
        jobs.fail(job_id, attempt, str(error))
        return JobStatus.FAILED
    except Exception as error:  # noqa: BLE001 -- the job boundary: whatever went wrong is recorded
        traceback.print_exc()
        reason = str(error).strip().splitlines()[0] if str(error).strip() else "no message"
        jobs.fail(job_id, attempt, f"{type(error).__name__}: {reason}")
        return JobStatus.FAILED


class _JobProgress:
    """Progress that writes to the job table."""

    def __init__(self, jobs: JobStore, job_id: str, attempt: int) -> None:
        self._jobs, self._job_id, self._attempt = jobs, job_id, attempt

    def report(self, fraction: float, step: str) -> None:
        self._jobs.report(self._job_id, self._attempt, fraction, step)

    def line(self, text: str) -> None:
        self._jobs.write_line(self._job_id, text[:_LONGEST_LINE])

    def remember(self, **facts: str) -> None:
        self._jobs.remember(self._job_id, self._attempt, facts)

    def checkpoint(self) -> None:
        if self._jobs.beat(self._job_id, self._attempt):
            raise JobCancelled("cancelled on request", job_id=self._job_id)


def _supervise(
    jobs: JobStore,
    job: Job,
    command: Callable[[str, int], Sequence[str]],
    between: Callable[[], object],
    on_lost: Callable[[Job], object],
    stopping: threading.Event,
) -> None:
    """Runs the child until it ends; what it prints becomes the job's log."""
    child = subprocess.Popen(
        list(command(job.id, job.attempt)),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        env=os.environ | {_PARENT: str(os.getpid())},
    )
    assert child.stdout is not None
    reader = threading.Thread(target=_keep_lines, args=(jobs, job.id, child.stdout), daemon=True)
    reader.start()
    try:
        while child.poll() is None:
            try:
                must_end = jobs.beat(job.id, job.attempt)
            except LeaseLost:
                # The child has ended its job (then it is about to exit), or another worker has it.
                must_end = child.poll() is None and not jobs.get(job.id).status.is_over
            if must_end or stopping.is_set():
                _end(child)
                break
            between()
            time.sleep(_POLL_S)
    finally:
        if child.poll() is None:
            _end(child)
        reader.join(5)
    after = jobs.get(job.id)
    if after.status is JobStatus.RUNNING and after.attempt == job.attempt:
        _record_silent_end(jobs, after, child.returncode, stopping.is_set())
        on_lost(jobs.get(job.id))


def _record_silent_end(jobs: JobStore, job: Job, code: int, stopping: bool) -> None:
    """The child ended without a word: killed, out of memory, or a crash outside Python."""
    if job.cancel_requested:
        jobs.kill(job.id, job.attempt, "cancelled on request; its process had to be killed")
    elif stopping:
        jobs.release(job.id, job.attempt, "its worker was stopped")
    else:
        how = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
        jobs.fail(job.id, job.attempt, f"its process ended with {how} before it could say why; see its log")


def _end(child: subprocess.Popen[str]) -> None:
    """Asks the child to stop, and kills it where it does not."""
    child.terminate()
    try:
        child.wait(_GRACE_S)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()


def _keep_lines(jobs: JobStore, job_id: str, out: IO[str]) -> None:
    for text in out:
        if text.strip():
            jobs.write_line(job_id, text.rstrip()[:_LONGEST_LINE])


def _raise_cancelled(signum: int, frame: FrameType | None) -> None:
    raise JobCancelled("asked to stop")


def _end_with_parent() -> None:
    """A job must not go on alone when its worker was killed: another worker will take it over."""
    parent = int(os.environ.get(_PARENT, "0"))
    if not parent:
        return

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(_POLL_S)
        os._exit(70)

    threading.Thread(target=watch, daemon=True, name="parent-watch").start()
