"""Whether a table version is the data that a training recorded, from run, snapshot, commit and content."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from core.delta.content_hash import Content
from core.entities import (
    Agreement,
    Commit,
    DataSource,
    Identity,
    IdentityVerdict,
    ModelVersion,
    Run,
    RunStatus,
    Snapshot,
    Stage,
)
from core.features.lineage.identity import compare_identity, recorded_facts

WRITTEN = datetime(2026, 11, 1, 8, tzinfo=UTC)
STARTED, ENDED, REGISTERED = (WRITTEN + timedelta(minutes=minutes) for minutes in (60, 90, 91))
OURS = "5fba94ed-9794-4965-ba6e-6ee3c0d22af9"
IRIS_1 = DataSource(claimed="iris", version=1, source_of_truth="tag delta.version")
OTHER = "11111111-2222-3333-4444-555555555555"


def a_run(*, own: bool = True, rows: tuple[float, float] | None = (105.0, 45.0), **tags: str) -> Run:
    """A training on iris@1, by ModelLedger or (own=False) by another program."""
    channel = {"modelledger.channel": "cli"} if own else {}
    return Run(
        run_id="r1",
        name="run",
        experiment="e",
        status=RunStatus.FINISHED,
        started=STARTED,
        ended=ENDED,
        user=None,
        params={"estimator": "random_forest"} if own else {},
        metrics=dict(zip(("TrainRows", "TestRows"), rows, strict=True)) if rows else {},
        tags={
            "delta.table": "iris",
            "delta.version": "1",
            **channel,
            **{k.replace("__", "."): v for k, v in tags.items()},
        },
        data=None,
    )


def a_version(**tags: str) -> ModelVersion:
    return ModelVersion(
        model="m",
        version=1,
        stage=Stage.NONE,
        run_id="r1",
        source=None,
        created=REGISTERED,
        updated=REGISTERED,
        description="",
        tags={name.replace("__", "."): value for name, value in tags.items()},
    )


def a_snapshot(*, table_id: str = OURS, rows: int | None = 150, at: datetime = WRITTEN) -> Snapshot:
    return Snapshot(
        table="iris", table_id=table_id, version=1, timestamp=at, rows=rows, files=1, size_bytes=1, schema=()
    )


def a_commit(written: datetime | None = WRITTEN, file_time: datetime | None = None) -> Commit:
    return Commit(
        table="iris", version=1, timestamp=file_time or written or WRITTEN, operation="WRITE", written_at=written
    )


def identity(
    run: Run | None,
    snapshot: Snapshot | None = None,
    commit: Commit | None = None,
    *,
    version: ModelVersion | None = None,
    content: Content | None = None,
) -> Identity:
    commit = commit or a_commit()
    recorded = recorded_facts(run, version or a_version(), IRIS_1)
    return compare_identity(recorded, snapshot or a_snapshot(at=commit.timestamp), commit, content)


def agreements(found: Identity) -> dict[str, str]:
    return {comparison.fact.value: comparison.agreement.value for comparison in found.comparisons}


def test_the_same_id_an_earlier_commit_and_the_same_rows_are_the_training_data() -> None:
    found = identity(a_run(delta__table_id=OURS))
    assert found.verdict is IdentityVerdict.TRAINING_DATA
    assert found.contradictions == found.notes == ()
    assert agreements(found) == {
        "table_id": "agrees",
        "commit_time": "agrees",
        "rows": "agrees",
        "content_sha256": "not compared",
    }


def test_another_id_is_another_table() -> None:
    found = identity(a_run(delta__table_id=OURS), a_snapshot(table_id=OTHER))
    assert found.verdict is IdentityVerdict.ANOTHER_TABLE
    (sentence,) = found.contradictions
    assert OURS in sentence
    assert OTHER in sentence


def test_an_id_is_compared_without_case() -> None:
    assert not identity(a_run(delta__table_id=OURS.upper())).is_contradicted


def test_the_id_in_the_tags_of_the_version_counts_where_the_run_is_gone() -> None:
    found = identity(None, a_snapshot(table_id=OTHER), version=a_version(delta__table_id=OURS))
    assert found.verdict is IdentityVerdict.ANOTHER_TABLE


def test_an_id_about_another_data_version_is_not_compared() -> None:
    for other in (replace(IRIS_1, claimed="flowers"), replace(IRIS_1, version=0)):
        recorded = recorded_facts(a_run(delta__table_id=OTHER), None, other)
        assert compare_identity(recorded, a_snapshot(), a_commit()).verdict is IdentityVerdict.UNPROVEN


def test_an_id_that_the_claim_itself_names_counts() -> None:
    recorded = recorded_facts(a_run(own=False), None, replace(IRIS_1, table_id=OTHER))
    assert compare_identity(recorded, a_snapshot(), a_commit()).verdict is IdentityVerdict.ANOTHER_TABLE


def test_name_and_version_alone_prove_nothing() -> None:
    assert identity(a_run(own=False)).verdict is IdentityVerdict.UNPROVEN


@pytest.mark.parametrize("own", [True, False])
def test_a_commit_written_after_the_training_contradicts(own: bool) -> None:
    found = identity(a_run(own=own), commit=a_commit(ENDED + timedelta(seconds=1)))
    assert found.verdict is IdentityVerdict.OTHER_ROWS
    assert "after the use of its rows, which began at 2026-11-01 09:00:00 UTC" in found.contradictions[0]


def test_a_log_file_that_is_newer_than_the_training_may_be_a_copy() -> None:
    later = ENDED + timedelta(days=1)
    found = identity(a_run(delta__table_id=OURS), a_snapshot(at=later), a_commit(None, later))
    assert found.verdict is IdentityVerdict.UNCLEAR
    assert not found.is_contradicted
    assert "may be a copy" in found.notes[0]


def test_a_copy_keeps_the_time_that_the_writer_put_into_the_commit() -> None:
    later = ENDED + timedelta(days=1)
    found = identity(a_run(delta__table_id=OURS), a_snapshot(at=later), a_commit(WRITTEN, later))
    assert found.verdict is IdentityVerdict.TRAINING_DATA
    assert found.notes == ()


def test_an_older_file_counts_although_its_writer_put_a_later_time_into_the_commit() -> None:
    """The clock of the writer was wrong, or the times were set by hand; Delta counts the file's."""
    assert not identity(a_run(), a_snapshot(at=WRITTEN), a_commit(ENDED + timedelta(days=1), WRITTEN)).is_contradicted


