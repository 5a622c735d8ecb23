"""Schedules by cron and on new data: each fires once, missed times fire once, and a broken schedule is turned off."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from core.bootstrap import open_stores
from core.entities import Actor, Job, JobStatus, Outcome, Trigger
from core.errors import BadParameter, Forbidden, NotFound, RecipeNotFound, StorageUnavailable
from core.features.jobs.schedules import delete_trigger, fire_due, list_triggers, save_trigger
from core.features.stores import Stores
from core.features.training.recipes import list_recipes
from tests.features.iris import iris

TABLE = "iris_training_data"


@pytest.fixture
def recipe(sample_stores: Stores, auditor: Actor) -> str:
    """The sample's recipe on the iris table."""
    return next(one.name for one in list_recipes(sample_stores, auditor) if one.table == TABLE)


@pytest.fixture
def weekly(sample_stores: Stores, scientist: Actor, recipe: str) -> Trigger:
    return save_trigger(sample_stores, scientist, recipe=recipe, cron="0 6 * * 1", reason="every Monday")


@pytest.fixture
def on_data(sample_stores: Stores, scientist: Actor, recipe: str) -> Trigger:
    return save_trigger(sample_stores, scientist, recipe=recipe, on_new_data=True, reason="always fresh")


def finish(stores: Stores, job: Job) -> None:
    claimed = stores.jobs.claim("w")
    assert claimed is not None
    assert claimed.id == job.id
    stores.jobs.finish(job.id, claimed.attempt, {})


def add_rows(stores: Stores) -> int:
    return stores.engine.write(stores.catalog.resolve(TABLE), iris().slice(0, 5), mode="append")


def test_schedule_is_saved_listed_and_recorded(sample_stores: Stores, weekly: Trigger, auditor: Actor) -> None:
    assert list_triggers(sample_stores, auditor) == (weekly,)
    assert weekly.next_due is not None
    event = sample_stores.audit.search(action="trigger.write", outcome="success")[0]
    assert (event.actor, event.reason, event.after["trigger"]) == ("scientist", "every Monday", weekly.id)


def test_nothing_fires_before_it_is_due(sample_stores: Stores, weekly: Trigger) -> None:
    assert weekly.next_due is not None
    assert fire_due(sample_stores, weekly.next_due - timedelta(seconds=1)) == ()
    assert sample_stores.jobs.list() == ()


def test_a_due_schedule_fires_once_for_the_person_who_saved_it(
    sample_stores: Stores, weekly: Trigger, recipe: str
) -> None:
    assert weekly.next_due is not None
    (job,) = fire_due(sample_stores, weekly.next_due)
    assert (job.kind, job.actor, job.role, job.trigger_id) == ("train", "scientist", "scientist", weekly.id)
    assert (job.arguments["recipe"], job.arguments["table"], job.arguments["version"]) == (recipe, TABLE, 2)
    assert weekly.id in job.arguments["reason"]
    assert fire_due(sample_stores, weekly.next_due) == ()
    moved = sample_stores.jobs.triggers.get(weekly.id)
    assert moved.last_fired == weekly.next_due
    assert moved.next_due == weekly.next_due + timedelta(days=7)


def test_missed_weeks_lead_to_one_training(sample_stores: Stores, weekly: Trigger) -> None:
    assert weekly.next_due is not None
    late = weekly.next_due + timedelta(days=30)
    (job,) = fire_due(sample_stores, late)
    moved = sample_stores.jobs.triggers.get(weekly.id)
    assert moved.next_due is not None
    assert moved.next_due > late
    finish(sample_stores, job)
    assert fire_due(sample_stores, late) == ()


def test_the_next_training_waits_while_the_last_one_runs(sample_stores: Stores, weekly: Trigger) -> None:
    assert weekly.next_due is not None
    (job,) = fire_due(sample_stores, weekly.next_due)
    next_week = weekly.next_due + timedelta(days=7)
    assert fire_due(sample_stores, next_week) == ()
    finish(sample_stores, job)
    (again,) = fire_due(sample_stores, next_week)
    assert again.id != job.id


