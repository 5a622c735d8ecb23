"""The worker: claims jobs, runs each job in a child process, renews its lease and stops cancelled jobs."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from types import FrameType
from typing import IO
from uuid import uuid4

from core.entities import Job, JobStatus
from core.errors import CoreError, DatabaseUnavailable, LeaseLost
from core.jobs.child import PARENT, run_job
from core.jobs.store import MOST_LINES, JobStore
from core.logs import LOG_FD, bound_contextvars, get_logger, own_stderr

__all__ = ["run_job", "run_worker"]

_LOG = get_logger(__name__)
_POLL_S = 0.5
_BETWEEN_S = 5.0
_GRACE_S = 10.0

Command = Callable[[str, int], Sequence[str]]


def run_worker(
    jobs: JobStore,
    *,
    command: Command,
    between: Callable[[], object],
    on_lost: Callable[[Job], object],
    between_s: float = _BETWEEN_S,
) -> int:
    """Run jobs until SIGTERM or SIGINT and return 0. The current job is then scheduled again, from its beginning.

    *command* returns the command of the child process for a job id and an attempt. *between* runs every *between_s*
    seconds, also while a job runs. *on_lost* tidies up after a job whose process died before the process recorded its
    end. While the database does not answer, the worker waits.
    """
    worker = _Worker(jobs, command, between, on_lost, between_s)

    def stop(signum: int, frame: FrameType | None) -> None:
        worker.stopping.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop)
    _LOG.info("worker started", worker=worker.name)
    while not worker.stopping.is_set():
        worker.stopping.wait(0 if worker.work_once() else _POLL_S)
    _LOG.info("worker stopped", worker=worker.name)
    return 0


class _Worker:
    """One worker process. *stopping* is set by a signal."""

    def __init__(
        self,
        jobs: JobStore,
        command: Command,
        between: Callable[[], object],
        on_lost: Callable[[Job], object],
        between_s: float,
    ) -> None:
        self._jobs, self._command, self._between, self._on_lost = jobs, command, between, on_lost
        self._between_s, self._next_between = between_s, 0.0
        self.name = f"{socket.gethostname()}-{os.getpid()}-{uuid4().hex[:6]}"
        self.stopping = threading.Event()

    def work_once(self) -> bool:
        """Take over lost jobs, run *between* if due, run one job; return whether there was a job."""
        try:
            for lost in self._jobs.reap():
                self._tidy(lost)
            self._do_between()
            job = self._jobs.claim(self.name)
            if job is not None:
                with bound_contextvars(job_id=job.id, attempt=job.attempt, actor=job.actor):
                    self._supervise(job)
            return job is not None
        except DatabaseUnavailable as error:
            _LOG.warning("the worker waits for the database", error=str(error))
            self.stopping.wait(5)
            return False

    def _supervise(self, job: Job) -> None:
        """Run the child process until it ends; its output becomes the job's log."""
        _LOG.info("job started", kind=job.kind)
        with own_stderr() as log_fd:
            child = subprocess.Popen(
                list(self._command(job.id, job.attempt)),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
                env=os.environ | {PARENT: str(os.getpid()), LOG_FD: str(log_fd)},
                pass_fds=(log_fd,),
                start_new_session=True,  # so that the processes of the child can be ended with it
            )
        assert child.stdout is not None
        # The reader only fills a queue: a slow database must not block the child on a full pipe.
        printed: deque[str] = deque(maxlen=MOST_LINES)
        reader = threading.Thread(target=_collect, args=(child.stdout, printed), daemon=True)
        reader.start()
        try:
            self._watch(job, child, printed)
        finally:
            _end(child)
            reader.join(5)
            child.stdout.close()
        self._keep_lines(job, printed)
        after = self._jobs.get(job.id)
        if after.status is JobStatus.RUNNING and after.attempt == job.attempt:
            self._record_silent_end(after, child.returncode)
            after = self._jobs.get(job.id)
            self._tidy(after)
        _LOG.info("job ended", kind=job.kind, status=after.status.value, error=after.error)

    def _watch(self, job: Job, child: subprocess.Popen[str], printed: deque[str]) -> None:
        """Return when the child has ended or must end."""
        renewed, every = time.monotonic(), min(self._jobs.lease.total_seconds() / 6, 5.0)
        while child.poll() is None:
            if self.stopping.wait(_POLL_S):
                return
            try:
                self._keep_lines(job, printed)
                now = self._jobs.get(job.id)
                if now.cancel_requested and not now.status.is_over:
                    return
                if time.monotonic() - renewed >= every:
                    self._jobs.beat(job.id, job.attempt)
                    renewed = time.monotonic()
            except LeaseLost:
                # The child has recorded the end of the job, or another worker owns the job.
                if not self._jobs.get(job.id).status.is_over:
                    return
            except DatabaseUnavailable as error:
                _LOG.warning("the worker waits for the database", error=str(error))
                if time.monotonic() - renewed > self._jobs.lease.total_seconds():
                    return  # another worker may own the job by now
            self._do_between()

    def _do_between(self) -> None:
        if time.monotonic() < self._next_between:
            return
        try:
            self._between()
        except CoreError as error:
            # A trigger that fails must not end the worker, which other jobs need.
            _LOG.warning("a task between jobs failed", error=str(error))
        self._next_between = time.monotonic() + self._between_s

    def _tidy(self, job: Job) -> None:
        try:
            self._on_lost(job)
        except CoreError as error:
            _LOG.warning("the remains of a lost job could not be tidied up", job_id=job.id, error=str(error))

    def _keep_lines(self, job: Job, printed: deque[str]) -> None:
        lines = [printed.popleft() for _ in range(len(printed))]
        if not lines:
            return
        try:
            self._jobs.write_lines(job.id, lines)
        except DatabaseUnavailable:
            printed.extendleft(reversed(lines))
            raise

    def _record_silent_end(self, job: Job, code: int) -> None:
        """Record the end of a child that recorded none itself: killed, out of memory, or crashed outside Python."""
        if job.cancel_requested:
            forced = "" if code == -signal.SIGTERM else "; its process had to be killed"
            self._jobs.kill(job.id, job.attempt, f"cancelled on request{forced}")
        elif self.stopping.is_set():
            self._jobs.release(job.id, job.attempt, "its worker was stopped")
        else:
            how = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
            self._jobs.fail(job.id, job.attempt, f"its process ended with {how} and recorded no reason; see the log")


def _end(child: subprocess.Popen[str]) -> None:
    """Ask a running child to stop, kill it if it does not, and kill the processes that it left."""
    if child.poll() is None:
        child.terminate()
        try:
            child.wait(_GRACE_S)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
    with suppress(ProcessLookupError):  # its process group is empty
        os.killpg(child.pid, signal.SIGKILL)


def _collect(out: IO[str], printed: deque[str]) -> None:
    for text in out:
        if text.strip():
            printed.append(text.rstrip())
