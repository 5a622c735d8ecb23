"""Notifications on the page Settings: none, working, failing, and the button for a test message."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from core.bootstrap import open_stores
from core.entities import Actor, Outcome
from core.features.notifications.sender import Sender
from core.features.stores import Stores
from core.settings import load_settings
from pages._ui import session
from tests.pages.conftest import Opened, said
from tests.receivers import SECRET, Hook, hook

BUTTON = "Send test message"


@pytest.fixture
def receiver() -> Iterator[Hook]:
    with hook() as running:
        yield running


@pytest.fixture
def channel(home: Path, receiver: Hook, monkeypatch: pytest.MonkeyPatch) -> Stores:
    entry = {"name": "risk-team", "kind": "webhook", "url_env": "HOOK_URL", "secret_env": "HOOK_SECRET"}
    monkeypatch.setenv("HOOK_URL", receiver.url)
    monkeypatch.setenv("HOOK_SECRET", SECRET)
    monkeypatch.setenv("MODELLEDGER_NOTIFICATIONS", json.dumps([{**entry, "events": ["request"]}]))
    monkeypatch.setenv("MODELLEDGER_NOTIFICATION_ALLOW", '["127.0.0.1"]')
    return open_stores(load_settings(home=home))


def ask(stores: Stores) -> None:
    actor = Actor(name="scientist", roles=frozenset(), channel="test")
    stores.audit.append(actor, "promotion.request", "churn/1", Outcome.SUCCESS, after={"request": "r", "to": "Staging"})


def test_without_channels_the_page_says_where_they_are_described(opened: Opened) -> None:
    test = opened("admin", "admin")
    assert "No notifications are configured" in said(test)
    assert BUTTON not in [button.label for button in test.button]


def test_a_failing_channel_shows_its_error_in_one_sentence_and_no_secret(
    opened: Opened, channel: Stores, receiver: Hook
) -> None:
    worker = Sender(channel)
    worker.send_due()
    receiver.answers = [(503, {})]
    ask(channel)
    worker.send_due()
    words = said(opened("admin", "auditor")).replace("\\", "")
    assert "127.0.0.1 answered with the status 503." in words
    assert "1 pending message · " in words
    assert "next try 20" in words
    assert "c4nary" not in words
    assert SECRET not in words


def test_an_admin_sends_a_test_message(opened: Opened, channel: Stores, receiver: Hook) -> None:
    test = opened("admin", "admin")
    (button,) = [button for button in test.button if button.label == BUTTON]
    button.click().run()
    assert "The receiver accepted the test message" in said(test)
    receiver.answers = [(404, {})]
    next(button for button in test.button if button.label == BUTTON).click().run()
    assert "127.0.0.1 answered with the status 404" in said(test).replace("\\", "")
    assert len(receiver.received) == 2


def test_only_an_admin_sends_a_test_message(
    opened: Opened, channel: Stores, receiver: Hook, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert BUTTON not in [button.label for button in opened("admin", "auditor").button]
    monkeypatch.setattr(session, "may", lambda actor, what: True)
    test = opened("admin", "auditor")
    next(button for button in test.button if button.label == BUTTON).click().run()
    assert "may not do notification.send" in said(test).replace("\\", "")
    assert receiver.received == []
