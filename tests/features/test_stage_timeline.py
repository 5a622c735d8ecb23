"""The timeline of stages: decisions in the log's order, what the registry said before, and what is not known."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from core.bootstrap import open_stores
from core.entities import Actor, PromotionRequest, RequestStatus, Stage
from core.errors import ModelNotFound, RegistryUnavailable
from core.features.history.as_of import state_at
from core.features.history.moment import moment_at, moment_of_event
from core.features.history.stage_timeline import ModelTimeline, PeriodEnd, stage_timeline, stage_timelines
from core.features.monitoring.findings import INSPECTOR, inspect_registry
from core.features.promotion.decide import approve, reject
from core.features.promotion.request_promotion import request_promotion
from core.features.promotion.roll_back import roll_back
from core.features.stores import Stores
from core.features.takeover.accept_registry import accept_registry
from core.settings import load_settings
from tests.clock import datetime_at
from tests.plain_registry import PlainRegistry

MODEL = "iris_classifier"
Promote = Callable[[int], PromotionRequest]


@pytest.fixture
def promote(sample_stores: Stores, scientist: Actor, manager: Actor) -> Promote:
    def both(version: int) -> PromotionRequest:
        asked = request_promotion(
            sample_stores, scientist, model=MODEL, version=version, to=Stage.PRODUCTION, reason=f"ask {version}"
        )
        return approve(sample_stores, manager, asked.id, reason=f"take {version}")

    return both


@pytest.fixture
def outside(sample_stores: Stores, tmp_path: Path) -> PlainRegistry:
    """Writes to MLflow without ModelLedger."""
    return PlainRegistry(sample_stores.settings.tracking_uri, tmp_path / "artifacts")


@pytest.fixture
def theirs(outside: PlainRegistry) -> PlainRegistry:
    """churn: 1 was always None, 2 is Archived, 3 in Production."""
    registry = outside
    for stage in ("None", "Archived", "Production"):
        registry.version("churn", stage=stage)
    return registry


def told(timeline: ModelTimeline, version: int) -> list[tuple[str, str, str | None]]:
    """Stage, source and end of each period of a version, oldest first."""
    periods = next(shown.periods for shown in timeline.versions if shown.version == version)
    return [(p.stage.value, p.source.value, p.ended_by.value if p.ended_by else None) for p in periods]


def mlflow_times(registry: PlainRegistry, version: int) -> tuple[datetime, datetime]:
    """When MLflow says that a version of churn was created and last updated."""
    row = registry.client.get_model_version("churn", str(version))
    created, updated = (
        datetime.fromtimestamp(ms / 1000, UTC) for ms in (row.creation_timestamp, row.last_updated_timestamp)
    )
    return created, updated


def test_decisions_give_each_version_its_periods_with_who_and_why(
    sample_stores: Stores, promote: Promote, scientist: Actor, manager: Actor, auditor: Actor
) -> None:
    first, second = promote(1), promote(2)
    refused = request_promotion(sample_stores, scientist, model=MODEL, version=3, to=Stage.PRODUCTION, reason="r")
    reject(sample_stores, manager, refused.id, reason="no")
    back = roll_back(sample_stores, manager, MODEL, reason="worse on Monday")
    timeline = stage_timeline(sample_stores, auditor, MODEL)
    assert [version.version for version in timeline.versions] == [2, 1]
    assert timeline.without_stage == 1, "version 3 was always None"
    none, promoted = ("None", "registry", "decision"), ("Production", "decision", "decision")
    archived = ("Archived", "decision", "decision")
    assert told(timeline, 1) == [none, promoted, archived, ("Production", "decision", None)]
    assert told(timeline, 2) == [none, promoted, ("Archived", "decision", None)]
    in_production = [(version.version, period.decision) for version, period in timeline.in_stage(Stage.PRODUCTION)]
    assert [
        (n, d.request, d.decided_by, d.requested_by, d.reason, d.request_reason) for n, d in in_production if d
    ] == [
        (1, first.id, ("manager",), "scientist", "take 1", "ask 1"),
        (2, second.id, ("manager",), "scientist", "take 2", "ask 2"),
        (1, back.id, ("manager",), "manager", "worse on Monday", "worse on Monday"),
    ]
    events = sample_stores.audit.search(limit=None)
    outcome = {event.after["request"]: event for event in events if event.after.get("stages")}
    ended = timeline.versions[1].periods[1]
    assert (ended.start, ended.sequence) == (outcome[first.id].time, outcome[first.id].sequence)
    assert (ended.end, ended.end_sequence) == (outcome[second.id].time, outcome[second.id].sequence)
    assert timeline.changed == outcome[back.id].time


def test_the_log_orders_decisions_even_if_a_clock_went_back(
    sample_stores: Stores, promote: Promote, auditor: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    promote(1)
    with monkeypatch.context() as earlier:
        moment = datetime.now(UTC) - timedelta(hours=3)
        earlier.setattr("core.audit.log.datetime", datetime_at(lambda: moment))
        promote(2)
    timeline = stage_timeline(sample_stores, auditor, MODEL)
    in_production = timeline.in_stage(Stage.PRODUCTION)
    assert [version.version for version, _ in in_production] == [1, 2]
    assert in_production[0][1].end == moment
    assert in_production[0][1].start > moment
    assert [version.stage for version in timeline.versions] == [Stage.PRODUCTION, Stage.ARCHIVED]


def test_a_change_outside_ends_the_period_and_names_its_finding(
    sample_stores: Stores, outside: PlainRegistry, promote: Promote, auditor: Actor
) -> None:
    promote(1)
    outside.move(MODEL, 1, "Archived")
    seen = stage_timeline(sample_stores, auditor, MODEL)
    updated = datetime.fromtimestamp(outside.client.get_model_version(MODEL, "1").last_updated_timestamp / 1000, UTC)
    ended, after = seen.versions[0].periods[-2:]
    assert (ended.stage, ended.ended_by, ended.end, ended.finding) == (
        Stage.PRODUCTION,
        PeriodEnd.OUTSIDE,
        updated,
        None,
    )
    assert (after.stage, after.is_start_exact, after.start, after.not_before) == (
        Stage.ARCHIVED,
        False,
        updated,
        ended.start,
    )
    finding = next(f for f in inspect_registry(sample_stores, INSPECTOR) if f.kind == "stage differs")
    noticed = stage_timeline(sample_stores, auditor, MODEL)
    assert noticed.versions[0].periods[-2].finding == finding.id
    outside.move(MODEL, 1, "Production")
    inspect_registry(sample_stores, INSPECTOR)
    assert told(stage_timeline(sample_stores, auditor, MODEL), 1)[1:] == [
        ("Production", "decision", "changed outside"),
        ("Archived", "registry", "changed outside"),
        ("Production", "registry", None),
    ]


def test_a_decision_shows_what_was_changed_outside_before(
    sample_stores: Stores, outside: PlainRegistry, promote: Promote, auditor: Actor
) -> None:
    promote(1)
    outside.move(MODEL, 3, "Staging")
    promote(2)
    timeline = stage_timeline(sample_stores, auditor, MODEL)
    assert told(timeline, 3) == [("None", "registry", "changed outside"), ("Staging", "registry", None)]
    assert told(timeline, 1)[1:] == [("Production", "decision", "decision"), ("Archived", "decision", None)]


def test_a_finding_that_a_later_decision_settled_changes_no_stage(
    sample_stores: Stores, outside: PlainRegistry, promote: Promote, auditor: Actor
) -> None:
    """The inspection after the decision no longer sees the finding's fact, because it compares with that decision."""
    promote(1)
    outside.move(MODEL, 3, "Staging")
    inspect_registry(sample_stores, INSPECTOR)
    promote(2)
    before = stage_timeline(sample_stores, auditor, MODEL)
    inspect_registry(sample_stores, INSPECTOR)
    assert stage_timeline(sample_stores, auditor, MODEL).versions == before.versions
    assert told(before, 3)[-1] == ("Staging", "registry", None)


