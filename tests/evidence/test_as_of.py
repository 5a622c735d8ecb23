"""As of a date: from the log and the decisions alone, whatever the registry says today."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import pytest
from mlflow import MlflowClient

from core.audit.log import AuditLog
from core.bootstrap import open_stores
from core.cli import main
from core.commands.options import get_stores
from core.entities import Actor, ModelVersionKey, Role, Stage, TableVersion
from core.errors import BadParameter, EvidenceChanged, Forbidden
from core.features.history.as_of import StateAsOf, state_at
from core.features.history.moment import moment_at, parse_moment
from core.features.history.requests_as_of import requests_at
from core.features.monitoring.findings import INSPECTOR, inspect_registry
from core.features.promotion.decide import approve, reject
from core.features.promotion.request_promotion import request_promotion
from core.features.promotion.roll_back import roll_back
from core.features.scoring.score import score
from core.features.stores import Stores
from core.registry.models import ModelRegistry
from core.registry.runs import Runs
from core.settings import load_settings
from tests.conftest import copy_sample
from tests.evidence.by_hand import by_hand
from tests.evidence.conftest import Day, days

MODEL = "iris_classifier"


@pytest.fixture(scope="module")
def history_home(sample_home: Path, tomorrow: datetime, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Day 1: version 1 goes to Production. Day 2: version 3 is requested, day 3 approved. Day 4: back to version 1."""
    home = tmp_path_factory.mktemp("history") / "home"
    copy_sample(sample_home, home)
    stores = open_stores(load_settings(home=home, database_url=None))
    scientist = Actor(name="scientist", roles=frozenset({Role.SCIENTIST}), channel="test")
    manager = Actor(name="manager", roles=frozenset({Role.MANAGER}), channel="test")
    with pytest.MonkeyPatch.context() as patch:
        day = days(patch, tomorrow)
        day(1)
        first = request_promotion(stores, scientist, model=MODEL, version=1, to=Stage.PRODUCTION, reason="first")
        approve(stores, manager, first.id, reason="good enough")
        day(2)
        score(stores, scientist, model=MODEL, table="iris_training_data", version=0)
        second = request_promotion(stores, scientist, model=MODEL, version=3, to=Stage.PRODUCTION, reason="better")
        day(3)
        approve(stores, manager, second.id, reason="better indeed")
        day(4)
        roll_back(stores, manager, MODEL, to=1, reason="complaints")
    return home


@pytest.fixture
def history(home: Path, history_home: Path, day: Day) -> Stores:
    """A copy of the test's own, on day 5."""
    copy_sample(history_home, home)
    day(5)
    return open_stores(load_settings(home=home))


def on(stores: Stores, actor: Actor, day: Day, number: int) -> StateAsOf:
    return state_at(stores, actor, moment_at(stores, day(number) + timedelta(hours=1)))


def stages(state: StateAsOf) -> dict[int, Stage]:
    return {v.version: v.stage for model in state.models if model.name == MODEL for v in model.versions}


def test_each_day_shows_what_served_then(history: Stores, auditor: Actor, day: Day) -> None:
    none, production, archived = Stage.NONE, Stage.PRODUCTION, Stage.ARCHIVED
    assert stages(on(history, auditor, day, 0)) == {1: none, 2: none, 3: none}
    assert stages(on(history, auditor, day, 1)) == {1: production, 2: none, 3: none}
    assert stages(on(history, auditor, day, 2)) == {1: production, 2: none, 3: none}
    assert stages(on(history, auditor, day, 3)) == {1: archived, 2: none, 3: production}
    assert stages(on(history, auditor, day, 4)) == {1: production, 2: none, 3: archived}


def test_who_approved_who_asked_why_and_on_what_data(history: Stores, auditor: Actor, day: Day) -> None:
    serving = on(history, auditor, day, 3).models[-1].production
    assert serving is not None
    assert (serving.version, serving.data) == (3, TableVersion(table="iris_training_data", version=2))
    assert serving.trained_by == "scientist"
    assert serving.decision is not None
    assert serving.decision.decided_by == ("manager",)
    assert (serving.decision.reason, serving.decision.requested_by) == ("better indeed", "scientist")
    assert serving.decision.request_reason == "better"
    proof = history.audit.search(action="promotion.decide", outcome="success", limit=1)[0]
    assert serving.decision.sequence == proof.sequence
    run = history.runs.get(serving.run_id or "")
    assert serving.metrics["f1"] == pytest.approx(run.metrics["f1"])


