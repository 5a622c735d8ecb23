"""Show and cancel jobs, by actors with and without the permission."""

from __future__ import annotations

import pytest

from core.entities import Actor, JobStatus, Role
from core.errors import Forbidden, JobNotFound
from core.features.jobs.jobs import cancel_job, job_lines, list_jobs, show_job
from core.features.stores import Stores


def test_a_job_that_has_not_begun_is_cancelled_at_once_and_recorded(stores: Stores, scientist: Actor) -> None:
    job = stores.jobs.submit("train", {"recipe": "x"}, scientist)
    assert cancel_job(stores, scientist, job.id, reason="wrong table").status is JobStatus.KILLED
    assert [line.text for line in job_lines(stores, scientist, job.id)] == ["scientist asked to cancel"]
    outcome = list(stores.audit.events())[-1]
    assert (outcome.action, outcome.subject, outcome.outcome.value) == ("job.cancel", f"job {job.id}", "success")
    assert outcome.reason == "wrong table"


def test_a_running_job_is_asked_to_stop(stores: Stores, manager: Actor, scientist: Actor) -> None:
    job = stores.jobs.submit("train", {}, scientist)
    stores.jobs.claim("worker")
    after = cancel_job(stores, manager, job.id)
    assert (after.status, after.cancel_requested) == (JobStatus.RUNNING, True)


def test_an_auditor_watches_and_cannot_cancel(stores: Stores, auditor: Actor, scientist: Actor) -> None:
    job = stores.jobs.submit("train", {}, scientist)
    assert show_job(stores, auditor, job.id).status is JobStatus.SCHEDULED
    assert [one.id for one in list_jobs(stores, auditor, kind="train", live_only=True)] == [job.id]
    with pytest.raises(Forbidden):
        cancel_job(stores, auditor, job.id)
    assert stores.jobs.get(job.id).status is JobStatus.SCHEDULED
    assert list(stores.audit.events())[-1].outcome.value == "denied"


def test_a_job_that_does_not_exist_is_not_found(stores: Stores, scientist: Actor) -> None:
    for verb in (show_job, cancel_job):
        with pytest.raises(JobNotFound):
            verb(stores, scientist, "nothing")


def test_an_actor_without_a_role_sees_no_jobs(stores: Stores) -> None:
    with pytest.raises(Forbidden):
        list_jobs(stores, Actor(name="nobody", roles=frozenset[Role]()))
