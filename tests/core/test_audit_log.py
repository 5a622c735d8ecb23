"""The audit log on both databases: durable, chained, append-only; what was done to it by hand is found and located."""

from __future__ import annotations

import hashlib
import json
import sqlite3
import subprocess
import sys
import tracemalloc
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from core.access.permissions import Action
from core.audit.canonical_json import canonical
from core.audit.hash_chain import GENESIS
from core.audit.log import AuditLog
from core.database.engine import Database
from core.entities import Actor, Outcome, Role
from core.errors import DatabaseUnavailable, Forbidden, SelfApproval
from tests.postgres import PostgresServer

ROOT = Path(__file__).resolve().parent.parent.parent
SCIENTIST = Actor(name="scientist", roles=frozenset({Role.SCIENTIST}), channel="test")
AUDITOR = Actor(name="auditor", roles=frozenset({Role.AUDITOR}), channel="test")

ByHand = Callable[[str], None]


@pytest.fixture
def log(database_url: str) -> AuditLog:
    return AuditLog(Database(database_url))


@pytest.fixture
def ten(log: AuditLog) -> AuditLog:
    """A log of ten events."""
    for number in range(1, 11):
        log.append(SCIENTIST, "data.ingest", f"table@{number}", Outcome.SUCCESS, after={"rows": number * 10})
    return log


@pytest.fixture
def by_hand(database_url: str, request: pytest.FixtureRequest) -> ByHand:
    """Runs statements that bypass the application and its append-only triggers, as any owner of the database can."""

    def run(sql: str) -> None:
        if database_url.startswith("sqlite"):
            connection = sqlite3.connect(database_url.removeprefix("sqlite:///"))
            connection.executescript(
                f"DROP TRIGGER events_no_update; DROP TRIGGER events_no_delete; DROP TRIGGER events_no_replace; {sql};"
            )
            connection.close()
            return
        server: PostgresServer = request.getfixturevalue("postgres")
        server.run(database_url, f"SET session_replication_role = replica; {sql};")

    return run


def test_empty_log_holds(log: AuditLog) -> None:
    verdict = log.verify()
    assert (verdict.ok, verdict.events, verdict.first_broken, verdict.head) == (True, 0, None, "0" * 64)


def test_untouched_log_holds_and_its_head_is_the_last_hash(ten: AuditLog) -> None:
    verdict = ten.verify()
    assert (verdict.ok, verdict.events, verdict.first_broken) == (True, 10, None)
    assert ten.head() == (10, verdict.head)


def test_hash_is_sha256_of_the_event_with_the_hash_before_it(ten: AuditLog) -> None:
    events = list(ten.events())
    assert events[0].previous == GENESIS
    for before, event in zip([None, *events], events, strict=False):
        body = {
            **{name: getattr(event, name) for name in ("sequence", "actor", "role", "channel", "action", "subject")},
            **{name: getattr(event, name) for name in ("reason", "operation", "previous")},
            "outcome": event.outcome.value,
            "time": event.time.astimezone(UTC).isoformat(timespec="microseconds"),
            "before": canonical(event.before),
            "after": canonical(event.after),
        }
        text = json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        assert event.hash == hashlib.sha256(text.encode()).hexdigest()
        assert event.previous == (before.hash if before else GENESIS)


COPY = (
    "INSERT INTO events SELECT {new}, time, actor, role, channel, action, subject, outcome, reason, operation, "
    "before, after, previous, hash FROM events WHERE sequence = {old}"
)


@pytest.mark.parametrize(
    ("done", "position"),
    [
        pytest.param("UPDATE events SET actor = 'somebody else' WHERE sequence = 4", 4, id="actor altered"),
        pytest.param("UPDATE events SET time = '2020-01-01T00:00:00.000000+00:00' WHERE sequence = 4", 4, id="time"),
        pytest.param("UPDATE events SET time = 'long ago' WHERE sequence = 4", 4, id="time made unreadable"),
        pytest.param("UPDATE events SET after = '{\"rows\":41}' WHERE sequence = 4", 4, id="content altered"),
        pytest.param("UPDATE events SET outcome = 'failed' WHERE sequence = 4", 4, id="outcome altered"),
        pytest.param("UPDATE events SET hash = 'x' WHERE sequence = 4", 4, id="hash altered"),
        pytest.param("DELETE FROM events WHERE sequence = 4", 4, id="removed in the middle"),
        pytest.param("DELETE FROM events WHERE sequence = 1", 1, id="first removed"),
        pytest.param(
            "DELETE FROM events WHERE sequence = 4; UPDATE events SET sequence = 4 WHERE sequence = 5",
            4,
            id="removed and closed up",
        ),
        pytest.param(
            "UPDATE events SET sequence = -1 WHERE sequence = 4; UPDATE events SET sequence = 4 WHERE sequence = 5; "
            "UPDATE events SET sequence = 5 WHERE sequence = -1",
            4,
            id="two exchanged",
        ),
        pytest.param(COPY.format(new=11, old=10), 11, id="copy inserted at the end"),
        pytest.param(COPY.format(new=0, old=1), 1, id="inserted before the first"),
        pytest.param(
            "UPDATE events SET sequence = 110 WHERE sequence = 10; " + COPY.format(new=10, old=9), 10, id="inserted"
        ),
    ],
)
def test_tampering_is_found_and_its_position_named(ten: AuditLog, by_hand: ByHand, done: str, position: int) -> None:
    by_hand(done)
    verdict = ten.verify()
    assert not verdict.ok
    assert verdict.first_broken == position
    assert str(position) in verdict.detail