def test_what_waited_and_what_was_scored_then(history: Stores, auditor: Actor, day: Day) -> None:
    assert [r.version for r in on(history, auditor, day, 2).waiting] == [3]
    assert on(history, auditor, day, 3).waiting == ()
    assert on(history, auditor, day, 1).batches == ()
    (batch,) = on(history, auditor, day, 2).batches
    assert (batch.model_version, batch.source, batch.rows) == (f"{MODEL}/1", "iris_training_data@0", 50)


def test_the_registry_of_today_is_not_asked(history: Stores, auditor: Actor, day: Day) -> None:
    before = on(history, auditor, day, 3)
    history.models.set_stages(MODEL, {2: Stage.PRODUCTION})
    without = replace(history, models=cast(ModelRegistry, None), runs=cast(Runs, None))
    assert on(without, auditor, day, 3) == before


def test_rows_that_were_deleted_by_hand_still_stood_then(history: Stores, auditor: Actor, day: Day) -> None:
    """Requests, approvals and findings can be deleted by whoever owns the database; the log tells them all the same."""
    before = {number: on(history, auditor, day, number) for number in range(6)}
    moments = [moment_at(history, day(number) + timedelta(hours=1)) for number in range(6)]
    asked = [requests_at(history, auditor, moment) for moment in moments]
    by_hand(history, "DELETE FROM approvals; DELETE FROM requests; DELETE FROM findings;")
    assert history.decisions.list() == ()
    assert {number: on(history, auditor, day, number) for number in range(6)} == before
    without: dict[str, Any] = {"evidence": {}, "decision_evidence": None}
    assert [requests_at(history, auditor, moment) for moment in moments] == [
        tuple(replace(one, request=replace(one.request, **without)) for one in then) for then in asked
    ]
    (waiting,) = before[2].waiting
    assert (waiting.requested_by, waiting.request_reason, waiting.to) == ("scientist", "better", Stage.PRODUCTION)
    assert waiting.gates
    assert all(gate.passed for gate in waiting.gates)


def test_requests_stood_as_they_were_decided_by_then(history: Stores, auditor: Actor, day: Day) -> None:
    def stood(number: int) -> list[tuple[int, str, str | None, str | None]]:
        then = requests_at(history, auditor, moment_at(history, day(number) + timedelta(hours=1)), model=MODEL)
        return [(o.request.version, o.request.status.value, o.request.decided_by, o.request.reason) for o in then]

    first = (1, "approved", "manager", "good enough")
    assert stood(0) == []
    assert stood(1) == [first]
    assert stood(2) == [(3, "open", None, None), first]
    assert stood(3) == [(3, "approved", "manager", "better indeed"), first]
    assert stood(4)[0] == (1, "approved", "manager", "complaints")
    now = {one.id: one for one in history.decisions.list()}
    for one in requests_at(history, auditor, moment_at(history, day(5))):
        left_out: dict[str, Any] = {"gates": (), "checked_at": None}
        assert replace(one.request, **left_out) == replace(now[one.request.id], **left_out)
        assert [(a.by, a.reason) for a in one.approvals] == [
            (a.by, a.reason) for a in history.decisions.approvals(one.request.id)
        ]


def test_a_request_that_expired_waited_until_then(
    sample_stores: Stores, scientist: Actor, manager: Actor, auditor: Actor, day: Day
) -> None:
    day(1)
    asked = request_promotion(sample_stores, scientist, model=MODEL, version=2, to=Stage.PRODUCTION, reason="please")
    client = MlflowClient(sample_stores.settings.tracking_uri)
    client.log_metric(str(sample_stores.models.version(asked.key).run_id), "f1", 0.99)
    day(2)
    with pytest.raises(EvidenceChanged):
        approve(sample_stores, manager, asked.id, reason="yes")
    assert [one.id for one in on(sample_stores, auditor, day, 1).waiting] == [asked.id]
    assert on(sample_stores, auditor, day, 2).waiting == ()


def test_a_version_that_was_trained_elsewhere_stood_from_when_a_pass_saw_it(
    sample_stores: Stores, auditor: Actor, day: Day
) -> None:
    """Its run, data, metrics and its stage of then stand in the log; today's registry is not asked."""
    client = MlflowClient(sample_stores.settings.tracking_uri)
    run = client.create_run(client.create_experiment("theirs")).info
    client.log_metric(run.run_id, "auc", 0.7)
    client.set_tag(run.run_id, "delta.table", "iris_training_data")
    client.set_tag(run.run_id, "delta.version", "1")
    client.set_terminated(run.run_id)
    client.create_registered_model("churn")
    client.create_model_version("churn", f"{run.artifact_uri}/model", run.run_id)
    sample_stores.models.set_stages("churn", {1: Stage.PRODUCTION})
    day(1)
    inspect_registry(sample_stores, INSPECTOR)
    day(3)
    client.delete_registered_model("churn")
    key = ModelVersionKey(model="churn", version=1)
    assert on(sample_stores, auditor, day, 0).version(key) is None
    seen = on(sample_stores, auditor, day, 2).version(key)
    assert seen is not None
    assert (seen.stage, seen.run_id, seen.metrics) == (Stage.PRODUCTION, run.run_id, {"auc": 0.7})
    assert seen.data == TableVersion(table="iris_training_data", version=1)
    assert (seen.trained, seen.decision, seen.seen is not None) == (None, None, True)


