"""The job table on both databases: one worker per job, leases, takeovers fenced by the attempt, no secret kept."""

from __future__ import annotations

import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from core.database.engine import Database
from core.entities import Actor, JobStatus, Role, Trigger
from core.errors import BadParameter, JobNotFound, LeaseLost, NotFound
from core.jobs import store as module
from core.jobs.store import JobStore, actor_of
from core.jobs.triggers import next_due
from core.redact import redactor

ROOT = Path(__file__).resolve().parent.parent.parent
SCIENTIST = Actor(name="scientist", roles=frozenset({Role.SCIENTIST, Role.AUDITOR}), channel="page")


@pytest.fixture
def database(database_url: str) -> Database:
    return Database(database_url)


@pytest.fixture
def jobs(database: Database) -> JobStore:
    return JobStore(database, 30.0)


@pytest.fixture
def hasty(database: Database) -> JobStore:
    """A store whose leases run out after a tenth of a second."""
    return JobStore(database, 0.1)


def test_job_is_scheduled_then_claimed_then_finished(jobs: JobStore) -> None:
    job = jobs.submit("train", {"recipe": "iris", "version": 0}, SCIENTIST)
    assert jobs.get(job.id) == job
    assert (job.status, job.attempt, job.arguments["version"]) == (JobStatus.SCHEDULED, 0, 0)
    running = jobs.claim("w1")
    assert running is not None
    assert (running.id, running.status, running.attempt) == (job.id, JobStatus.RUNNING, 1)
    assert running.started is not None
    jobs.report(job.id, 1, 0.5, "fitting")
    assert (jobs.get(job.id).progress, jobs.get(job.id).step) == (0.5, "fitting")
    jobs.finish(job.id, 1, {"run_id": "r"})
    over = jobs.get(job.id)
    assert (over.status, over.progress, over.result) == (JobStatus.FINISHED, 1.0, {"run_id": "r"})
    assert over.ended is not None


def test_job_acts_for_the_person_who_submitted_it_with_the_roles_of_then(jobs: JobStore) -> None:
    actor = actor_of(jobs.submit("train", {}, SCIENTIST))
    assert (actor.name, actor.roles, actor.channel) == ("scientist", SCIENTIST.roles, "worker")


def test_oldest_job_is_claimed_first_and_none_twice(jobs: JobStore) -> None:
    made = [jobs.submit("train", {"n": n}, SCIENTIST).id for n in range(3)]
    claimed = [job.id for job in (jobs.claim("w1"), jobs.claim("w2"), jobs.claim("w1")) if job]
    assert claimed == made
    assert jobs.claim("w1") is None


def test_of_many_workers_at_once_each_job_goes_to_one(jobs: JobStore) -> None:
    made = {jobs.submit("train", {"n": n}, SCIENTIST).id for n in range(6)}
    with ThreadPoolExecutor(12) as pool:
        claimed = [job.id for job in pool.map(lambda n: jobs.claim(f"w{n}"), range(12)) if job]
    assert sorted(claimed) == sorted(made)


_CLAIMER = """
import sys
from core.database.engine import Database
from core.jobs.store import JobStore
jobs = JobStore(Database(sys.argv[1]), 30.0)
while (job := jobs.claim(sys.argv[2])) is not None:
    print(job.id, flush=True)
"""


@pytest.mark.parametrize("processes", [2, pytest.param(4, marks=pytest.mark.slow)])
def test_processes_that_claim_at_once_share_the_jobs(jobs: JobStore, database_url: str, processes: int) -> None:
    made = [jobs.submit("train", {"n": n}, SCIENTIST).id for n in range(20)]
    workers = [
        subprocess.Popen(
            [sys.executable, "-c", _CLAIMER, database_url, f"w{n}"], cwd=ROOT, stdout=subprocess.PIPE, text=True
        )
        for n in range(processes)
    ]
    claimed = [line for worker in workers for line in worker.communicate(timeout=60)[0].split()]
    assert sorted(claimed) == sorted(made)


