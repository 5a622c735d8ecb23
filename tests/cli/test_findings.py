"""Findings from the command line: looked for, opened, assigned, closed; and what was done behind the app's back."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from mlflow import MlflowClient

from tests.cli.conftest import Command

pytestmark = pytest.mark.usefixtures("sample")


@pytest.fixture
def client(home: Path) -> MlflowClient:
    """Somebody who goes to MLflow directly."""
    os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")
    return MlflowClient(f"sqlite:///{home / 'mlflow.db'}")


def test_an_untouched_workspace_has_none(command: Command) -> None:
    assert command("findings", "--look", "--json").json == []


def test_each_change_behind_the_apps_back_is_found_once(command: Command, client: MlflowClient) -> None:
    run_id = client.get_model_version("iris_classifier", "2").run_id
    client.log_metric(run_id, "precision", 0.999)
    client.set_tag(client.get_model_version("iris_classifier", "1").run_id, "delta.version", "2")
    client.delete_run(client.get_model_version("iris_classifier", "3").run_id)
    client.delete_model_version("diabetes_progression", "1")
    with pytest.warns(FutureWarning, match="stages"):
        client.transition_model_version_stage("diabetes_progression", "2", "Production")

    found = command("findings", "--look", "--json").json
    assert {(one["kind"], one["subject"]) for one in found} == {
        ("metric changed", "iris_classifier/2"),
        ("data stamp changed", "iris_classifier/1"),
        # The version that the tag names now was written after the training, and its rows are others.
        ("data replaced", "iris_classifier/1"),
        ("run deleted", "iris_classifier/3"),
        ("version number missing", "diabetes_progression/1"),
        ("stage differs", "diabetes_progression/2"),
    }
    assert {one["severity"] for one in found} == {"high", "medium"}
    again = command("findings", "--look", "--json").json
    assert {one["id"] for one in again} == {one["id"] for one in found}
    assert client.get_model_version("diabetes_progression", "2").current_stage == "Production", "nothing is repaired"
    events = command("audit", "log", "--action", "finding.open", "--json").json
    assert len(events) == len(found)


def test_a_finding_is_opened_assigned_and_closed_by_those_who_may(command: Command) -> None:
    made = command(
        *("findings", "--open", "iris_classifier", "--severity", "high", "--reason", "who checked the labels?"),
        *("--as", "auditor", "--json"),
    ).json
    assert (made["severity"], made["owner"], made["opened_by"]) == ("high", "manager", "auditor")
    moved = command(
        *("findings", "--assign", made["id"], "--owner", "Ada", "--due", "2077-01-31"),
        *("--reason", "hers", "--as", "auditor", "--json"),
    ).json
    assert (moved["owner"], moved["due"][:10]) == ("Ada", "2077-01-31")
    past = command("findings", "--assign", made["id"], "--due", "2020-01-31", "--reason", "late", "--as", "auditor")
    assert (past.code, "2020-01-31 is in the past" in past.err) == (1, True)
    refused = command("findings", "--close", made["id"], "--reason", "done", "--as", "auditor", "--json")
    assert (refused.code, refused.err.count("\n")) == (1, 1)
    silent = command("findings", "--close", made["id"], "--reason", " ", "--as", "manager", "--json")
    assert silent.code == 1
    closed = command("findings", "--close", made["id"], "--reason", "labels checked", "--as", "manager", "--json").json
    assert (closed["closed_by"], closed["reason"]) == ("manager", "labels checked")
    assert command("findings", "--json").json == []
    assert [one["id"] for one in command("findings", "--all", "--json").json] == [made["id"]]
    twice = command("findings", "--close", made["id"], "--reason", "again", "--as", "manager", "--json")
    assert (twice.code, "manager" in twice.err) == (1, True)


@pytest.mark.parametrize(
    "arguments",
    [("--close", "nothing", "--as", "manager", "--reason", "r"), ("--open", "x", "--close", "y", "--reason", "r")],
)
def test_bad_input_is_one_line(command: Command, arguments: tuple[str, ...]) -> None:
    answer = command("findings", *arguments, "--json")
    assert (answer.code, answer.err.count("\n")) == (1, 1)


def test_several_findings_are_closed_with_one_reason(command: Command) -> None:
    ids = [
        command("findings", "--open", subject, "--reason", "look", "--as", "auditor", "--json").json["id"]
        for subject in ("iris_classifier", "iris_classifier/2", "diabetes_progression/1", "diabetes_progression/2")
    ]
    refused = command("findings", "close", *ids, "--reason", "done", "--as", "auditor", "--json")
    assert (refused.code, "may not do reconcile.resolve" in refused.err) == (1, True)
    unclear = command("findings", "close", ids[0], "--model", "iris_classifier", "--reason", "r", "--as", "manager")
    assert (unclear.code, "Name the findings to close, or select them" in unclear.err) == (1, True)
    assert command("findings", "shut", "--reason", "r", "--as", "manager").code == 1

    arguments = ("--model", "iris_classifier", "--kind", "opened by hand", "--reason", "checked", "--as", "manager")
    done = command("findings", "close", *arguments, "--json").json
    assert {one["subject"] for one in done["closed"]} == {"iris_classifier", "iris_classifier/2"}
    assert {(one["closed_by"], one["reason"]) for one in done["closed"]} == {("manager", "checked")}
    assert command("findings", "close", *arguments, "--json").json == {"closed": [], "refused": []}
    listed = command("findings", "--model", "diabetes_progression", "--severity", "medium", "--json").json
    assert {one["id"] for one in listed} == set(ids[2:])

    mixed = command("findings", "close", ids[0], ids[2], "nothing", "--reason", "r", "--as", "manager", "--json")
    assert mixed.code == 1
    assert [one["id"] for one in mixed.json["closed"]] == [ids[2]]
    assert {one["id"] for one in mixed.json["refused"]} == {ids[0], "nothing"}
    resolved = command("audit", "log", "--action", "reconcile.resolve", "--json").json
    assert len([event for event in resolved if event["outcome"] == "success"]) == 3
