"""Watch long Spark work: report the stages and tasks done, and cancel the work on every kind of master."""

from __future__ import annotations

import contextlib
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

from core.delta.spark.errors import translated
from core.entities import Table
from core.errors import EngineFailed, EngineUnavailable, JobCancelled, LeaseLost
from core.texts import text

T = TypeVar("T")

_POLL_S = 0.5
_STOP_WAIT_S = 60.0
_LOST_WAIT_S = 10.0
# Work that runs several Spark jobs may start the next one just after the others were cancelled.
_CANCEL_AGAIN_S = 2.0
# Later jobs may add stages, so progress reaches 1 only at the end.
_MAX_PROGRESS = 0.95


@dataclass(frozen=True, kw_only=True)
class Stages:
    """The stages and tasks that Spark has planned so far, and how many are done. Later jobs add stages."""

    done: int = 0
    total: int = 0
    tasks_done: int = 0
    tasks_total: int = 0

    @property
    def fraction(self) -> float:
        return self.tasks_done / self.tasks_total if self.tasks_total else 0.0


def watch(
    session: Any,
    work: Callable[[], T],
    *,
    report: Callable[[float, str], None],
    checkpoint: Callable[[], None],
    step: str,
    table: Table | None = None,
) -> T:
    """Run *work* on *session* and return its result; *report* gets the progress from 0 to 1 and a text with *step*.

    *checkpoint* is called twice a second. An error that it raises (cancelled, lease lost), or that a signal raises,
    ends the Spark jobs and is raised here, unless the work is done by then: committed work is never reported as
    cancelled. Spark's failures are raised with their root cause.
    """
    tag = f"modelledger-{uuid.uuid4().hex}"
    with translated(table):
        meter = _ConnectMeter(session, tag) if _is_connect(session) else _ClassicMeter(session, tag)
    results: list[T] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            with translated(table), meter.tagged():
                results.append(work())
        except BaseException as error:  # noqa: BLE001 - raised again in the calling thread
            errors.append(error)

    with translated(table):
        thread = _thread(session, run)
    thread.start()
    with meter.listening():
        try:
            _report_progress(thread, meter, step, report, checkpoint)
        except BaseException as error:  # noqa: BLE001 - raised below, unless the work is done by then
            # The job or a signal requests a stop, or the session was lost. Committed work counts as done.
            _stop(thread, meter)
            if not results:
                errors.insert(0, error)
    if errors:
        if not isinstance(errors[0], JobCancelled | LeaseLost):
            # A signal during a call to Java is lost there and breaks the session; the job is cancelled all the same.
            checkpoint()
        raise errors[0]
    return results[0]


def _report_progress(
    thread: threading.Thread,
    meter: _ClassicMeter | _ConnectMeter,
    step: str,
    report: Callable[[float, str], None],
    checkpoint: Callable[[], None],
) -> None:
    """Report changes until *thread* ends."""
    progress, reported = 0.0, Stages()
    while True:
        thread.join(_POLL_S)
        if not thread.is_alive():
            return
        try:
            stages = meter.stages()
        except (EngineUnavailable, EngineFailed, AttributeError):
            # The session is gone. The work notices it too, and may have closed the session and left None.
            thread.join(_LOST_WAIT_S)
            if thread.is_alive():
                raise
            return
        if stages.total and stages != reported:
            progress = max(progress, _MAX_PROGRESS * stages.fraction)
            report(
                progress,
                text(
                    "{step}: stage {done} of {total}, task {tasks_done} of {tasks_total}",
                    step=step,
                    done=stages.done,
                    total=stages.total,
                    tasks_done=stages.tasks_done,
                    tasks_total=stages.tasks_total,
                ),
            )
            reported = stages
        checkpoint()


def _stop(thread: threading.Thread, meter: _ClassicMeter | _ConnectMeter) -> None:
    """Cancel the Spark jobs and wait until the work ends; a second request to stop changes nothing."""
    end = time.monotonic() + _STOP_WAIT_S
    while thread.is_alive() and time.monotonic() < end:
        with contextlib.suppress(JobCancelled):
            meter.cancel()
            thread.join(_CANCEL_AGAIN_S)


