"""What existed at an earlier moment: versions of tables, runs, jobs, schedules, recipes and batches."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from core.entities import Actor, JobStatus, RunStatus, Stage
from core.errors import RunNotFound, VersionNotFound
from core.features.data.browse import list_tables, query, table_history, table_snapshots
from core.features.history.as_of import state_at, trained_on_at
from core.features.history.moment import Moment, moment_at, moment_of_event
from core.features.history.training_as_of import jobs_at, recipes_at, schedules_at
from core.features.jobs.schedules import delete_trigger, fire_due, save_trigger
from core.features.promotion.decide import approve
from core.features.promotion.request_promotion import request_promotion
from core.features.runs.compare import compare_runs
from core.features.stores import Stores
from core.features.training.recipes import find_recipe, save_recipe
from tests.clock import datetime_at

TABLE, MODEL = "iris_training_data", "iris_classifier"


def now(stores: Stores) -> Moment:
    return moment_of_event(stores, stores.audit.head()[0])


def between(stores: Stores, version: int) -> Moment:
    """The moment one millisecond after the commit of a version of the sample's table."""
    (commit,) = [c for c in stores.engine.history(stores.catalog.resolve(TABLE)) if c.version == version]
    return moment_at(stores, commit.timestamp + timedelta(milliseconds=1))


@pytest.mark.parametrize(("version", "rows"), [(0, 50), (1, 100), (2, 150)])
def test_tables_and_sql_have_the_version_of_the_moment(
    sample_stores: Stores, auditor: Actor, version: int, rows: int
) -> None:
    moment = between(sample_stores, version)
    (table,) = [each for each in list_tables(sample_stores, auditor, at=moment) if each.name == TABLE]
    assert (table.version, table.rows) == (version, rows)
    numbers = list(range(version, -1, -1))
    assert [commit.version for commit in table_history(sample_stores, auditor, TABLE, at=moment)] == numbers
    assert [commit.version for commit in table_history(sample_stores, auditor, TABLE, limit=1, at=moment)] == [version]
    assert [s.version for s in table_snapshots(sample_stores, auditor, TABLE, at=moment)] == numbers
    counted = query(sample_stores, auditor, f"SELECT count(*) AS n FROM {TABLE}", at=moment)
    assert (counted.rows.to_pylist(), [str(v) for v in counted.versions_read]) == (
        [{"n": rows}],
        [f"{TABLE}@{version}"],
    )
    written = query(sample_stores, auditor, f"SELECT count(*) AS n FROM {TABLE} VERSION AS OF 2", at=moment)
    assert written.rows.to_pylist() == [{"n": 150}]
    trained = trained_on_at(state_at(sample_stores, auditor, now(sample_stores)), TABLE)
    assert {number: [str(key) for key in keys] for number, keys in trained.items()} == {
        0: [f"{MODEL}/1"],
        1: [f"{MODEL}/2"],
        2: [f"{MODEL}/3"],
    }


def test_before_its_first_commit_a_table_had_no_version(sample_stores: Stores, auditor: Actor) -> None:
    moment = moment_at(sample_stores, datetime(2001, 1, 1, tzinfo=UTC))
    assert {table.version for table in list_tables(sample_stores, auditor, at=moment)} == {None}
    assert all(
        "had no version at 2001-01-01" in (t.problem or "") for t in list_tables(sample_stores, auditor, at=moment)
    )
    assert table_history(sample_stores, auditor, TABLE, at=moment) == ()
    with pytest.raises(VersionNotFound, match="had no version at 2001-01-01 00:00:00 UTC"):
        query(sample_stores, auditor, f"SELECT * FROM {TABLE}", at=moment)


