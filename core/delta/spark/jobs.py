"""Long Spark work that tells where it is (stages done of stages total) and can be cancelled on every kind of master."""

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

T = TypeVar("T")

_POLL_S = 0.5
_STOP_WAIT_S = 60.0
_LOST_WAIT_S = 10.0
# Work that starts one Spark job after the other may start one just after the others were cancelled.
_CANCEL_AGAIN_S = 2.0
_MOST = 0.95


@dataclass(frozen=True, kw_only=True)
class Stages:
    """How far Spark is in what it knows to be needed so far; later jobs add stages of their own."""

    done: int = 0
    total: int = 0
    tasks_done: int = 0
    tasks_total: int = 0

    @property
    def fraction(self) -> float:
        return self.tasks_done / self.tasks_total if self.tasks_total else 0.0

    def __str__(self) -> str:
        return f"stage {self.done} of {self.total}, task {self.tasks_done} of {self.tasks_total}"


def watch(
    session: Any,
    work: Callable[[], T],
    *,
    report: Callable[[float, str], None],
    checkpoint: Callable[[], None],
    what: str,
    table: Table | None = None,
) -> T:
    """Does *work* on *session* and returns what it returns; meanwhile *report* hears how far Spark is.

    *checkpoint* is asked twice a second; what it raises (cancelled, lease lost), and what a signal raises here, ends
    the Spark jobs of this work and is raised, unless the work was done by then: what is committed is told as done,
    never as cancelled.
    Raises Spark's failures with their root cause.
    """
    tag = f"modelledger-{uuid.uuid4().hex}"
    with translated(table):
        meter = _ConnectMeter(session, tag) if _is_connect(session) else _ClassicMeter(session, tag)
    outcome: list[T] = []
    failure: list[BaseException] = []

    def run() -> None:
        try:
            with translated(table), meter.tagged():
                outcome.append(work())
        except BaseException as error:  # noqa: BLE001 - carried over to the calling thread, which raises it
            failure.append(error)

    with translated(table):
        thread = _thread(session, run)
    thread.start()
    with meter.listening():
        try:
            _follow(thread, meter, what, report, checkpoint)
        except BaseException as error:  # noqa: BLE001 - raised below, unless the work was done by then
            # Asked to stop, by the job table or by a signal, or the session was lost. What is committed by now is done.
            _settle(thread, meter)
            if not outcome:
                failure.insert(0, error)
    if failure:
        if not isinstance(failure[0], JobCancelled | LeaseLost):
            # A signal that came inside a call to Java is lost there and breaks the session: cancelled all the same.
            checkpoint()
        raise failure[0]
    return outcome[0]


def _follow(
    thread: threading.Thread,
    meter: _ClassicMeter | _ConnectMeter,
    what: str,
    report: Callable[[float, str], None],
    checkpoint: Callable[[], None],
) -> None:
    """Tells what is new until *thread* has ended."""
    best, told = 0.0, ""
    while True:
        thread.join(_POLL_S)
        if not thread.is_alive():
            return
        try:
            stages = meter.stages()
        except (EngineUnavailable, EngineFailed, AttributeError):
            # The session is gone, and the work hears of it too; perhaps it has closed it already, and left a None.
            thread.join(_LOST_WAIT_S)
            if thread.is_alive():
                raise
            return
        if stages.total:
            # Stages that are not known yet may follow: only the end itself is 1.
            best = max(best, _MOST * stages.fraction)
            if (step := f"{what}: {stages}") != told:
                report(best, step)
                told = step
        checkpoint()


def _settle(thread: threading.Thread, meter: _ClassicMeter | _ConnectMeter) -> None:
    """Cancels the Spark jobs and waits for the work to end; being asked to stop once more changes nothing."""
    end = time.monotonic() + _STOP_WAIT_S
    while thread.is_alive() and time.monotonic() < end:
        with contextlib.suppress(JobCancelled):
            meter.cancel()
            thread.join(_CANCEL_AGAIN_S)


class _ClassicMeter:
    """Job groups and the status tracker of a driver in this process."""

    def __init__(self, session: Any, tag: str) -> None:
        self._context, self._tag = session.sparkContext, tag

    @contextlib.contextmanager
    def tagged(self) -> Iterator[None]:
        self._context.setJobGroup(self._tag, "ModelLedger", interruptOnCancel=True)
        try:
            yield
        finally:
            # Where Java is gone there is no group left to clear.
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
        seen: dict[int, tuple[int, int]] = {}
        finished: set[int] = set()
        for job_id in tracker.getJobIdsForGroup(self._tag):
            job = tracker.getJobInfo(job_id)
            if job is None:
                continue
            for stage_id in job.stageIds:
                stage = tracker.getStageInfo(stage_id)
                # A stage without tasks yet is waiting; in a finished job it was skipped, its rows being there.
                seen[stage_id] = (stage.numCompletedTasks, stage.numTasks) if stage else (0, 0)
                if job.status == "SUCCEEDED":
                    finished.add(stage_id)
        return _sum(seen, finished)

    def cancel(self) -> None:
        with contextlib.suppress(Exception):
            self._context.cancelJobGroup(self._tag)


class _ConnectMeter:
    """Operation tags and the progress messages of a Connect server."""

    def __init__(self, session: Any, tag: str) -> None:
        self._session, self._tag = session, tag
        self._latest: dict[Any, dict[int, tuple[int, int]]] = {}
        self._ended: set[int] = set()
        self._lock = threading.Lock()

    @contextlib.contextmanager
    def tagged(self) -> Iterator[None]:
        # Spark ML asks for the thread's session, which a thread does not inherit over Connect.
        type(self._session)._set_default_and_active_session(self._session)
        self._session.addTag(self._tag)
        try:
            yield
        finally:
            self._session.removeTag(self._tag)

    @contextlib.contextmanager
    def listening(self) -> Iterator[None]:
        self._session.registerProgressHandler(self._hear)
        try:
            yield
        finally:
            self._session.removeProgressHandler(self._hear)

    def _hear(self, stages: Iterable[Any] | None, inflight_tasks: int, operation_id: str | None, done: bool) -> None:
        with self._lock:
            known = self._latest.setdefault(operation_id, {})
            for stage in stages or ():
                known[stage.stage_id] = (stage.num_completed_tasks, stage.num_tasks)
                if stage.done:
                    self._ended.add(stage.stage_id)
            if done:
                # What was skipped, its rows being there, never reports an end of its own.
                self._ended.update(known)

    def stages(self) -> Stages:
        with self._lock:
            seen = {key: counts for known in self._latest.values() for key, counts in known.items()}
            return _sum(seen, set(self._ended))

    def cancel(self) -> None:
        with contextlib.suppress(Exception):
            self._session.interruptTag(self._tag)


def _sum(seen: dict[int, tuple[int, int]], finished: set[int]) -> Stages:
    done = sum(1 for key, (completed, tasks) in seen.items() if key in finished or (tasks and completed >= tasks))
    return Stages(
        done=done,
        total=len(seen),
        tasks_done=sum(tasks if key in finished else completed for key, (completed, tasks) in seen.items()),
        tasks_total=sum(tasks for _, tasks in seen.values()),
    )


def _thread(session: Any, run: Callable[[], None]) -> threading.Thread:
    if _is_connect(session):
        return threading.Thread(target=run, name="spark-work", daemon=True)
    from pyspark import InheritableThread

    thread: threading.Thread = InheritableThread(target=run, name="spark-work", daemon=True)
    return thread


def _is_connect(session: Any) -> bool:
    return type(session).__module__.startswith("pyspark.sql.connect")
