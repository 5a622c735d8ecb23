"""The commands of notifications: the state of each channel as JSON, and a test message."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Command
from tests.receivers import SECRET, hook


@pytest.mark.usefixtures("migrated_home")
def test_status_and_test_answer_with_the_state_of_a_channel(
    command: Command, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with hook() as receiver:
        entry = {"name": "risk", "kind": "webhook", "url": receiver.url, "secret_env": "HOOK_SECRET"}
        monkeypatch.setenv("HOOK_SECRET", SECRET)
        monkeypatch.setenv("MODELLEDGER_NOTIFICATIONS", json.dumps([entry]))
        monkeypatch.setenv("MODELLEDGER_NOTIFICATION_ALLOW", '["127.0.0.0/8"]')
        (state,) = command("notifications", "status", "--json").json
        assert state == {
            "name": "risk",
            "kind": "json",
            "place": "127.0.0.1",
            "events": [],
            "models": [],
            "roles": [],
            "ok": True,
            "summary": "No worker has sent to this channel yet.",
            "pending": 0,
            "given_up": 0,
            "last_sent": None,
            "last_error": None,
            "last_error_at": None,
            "next_try": None,
            "stopped": False,
        }
        assert command("notifications", "test", "risk", "--as", "admin", "--json").code == 0
        assert receiver.received[0].json["type"] == "test"
        receiver.answers = [(302, {"Location": "http://169.254.169.254/"})]
        refused = command("notifications", "test", "risk", "--as", "admin")
        assert (refused.code, refused.out) == (1, "")
        assert refused.err.strip() == (
            "127.0.0.1 answered with a redirect (302), which is not followed. Write the final address."
        )
        assert len(receiver.received) == 2
