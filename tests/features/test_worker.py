"""The worker with real processes: killed in the middle, cancelled, stopped; its children failing in every way."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from core.database.engine import Database
from core.entities import Actor, Job, JobStatus, Role
from core.jobs import worker as module
from core.jobs.store import JobStore

ROOT = Path(__file__).resolve().parent.parent.parent
SCIENTIST = Actor(name="scientist", roles=frozenset({Role.SCIENTIST}), channel="test")
# Longer than a child takes to start on a busy machine, short enough for a test.
LEASE_S = 3.0

Start = Callable[[], "subprocess.Popen[str]"]


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'modelledger.db'}"


@pytest.fixture
def jobs(url: str) -> JobStore:
    return JobStore(Database(url), LEASE_S)


@pytest.fixture
def start(url: str) -> Iterator[Start]:
    """Start a worker; workers that still run are ended with the test."""
    running: list[subprocess.Popen[str]] = []

    def begin() -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "tests.features.worker_child", "worker", url, str(LEASE_S)]
        running.append(subprocess.Popen(command, cwd=ROOT, text=True))
        return running[-1]

    yield begin
    for worker in running:
        if worker.poll() is None:
            worker.terminate()
            worker.wait(30)


def until(condition: Callable[[], Any], within_s: float = 30.0) -> Any:
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        found = condition()
        if found:
            return found
        time.sleep(0.05)
    raise AssertionError(f"not within {within_s} s")


def over(jobs: JobStore, job: Job) -> Job:
    def look() -> Job | None:
        now = jobs.get(job.id)
        return now if now.status.is_over else None

    return until(look)


def texts(jobs: JobStore, job: Job) -> list[str]:
    return [line.text for line in jobs.lines(job.id)]


def steps_job(jobs: JobStore, folder: Path, steps: int) -> Job:
    folder.mkdir(exist_ok=True)
    return jobs.submit("steps", {"folder": str(folder), "steps": steps}, SCIENTIST)


def test_job_is_done_in_a_process_of_its_own(jobs: JobStore, start: Start, tmp_path: Path) -> None:
    worker = start()
    done = over(jobs, steps_job(jobs, tmp_path / "steps", 2))
    assert (done.status, done.attempt, done.result["by"]) == (JobStatus.FINISHED, 1, "scientist")
    assert done.result["pid"] != worker.pid


def test_what_a_job_prints_is_its_log(jobs: JobStore, start: Start) -> None:
    start()
    job = jobs.submit("print", {"text": "hello at mysql://me:s3cr3t@db"}, SCIENTIST)
    over(jobs, job)
    until(lambda: len(texts(jobs, job)) == 3)
    assert sorted(texts(jobs, job)) == ["and by progress", "and on stderr", "hello at mysql://me:***@db"]


def test_job_id_and_actor_are_in_the_log_lines_of_a_worker_and_of_its_jobs(
    jobs: JobStore, url: str, tmp_path: Path
) -> None:
    job = jobs.submit("log", {"text": "https://ci:hunter2hunter2@git.example/x.git"}, SCIENTIST)
    command = [sys.executable, "-m", "tests.features.worker_child", "worker", url, str(LEASE_S)]
    with (tmp_path / "stderr").open("w") as stderr:
        worker = subprocess.Popen(command, cwd=ROOT, stderr=stderr, env=os.environ | {"MODELLEDGER_LOG_FORMAT": "json"})
        try:
            over(jobs, job)
        finally:
            worker.terminate()
            worker.wait(30)
    text = (tmp_path / "stderr").read_text()
    lines = {line["event"]: line for line in map(json.loads, text.splitlines())}
    assert list(lines) == ["worker started", "job started", "fetching", "job ended", "worker stopped"]
    for event in ("job started", "fetching", "job ended"):
        line = lines[event]
        assert (line["job_id"], line["attempt"], line["actor"], line["level"]) == (job.id, 1, "scientist", "info")
    assert lines["job ended"]["status"] == "finished"
    assert (lines["fetching"]["url"], lines["fetching"]["api_token"]) == ("https://ci:***@git.example/x.git", "***")
    assert "hunter2" not in text
    assert "tell nobody" not in text
    assert texts(jobs, job) == [], "the job's own log is for people: lines below a warning stay out of it"


@pytest.mark.parametrize(
    ("kind", "error"),
    [
        ("refuse", "The target has one class; two are needed."),
        (
            "cancelled elsewhere",
            "The Spark job was cancelled; nothing was written. Nobody asked this job to stop.",
        ),
        ("fault", "KeyError: 'a fault of ours'"),
        ("die", "its process ended with signal SIGKILL and recorded no reason; see the log"),
        ("crash", "its process ended with signal SIGSEGV and recorded no reason; see the log"),
    ],
)
def test_job_that_fails_ends_as_failed_with_its_reason(jobs: JobStore, start: Start, kind: str, error: str) -> None:
    start()
    failed = over(jobs, jobs.submit(kind, {}, SCIENTIST))
    assert (failed.status, failed.error) == (JobStatus.FAILED, error)
    after = jobs.submit("print", {"text": "the worker goes on"}, SCIENTIST)
    assert over(jobs, after).status is JobStatus.FINISHED


def test_an_unexpected_error_leaves_its_traceback_in_the_log(jobs: JobStore, start: Start) -> None:
    start()
    job = jobs.submit("fault", {}, SCIENTIST)
    over(jobs, job)
    until(lambda: any("Traceback" in text for text in texts(jobs, job)))


def test_cancelled_job_stops_and_is_killed_not_failed(jobs: JobStore, start: Start, tmp_path: Path) -> None:
    start()
    job = steps_job(jobs, tmp_path / "steps", 600)
    until(lambda: jobs.get(job.id).progress > 0)
    jobs.request_cancel(job.id, "manager")
    killed = over(jobs, job)
    assert killed.status is JobStatus.KILLED
    assert "manager asked to cancel" in texts(jobs, job)
    written = len(list((tmp_path / "steps").iterdir()))
    time.sleep(0.3)  # three steps of a child that went on
    assert len(list((tmp_path / "steps").iterdir())) == written


def test_job_that_is_cancelled_before_it_begins_ends_as_cancelled(jobs: JobStore) -> None:
    """The process is still importing, so it cannot read the request; a signal ends it."""
    job = jobs.submit("slow", {}, SCIENTIST)

    def command(job_id: str, attempt: int) -> list[str]:
        return [sys.executable, "-c", "import time; time.sleep(60)"]

    def cancel() -> None:
        if jobs.get(job.id).status is JobStatus.RUNNING:
            jobs.request_cancel(job.id, "manager")

    assert module._Worker(jobs, command, cancel, lambda lost: None, 0.0).work_once()
    ended = jobs.get(job.id)
    assert (ended.status, ended.error) == (JobStatus.KILLED, "cancelled on request")


def test_job_that_ignores_the_request_is_killed(jobs: JobStore, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_GRACE_S", 0.3)
    monkeypatch.setattr(module, "_POLL_S", 0.05)
    job = jobs.submit("stubborn", {}, SCIENTIST)

    def command(job_id: str, attempt: int) -> list[str]:
        return [sys.executable, "-m", "tests.features.worker_child", "child", url, str(LEASE_S), job_id, str(attempt)]

    tidied: list[str] = []
    worker = module._Worker(jobs, command, lambda: cancel(), lambda lost: tidied.append(lost.id), 0.0)

    def cancel() -> None:
        if jobs.get(job.id).result.get("deaf"):
            jobs.request_cancel(job.id, "manager")

    assert worker.work_once()
    killed = jobs.get(job.id)
    assert killed.status is JobStatus.KILLED
    assert killed.error == "cancelled on request; its process had to be killed"
    assert tidied == [job.id]


@pytest.mark.slow
def test_a_killed_worker_ends_its_job_and_another_worker_runs_it_again(
    jobs: JobStore, start: Start, tmp_path: Path
) -> None:
    worker = start()
    job = steps_job(jobs, tmp_path / "steps", 40)
    until(lambda: jobs.get(job.id).progress > 0)
    (child,) = psutil.Process(worker.pid).children()
    worker.send_signal(signal.SIGKILL)
    worker.wait(10)
    child_ended = until(lambda: None if child.is_running() else time.time())
    start()
    done = over(jobs, job)
    assert (done.status, done.attempt) == (JobStatus.FINISHED, 2)
    assert done.result["pid"] != child.pid
    # Never both at once: the first file of the second attempt is younger than the end of the first.
    second = [path for path in (tmp_path / "steps").iterdir() if path.name.startswith(f"{done.result['pid']}-")]
    assert len(second) == 40
    assert min(path.stat().st_mtime for path in second) > child_ended - 0.1
    assert f"tidied up after run-of-{child.pid}" in texts(jobs, job)


def test_stopped_worker_gives_its_job_back(jobs: JobStore, start: Start, tmp_path: Path) -> None:
    worker = start()
    job = steps_job(jobs, tmp_path / "steps", 60)
    until(lambda: jobs.get(job.id).progress > 0)
    worker.terminate()
    assert worker.wait(30) == 0
    waiting = jobs.get(job.id)
    assert (waiting.status, waiting.step) == (JobStatus.SCHEDULED, "waiting: its worker was stopped")
    start()
    assert over(jobs, job).attempt == 2


def test_child_of_another_attempt_does_nothing(jobs: JobStore, url: str, tmp_path: Path) -> None:
    job = steps_job(jobs, tmp_path / "steps", 3)
    jobs.claim("w1")
    command = [sys.executable, "-m", "tests.features.worker_child", "child", url, str(LEASE_S), job.id, "0"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert "no longer owns job" in done.stderr
    assert list((tmp_path / "steps").iterdir()) == []
    assert jobs.get(job.id).status is JobStatus.RUNNING


@pytest.mark.parametrize("how", ["cancel", pytest.param("kill the worker", marks=pytest.mark.slow)])
def test_the_processes_of_a_job_end_with_it(jobs: JobStore, start: Start, how: str) -> None:
    worker = start()
    job = jobs.submit("family", {}, SCIENTIST)
    grandchild = int(until(lambda: jobs.get(job.id).result.get("child")))
    assert psutil.pid_exists(grandchild)
    if how == "cancel":
        jobs.request_cancel(job.id, "manager")
    else:
        os.kill(worker.pid, signal.SIGKILL)
        worker.wait(10)
    until(lambda: not psutil.pid_exists(grandchild) or psutil.Process(grandchild).status() == psutil.STATUS_ZOMBIE)
