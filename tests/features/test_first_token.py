"""The first token: one of two processes issues it, and one that dies leaves token and event, or neither."""

from __future__ import annotations

import os
import signal
import time
from contextlib import suppress
from pathlib import Path

import pytest

from core.audit.log import AuditLog
from core.bootstrap import open_stores
from core.database.engine import Database
from core.entities import Outcome
from core.errors import Forbidden
from core.features.admin.tokens import issue_first_token
from core.features.stores import Stores
from core.settings import load_settings
from tests.features.dying import die, then_die
from tests.features.forked import context, start

pytestmark = pytest.mark.both_databases


def issue_and_die(home: str, step: str) -> None:
    """What the dying process does."""
    stores = open_stores(load_settings(home=Path(home)))
    if step == "before its event":
        AuditLog.append_within = die  # type: ignore[method-assign]
    elif step == "before the provider's event":
        type(stores.provider).set_within = die  # type: ignore[method-assign]
    elif step == "before it is durable":
        type(stores.provider).set_within = then_die(type(stores.provider).set_within)  # type: ignore[method-assign]
    issue_first_token(stores, name="root", days=1)
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.parametrize("step", ["before its event", "before the provider's event", "before it is durable"])
def test_killed_before_the_end_there_is_neither_token_nor_event(stores: Stores, step: str) -> None:
    child = start(issue_and_die, str(stores.settings.home), step)
    assert child.wait() == -signal.SIGKILL, child.error
    assert stores.tokens.list() == ()
    assert stores.audit.count() == 0
    assert issue_first_token(stores, name="root", days=1)[0].name == "root"


def test_killed_after_it_the_log_has_both(stores: Stores) -> None:
    child = start(issue_and_die, str(stores.settings.home), "after it")
    assert child.wait() == -signal.SIGKILL, child.error
    (token,) = stores.tokens.list()
    assert [(event.subject, event.after.get("token")) for event in stores.audit.events()] == [
        ("token of root", token.id),
        ("sign-in provider", None),
    ]
    with pytest.raises(Forbidden, match="was issued on this database before"):
        issue_first_token(stores, name="again", days=1)


def race(home: str, name: str, barrier: object) -> None:
    """What each racing process does: both ask at the moment when neither has seen a token."""
    stores = open_stores(load_settings(home=Path(home)))
    barrier.wait(60)  # type: ignore[attr-defined]
    with suppress(Forbidden):
        issue_first_token(stores, name=name, days=1)


def test_of_two_processes_one_issues_the_first_token(stores: Stores) -> None:
    barrier = context.Barrier(2)
    racing = [start(race, str(stores.settings.home), name, barrier) for name in ("one", "two")]
    assert [child.wait() for child in racing] == [0, 0], [child.error for child in racing]
    (token,) = stores.tokens.list()
    told = [(e.subject, e.outcome) for e in stores.audit.events() if e.subject.startswith("token of")]
    other = {"one": "two", "two": "one"}[token.name]
    assert sorted(told) == sorted([(f"token of {token.name}", Outcome.SUCCESS), (f"token of {other}", Outcome.DENIED)])
    assert len(stores.audit.search(subject="sign-in provider")) == 1


def test_an_issue_on_its_way_is_waited_for(stores: Stores, database_kind: str) -> None:
    """What another process is about to issue counts: its transaction is not over when the first token is asked for."""
    database = Database(stores.settings.database)
    with database.write() as connection:
        connection.exec_driver_sql(
            "INSERT INTO tokens (id, digest, name, role, issued_by, created, expires) VALUES "
            "('t', 'd', 'ann', 'admin', 'ian@bank.example', '2026-01-01T00:00:00+00:00', '2026-01-02T00:00:00+00:00')"
        )
        child = start(race, str(stores.settings.home), "late", _Open())
        if database_kind == "postgresql":  # SQLite has one writer and does not tell who waits for it
            waiting = "SELECT count(*) FROM pg_locks WHERE relation = 'tokens'::regclass AND NOT granted"
            for _ in range(1_200):
                if connection.exec_driver_sql(waiting).scalar():
                    break
                time.sleep(0.1)
            else:
                pytest.fail("nobody waits for the table")
    database.close()
    assert child.wait() == 0, child.error
    assert [token.name for token in stores.tokens.list()] == ["ann"]


class _Open:
    """A barrier that is open."""

    def wait(self, timeout: float) -> None: ...