def test_silent_worker_loses_its_job_to_another_attempt(hasty: JobStore) -> None:
    job = hasty.submit("train", {}, SCIENTIST)
    hasty.claim("w1")
    assert hasty.reap() == ()
    time.sleep(0.15)
    (lost,) = hasty.reap()
    assert (lost.id, lost.status) == (job.id, JobStatus.SCHEDULED)
    again = hasty.claim("w2")
    assert again is not None
    assert again.attempt == 2
    assert "did not respond" in hasty.lines(job.id)[0].text


def test_old_attempt_may_change_nothing_after_a_takeover(hasty: JobStore) -> None:
    job = hasty.submit("train", {}, SCIENTIST)
    hasty.claim("w1")
    time.sleep(0.15)
    hasty.reap()
    hasty.claim("w2")
    for change in (
        lambda: hasty.beat(job.id, 1),
        lambda: hasty.report(job.id, 1, 0.9, "late"),
        lambda: hasty.remember(job.id, 1, {"run_id": "late"}),
        lambda: hasty.finish(job.id, 1, {}),
        lambda: hasty.fail(job.id, 1, "late"),
        lambda: hasty.kill(job.id, 1, "late"),
        lambda: hasty.release(job.id, 1, "late"),
    ):
        with pytest.raises(LeaseLost, match="Attempt 1 no longer owns job"):
            change()
    current = hasty.get(job.id)
    assert (current.status, current.attempt, current.result) == (JobStatus.RUNNING, 2, {})
    hasty.finish(job.id, 2, {})


def test_worker_that_beats_keeps_its_job(hasty: JobStore) -> None:
    job = hasty.submit("train", {}, SCIENTIST)
    hasty.claim("w1")
    for _ in range(4):
        time.sleep(0.05)
        assert hasty.beat(job.id, 1) is False
        assert hasty.reap() == ()


def test_job_lost_twice_ends_as_failed_with_its_reason(hasty: JobStore) -> None:
    job = hasty.submit("train", {}, SCIENTIST)
    for _ in range(2):
        hasty.claim("w1")
        time.sleep(0.15)
        hasty.reap()
    over = hasty.get(job.id)
    assert over.status is JobStatus.FAILED
    assert over.error is not None
    assert "its worker was lost" in over.error
    assert hasty.claim("w1") is None


def test_reaping_at_once_takes_a_job_over_once(hasty: JobStore) -> None:
    hasty.submit("train", {}, SCIENTIST)
    hasty.claim("w1")
    time.sleep(0.15)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: hasty.reap(), range(4)))
    again = hasty.claim("w2")
    assert again is not None
    assert again.attempt == 2


def test_cancelling_a_job_that_has_not_begun_ends_it(jobs: JobStore) -> None:
    job = jobs.submit("train", {}, SCIENTIST)
    over = jobs.request_cancel(job.id, "manager")
    assert (over.status, over.error) == (JobStatus.KILLED, "cancelled by manager")
    assert jobs.claim("w1") is None


def test_cancelling_a_running_job_is_told_at_the_next_beat(jobs: JobStore) -> None:
    job = jobs.submit("train", {}, SCIENTIST)
    jobs.claim("w1")
    assert jobs.request_cancel(job.id, "manager").status is JobStatus.RUNNING
    assert jobs.beat(job.id, 1) is True
    jobs.kill(job.id, 1, "cancelled on request")
    assert jobs.get(job.id).status is JobStatus.KILLED


def test_cancelled_job_whose_worker_was_lost_is_not_done_again(hasty: JobStore) -> None:
    job = hasty.submit("train", {}, SCIENTIST)
    hasty.claim("w1")
    hasty.request_cancel(job.id, "manager")
    time.sleep(0.15)
    hasty.reap()
    assert hasty.get(job.id).status is JobStatus.KILLED


def test_cancelling_what_is_over_changes_nothing(jobs: JobStore) -> None:
    job = jobs.submit("train", {}, SCIENTIST)
    jobs.claim("w1")
    jobs.finish(job.id, 1, {})
    assert jobs.request_cancel(job.id, "manager").status is JobStatus.FINISHED
    assert jobs.lines(job.id) == ()


