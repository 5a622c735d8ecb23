"""A decision on evidence that has changed is refused on the command line, in a sentence that names what changed."""

from __future__ import annotations

from pathlib import Path

import pytest

from core.bootstrap import open_stores
from core.settings import load_settings
from tests.cli.conftest import Command
from tests.features.test_evidence import CHANGES, MODEL, Tamper

pytestmark = [pytest.mark.both_databases, pytest.mark.usefixtures("sample")]


@CHANGES
def test_approving_what_has_changed_since_is_refused_and_ends_the_request(
    command: Command, home: Path, tamper: Tamper, named: str
) -> None:
    asked = command("request", f"{MODEL}/3", "--to", "Production", "--as", "scientist", "--reason", "ready", "--json")
    tamper(open_stores(load_settings(home=home)), 3)
    answer = command("approve", asked.json["id"], "--as", "manager", "--reason", "fine", "--json")
    assert (answer.code, answer.out) == (1, "")
    (line,) = answer.err.strip().splitlines()
    assert f"Request {asked.json['id']} has expired" in line
    assert named in line
    assert "request it again" in line
    (request,) = command("requests", "--json").json
    assert (request["status"], set(request["stages"].values())) == ("expired", set())
    second = command("approve", asked.json["id"], "--as", "manager2", "--reason", "all the same", "--json")
    assert second.code == 1
    assert "expired" in second.err
