"""The latest change: one query on the primary key, and a number that grows with requests, decisions and findings."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import Engine

from core.access.permissions import Action
from core.audit.latest_change import CHANGES
from core.audit.log import AuditLog
from core.database.engine import Database
from core.entities import Actor, Outcome, Role
from core.errors import Forbidden, SelfApproval

MANAGER = Actor(name="manager", roles=frozenset({Role.MANAGER}), channel="test")
AUDITOR = Actor(name="auditor", roles=frozenset({Role.AUDITOR}), channel="test")


@pytest.fixture
def database(database_url: str) -> Database:
    return Database(database_url)


@contextmanager
def statements() -> Iterator[list[tuple[str, object]]]:
    """What is sent to any database within the block, with its parameters."""
    sent: list[tuple[str, object]] = []

    def note(_c: object, _k: object, statement: str, parameters: object, *_: object) -> None:
        sent.append((statement, parameters))

    sa.event.listen(Engine, "before_cursor_execute", note)
    try:
        yield sent
    finally:
        sa.event.remove(Engine, "before_cursor_execute", note)


@pytest.mark.parametrize("action", CHANGES)
def test_number_grows_with_each_change(database: Database, action: Action) -> None:
    log = AuditLog(database)
    log.append(AUDITOR, "data.ingest", "sales", Outcome.SUCCESS)
    first = log.latest_change.number()
    log.append(MANAGER, action.value, "churn/1", Outcome.SUCCESS)
    second = log.latest_change.number()
    assert second == first + 1
    assert log.latest_change.number() == second


def test_number_stays_where_nothing_changed(database: Database) -> None:
    log = AuditLog(database)
    log.append(MANAGER, Action.PROMOTION_DECIDE.value, "churn/1", Outcome.SUCCESS)
    before = log.latest_change.number()
    for action in ("data.ingest", "run.train", "prediction.score", "audit.export", "settings.write", "reconcile.read"):
        log.append(MANAGER, action, "churn/1", Outcome.SUCCESS)
    with pytest.raises(Forbidden):
        log.require(AUDITOR, Action.PROMOTION_DECIDE, "churn/1")
    with pytest.raises(SelfApproval), log.recording(MANAGER, Action.PROMOTION_DECIDE, "churn/1", reason="r"):
        raise SelfApproval("no")
    with log.recording(MANAGER, Action.PROMOTION_DECIDE, "churn/1", reason="r"):
        assert log.latest_change.number() == before  # a decision that is not over yet
    assert log.latest_change.number() > before


def test_another_process_sees_the_change(database: Database, database_url: str) -> None:
    here, there = AuditLog(database), AuditLog(Database(database_url))
    before = here.latest_change.number()
    there.append(MANAGER, Action.FINDING_OPEN.value, "churn/1", Outcome.SUCCESS)
    assert here.latest_change.number() != before


def test_read_is_one_query_on_the_primary_key(database: Database) -> None:
    log = AuditLog(database)
    for number in range(30):
        log.append(AUDITOR, "data.ingest", f"sales@{number}", Outcome.SUCCESS)
    log.latest_change.number()
    with statements() as sent:
        log.latest_change.number()
    queries = [(text, values) for text, values in sent if text.startswith("SELECT")]
    assert len(queries) == 1
    if database.is_postgres:
        return
    text, values = queries[0]
    with database.read() as connection:
        plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {text}", values).all()
    assert [row[-1] for row in plan] == ["SEARCH events USING INTEGER PRIMARY KEY (rowid>?)"]