def test_released_job_is_done_from_its_beginning(jobs: JobStore) -> None:
    job = jobs.submit("train", {}, SCIENTIST)
    jobs.claim("w1")
    jobs.report(job.id, 1, 0.7, "fitting")
    jobs.release(job.id, 1, "its worker was stopped")
    assert (jobs.get(job.id).status, jobs.get(job.id).progress) == (JobStatus.SCHEDULED, 0.0)
    assert jobs.claim("w2") is not None


def test_job_whose_worker_is_stopped_again_and_again_fails_in_the_end(jobs: JobStore) -> None:
    job = jobs.submit("train", {}, SCIENTIST)
    for attempt in range(1, module.MOST_STOPS):
        jobs.claim("w")
        assert jobs.release(job.id, attempt, "its worker was stopped").status is JobStatus.SCHEDULED
    jobs.claim("w")
    last = jobs.release(job.id, module.MOST_STOPS, "its worker was stopped")
    assert (last.status, last.error) == (
        JobStatus.FAILED,
        "its worker was stopped, in attempt 5 again; submit it once more",
    )
    assert jobs.claim("w") is None


def test_second_submission_under_one_name_adds_nothing(jobs: JobStore) -> None:
    first = jobs.submit("train", {"n": 1}, SCIENTIST, job_id="t1-20260331T0600", trigger_id="t1")
    again = jobs.submit("train", {"n": 2}, SCIENTIST, job_id="t1-20260331T0600", trigger_id="t1")
    assert again == first
    assert len(jobs.list()) == 1


def test_list_is_newest_first_and_filtered(jobs: JobStore) -> None:
    first, second = jobs.submit("train", {}, SCIENTIST), jobs.submit("score", {}, SCIENTIST)
    jobs.claim("w")
    jobs.finish(first.id, 1, {})
    assert [job.id for job in jobs.list()] == [second.id, first.id]
    assert [job.id for job in jobs.list(kind="train")] == [first.id]
    assert [job.id for job in jobs.list(live_only=True)] == [second.id]
    assert [job.id for job in jobs.list(limit=1)] == [second.id]


def test_unknown_job_is_named(jobs: JobStore) -> None:
    with pytest.raises(JobNotFound, match="'nope'"):
        jobs.get("nope")
    with pytest.raises(JobNotFound):
        jobs.request_cancel("nope", "manager")


def test_lines_are_numbered_in_order_even_when_two_write(jobs: JobStore) -> None:
    job = jobs.submit("train", {}, SCIENTIST)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda n: jobs.write_line(job.id, f"line {n}"), range(20)))
    lines = jobs.lines(job.id)
    assert [line.number for line in lines] == list(range(1, 21))
    assert {line.text for line in lines} == {f"line {n}" for n in range(20)}
    assert [line.number for line in jobs.lines(job.id, after=18)] == [19, 20]