def test_event_rewritten_with_its_hash_breaks_at_the_one_after_it(ten: AuditLog, by_hand: ByHand) -> None:
    third, fourth = list(ten.events(after_sequence=2, limit=2))
    forged = {
        **{name: getattr(fourth, name) for name in ("sequence", "time", "role", "channel", "action", "subject")},
        **{name: getattr(fourth, name) for name in ("reason", "operation")},
        "outcome": "success",
        "actor": "somebody else",
        "before": canonical(fourth.before),
        "after": canonical(fourth.after),
        "previous": third.hash,
    }
    digest = hashlib.sha256(canonical(forged).encode()).hexdigest()
    by_hand(f"UPDATE events SET actor = 'somebody else', hash = '{digest}' WHERE sequence = 4")
    verdict = ten.verify()
    assert verdict.first_broken == 5
    assert "the event before was rewritten" in verdict.detail


def test_database_itself_refuses_to_change_or_delete_an_event(ten: AuditLog, database_url: str) -> None:
    database = Database(database_url)
    again = "SELECT * FROM events WHERE sequence = 10"
    statements = ["UPDATE events SET actor = 'x'", "UPDATE events SET actor = actor", "DELETE FROM events"]
    if database.is_postgres:
        statements += [
            "TRUNCATE events",
            "TRUNCATE events, heads CASCADE",
            f"INSERT INTO events {again} ON CONFLICT (sequence) DO UPDATE SET actor = 'x'",
        ]
    else:
        statements += [
            f"INSERT OR REPLACE INTO events {again}",
            f"REPLACE INTO events {again}",
            "INSERT INTO events SELECT * FROM events WHERE true ON CONFLICT (sequence) DO UPDATE SET actor = 'x'",
        ]
    for statement in statements:
        with pytest.raises(Exception, match="append-only"), database.write() as connection:
            connection.exec_driver_sql(statement)
    assert ten.verify().ok
    assert ten.append(SCIENTIST, "data.ingest", "table@11", Outcome.SUCCESS).sequence == 11


def test_events_appended_while_it_is_verified_do_not_break_it(ten: AuditLog) -> None:
    def append_one(seen: int, total: int) -> None:
        ten.append(SCIENTIST, "data.ingest", "late", Outcome.SUCCESS)

    verdict = ten.verify(on_progress=append_one)
    assert (verdict.ok, verdict.events) == (True, 10)
    assert ten.count() == 11


def test_progress_of_verify_ends_at_the_whole(ten: AuditLog) -> None:
    told: list[tuple[int, int]] = []
    ten.verify(on_progress=lambda seen, total: told.append((seen, total)))
    assert told[-1] == (10, 10)


@pytest.mark.slow
def test_memory_of_verify_does_not_grow_with_the_log(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / 'many.db'}")
    log = AuditLog(database)
    with database.write() as connection:
        for number in range(12_000):
            log.append_within(connection, SCIENTIST, "data.ingest", f"t@{number}", Outcome.SUCCESS, reason="r" * 500)
    tracemalloc.start()
    assert log.verify().ok
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    # 12,000 events of well over 1 kB are 12 MB and more as text alone; a chunk is 5,000 of them.
    assert peak < 30_000_000


_APPENDER = """
import sys
from core.audit.log import AuditLog
from core.database.engine import Database
from core.entities import Actor, Outcome, Role
log = AuditLog(Database(sys.argv[1]))
who = Actor(name=sys.argv[2], roles=frozenset({Role.SCIENTIST}), channel="test")
for number in range(25):
    log.append(who, "data.ingest", f"{sys.argv[2]}@{number}", Outcome.SUCCESS)
"""


