"""accept-registry from the command line: what is not taken over is listed, accepted by those who may, then quiet."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.conftest import Command
from tests.plain_registry import PlainRegistry

pytestmark = pytest.mark.usefixtures("sample")


def test_a_registry_as_found_is_listed_and_accepted(command: Command, home: Path, tmp_path: Path) -> None:
    theirs = PlainRegistry(f"sqlite:///{home / 'mlflow.db'}", tmp_path / "artifacts")
    theirs.version("churn", stage="Production")
    theirs.version("churn", alias="challenger")
    theirs.version("fraud")
    assert command("findings", "--look", "--json").json == []
    listed = command("reconcile", "--json").json
    assert [(one["kind"], one["subject"], one["found"]) for one in listed] == [
        ("not taken over yet", "churn", "2 versions, in Production: 1"),
        ("not taken over yet", "fraud", "1 version, in Production: none"),
    ]
    assert "accept-registry" in listed[0]["detail"]
    refused = command("accept-registry", "--reason", "r", "--as", "scientist", "--json")
    assert (refused.code, "may not do registry.accept" in refused.err) == (1, True)
    silent = command("accept-registry", "--reason", " ", "--as", "manager", "--json")
    assert (silent.code, "A reason is required" in silent.err) == (1, True)
    unknown = command("accept-registry", "nobody", "--reason", "r", "--as", "manager")
    assert (unknown.code, "There is no registered model 'nobody'" in unknown.err) == (1, True)

    done = command("accept-registry", "churn", "--reason", "as found", "--as", "manager", "--json").json
    assert done == [
        {
            "model": "churn",
            "versions": 2,
            "production": [1],
            "aliases": {"challenger": 2},
            "files_recorded": 1,
            "files_missing": 0,
        }
    ]
    assert [one["model"] for one in command("accept-registry", "--reason", "r", "--as", "admin", "--json").json] == [
        "fraud"
    ]
    assert command("reconcile", "--json").json == []
    assert command("accept-registry", "--reason", "r", "--as", "admin", "--json").json == []
    theirs.move("churn", 2, "Production")
    found = command("findings", "--look", "--json").json
    assert {(one["kind"], one["subject"]) for one in found} == {
        ("several in Production", "churn"),
        ("stage differs", "churn/2"),
    }
