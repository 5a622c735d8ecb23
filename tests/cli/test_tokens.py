"""Tokens: with a sign-in provider the command line acts by what an admin issued, and by nothing else."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from core.access.tokens import tokens
from core.bootstrap import open_stores
from core.database.engine import Database
from core.database.tables import metadata
from core.entities import JobStatus, Role
from core.errors import NotSignedIn
from core.features.jobs.run_job import run_service
from core.features.jobs.schedules import fire_due, list_triggers, save_trigger
from core.features.training.recipes import list_recipes
from core.jobs.store import actor_of
from core.settings import load_settings
from tests.cli.conftest import Command

pytestmark = pytest.mark.both_databases
Issue = Callable[..., dict[str, Any]]


@pytest.fixture
def provider(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server with a sign-in provider."""
    secrets = tmp_path / "secrets.toml"
    secrets.write_text('[auth]\nclient_id = "modelledger"\n')
    monkeypatch.setenv("MODELLEDGER_SECRETS", str(secrets))


@pytest.fixture
def issue(provider: None, command: Command, monkeypatch: pytest.MonkeyPatch) -> Issue:
    """issue("ann", "scientist"): a token, issued by the first admin and put into MODELLEDGER_TOKEN."""
    monkeypatch.delenv("MODELLEDGER_TOKEN", raising=False)
    first = command("token", "issue", "root", "--role", "admin", "--first", "--json")
    assert first.code == 0, first.err

    def issued(name: str, role: str, *more: str) -> dict[str, Any]:
        monkeypatch.setenv("MODELLEDGER_TOKEN", first.json["token"])
        made = command("token", "issue", name, "--role", role, *more, "--json")
        assert made.code == 0, made.err
        monkeypatch.setenv("MODELLEDGER_TOKEN", made.json["token"])
        return dict(made.json) | {"admin": first.json["token"]}

    return issued


def refused(answer: Any, words: str) -> None:
    assert (answer.code, answer.out) == (1, "")
    assert words in answer.err
    assert answer.err.count("\n") == 1, answer.err


def test_without_a_token_nothing_is_told(provider: None, command: Command) -> None:
    refused(command("tables"), "You are not signed in")
    refused(command("approve", "x", "--reason", "r"), "You are not signed in")


@pytest.mark.parametrize("name", ["auditor", "manager", "admin"])
def test_demo_identities_are_gone(issue: Issue, command: Command, name: str) -> None:
    issue("ann", "manager", "--allow-decisions")
    refused(command("tables", "--as", name), "--as is not accepted")
    refused(command("approve", "x", "--as", name, "--reason", "r"), "--as is not accepted")


def test_a_token_acts_under_its_name_and_role(issue: Issue, command: Command) -> None:
    token = issue("nightly", "auditor")
    assert command("tables").code == 0
    refused(command("ingest", __file__, "loans"), "token:nightly (auditor) may not do data.ingest")
    (denied,) = open_stores().audit.search(outcome="denied")
    assert (denied.actor, denied.role) == ("token:nightly", "auditor")
    assert denied.channel == f"token {token['id']}, issued by token:root"