def test_an_unfinished_decision_is_not_a_change_outside(
    sample_stores: Stores, outside: PlainRegistry, promote: Promote, scientist: Actor, auditor: Actor
) -> None:
    promote(1)
    asked = request_promotion(sample_stores, scientist, model=MODEL, version=2, to=Stage.PRODUCTION, reason="r")
    sample_stores.decisions.change_status(asked.id, RequestStatus.OPEN, RequestStatus.UNFINISHED, decided_by="manager")
    outside.move(MODEL, 1, "Archived")
    assert told(stage_timeline(sample_stores, auditor, MODEL), 1)[1:] == [
        ("Production", "decision", "unfinished decision"),
        ("Archived", "registry", None),
    ]


def test_a_foreign_version_has_its_stage_at_the_latest_since_the_registry_changed_it(
    sample_stores: Stores, theirs: PlainRegistry, auditor: Actor, manager: Actor
) -> None:
    timeline = stage_timeline(sample_stores, auditor, "churn")
    assert ([v.version for v in timeline.versions], timeline.without_stage) == ([3, 2], 1)
    (period,) = timeline.versions[0].periods
    created, updated = mlflow_times(theirs, 3)
    assert (period.stage, period.start, period.not_before, period.is_start_exact, period.sequence) == (
        Stage.PRODUCTION,
        updated,
        created,
        False,
        None,
    )
    inspect_registry(sample_stores, INSPECTOR)
    accept_registry(sample_stores, manager, reason="reviewed")
    accepted = stage_timeline(sample_stores, auditor, "churn")
    assert told(accepted, 3) == [
        ("Production", "registry", "accepted as found"),
        ("Production", "accepted as found", None),
    ]
    before, after = accepted.versions[0].periods
    assert (before.start, before.not_before, before.end) == (updated, created, after.start)
    assert after.decision is not None
    assert (after.decision.decided_by, after.decision.reason) == (("manager",), "reviewed")
    theirs.move("churn", 3, "Archived")
    assert told(stage_timeline(sample_stores, auditor, "churn"), 3)[1:] == [
        ("Production", "accepted as found", "changed outside"),
        ("Archived", "registry", None),
    ]