def test_a_commit_that_the_log_no_longer_has_is_compared_by_the_time_of_the_checkpoint() -> None:
    recorded = recorded_facts(a_run(delta__table_id=OURS), a_version(), IRIS_1)
    found = compare_identity(recorded, a_snapshot(at=ENDED + timedelta(days=1)), None)
    assert found.verdict is IdentityVerdict.UNCLEAR


def test_another_program_may_write_its_data_while_it_trains() -> None:
    during = STARTED + timedelta(minutes=10)
    found = identity(a_run(own=False), commit=a_commit(during))
    assert found.verdict is IdentityVerdict.UNCLEAR
    assert "while the run that used it was active" in found.notes[0]
    assert identity(a_run(), commit=a_commit(during)).is_contradicted


def test_clocks_may_differ_by_seconds() -> None:
    assert not identity(a_run(), commit=a_commit(STARTED + timedelta(seconds=30))).is_contradicted


def test_without_a_run_the_commit_is_older_than_the_registration() -> None:
    found = identity(None, commit=a_commit(REGISTERED + timedelta(seconds=1)))
    assert found.verdict is IdentityVerdict.OTHER_ROWS


def test_an_own_training_counts_every_row() -> None:
    assert identity(a_run(), a_snapshot(rows=149)).contradictions == (
        "iris@1 has 149 rows, and 150 rows were counted when it was used.",
    )
    assert identity(a_run(), a_snapshot(rows=151)).is_contradicted


def test_another_training_may_leave_rows_out_but_has_no_more_than_the_table() -> None:
    fewer = identity(a_run(own=False, rows=(90, 10)))
    assert not fewer.is_contradicted
    assert fewer.notes == ("100 of the 150 rows of iris@1 were used.",)
    assert identity(a_run(own=False, rows=(150, 10))).verdict is IdentityVerdict.OTHER_ROWS


def test_rows_of_several_data_versions_are_not_those_of_one() -> None:
    recorded = recorded_facts(a_run(rows=(300, 10)), a_version(), IRIS_1, is_only_data=False)
    assert not compare_identity(recorded, a_snapshot(), a_commit()).is_contradicted


@pytest.mark.parametrize("rows", [None, (float("nan"), 45.0), (float("inf"), 45.0), (-1.0, 45.0), (10.5, 45.0)])
def test_a_row_count_that_is_no_count_is_not_compared(rows: tuple[float, float] | None) -> None:
    assert agreements(identity(a_run(rows=rows)))["rows"] == "not compared"


def test_a_project_may_leave_rows_out() -> None:
    run = replace(a_run(rows=(90, 10)), params={"estimator": "mlproject:folder"})
    assert not identity(run).is_contradicted


def test_other_content_contradicts_although_id_time_and_rows_agree() -> None:
    run = a_run(delta__table_id=OURS, delta__content_sha256="a" * 64)
    found = identity(run, content=Content(sha256="b" * 64, rows=150))
    assert found.verdict is IdentityVerdict.OTHER_ROWS
    assert "a" * 64 in found.contradictions[0]


def test_equal_content_of_another_table_is_the_training_data() -> None:
    run = a_run(delta__table_id=OURS, delta__content_sha256="a" * 64)
    found = identity(run, a_snapshot(table_id=OTHER), content=Content(sha256="a" * 64, rows=150))
    assert found.verdict is IdentityVerdict.SAME_ROWS
    assert found.contradictions == ()
    assert "another table" in found.notes[0]
    assert found.comparisons[0].agreement is Agreement.CONTRADICTS


def test_counted_rows_are_compared_where_the_log_has_no_count() -> None:
    run = a_run(own=False, rows=(150, 10))
    assert agreements(identity(run, a_snapshot(rows=None)))["rows"] == "not compared"
    assert identity(run, a_snapshot(rows=None), content=Content(sha256="a" * 64, rows=150)).is_contradicted
