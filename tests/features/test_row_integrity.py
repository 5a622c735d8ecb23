"""Rows beside the log, changed by hand as the owner of the database can: each is told, and what people did is not."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from mlflow import MlflowClient

from core.bootstrap import open_stores
from core.cli import main
from core.commands.options import get_stores
from core.entities import Actor, Finding, Outcome, PromotionRequest, RequestStatus, Severity, Stage
from core.errors import EvidenceChanged, GatesFailed, ReasonMissing, SelfApproval
from core.features.evidence.sign_head import verify_audit_log
from core.features.monitoring.findings import INSPECTOR, assign_finding, close_finding, inspect_registry, open_finding
from core.features.monitoring.reconcile import find_differences, resolve_request
from core.features.promotion.decide import approve, reject
from core.features.promotion.request_promotion import request_promotion
from core.features.promotion.roll_back import roll_back
from core.features.stores import Stores
from core.settings import load_settings
from tests.features.dying import expire_locks, run_and_die

pytestmark = pytest.mark.both_databases

MODEL = "iris_classifier"
ByHand = Callable[..., None]


@pytest.fixture
def by_hand(sample_stores: Stores) -> ByHand:
    """A statement past the application, as whoever owns the database can write it."""

    def run(sql: str, **values: Any) -> None:
        engine = sa.create_engine(sample_stores.settings.database, poolclass=sa.NullPool)
        with engine.begin() as connection:
            connection.execute(sa.text(sql), values)

    return run


@pytest.fixture
def two_needed(sample_stores: Stores) -> Stores:
    """The sample, where two people must approve iris_classifier for Production."""
    home: Path = sample_stores.settings.home
    return open_stores(load_settings(home=home, approvals={MODEL: 2}))


def ask(stores: Stores, actor: Actor, version: int = 1) -> PromotionRequest:
    return request_promotion(stores, actor, model=MODEL, version=version, to=Stage.PRODUCTION, reason="please")


def told(stores: Stores) -> list[tuple[str, str, tuple[str, ...]]]:
    return [(one.kind, one.id, one.fields) for one in stores.row_integrity.tampered_rows()]


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("status", "approved"),
        ("decided_by", "eve"),
        ("requested_by", "eve"),
        ("evidence", '{"fingerprint":"of another artifact"}'),
        ("gates", "[]"),
        ("to_stage", "Staging"),
        ("version", 2),
        ("stages", '{"3":"Production"}'),
        ("request_reason", "another"),
        ("requested_at", "2020-01-01T00:00:00.000000+00:00"),
    ],
)
def test_a_request_that_was_altered(
    sample_stores: Stores, scientist: Actor, by_hand: ByHand, column: str, value: str | int
) -> None:
    asked = ask(sample_stores, scientist)
    assert told(sample_stores) == []
    by_hand(f"UPDATE requests SET {column} = :value WHERE id = :id", value=value, id=asked.id)
    assert told(sample_stores) == [("request", asked.id, (column,))]


def test_a_decision_that_was_made_up_becomes_a_high_finding_about_its_version(
    sample_stores: Stores, scientist: Actor, by_hand: ByHand
) -> None:
    asked = ask(sample_stores, scientist, 3)
    by_hand(
        "UPDATE requests SET status = 'approved', decided_by = 'manager', stages = :stages WHERE id = :id",
        stages='{"1":"None","2":"None","3":"Production"}',
        id=asked.id,
    )
    sample_stores.models.set_stages(MODEL, {3: Stage.PRODUCTION})
    (found,) = [one for one in inspect_registry(sample_stores, INSPECTOR) if one.kind == "decision rewritten"]
    assert (found.subject, found.severity) == (f"{MODEL}/3", Severity.HIGH)
    assert found.expected == "decided_by: nothing, stages: {}, status: open"
    assert found.found == 'decided_by: manager, stages: {"1":"None","2":"None","3":"Production"}, status: approved'
    assert inspect_registry(sample_stores, INSPECTOR) == (), "it is told once"


def test_a_request_that_was_deleted_and_one_that_was_put_in(
    sample_stores: Stores, scientist: Actor, by_hand: ByHand
) -> None:
    asked = ask(sample_stores, scientist)
    by_hand("UPDATE requests SET id = 'feedfacecafe' WHERE id = :id", id=asked.id)
    assert sorted(told(sample_stores)) == sorted([("request", asked.id, ()), ("request", "feedfacecafe", ())])
    deleted, put_in = sorted(sample_stores.row_integrity.tampered_rows(), key=lambda one: one.id == "feedfacecafe")
    assert "missing from its table" in deleted.detail
    assert "in no event of the log" in put_in.detail


@pytest.mark.parametrize(
    "sql",
    [
        "DELETE FROM approvals",
        "UPDATE approvals SET reason = 'another'",
        "UPDATE approvals SET by = 'eve'",
        "INSERT INTO approvals VALUES (:id, 'eve', '2027-01-01T00:00:00.000000+00:00', 'sure')",
    ],
)
def test_an_approval_that_was_removed_altered_or_added(
    two_needed: Stores, scientist: Actor, manager: Actor, by_hand: ByHand, sql: str
) -> None:
    asked = ask(two_needed, scientist)
    approve(two_needed, manager, asked.id, reason="looks right")
    assert told(two_needed) == []
    by_hand(sql, **({"id": asked.id} if ":id" in sql else {}))
    ((what, which, who),) = told(two_needed)
    assert (what, which) == ("approvals of request", asked.id)
    assert set(who) <= {"manager", "eve"}


def by_auditor(stores: Stores, auditor: Actor) -> Finding:
    return open_finding(stores, auditor, subject=f"{MODEL}/1", detail="odd rows", severity=Severity.HIGH)


@pytest.mark.parametrize(
    ("sql", "fields"),
    [
        ("DELETE FROM findings", ()),
        (
            "UPDATE findings SET closed_by = 'manager', closed_at = '2027-01-01T00:00:00.000000+00:00', reason = 'ok'",
            ("closed_by", "closed_at", "reason"),
        ),
        ("UPDATE findings SET severity = 'low'", ("severity",)),
        ("UPDATE findings SET due = '2099-01-01T00:00:00.000000+00:00'", ("due",)),
        ("INSERT INTO finding_absences SELECT id, '2027-01-01T00:00:00.000000+00:00' FROM findings", ("gone",)),
    ],
)
def test_a_finding_that_was_deleted_closed_or_made_harmless(
    sample_stores: Stores, auditor: Actor, by_hand: ByHand, sql: str, fields: tuple[str, ...]
) -> None:
    mine = by_auditor(sample_stores, auditor)
    assert told(sample_stores) == []
    by_hand(sql)
    ((what, which, named),) = told(sample_stores)
    assert (what, which, set(named)) == ("finding", mine.id, set(fields))
    assert ("finding rewritten", f"{MODEL}/1") in {
        (one.kind, one.subject) for one in inspect_registry(sample_stores, INSPECTOR)
    }


def test_what_people_do_is_no_rewriting(
    two_needed: Stores, scientist: Actor, manager: Actor, manager2: Actor, auditor: Actor
) -> None:
    """Every way in which a row changes, a refusal included, is held by its event."""
    first = ask(two_needed, scientist, 1)
    with pytest.raises(SelfApproval):
        approve(two_needed, Actor(name="scientist", roles=manager.roles, channel="test"), first.id, reason="mine")
    approve(two_needed, manager, first.id, reason="yes")
    approve(two_needed, manager2, first.id, reason="yes")
    second = ask(two_needed, scientist, 2)
    reject(two_needed, manager, second.id, reason="no")
    third = ask(two_needed, scientist, 3)
    approve(two_needed, manager, third.id, reason="yes")
    approve(two_needed, manager2, third.id, reason="yes")
    roll_back(two_needed, manager, MODEL, to=1, reason="now")
    mine = by_auditor(two_needed, auditor)
    assign_finding(two_needed, auditor, mine.id, owner="ana", due=mine.due, reason="she knows")
    close_finding(two_needed, manager, mine.id, reason="looked at")
    two_needed.models.set_stages(MODEL, {2: Stage.STAGING})
    inspect_registry(two_needed, INSPECTOR)
    two_needed.models.set_stages(MODEL, {2: Stage.NONE})
    inspect_registry(two_needed, INSPECTOR)
    two_needed.models.set_stages(MODEL, {2: Stage.STAGING})
    inspect_registry(two_needed, INSPECTOR)
    assert told(two_needed) == []
    assert told(open_stores(two_needed.settings)) == [], "read from the start it is the same"


def test_an_approval_that_expires_is_no_rewriting(sample_stores: Stores, scientist: Actor, manager: Actor) -> None:
    asked = ask(sample_stores, scientist)
    client = MlflowClient(sample_stores.settings.tracking_uri)
    client.set_tag(str(sample_stores.models.version(asked.key).run_id), "delta.content_sha256", "0" * 64)
    with pytest.raises(EvidenceChanged):
        approve(sample_stores, manager, asked.id, reason="yes")
    assert sample_stores.decisions.get(asked.id).status is RequestStatus.EXPIRED
    assert told(sample_stores) == []


@pytest.mark.parametrize("when", ["before the registry", "after the registry"])
def test_a_decision_that_died_is_unfinished_and_not_rewritten(
    sample_stores: Stores, scientist: Actor, manager: Actor, by_hand: ByHand, when: str
) -> None:
    asked = ask(sample_stores, scientist)
    run_and_die(sample_stores, when, "approve", asked.id)
    expire_locks(sample_stores)
    assert told(sample_stores) == []
    resolve_request(sample_stores, manager, asked.id, reason="restart")
    assert told(sample_stores) == []
    by_hand("UPDATE requests SET decided_by = 'eve'")
    assert told(sample_stores) == [("request", asked.id, ("decided_by",))]


def test_while_a_decision_is_unfinished_what_was_asked_is_still_held(
    sample_stores: Stores, scientist: Actor, by_hand: ByHand
) -> None:
    asked = ask(sample_stores, scientist)
    run_and_die(sample_stores, "before the registry", "approve", asked.id)
    by_hand("UPDATE requests SET evidence = '{}', status = 'approved'")
    assert told(sample_stores) == [("request", asked.id, ("evidence",))]


def test_event_without_a_snapshot_says_nothing_about_its_row(
    sample_stores: Stores, scientist: Actor, manager: Actor, by_hand: ByHand
) -> None:
    asked = ask(sample_stores, scientist)
    by_hand("UPDATE requests SET id = 'old', status = 'expired'")
    after = {"request": "old", "to": "Production"}
    sample_stores.audit.append(scientist, "promotion.request", str(asked.key), Outcome.SUCCESS, after=after)
    assert told(sample_stores) == [("request", asked.id, ())], "the request with a snapshot is gone"
    by_hand("UPDATE requests SET status = 'open'")
    approve(sample_stores, manager, "old", reason="yes")
    by_hand("UPDATE requests SET decided_by = 'eve', requested_by = 'eve'")
    assert ("request", "old", ("decided_by",)) in told(sample_stores), "the approval has a snapshot of its fields"


def test_a_log_that_was_rewritten_itself_is_read_anew(sample_stores: Stores, scientist: Actor, by_hand: ByHand) -> None:
    asked = ask(sample_stores, scientist)
    assert told(sample_stores) == []
    if sample_stores.settings.database.startswith("postgres"):
        by_hand("ALTER TABLE events DISABLE TRIGGER ALL")
    else:
        by_hand("DROP TRIGGER events_no_delete")
    by_hand("DELETE FROM events WHERE action = 'promotion.request'")
    assert told(sample_stores) == [("request", asked.id, ())]


def test_a_secret_in_a_reason_is_masked_in_the_log_and_no_rewriting(
    sample_stores: Stores, scientist: Actor, auditor: Actor
) -> None:
    secret = "see https://ci:hunter2hunter2@git.example/x.git"
    request_promotion(sample_stores, scientist, model=MODEL, version=1, to=Stage.PRODUCTION, reason=secret)
    open_finding(sample_stores, auditor, subject=MODEL, detail=secret, severity=Severity.LOW)
    assert "hunter2" not in str(sample_stores.audit.search(limit=None))
    assert told(sample_stores) == []


def test_the_verification_names_the_row_and_what_differs(
    sample_stores: Stores, scientist: Actor, auditor: Actor, by_hand: ByHand, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = ask(sample_stores, scientist)
    assert verify_audit_log(sample_stores, auditor).ok
    by_hand("UPDATE requests SET status = 'approved'")
    verdict = verify_audit_log(sample_stores, auditor)
    assert not verdict.ok
    assert (verdict.first_broken, verdict.chain.ok) == (None, True)
    sentence = (
        f"The request {asked.id} ({MODEL}/1) was changed bypassing the log: status is approved in the table, "
        "open in the log."
    )
    assert sentence in verdict.findings
    get_stores.cache_clear()
    assert main(["audit", "verify", "--json"]) == 1
    answer = json.loads(capsys.readouterr().out)
    assert (answer["ok"], answer["first_broken"]) == (False, None)
    assert sentence in answer["detail"]
    assert answer["rewritten"] == [
        {"what": "request", "id": asked.id, "subject": f"{MODEL}/1", "fields": ["status"], "detail": sentence}
    ]
    get_stores.cache_clear()


def test_what_was_altered_before_an_action_is_not_vouched_for_by_it(
    sample_stores: Stores, scientist: Actor, manager: Actor, auditor: Actor, by_hand: ByHand
) -> None:
    asked = ask(sample_stores, scientist)
    by_hand("UPDATE requests SET request_reason = 'another', requested_by = 'eve'")
    with pytest.raises(ReasonMissing):
        approve(sample_stores, manager, asked.id, reason="")
    assert told(sample_stores) == [("request", asked.id, ("request_reason", "requested_by"))]
    approve(sample_stores, manager, asked.id, reason="yes")
    assert told(sample_stores) == [("request", asked.id, ("request_reason", "requested_by"))]
    mine = by_auditor(sample_stores, auditor)
    by_hand("UPDATE findings SET severity = 'low'")
    close_finding(sample_stores, manager, mine.id, reason="it is low")
    assert told(sample_stores)[-1] == ("finding", mine.id, ("severity",))


def test_a_finding_about_a_rewritten_decision_stops_the_promotion(
    sample_stores: Stores, scientist: Actor, manager: Actor, by_hand: ByHand
) -> None:
    asked = ask(sample_stores, scientist)
    by_hand("UPDATE requests SET evidence = replace(evidence, 'iris_training_data', 'iris_training_date')")
    inspect_registry(sample_stores, INSPECTOR)
    with pytest.raises(GatesFailed):
        approve(sample_stores, manager, asked.id, reason="yes")
    assert find_differences(sample_stores, manager)[0].kind == "decision rewritten"
