"""Decisions on both databases: one decider wins, one promoter per model, and the audit log stays writable meanwhile."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from core.audit import decisions as module
from core.audit.decisions import Decisions
from core.audit.log import AuditLog
from core.database.engine import Database
from core.entities import Actor, GateResult, Outcome, PromotionRequest, RequestKind, RequestStatus, Role, Stage
from core.errors import AlreadyDecided, DatabaseUnavailable, LeaseLost, RequestNotFound

ROOT = Path(__file__).resolve().parent.parent.parent
ASKED = datetime(2026, 3, 31, 12, 0, 0, 1, tzinfo=UTC)


def a_request(
    request_id: str = "r1", model: str = "iris", *, at: datetime = ASKED, version: int = 3
) -> PromotionRequest:
    return PromotionRequest(
        id=request_id,
        kind=RequestKind.PROMOTION,
        model=model,
        version=version,
        to=Stage.PRODUCTION,
        status=RequestStatus.OPEN,
        gates=(GateResult(name="f1", passed=True, detail="0.9 “quoted” <b>"),),
        requested_by="scientist",
        requested_at=at,
        request_reason="better on all KPIs — π",
        evidence={"candidate": {"metrics": {"f1": 0.9, "roc_auc": "NaN"}}},
    )


@pytest.fixture
def database(database_url: str) -> Database:
    return Database(database_url)


@pytest.fixture
def decisions(database: Database) -> Decisions:
    return Decisions(database)


def test_request_is_read_back_as_it_was_kept(decisions: Decisions) -> None:
    asked = decisions.add(a_request())
    assert decisions.get("r1") == asked


def test_unknown_request_is_named(decisions: Decisions) -> None:
    with pytest.raises(RequestNotFound, match="'nope'"):
        decisions.get("nope")


def test_list_is_newest_first_and_filtered(decisions: Decisions) -> None:
    for number in range(3):
        decisions.add(a_request(f"r{number}", at=ASKED + timedelta(hours=number), version=number))
    decisions.add(a_request("other", model="diabetes", at=ASKED - timedelta(hours=1)))
    decisions.change_status("r1", RequestStatus.OPEN, RequestStatus.REJECTED, decided_by="manager", decided_at=ASKED)
    ids = lambda **given: [request.id for request in decisions.list(**given)]  # noqa: E731
    assert ids() == ["r2", "r1", "r0", "other"]
    assert ids(model="iris", limit=2) == ["r2", "r1"]
    assert ids(statuses=(RequestStatus.REJECTED, RequestStatus.EXPIRED)) == ["r1"]


def test_decision_that_comes_second_is_told_who_was_first(decisions: Decisions) -> None:
    decisions.add(a_request())
    decisions.change_status(
        "r1", RequestStatus.OPEN, RequestStatus.REJECTED, decided_by="manager", decided_at=ASKED, reason="not yet"
    )
    with pytest.raises(AlreadyDecided, match=r"was rejected by manager \(2026-03-31 12:00 UTC\)"):
        decisions.change_status("r1", RequestStatus.OPEN, RequestStatus.APPROVED, decided_by="manager2")
    assert decisions.get("r1").decided_by == "manager"


def test_of_many_deciders_at_once_one_wins_and_every_other_is_told(decisions: Decisions) -> None:
    decisions.add(a_request())
    start = threading.Barrier(8)

    def decide(name: str) -> str:
        start.wait()
        try:
            decisions.change_status("r1", RequestStatus.OPEN, RequestStatus.REJECTED, decided_by=name, decided_at=ASKED)
        except AlreadyDecided as error:
            return str(error)
        return "won"

    with ThreadPoolExecutor(8) as pool:
        told = list(pool.map(decide, [f"manager{number}" for number in range(8)]))
    assert told.count("won") == 1
    winner = f"manager{told.index('won')}"
    assert decisions.get("r1").decided_by == winner
    assert all(winner in text for text in told if text != "won")


_PROMOTER = """
import sys, time
from pathlib import Path
from core.audit.decisions import Decisions
from core.audit.log import AuditLog
from core.database.engine import Database
from core.entities import Actor, Outcome, Role
database = Database(sys.argv[1])
decisions, log, inside = Decisions(database), AuditLog(database), Path(sys.argv[2])
who = Actor(name=sys.argv[3], roles=frozenset({Role.MANAGER}), channel="test")
for _ in range(4):
    with decisions.lock("iris"):
        inside.open("x").close()
        log.append(who, "promotion.decide", "iris/1", Outcome.SUCCESS)
        inside.unlink()