@pytest.mark.parametrize("processes", [2, pytest.param(8, marks=pytest.mark.slow)])
def test_processes_that_open_and_append_at_once_leave_one_whole_chain(pristine_url: str, processes: int) -> None:
    command = [sys.executable, "-c", _APPENDER, pristine_url]
    writers = [
        subprocess.Popen([*command, f"writer{n}"], cwd=ROOT, stderr=subprocess.PIPE, text=True)
        for n in range(processes)
    ]
    told = [writer.communicate(timeout=120)[1] for writer in writers]
    assert [writer.returncode for writer in writers] == [0] * processes, told
    log = AuditLog(Database(pristine_url))
    verdict = log.verify()
    assert (verdict.ok, verdict.events) == (True, 25 * processes)
    for n in range(processes):
        own = [event.subject for event in log.events() if event.actor == f"writer{n}"]
        assert own == [f"writer{n}@{number}" for number in range(25)]


def test_event_is_there_after_the_process_is_killed_right_behind_append(database_url: str) -> None:
    body = _APPENDER.replace("range(25)", "range(1)") + "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"
    done = subprocess.run([sys.executable, "-c", body, database_url, "killed"], cwd=ROOT, check=False)
    assert done.returncode == -9
    assert [event.actor for event in AuditLog(Database(database_url)).events()] == ["killed"]


def test_recording_writes_intent_then_success_joined_by_operation(log: AuditLog) -> None:
    with log.recording(SCIENTIST, Action.RUN_TRAIN, "recipe", reason="retrain", before={"v": 1}) as record:
        assert [event.outcome for event in log.events()] == [Outcome.INTENT]
        record.after = {"v": 2}
        record.subject = "model/2"
    intent, outcome = log.events()
    assert intent.operation == outcome.operation == record.operation
    assert (intent.subject, intent.before, intent.after) == ("recipe", {"v": 1}, {})
    assert (outcome.subject, outcome.outcome, outcome.after) == ("model/2", Outcome.SUCCESS, {"v": 2})
    assert outcome.reason == "retrain"


def test_refusal_inside_is_recorded_as_denied_and_raised(log: AuditLog) -> None:
    with pytest.raises(SelfApproval), log.recording(SCIENTIST, Action.RUN_TRAIN, "x"):
        raise SelfApproval("not your own")
    assert [(e.outcome, e.reason) for e in log.events()] == [(Outcome.INTENT, ""), (Outcome.DENIED, "not your own")]


@pytest.mark.parametrize("error", [ValueError("boom"), KeyboardInterrupt(), SystemExit(3)])
def test_any_other_end_inside_is_recorded_as_failed_and_raised(log: AuditLog, error: BaseException) -> None:
    with pytest.raises(type(error)), log.recording(SCIENTIST, Action.RUN_TRAIN, "x"):
        raise error
    assert [event.outcome for event in log.events()] == [Outcome.INTENT, Outcome.FAILED]
    assert log.unfinished() == ()


def test_without_the_permission_nothing_begins_and_one_denied_event_says_so(log: AuditLog) -> None:
    with pytest.raises(Forbidden, match="needs the role scientist"), log.recording(AUDITOR, Action.RUN_TRAIN, "recipe"):
        pytest.fail("the body ran")
    (event,) = log.events()
    assert (event.actor, event.action, event.subject, event.outcome) == (
        "auditor",
        "run.train",
        "recipe",
        Outcome.DENIED,
    )
    with pytest.raises(Forbidden):
        log.require(AUDITOR, Action.RUN_TRAIN, "recipe")
    assert log.count() == 2
    log.require(SCIENTIST, Action.RUN_TRAIN)
    assert log.count() == 2


def test_unfinished_are_the_intents_without_an_outcome(log: AuditLog) -> None:
    with log.recording(SCIENTIST, Action.RUN_TRAIN, "done"):
        pass
    log.append(SCIENTIST, "run.train", "died", Outcome.INTENT, operation="op-1")
    log.append(SCIENTIST, "run.train", "died and was closed", Outcome.INTENT, operation="op-2")
    log.append(SCIENTIST, "run.train", "died and was closed", Outcome.FAILED, operation="op-2")
    assert [event.subject for event in log.unfinished()] == ["died"]


def test_unfinished_follow_what_another_process_appends(log: AuditLog, database_url: str) -> None:
    other = AuditLog(Database(database_url))
    assert other.unfinished() == ()
    log.append(SCIENTIST, "run.train", "one", Outcome.INTENT, operation="op-1")
    log.append(SCIENTIST, "run.train", "two", Outcome.INTENT, operation="op-2")
    assert [event.subject for event in other.unfinished()] == ["one", "two"]
    log.append(SCIENTIST, "run.train", "one", Outcome.SUCCESS, operation="op-1")
    log.append(SCIENTIST, "run.train", "three", Outcome.INTENT, operation="op-3")
    assert [event.subject for event in other.unfinished()] == ["two", "three"]
    assert other.unfinished() == AuditLog(Database(database_url)).unfinished()