def test_log_has_an_end_that_says_so(jobs: JobStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_LINES", 5)
    job = jobs.submit("train", {}, SCIENTIST)
    for n in range(4):
        jobs.write_lines(job.id, [f"{n}a", f"{n}b"])
    texts = [line.text for line in jobs.lines(job.id)]
    assert texts == ["0a", "0b", "1a", "1b", "… more lines were left out"]


def test_no_secret_is_kept(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wJalrXUtnFEMI/K7MDENG")
    jobs = JobStore(database, 30.0, redact=redactor(["from-dotenv-1"]))
    job = jobs.submit("train", {}, SCIENTIST)
    jobs.claim("w1")
    jobs.write_line(job.id, "key wJalrXUtnFEMI/K7MDENG and postgresql://ledger:s3cr3t@db/x and from-dotenv-1")
    jobs.report(job.id, 1, 0.1, "at https://u:p4ss@mlflow.example/api")
    jobs.fail(job.id, 1, "no answer from wJalrXUtnFEMI/K7MDENG")
    assert jobs.lines(job.id)[0].text == "key *** and postgresql://ledger:***@db/x and ***"
    assert jobs.get(job.id).step == "at https://u:***@mlflow.example/api"
    assert jobs.get(job.id).error == "no answer from ***"


def test_odd_text_of_a_child_is_kept_as_near_as_can_be(jobs: JobStore) -> None:
    job = jobs.submit("train", {}, SCIENTIST)
    jobs.write_lines(job.id, ["nul \x00 here", "x" * 5000, "<b>💥</b>"])
    texts = [line.text for line in jobs.lines(job.id)]
    assert texts == ["nul  here", "x" * 2000, "<b>💥</b>"]


# ------------------------------------------------------------------------------------------- triggers


def a_trigger(trigger_id: str = "t1", **more: object) -> Trigger:
    values: dict[str, object] = {
        "id": trigger_id,
        "kind": "cron",
        "job_kind": "train",
        "arguments": {"recipe": "iris"},
        "actor": "scientist",
        "role": "scientist",
        "created": datetime(2026, 1, 1, tzinfo=UTC),
        "cron": "0 6 * * 1",
        "table": "iris_training_data",
    }
    return Trigger(**(values | more))  # type: ignore[arg-type]


def test_trigger_is_read_back_with_the_time_it_is_due(jobs: JobStore) -> None:
    saved = jobs.triggers.save(a_trigger())
    assert saved.next_due is not None
    assert saved.next_due > datetime.now(UTC)
    assert (saved.next_due.weekday(), saved.next_due.hour, saved.next_due.minute) == (0, 6, 0)
    assert jobs.triggers.list() == (saved,)


def test_trigger_of_data_remembers_version_zero(jobs: JobStore) -> None:
    saved = jobs.triggers.save(a_trigger(kind="new data", cron=None, last_seen_version=0))
    assert jobs.triggers.get("t1") == saved
    assert saved.last_seen_version == 0


def test_saving_again_replaces_and_deleting_removes(jobs: JobStore) -> None:
    jobs.triggers.save(a_trigger())
    jobs.triggers.save(a_trigger(enabled=False))
    assert [trigger.enabled for trigger in jobs.triggers.list()] == [False]
    jobs.triggers.delete("t1")
    with pytest.raises(NotFound, match="'t1'"):
        jobs.triggers.get("t1")


def test_of_two_workers_one_advances_a_trigger(jobs: JobStore) -> None:
    read = jobs.triggers.save(a_trigger())
    assert read.next_due is not None
    later = read.next_due + timedelta(days=7)
    assert jobs.triggers.advance(read, next_due=later, last_fired=read.next_due)
    assert not jobs.triggers.advance(read, next_due=later, last_fired=read.next_due)


@pytest.mark.parametrize(
    ("cron", "after", "due"),
    [
        ("0 6 * * 1", "2026-03-30T05:59:00+00:00", "2026-03-30T06:00:00+00:00"),
        ("0 6 * * 1", "2026-03-30T06:00:00+00:00", "2026-04-06T06:00:00+00:00"),
        ("*/15 * * * *", "2026-03-30T06:07:30+00:00", "2026-03-30T06:15:00+00:00"),
        # The night when clocks in Europe go forward: UTC has no such hour.
        ("30 1 * * *", "2026-03-29T00:00:00+00:00", "2026-03-29T01:30:00+00:00"),
        ("0 0 29 2 *", "2026-03-01T00:00:00+00:00", "2028-02-29T00:00:00+00:00"),
        ("0 6 * * *", "2026-03-30T07:30:00+02:00", "2026-03-30T06:00:00+00:00"),
    ],
)
def test_cron_line_is_read_in_utc(cron: str, after: str, due: str) -> None:
    assert next_due(cron, datetime.fromisoformat(after)) == datetime.fromisoformat(due)


@pytest.mark.parametrize("cron", ["", "daily", "* * * *", "61 * * * *", "* * * * * *", "0 6 * * mon-xyz"])
def test_line_that_is_no_cron_line_is_refused_with_an_example(jobs: JobStore, cron: str) -> None:
    with pytest.raises(BadParameter, match="Mondays at 06:00 UTC"):
        jobs.triggers.save(a_trigger(cron=cron))
    assert jobs.triggers.list() == ()