def test_before_anything_happened_there_was_nothing(history: Stores, auditor: Actor) -> None:
    state = state_at(history, auditor, moment_at(history, datetime(2001, 1, 1, tzinfo=UTC)))
    assert (state.moment.sequence, state.models, state.waiting, state.batches) == (0, (), (), ())
    assert state.version(ModelVersionKey(model=MODEL, version=1)) is None


def test_a_rejected_request_changes_no_stage(sample_stores: Stores, scientist: Actor, manager: Actor, day: Day) -> None:
    day(1)
    request = request_promotion(sample_stores, scientist, model=MODEL, version=2, to=Stage.PRODUCTION, reason="please")
    reject(sample_stores, manager, request.id, reason="not now")
    state = on(sample_stores, manager, day, 2)
    assert set(stages(state).values()) == {Stage.NONE}
    assert state.waiting == ()


def test_somebody_without_a_role_is_refused(sample_stores: Stores) -> None:
    with pytest.raises(Forbidden):
        state_at(sample_stores, Actor(name="nobody", roles=frozenset()), moment_at(sample_stores, datetime.now(UTC)))


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2027-03-31", datetime(2027, 3, 31, 23, 59, 59, 999999, tzinfo=UTC)),
        ("2027-03-31T12:00:00", datetime(2027, 3, 31, 12, tzinfo=UTC)),
        ("2027-03-31T12:00:00Z", datetime(2027, 3, 31, 12, tzinfo=UTC)),
        ("2027-03-31T12:00:00+02:00", datetime(2027, 3, 31, 10, tzinfo=UTC)),
    ],
)
def test_a_day_is_its_end_in_utc_and_a_time_is_itself(text: str, moment: datetime) -> None:
    assert parse_moment(text) == moment


@pytest.mark.parametrize("text", ["", "yesterday", "2027-02-30", "31.03.2027"])
def test_what_is_no_date_is_refused(text: str) -> None:
    with pytest.raises(BadParameter, match="is not a valid date"):
        parse_moment(text)


def test_the_command_line_shows_the_same(history: Stores, day: Day, capsys: pytest.CaptureFixture[str]) -> None:
    get_stores.cache_clear()
    assert main(["models", "--as-of", f"{day(3):%Y-%m-%d}", "--json"]) == 0
    told = {m["name"]: m for m in json.loads(capsys.readouterr().out)}
    newest = told[MODEL]["versions"][0]
    assert (newest["version"], newest["stage"], newest["decided_by"]) == (3, "Production", ["manager"])
    assert newest["data"] == [{"table": "iris_training_data", "version": 2}]
    assert main(["audit", "log", "--until", f"{day(3):%Y-%m-%d}", "--since", f"{day(3):%Y-%m-%d}", "--json"]) == 0
    events = json.loads(capsys.readouterr().out)
    assert {event["action"] for event in events} == {"promotion.decide"}
    assert main(["lineage", f"{MODEL}/3", "--as-of", f"{day(3):%Y-%m-%d}", "--json"]) == 0
    traced = json.loads(capsys.readouterr().out)
    assert traced["model"] == {"name": MODEL, "version": 3, "stage": "Production"}
    assert [(one["table"], one["version"]) for one in traced["data"]] == [("iris_training_data", 2)]
    assert [one["decided by"] for one in traced["decisions"]] == ["manager"]
    assert main(["requests", "--as-of", f"{day(2):%Y-%m-%d}", "--open", "--json"]) == 0
    (waited,) = json.loads(capsys.readouterr().out)
    assert (waited["version"], waited["status"], waited["decided_by"]) == (3, "open", None)
    assert main(["models", "--as-of", "soon"]) == 1
    assert "is not a valid date" in capsys.readouterr().err
    get_stores.cache_clear()


def test_the_log_is_read_a_constant_number_of_times(
    history: Stores, auditor: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []
    search = AuditLog.search
    monkeypatch.setattr(AuditLog, "search", lambda self, **named: calls.append(named) or search(self, **named))
    state_at(history, auditor, moment_at(history, datetime.now(UTC) + timedelta(days=9)))
    assert len(calls) <= 8