class _ClassicMeter:
    """Progress of a driver in this process: job groups and the status tracker."""

    def __init__(self, session: Any, tag: str) -> None:
        self._context, self._tag = session.sparkContext, tag

    @contextlib.contextmanager
    def tagged(self) -> Iterator[None]:
        self._context.setJobGroup(self._tag, "ModelLedger", interruptOnCancel=True)
        try:
            yield
        finally:
            # If Java is gone there is no group to clear.
            with contextlib.suppress(Exception):
                self._context.setLocalProperty("spark.jobGroup.id", None)

    @contextlib.contextmanager
    def listening(self) -> Iterator[None]:
        yield

    def stages(self) -> Stages:
        with translated():
            return self._stages()

    def _stages(self) -> Stages:
        tracker = self._context.statusTracker()
        tasks: dict[int, tuple[int, int]] = {}
        finished: set[int] = set()
        for job_id in tracker.getJobIdsForGroup(self._tag):
            job = tracker.getJobInfo(job_id)
            if job is None:
                continue
            for stage_id in job.stageIds:
                stage = tracker.getStageInfo(stage_id)
                # A stage without tasks is waiting; in a finished job it was skipped, because its rows existed.
                tasks[stage_id] = (stage.numCompletedTasks, stage.numTasks) if stage else (0, 0)
                if job.status == "SUCCEEDED":
                    finished.add(stage_id)
        return _sum(tasks, finished)

    def cancel(self) -> None:
        with contextlib.suppress(Exception):
            self._context.cancelJobGroup(self._tag)


class _ConnectMeter:
    """Progress of a Connect server: operation tags and progress messages."""

    def __init__(self, session: Any, tag: str) -> None:
        self._session, self._tag = session, tag
        self._latest: dict[Any, dict[int, tuple[int, int]]] = {}
        self._ended: set[int] = set()
        self._lock = threading.Lock()

    @contextlib.contextmanager
    def tagged(self) -> Iterator[None]:
        # Spark ML uses the session of the thread, which a thread does not inherit over Connect.
        type(self._session)._set_default_and_active_session(self._session)
        self._session.addTag(self._tag)
        try:
            yield
        finally:
            self._session.removeTag(self._tag)

    @contextlib.contextmanager
    def listening(self) -> Iterator[None]:
        self._session.registerProgressHandler(self._on_progress)
        try:
            yield
        finally:
            self._session.removeProgressHandler(self._on_progress)

    def _on_progress(
        self, stages: Iterable[Any] | None, inflight_tasks: int, operation_id: str | None, done: bool
    ) -> None:
        with self._lock:
            tasks = self._latest.setdefault(operation_id, {})
            for stage in stages or ():
                tasks[stage.stage_id] = (stage.num_completed_tasks, stage.num_tasks)
                if stage.done:
                    self._ended.add(stage.stage_id)
            if done:
                # A stage that was skipped, because its rows existed, never reports its own end.
                self._ended.update(tasks)

    def stages(self) -> Stages:
        with self._lock:
            tasks = {key: counts for stages in self._latest.values() for key, counts in stages.items()}
            return _sum(tasks, set(self._ended))

    def cancel(self) -> None:
        with contextlib.suppress(Exception):
            self._session.interruptTag(self._tag)


def _sum(tasks: dict[int, tuple[int, int]], finished: set[int]) -> Stages:
    """Return the totals; *tasks* are the completed tasks and all tasks by stage."""
    return Stages(
        done=sum(1 for key, (done, total) in tasks.items() if key in finished or (total and done >= total)),
        total=len(tasks),
        tasks_done=sum(total if key in finished else done for key, (done, total) in tasks.items()),
        tasks_total=sum(total for _, total in tasks.values()),
    )


def _thread(session: Any, run: Callable[[], None]) -> threading.Thread:
    if _is_connect(session):
        return threading.Thread(target=run, name="spark-work", daemon=True)
    from pyspark import InheritableThread

    thread: threading.Thread = InheritableThread(target=run, name="spark-work", daemon=True)
    return thread


def _is_connect(session: Any) -> bool:
    return type(session).__module__.startswith("pyspark.sql.connect")