def test_unfinished_are_read_anew_where_the_log_was_changed_by_hand(log: AuditLog, by_hand: ByHand) -> None:
    log.append(SCIENTIST, "run.train", "one", Outcome.INTENT, operation="op-1")
    log.append(SCIENTIST, "run.train", "one", Outcome.SUCCESS, operation="op-1")
    assert log.unfinished() == ()
    by_hand("DELETE FROM events WHERE sequence = 2")
    assert [event.subject for event in log.unfinished()] == ["one"]


def test_secret_in_an_error_is_not_in_its_reason(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", "tok-0123456789")
    log = AuditLog(Database(database_url))
    with pytest.raises(ValueError, match="tok-"), log.recording(SCIENTIST, Action.RUN_TRAIN, "x"):
        raise ValueError("https://u:p4ssword@mlflow said no to tok-0123456789")
    assert log.search(outcome="failed")[0].reason == "https://u:***@mlflow said no to ***"


def test_search_combines_its_filters_newest_first(log: AuditLog) -> None:
    log.append(SCIENTIST, "data.ingest", "a@0", Outcome.SUCCESS, reason="100% of it")
    log.append(AUDITOR, "audit.export", "audit log", Outcome.SUCCESS)
    log.append(SCIENTIST, "data.ingest", "a@1", Outcome.FAILED, after={"note": "Ümlaut_x"})
    subjects = lambda **given: [event.subject for event in log.search(**given)]  # noqa: E731
    assert subjects() == ["a@1", "audit log", "a@0"]
    assert subjects(actor="scientist", action="data.ingest") == ["a@1", "a@0"]
    assert subjects(outcome="failed") == ["a@1"]
    assert subjects(subject="a@0") == ["a@0"]
    assert subjects(text="100%") == ["a@0"]
    assert subjects(text="%") == ["a@0"], "a percent sign is a character, no wildcard"
    assert subjects(text="Ümlaut_") == ["a@1"]
    assert subjects(limit=1) == ["a@1"]
    assert subjects(before_sequence=3, limit=1) == ["audit log"]
    now = datetime.now(UTC)
    assert subjects(since=now + timedelta(minutes=1)) == []
    assert len(subjects(since=now - timedelta(minutes=1), until=now + timedelta(minutes=1))) == 3


def test_text_that_no_database_holds_is_kept_as_near_as_can_be(log: AuditLog) -> None:
    log.append(SCIENTIST, "data.ingest", "t", Outcome.SUCCESS, reason="bad \ud83d and \x00", after={"x": "\x00"})
    (event,) = log.events()
    assert event.reason == "bad \N{REPLACEMENT CHARACTER} and \N{REPLACEMENT CHARACTER}"
    assert log.verify().ok


def test_odd_numbers_in_before_and_after_hold(log: AuditLog) -> None:
    odd = {"nan": float("nan"), "inf": float("inf"), "one": 1.0, "tiny": 1e-300, "big": 2**70, "nested": [{"é": None}]}
    log.append(SCIENTIST, "run.train", "x", Outcome.SUCCESS, after=odd)
    (event,) = log.events()
    assert event.after == {**odd, "nan": "NaN", "inf": "Infinity", "one": 1}
    assert log.verify().ok


def test_times_are_in_utc_and_do_not_go_back(ten: AuditLog) -> None:
    times = [event.time for event in ten.events()]
    assert times == sorted(times)
    assert all(time.utcoffset() == timedelta(0) for time in times)


def test_events_are_read_in_pieces_oldest_first(ten: AuditLog) -> None:
    def numbers(events: Iterator[object]) -> list[int]:
        return [event.sequence for event in events]  # type: ignore[attr-defined]

    assert numbers(ten.events()) == list(range(1, 11))
    assert numbers(ten.events(after_sequence=8)) == [9, 10]
    assert numbers(ten.events(limit=3)) == [1, 2, 3]
    assert numbers(ten.events(limit=0)) == []


def test_file_that_is_no_database_is_told_in_one_sentence(tmp_path: Path) -> None:
    file = tmp_path / "broken.db"
    file.write_bytes(b"this is not a database, it only has its name" * 100)
    with pytest.raises(DatabaseUnavailable, match="damaged or is not a database"):
        Database(f"sqlite:///{file}")


def test_server_that_does_not_answer_is_told_without_its_password() -> None:
    with pytest.raises(DatabaseUnavailable, match="does not answer") as caught:
        Database("postgresql://ledger:s3cr3t@127.0.0.1:1/ledger")
    assert "s3cr3t" not in str(caught.value)
