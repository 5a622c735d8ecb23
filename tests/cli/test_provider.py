"""Once people sign in by a provider, no environment of whoever runs a command brings the demo identities back."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from core.bootstrap import open_stores
from core.commands import options
from core.entities import Actor, Role
from core.errors import Forbidden, NotSignedIn, Refused
from core.features.admin.sign_in import allow_demo, demo_identity, enable_provider, is_provider_enabled
from tests.cli.conftest import Command
from tests.pages.conftest import Opened, opened, said  # noqa: F401 — a fixture, under its own name

pytestmark = pytest.mark.both_databases
SUBJECT = "sign-in provider"


@pytest.fixture
def root(home: Path, tmp_path: Path, command: Command, monkeypatch: pytest.MonkeyPatch) -> str:
    """The first admin's token of a server with a provider, whose settings then name none: those of another process."""
    secrets = tmp_path / "secrets.toml"
    secrets.write_text('[auth]\nclient_id = "modelledger"\n')
    monkeypatch.setenv("MODELLEDGER_SECRETS", str(secrets))
    first = command("token", "issue", "root", "--role", "admin", "--first", "--json")
    assert first.code == 0, first.err
    monkeypatch.setenv("MODELLEDGER_SECRETS", "/dev/null")
    options.get_stores.cache_clear()
    return str(first.json["token"])


def refused(answer: Any, words: str) -> None:
    assert (answer.code, answer.out) == (1, ""), answer
    assert words in answer.err
    assert answer.err.count("\n") == 1, answer.err


@pytest.mark.parametrize("name", ["auditor", "manager", "manager2", "admin"])
def test_demo_identities_stay_gone_where_the_caller_names_no_provider(root: str, command: Command, name: str) -> None:
    refused(command("approve", "x", "--as", name, "--reason", "r"), "--as is not accepted")
    refused(command("tables", "--as", name), "--as is not accepted")
    refused(command("tables"), "You are not signed in")
    refused(command("approve", "x", "--reason", "r"), "You are not signed in")
    with pytest.raises(Forbidden, match="demo identities are not accepted"):
        demo_identity(open_stores(), name, channel="cli")


def test_the_pages_show_nothing_there(root: str, opened: Opened) -> None:  # noqa: F811
    test = opened("admin", "admin")
    assert "demo identities are not accepted" in said(test)
    assert not test.title
    assert not test.selectbox


def test_a_server_of_demo_identities_does_not_start_there(root: str, command: Command) -> None:
    refused(command("serve", "--port", "1"), "demo identities are not accepted")


def test_a_token_acts_there_all_the_same(root: str, command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODELLEDGER_TOKEN", root)
    assert command("token", "list").code == 0
    refused(command("tables", "--as", "manager"), "--as is not accepted")


def test_that_it_is_in_force_is_one_event_whoever_says_it_again(root: str, command: Command) -> None:
    stores = open_stores()
    enable_provider(stores, channel="serve")
    enable_provider(stores, channel="page")
    (event,) = stores.audit.search(subject=SUBJECT)
    assert (event.actor, event.action, event.after["in_force"]) == ("modelledger", "settings.write", True)


def test_an_admins_token_brings_them_back_with_a_reason_in_the_log(
    root: str, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused(command("allow-demo", "--as", "admin", "--reason", "r"), "--as is not accepted")
    monkeypatch.setenv("MODELLEDGER_TOKEN", root)
    refused(command("allow-demo", "--reason", " "), "A reason is required")
    done = command("allow-demo", "--reason", "the provider is gone for good", "--json")
    assert (done.code, done.json) == (0, {"demo_identities": True})
    event = open_stores().audit.search(subject=SUBJECT, outcome="success")[0]
    assert (event.actor, event.reason) == ("token:root", "the provider is gone for good")
    monkeypatch.delenv("MODELLEDGER_TOKEN")
    assert command("tables", "--as", "auditor").code == 0


def test_nobody_else_brings_them_back(root: str, command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    stores = open_stores()
    signed_in = Actor(name="ian@bank.example", roles=frozenset({Role.ADMIN}), channel="page")
    with pytest.raises(NotSignedIn, match="admin's token"):
        allow_demo(stores, signed_in, reason="r")
    now = datetime.now(UTC)
    made = stores.tokens.issue(name="m", role=Role.MANAGER, issued_by="root", now=now, expires=now + timedelta(days=1))
    with pytest.raises(Forbidden, match=r"may not do settings\.write"):
        allow_demo(stores, stores.tokens.actor(made[1], now), reason="r")
    assert is_provider_enabled(stores)


def test_they_do_not_come_back_while_a_provider_is_configured(
    root: str, command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MODELLEDGER_SECRETS", str(tmp_path / "secrets.toml"))
    monkeypatch.setenv("MODELLEDGER_TOKEN", root)
    refused(command("allow-demo", "--reason", "r"), "still name a sign-in provider")


def test_where_no_provider_ever_was_there_is_nothing_to_bring_back(home: Path, command: Command) -> None:
    stores = open_stores()
    now = datetime.now(UTC)
    made = stores.tokens.issue(name="a", role=Role.ADMIN, issued_by="admin", now=now, expires=now + timedelta(days=1))
    with pytest.raises(Refused, match="demo identities are accepted already"):
        allow_demo(stores, stores.tokens.actor(made[1], now), reason="r")


def test_what_a_demo_identity_issued_ends_when_a_provider_comes_into_force(
    home: Path, tmp_path: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Anybody could have been the demo admin: such a token would outlive the days when anybody was anybody."""
    made = command("token", "issue", "sleeper", "--role", "admin", "--as", "admin", "--json")
    assert made.code == 0, made.err
    assert not is_provider_enabled(open_stores()), "a token alone ends no demo"
    secrets = tmp_path / "secrets.toml"
    secrets.write_text('[auth]\nclient_id = "modelledger"\n')
    monkeypatch.setenv("MODELLEDGER_SECRETS", str(secrets))
    options.get_stores.cache_clear()
    monkeypatch.setenv("MODELLEDGER_TOKEN", made.json["token"])
    refused(command("tables"), "was revoked")
    monkeypatch.delenv("MODELLEDGER_TOKEN")
    assert command("token", "issue", "root", "--role", "admin", "--first").code == 0, "no real one was issued before"