def test_the_time_of_an_alias_is_unknown(sample: Path, tmp_path: Path, auditor: Actor) -> None:
    stores = open_stores(
        load_settings(home=sample, registry_stages="aliases", aliases={"*": {"Production": "champion"}})
    )
    theirs = PlainRegistry(stores.settings.tracking_uri, tmp_path / "artifacts")
    theirs.version("churn", alias="champion")
    created, _ = mlflow_times(theirs, 1)
    timeline = stage_timeline(stores, auditor, "churn")
    (period,) = timeline.versions[0].periods
    assert (period.stage, period.is_start_exact, period.not_before, period.start) == (
        Stage.PRODUCTION,
        False,
        created,
        timeline.moment,
    )
    inspect_registry(stores, INSPECTOR)
    looked = stores.findings.last_look()
    assert looked is not None
    (seen,) = stage_timeline(stores, auditor, "churn").versions[0].periods
    assert created < seen.start < timeline.moment + timedelta(minutes=1)
    assert seen.sequence is not None, "the inspection is in the log"
    earlier = stage_timeline(stores, auditor, "churn", until=moment_at(stores, timeline.moment))
    assert (earlier.versions, earlier.unknown) == ((), 1)


def test_a_deleted_version_ends_and_a_deleted_model_stays(
    sample_stores: Stores, outside: PlainRegistry, promote: Promote, auditor: Actor
) -> None:
    promote(1)
    outside.move(MODEL, 1, "Archived")
    outside.client.delete_model_version(MODEL, "1")
    assert told(stage_timeline(sample_stores, auditor, MODEL), 1)[-1] == ("Production", "decision", "deleted")
    finding = next(f for f in inspect_registry(sample_stores, INSPECTOR) if f.kind == "version missing")
    outside.client.delete_registered_model(MODEL)
    timeline = stage_timeline(sample_stores, auditor, MODEL)
    assert told(timeline, 1)[-1] == ("Production", "decision", "deleted")
    assert timeline.versions[0].periods[-1].finding == finding.id
    assert timeline.versions[0].stage is None
    with pytest.raises(ModelNotFound):
        stage_timeline(sample_stores, auditor, "never_was")


def test_at_each_event_the_timeline_shows_the_stages_that_the_log_gives(
    sample_stores: Stores, promote: Promote, auditor: Actor
) -> None:
    for version in (1, 2, 3):
        promote(version)
    for event in sample_stores.audit.search(limit=None):
        timelines = stage_timelines(sample_stores, auditor, until=moment_of_event(sample_stores, event.sequence))
        timeline = timelines.of(MODEL)
        shown = {} if timeline is None else {v.version: v.stage for v in timeline.versions if v.stage}
        then = next(
            (
                m
                for m in state_at(sample_stores, auditor, moment_of_event(sample_stores, event.sequence)).models
                if m.name == MODEL
            ),
            None,
        )
        staged = {v.version: v.stage for v in then.versions if v.stage is not Stage.NONE} if then else {}
        assert {number: stage for number, stage in shown.items() if stage is not Stage.NONE} == staged, event.sequence


def test_all_models_take_as_many_reads_as_one_and_the_last_changed_comes_first(
    sample_stores: Stores, theirs: PlainRegistry, promote: Promote, auditor: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    promote(1)
    few = _reads(sample_stores, auditor, monkeypatch)
    for number in range(12):
        theirs.version(f"model_{number}", stage="Production")
    assert _reads(sample_stores, auditor, monkeypatch) == few
    names = [timeline.model for timeline in stage_timelines(sample_stores, auditor).models]
    assert names[0] == "model_11"
    assert names.index("model_0") < names.index(MODEL) < names.index("churn")


def test_without_the_registry_the_log_is_shown(
    sample_stores: Stores, promote: Promote, auditor: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    promote(1)

    def down(model: str | None = None) -> None:
        raise RegistryUnavailable("MLflow does not answer.")

    monkeypatch.setattr(sample_stores.models, "versions", down)
    timelines = stage_timelines(sample_stores, auditor)
    assert timelines.registry_problem == "MLflow does not answer."
    timeline = timelines.of(MODEL)
    assert timeline is not None
    assert told(timeline, 1)[-1] == ("Production", "decision", None), "not deleted: nobody could look"


def _reads(stores: Stores, actor: Actor, monkeypatch: pytest.MonkeyPatch) -> tuple[int, int]:
    """The statements on our own database and the reads of the registry for the timelines of all models."""
    calls: list[str] = []
    read = stores.models.versions
    with monkeypatch.context() as patched, _statements() as statements:
        patched.setattr(stores.models, "versions", lambda model=None: (calls.append("versions"), read(model))[1])
        stage_timelines(stores, actor)
    return sum("mlflow" not in str(database) for database in statements), len(calls)


@contextmanager
def _statements() -> Iterator[list[object]]:
    seen: list[object] = []

    def note(connection: sa.Connection, *_: object) -> None:
        seen.append(connection.engine.url.database)

    sa.event.listen(sa.Engine, "before_cursor_execute", note)
    try:
        yield seen
    finally:
        sa.event.remove(sa.Engine, "before_cursor_execute", note)