"""


@pytest.mark.parametrize("processes", [2, pytest.param(6, marks=pytest.mark.slow)])
def test_processes_hold_a_model_one_at_a_time_and_log_while_they_do(
    database_url: str, tmp_path: Path, processes: int
) -> None:
    command = [sys.executable, "-c", _PROMOTER, database_url, str(tmp_path / "inside")]
    promoters = [
        subprocess.Popen([*command, f"m{n}"], cwd=ROOT, stderr=subprocess.PIPE, text=True) for n in range(processes)
    ]
    told = [promoter.communicate(timeout=120)[1] for promoter in promoters]
    assert [promoter.returncode for promoter in promoters] == [0] * processes, told
    verdict = AuditLog(Database(database_url)).verify()
    assert (verdict.ok, verdict.events) == (True, 4 * processes)


def test_two_models_are_held_at_the_same_time(decisions: Decisions) -> None:
    with decisions.lock("iris"), decisions.lock("diabetes"):
        pass


def test_holding_a_model_does_not_block_the_audit_log(decisions: Decisions, database: Database) -> None:
    """Written while the model is still held: a log that waited for it could not be written before it is let go."""
    who = Actor(name="auditor", roles=frozenset({Role.AUDITOR}), channel="test")
    with decisions.lock("iris") as held:
        AuditLog(database).append(who, "audit.export", "audit log", Outcome.SUCCESS)
        held.confirm()


def test_waiting_for_a_model_ends_with_a_clear_word(decisions: Decisions, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_LOCK_WAIT_S", 0.2)
    with (
        decisions.lock("iris"),
        pytest.raises(DatabaseUnavailable, match="Another decision on iris"),
        decisions.lock("iris"),
    ):
        pytest.fail("two hold one model")


def test_lock_of_a_dead_promoter_is_free_after_its_lease(decisions: Decisions, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_LOCK_LEASE", timedelta(seconds=0.3))
    dead = decisions.lock("iris")
    dead.__enter__()
    started = time.monotonic()
    with decisions.lock("iris"):
        assert time.monotonic() - started > 0.2


def test_model_that_is_left_is_held_until_its_lease_is_over(
    decisions: Decisions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_LOCK_WAIT_S", 0.2)
    with decisions.lock("iris") as held:
        held.leave()
    with pytest.raises(DatabaseUnavailable, match="did not answer the last decision"), decisions.lock("iris"):
        pytest.fail("a change may still arrive")
    monkeypatch.setattr(module, "_LOCK_LEASE", timedelta(seconds=-1))
    held.confirm()
    with decisions.lock("iris") as other:
        other.confirm()


def test_promoter_that_was_overtaken_may_change_nothing(decisions: Decisions, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_LOCK_LEASE", timedelta(seconds=0.2))
    with decisions.lock("iris") as slow:
        slow.confirm()
        with decisions.lock("iris") as other:
            other.confirm()
            with pytest.raises(LeaseLost, match=r"another decision began\. Nothing was changed"):
                slow.confirm()


def test_lock_is_given_back_when_the_work_fails(decisions: Decisions) -> None:
    with pytest.raises(ValueError, match="boom"), decisions.lock("iris"):
        raise ValueError("boom")
    with decisions.lock("iris"):
        pass