def test_a_schedule_fires_once_although_the_worker_was_killed_after_the_job(
    sample_stores: Stores, weekly: Trigger, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert weekly.next_due is not None

    def die(*_: object, **__: object) -> bool:
        raise KeyboardInterrupt

    monkeypatch.setattr(sample_stores.jobs.triggers, "advance", die)
    with pytest.raises(KeyboardInterrupt):
        fire_due(sample_stores, weekly.next_due)
    monkeypatch.undo()
    (job,) = sample_stores.jobs.list()
    finish(sample_stores, job)
    fire_due(sample_stores, weekly.next_due)
    assert [one.id for one in sample_stores.jobs.list()] == [job.id]
    assert sample_stores.jobs.triggers.get(weekly.id).next_due == weekly.next_due + timedelta(days=7)


def test_two_workers_at_once_fire_a_schedule_once(sample_stores: Stores, weekly: Trigger) -> None:
    assert weekly.next_due is not None
    other = open_stores(sample_stores.settings)
    both = (*fire_due(sample_stores, weekly.next_due), *fire_due(other, weekly.next_due))
    assert len(both) == 1
    assert len(sample_stores.jobs.list()) == 1


def test_new_rows_fire_and_are_trained_on(sample_stores: Stores, on_data: Trigger) -> None:
    assert on_data.last_seen_version == 2
    assert fire_due(sample_stores) == ()
    version = add_rows(sample_stores)
    (job,) = fire_due(sample_stores)
    assert (job.arguments["table"], job.arguments["version"]) == (TABLE, version)
    finish(sample_stores, job)
    assert fire_due(sample_stores) == ()


def test_several_new_versions_fire_once_on_the_newest(sample_stores: Stores, on_data: Trigger) -> None:
    add_rows(sample_stores)
    newest = add_rows(sample_stores)
    (job,) = fire_due(sample_stores)
    assert job.arguments["version"] == newest


def test_commits_that_change_no_row_do_not_fire(sample_stores: Stores, on_data: Trigger) -> None:
    from deltalake import DeltaTable

    table = DeltaTable(sample_stores.catalog.resolve(TABLE).uri)
    table.optimize.compact()
    table.vacuum(retention_hours=0, dry_run=False, enforce_retention_duration=False)
    table.alter.set_table_properties({"delta.appendOnly": "false"})
    latest = sample_stores.engine.latest_version(sample_stores.catalog.resolve(TABLE))
    assert latest > 2, "these did write versions"
    assert fire_due(sample_stores) == ()
    assert sample_stores.jobs.triggers.get(on_data.id).last_seen_version == latest
    version = add_rows(sample_stores)
    assert [job.arguments["version"] for job in fire_due(sample_stores)] == [version]


def test_schedule_whose_table_is_gone_is_turned_off_and_the_others_go_on(
    sample_stores: Stores, weekly: Trigger, scientist: Actor
) -> None:
    assert weekly.next_due is not None
    gone = replace(weekly, id="gone", table="no_such_table", created=datetime(2020, 1, 1, tzinfo=UTC))
    sample_stores.jobs.triggers.save(gone)
    (job,) = fire_due(sample_stores, weekly.next_due)
    assert job.trigger_id == weekly.id
    assert sample_stores.jobs.triggers.get("gone").enabled is False
    event = sample_stores.audit.search(action="trigger.write", outcome="failed")[0]
    assert "turned off" in event.reason
    assert "no_such_table" in event.reason


def test_store_that_does_not_answer_turns_nothing_off(
    sample_stores: Stores, on_data: Trigger, monkeypatch: pytest.MonkeyPatch
) -> None:
    def down(table: object) -> int:
        raise StorageUnavailable("The object store does not answer.")

    monkeypatch.setattr(sample_stores.engine, "latest_version", down)
    assert fire_due(sample_stores) == ()
    monkeypatch.undo()
    assert sample_stores.jobs.triggers.get(on_data.id).enabled
    add_rows(sample_stores)
    assert len(fire_due(sample_stores)) == 1


def test_owner_who_may_no_longer_train_fires_nothing(sample_stores: Stores, weekly: Trigger) -> None:
    assert weekly.next_due is not None
    sample_stores.jobs.triggers.save(replace(weekly, role="auditor"))
    due = sample_stores.jobs.triggers.get(weekly.id).next_due
    assert due is not None
    assert fire_due(sample_stores, due) == ()
    assert sample_stores.audit.search(action="run.train", outcome=Outcome.DENIED.value)
    assert sample_stores.jobs.list() == ()


@pytest.mark.parametrize(
    ("given", "error"),
    [
        ({"cron": "every day"}, BadParameter),
        ({}, BadParameter),
        ({"cron": "0 6 * * *", "on_new_data": True}, BadParameter),
        ({"cron": "0 6 * * *", "recipe": "nothing"}, RecipeNotFound),
    ],
)
def test_an_invalid_schedule_is_refused(
    sample_stores: Stores, scientist: Actor, recipe: str, given: dict[str, object], error: type[Exception]
) -> None:
    with pytest.raises(error):
        save_trigger(sample_stores, scientist, **({"recipe": recipe} | given))  # type: ignore[arg-type]
    assert sample_stores.jobs.triggers.list() == ()


def test_only_scientists_schedule_and_unschedule(
    sample_stores: Stores, weekly: Trigger, manager: Actor, scientist: Actor, recipe: str
) -> None:
    with pytest.raises(Forbidden):
        save_trigger(sample_stores, manager, recipe=recipe, cron="0 6 * * 1")
    with pytest.raises(Forbidden):
        delete_trigger(sample_stores, manager, weekly.id)
    delete_trigger(sample_stores, scientist, weekly.id, reason="no longer")
    assert sample_stores.jobs.triggers.list() == ()
    with pytest.raises(NotFound):
        delete_trigger(sample_stores, scientist, weekly.id)


def test_fired_job_trains_a_version(sample_stores: Stores, weekly: Trigger) -> None:
    """The service of a training accepts the arguments of a schedule."""
    from core.features.jobs.run_job import run_service
    from core.jobs.progress import Silent
    from core.jobs.store import actor_of

    assert weekly.next_due is not None
    (job,) = fire_due(sample_stores, weekly.next_due)
    assert job.status is JobStatus.SCHEDULED
    result = run_service(sample_stores, actor_of(job), job.kind, job.arguments, Silent())
    assert (result["model"], result["version"], result["data_version"]) == ("iris_classifier", 4, 2)