def test_runs_are_compared_as_they_were(
    sample_stores: Stores, scientist: Actor, manager: Actor, auditor: Actor
) -> None:
    """Version 1 was in Production at the moment, version 3 is now; version 3's run had started and not ended."""
    for version in (1, 3):
        asked = request_promotion(
            sample_stores, scientist, model=MODEL, version=version, to=Stage.PRODUCTION, reason="r"
        )
        approve(sample_stores, manager, asked.id, reason="r")
        if version == 1:
            approved = now(sample_stores)
    runs = {
        version.version: sample_stores.runs.get(version.run_id or "")
        for version in sample_stores.models.versions(MODEL)
    }
    ids = {number: run.run_id for number, run in runs.items()}
    then = compare_runs(sample_stores, auditor, [ids[2], ids[3]], at=approved)
    assert then.baseline is not None
    assert then.baseline.run_id == ids[1]
    assert [[v.stage for v in then.versions[ids[n]]] for n in (2, 3)] == [[Stage.NONE], [Stage.NONE]]
    assert (
        compare_runs(sample_stores, auditor, [ids[2]]).baseline
        == compare_runs(sample_stores, auditor, [ids[3]]).runs[0]
    )

    assert runs[3].started is not None
    assert runs[2].ended is not None
    during = moment_at(sample_stores, runs[3].started + timedelta(milliseconds=1))
    second, third = compare_runs(sample_stores, auditor, [ids[2], ids[3]], at=during).runs
    assert (second.status, second.metrics) == (RunStatus.FINISHED, runs[2].metrics)
    assert (third.status, third.ended, third.metrics) == (RunStatus.RUNNING, None, {})
    before = replace(during, time=runs[3].started - timedelta(milliseconds=1))
    with pytest.raises(RunNotFound) as refused:
        compare_runs(sample_stores, auditor, [ids[2], ids[3]], at=before)
    assert refused.value.values["missing"] == (ids[3],)


def test_a_job_has_the_status_that_it_had(
    stores: Stores, scientist: Actor, auditor: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = datetime(2026, 11, 29, 10, tzinfo=UTC)

    def at(minutes: int) -> Moment:
        monkeypatch.setattr("core.jobs.store.datetime", datetime_at(lambda: start + timedelta(minutes=minutes)))
        return moment_at(stores, start + timedelta(minutes=minutes))

    submitted = at(1)
    job = stores.jobs.submit("train", {"recipe": "iris"}, scientist)
    started = at(2)
    assert stores.jobs.claim("w") is not None
    at(3)
    stores.jobs.finish(job.id, 1, {"run_id": "r"})
    stores.jobs.submit("score", {}, scientist)
    seen = {
        minutes: [(j.status, j.result, j.progress) for j in jobs_at(stores, auditor, at(minutes), kind="train")]
        for minutes in (0, 1, 2, 3)
    }
    assert seen == {
        0: [],
        1: [(JobStatus.SCHEDULED, {}, 0.0)],
        2: [(JobStatus.RUNNING, {}, 0.0)],
        3: [(JobStatus.FINISHED, {"run_id": "r"}, 1.0)],
    }
    assert jobs_at(stores, auditor, submitted, kind="train")[0].started is None
    assert jobs_at(stores, auditor, started, kind="train")[0].started == started.time


def test_schedules_and_recipes_follow_the_log(
    sample_stores: Stores, scientist: Actor, auditor: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two schedules of one recipe and owner: one is turned off because its recipe is gone, the other deleted before."""
    recipe = replace(find_recipe(sample_stores, MODEL), name="mine", model="mine")
    moments = [now(sample_stores)]
    save_recipe(sample_stores, scientist, recipe)
    moments.append(now(sample_stores))
    weekly = save_trigger(sample_stores, scientist, recipe="mine", cron="0 6 * * 1")
    on_data = save_trigger(sample_stores, scientist, recipe="mine", on_new_data=True)
    moments.append(now(sample_stores))
    delete_trigger(sample_stores, scientist, on_data.id)
    (sample_stores.settings.recipes_folder / "mine.toml").unlink()
    fire_due(sample_stores, weekly.created + timedelta(days=8))
    moments.append(now(sample_stores))

    listed = [schedules_at(sample_stores, auditor, moment) for moment in moments]
    assert [{s.id for s in each} for each in listed] == [set(), set(), {weekly.id, on_data.id}, {weekly.id}]
    assert [(s.cron, s.table, s.turned_off) for s in listed[2]] == [("0 6 * * 1", None, None), (None, TABLE, None)]
    assert "mine" in (listed[3][0].turned_off or "")
    assert [[(r.name, r.by, r.table) for r in recipes_at(sample_stores, auditor, m)] for m in moments[:2]] == [
        [],
        [("mine", "scientist", TABLE)],
    ]