@pytest.mark.parametrize("text", ["", "mlt_x", "admin", "'; DROP TABLE tokens --"])
def test_a_forged_token_is_nobody(issue: Issue, command: Command, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    issue("ann", "auditor")
    monkeypatch.setenv("MODELLEDGER_TOKEN", text)
    refused(command("tables"), "token")


def test_the_stored_digest_is_no_token(
    issue: Issue, command: Command, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = issue("ann", "auditor")
    database = Database(load_settings().database)
    with database.read() as connection:
        kept = [str(row) for table in metadata.sorted_tables for row in connection.execute(sa.select(table))]
        digest = connection.execute(sa.select(tokens.c.digest).where(tokens.c.name == "ann")).scalar_one()
    database.close()
    assert any(digest in row for row in kept)
    assert not any(token["token"] in row for row in kept), "only the digest is kept"
    monkeypatch.setenv("MODELLEDGER_TOKEN", digest)
    refused(command("tables"), "not a token of this server")


@pytest.mark.both_databases(every_run=True)
def test_a_revoked_token_ends_at_once(issue: Issue, command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    token = issue("ann", "scientist")
    monkeypatch.setenv("MODELLEDGER_TOKEN", token["admin"])
    assert command("token", "revoke", token["id"], "--reason", "left").code == 0
    listed = {row["name"]: row for row in command("token", "list", "--json").json}
    assert listed["ann"]["revoked_by"] == "token:root"
    assert "token" not in listed["ann"]
    monkeypatch.setenv("MODELLEDGER_TOKEN", token["token"])
    refused(command("tables"), "was revoked")


def test_an_expired_token_is_refused(issue: Issue, command: Command, home: Path) -> None:
    issue("ann", "scientist", "--days", "1")
    database, past = Database(load_settings().database), datetime.now(UTC) - timedelta(seconds=1)
    with database.write() as connection:
        connection.execute(sa.update(tokens).where(tokens.c.name == "ann").values(expires=past))
    database.close()
    refused(command("tables"), "expired on")


@pytest.mark.parametrize("role", ["auditor", "scientist", "manager"])
def test_only_an_admin_issues(issue: Issue, command: Command, role: str) -> None:
    issue("ann", role, "--allow-decisions")
    for words in (("issue", "bob", "--role", "auditor"), ("list",), ("revoke", "x")):
        refused(command("token", *words), f"token:ann ({role}) may not do settings.write")


def test_a_decision_role_must_be_meant(issue: Issue, command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODELLEDGER_TOKEN", issue("ann", "auditor")["admin"])
    refused(command("token", "issue", "bob", "--role", "manager"), "--allow-decisions")
    refused(command("token", "issue", "bob", "--role", "auditor", "--days", "3650"), "1 to 366 days")
    refused(command("token", "issue", "a\nb", "--role", "auditor"), "printable")


def test_there_is_one_first_token(issue: Issue, command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODELLEDGER_TOKEN", issue("ann", "auditor")["token"])
    refused(
        command("token", "issue", "eve", "--role", "admin", "--first"), "A token was issued on this database before"
    )
    assert command("token", "issue", "eve", "--role", "scientist", "--first").code == 2
    events = command("audit", "log", "--subject", "token of eve", "--json").json
    assert [event["outcome"] for event in events] == ["denied"]


def test_without_a_provider_who_decides_is_still_asked_for(command: Command) -> None:
    assert command("approve", "x", "--reason", "r").code == 2


def test_work_of_a_revoked_token_is_refused_and_recorded(provider: None, sample: Path) -> None:
    stores = open_stores()
    now = datetime.now(UTC)
    made = stores.tokens.issue(
        name="nightly", role=Role.SCIENTIST, issued_by="root", now=now, expires=now + timedelta(days=1)
    )
    actor = stores.tokens.actor(made[1], now)
    recipe = list_recipes(stores, actor)[0].name
    job = stores.jobs.submit("train", {"recipe": recipe, "params": {}}, actor)
    save_trigger(stores, actor, recipe=recipe, cron="* * * * *")
    stores.tokens.revoke(made[0].id, by="root", now=now)

    kept = stores.jobs.get(job.id)
    assert (kept.actor, kept.role, kept.token) == ("token:nightly", "scientist", made[0].id)
    with pytest.raises(NotSignedIn, match="was revoked"):
        run_service(stores, actor_of(kept), kept.kind, kept.arguments, progress=None)  # type: ignore[arg-type]
    stores.jobs.request_cancel(job.id, "test")
    assert stores.jobs.get(job.id).status is JobStatus.KILLED
    assert fire_due(stores, now + timedelta(minutes=2)) == ()
    assert [trigger.enabled for trigger in list_triggers(stores, actor)] == [False]
    denied = stores.audit.search(actor="token:nightly", outcome="denied")
    assert [(event.action, event.channel) for event in denied] == [("run.train", "schedule"), ("run.train", "worker")]
    assert all("was revoked" in event.reason for event in denied)
