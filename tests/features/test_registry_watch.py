"""Changes made with MLflow itself, past ModelLedger: each is found, told once, and new again when it comes back."""

from __future__ import annotations

import sqlite3
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient

from core.bootstrap import open_stores
from core.entities import Actor, Finding, Outcome, Stage
from core.errors import RegistryUnavailable
from core.features.monitoring.findings import (
    INSPECTOR,
    close_finding,
    inspect_registry,
    last_inspection,
    list_findings,
    show_finding,
)
from core.features.promotion.decide import approve, reject
from core.features.promotion.request_promotion import request_promotion
from core.features.stores import Stores
from core.features.takeover.accept_registry import accept_registry

MODEL = "iris_classifier"


@pytest.fixture
def client(sample_stores: Stores) -> MlflowClient:
    """Somebody who goes to MLflow directly."""
    return MlflowClient(f"sqlite:///{sample_stores.settings.home / 'mlflow.db'}")


@pytest.fixture
def seen(sample_stores: Stores) -> Stores:
    """The sample workspace after the first pass, which found nothing."""
    assert inspect_registry(sample_stores, INSPECTOR) == ()
    return sample_stores


def told(found: tuple[Finding, ...]) -> set[tuple[str, str, str, str]]:
    return {(one.kind, one.subject, one.expected, one.found) for one in found}


def run_of(client: MlflowClient, version: int, model: str = MODEL) -> str:
    return str(client.get_model_version(model, str(version)).run_id)


def artifact(stores: Stores, client: MlflowClient, version: int) -> Path:
    source = client.get_run(run_of(client, version)).info.artifact_uri.removeprefix("file://")
    return Path(source) / "model"


def serve(stores: Stores, scientist: Actor, manager: Actor, version: int) -> None:
    asked = request_promotion(stores, scientist, model=MODEL, version=version, to=Stage.PRODUCTION, reason="r")
    approve(stores, manager, asked.id, reason="r")


def test_the_first_pass_notes_what_it_sees_and_the_second_notes_nothing(seen: Stores) -> None:
    (noted,) = [e for e in seen.audit.search(subject="registry", limit=None) if e.after["versions"]]
    assert (noted.actor, noted.outcome) == ("modelledger", Outcome.SUCCESS)
    assert set(noted.after["versions"]) == {
        *(f"iris_classifier/{number}" for number in (1, 2, 3)),
        *(f"diabetes_progression/{number}" for number in (1, 2)),
    }
    last = seen.audit.head()
    assert inspect_registry(seen, INSPECTOR) == ()
    assert seen.audit.head() == last


def test_a_tag_of_the_run_changed_removed_or_made_up(seen: Stores, client: MlflowClient) -> None:
    run_id = run_of(client, 2)
    recipe = client.get_run(run_id).data.tags["recipe"]
    client.set_tag(run_id, "recipe", "another")
    client.delete_tag(run_id, "model.name")
    client.set_tag(run_id, "delta.content_sha256", "0" * 64)
    client.set_tag(run_id, "modelledger.approved", "yes")
    client.set_tag(run_id, "team", "blue")
    client.set_tag(run_id, "mlflow.note.content", "a description is not evidence")
    found = told(inspect_registry(seen, INSPECTOR))
    assert {(kind, subject) for kind, subject, _, _ in found} == {
        ("tag changed", f"{MODEL}/2"),
        ("data stamp changed", f"{MODEL}/2"),
    }
    assert {(expected, now) for kind, _, expected, now in found if kind == "tag changed"} == {
        (f"recipe: {recipe}", "recipe: another"),
        (f"model.name: {MODEL}", "no tag model.name"),
        ("no tag modelledger.approved", "modelledger.approved: yes"),
    }


def test_the_stamp_on_the_version_itself(seen: Stores, client: MlflowClient) -> None:
    client.set_model_version_tag(MODEL, "1", "delta.version", "2")
    assert told(inspect_registry(seen, INSPECTOR)) == {
        ("data stamp changed", f"{MODEL}/1", "delta.version: 0", "delta.version: 2"),
    }


def test_a_metric_added_after_the_end(seen: Stores, client: MlflowClient) -> None:
    client.log_metric(run_of(client, 1), "fairness", 1.0)
    assert told(inspect_registry(seen, INSPECTOR)) == {("metric changed", f"{MODEL}/1", "no fairness", "fairness 1")}


def test_the_alias_by_which_others_load_what_serves(
    seen: Stores, client: MlflowClient, scientist: Actor, manager: Actor
) -> None:
    serve(seen, scientist, manager, 1)
    assert inspect_registry(seen, INSPECTOR) == ()
    client.set_registered_model_alias(MODEL, "production", "3")
    found = inspect_registry(seen, INSPECTOR)
    assert told(found) == {("serving alias moved", MODEL, "production: version 1", "production: version 3")}
    assert found[0].severity.value == "high"
    assert client.get_model_version_by_alias(MODEL, "production").version == 3, "nothing is repaired"
    client.delete_registered_model_alias(MODEL, "production")
    assert told(inspect_registry(seen, INSPECTOR)) == {
        ("serving alias moved", MODEL, "production: version 1", "production: no version")
    }


def test_an_alias_of_their_own(sample_stores: Stores, client: MlflowClient) -> None:
    client.set_registered_model_alias(MODEL, "champion", "1")
    assert inspect_registry(sample_stores, INSPECTOR) == (), "where it pointed first is what it is compared with"
    client.set_registered_model_alias(MODEL, "champion", "2")
    assert told(inspect_registry(sample_stores, INSPECTOR)) == {
        ("alias moved", MODEL, "champion: version 1", "champion: version 2"),
    }


def test_the_artifact_of_a_version_that_nobody_decided_on(seen: Stores, client: MlflowClient) -> None:
    (artifact(seen, client, 3) / "requirements.txt").write_text("something-else==6.6.6\n")
    ((kind, subject, expected, found),) = told(inspect_registry(seen, INSPECTOR))
    assert (kind, subject) == ("artifact replaced", f"{MODEL}/3")
    assert expected.startswith("SHA-256 ")
    assert found.startswith("SHA-256 ")
    assert expected != found


def test_the_artifact_of_what_serves_against_what_was_approved(
    sample_stores: Stores, client: MlflowClient, scientist: Actor, manager: Actor
) -> None:
    serve(sample_stores, scientist, manager, 1)
    (artifact(sample_stores, client, 1) / "extra.bin").write_bytes(b"x")
    (found,) = inspect_registry(sample_stores, INSPECTOR)
    assert (found.kind, found.subject) == ("artifact replaced", f"{MODEL}/1")
    assert "that manager approved" in found.detail


def test_an_artifact_that_is_gone(seen: Stores, client: MlflowClient) -> None:
    folder = artifact(seen, client, 2)
    folder.rename(folder.with_name("elsewhere"))
    (found,) = inspect_registry(seen, INSPECTOR)
    assert (found.kind, found.found) == ("artifact missing", "no artifact that can be read")
    assert found.severity.value == "high"


def test_the_newest_version_deleted_leaves_no_gap_and_is_missed_all_the_same(
    seen: Stores, client: MlflowClient
) -> None:
    run_id = run_of(client, 3)
    client.delete_model_version(MODEL, "3")
    client.delete_run(run_id)
    assert {(kind, subject) for kind, subject, _, _ in told(inspect_registry(seen, INSPECTOR))} == {
        ("version number missing", f"{MODEL}/3"),
        ("run deleted", f"{MODEL}/3"),
    }


@pytest.fixture
def foreign(sample_stores: Stores, client: MlflowClient) -> str:
    """A version that ModelLedger did not train; returns its run."""
    run = client.create_run(client.create_experiment("theirs"))
    client.log_metric(run.info.run_id, "auc", 0.7)
    client.log_param(run.info.run_id, "depth", 3)
    client.set_tag(run.info.run_id, "owner", "ada")
    client.set_terminated(run.info.run_id)
    client.create_registered_model("churn")
    client.create_model_version("churn", f"{run.info.artifact_uri}/model", run.info.run_id)
    return str(run.info.run_id)


def test_a_version_that_was_not_trained_here_is_watched_from_when_it_is_seen(
    sample_stores: Stores, client: MlflowClient, foreign: str
) -> None:
    assert inspect_registry(sample_stores, INSPECTOR) == (), "its files were never seen"
    client.log_metric(foreign, "auc", 0.99)
    client.set_tag(foreign, "owner", "eve")
    client.set_model_version_tag("churn", "1", "validation_status", "approved")
    client.delete_model_version("churn", "1")
    assert {(kind, subject) for kind, subject, _, _ in told(inspect_registry(sample_stores, INSPECTOR))} == {
        ("version number missing", "churn/1"),
    }
    client.create_model_version("churn", "nowhere", foreign)
    again = told(inspect_registry(sample_stores, INSPECTOR))
    assert ("version number missing", "churn/1") not in {(kind, subject) for kind, subject, _, _ in again}


def test_a_model_that_was_deleted_and_made_again_counts_from_one(
    sample_stores: Stores, client: MlflowClient, foreign: str
) -> None:
    inspect_registry(sample_stores, INSPECTOR)
    client.delete_registered_model("churn")
    client.create_registered_model("churn")
    assert str(client.create_model_version("churn", "nowhere", foreign).version) == "1"
    (replaced,) = [one for one in inspect_registry(sample_stores, INSPECTOR) if one.kind == "version replaced"]
    assert (replaced.subject, replaced.severity.value) == ("churn/1", "high")
    assert replaced.found.startswith("source nowhere, created 20")
    assert "version replaced" not in {one.kind for one in inspect_registry(sample_stores, INSPECTOR)}, "it is told once"


def test_a_version_that_names_another_run_is_another_version(seen: Stores, client: MlflowClient) -> None:
    """By hand in MLflow's own database: what was decided on it is not what loads by it now."""
    before, other = run_of(client, 3), run_of(client, 1)
    with sqlite3.connect(seen.settings.home / "mlflow.db") as mlflow:
        mlflow.execute("UPDATE model_versions SET run_id = ? WHERE name = ? AND version = 3", (other, MODEL))
    mlflow.close()
    (found,) = [one for one in inspect_registry(seen, INSPECTOR) if one.kind == "version replaced"]
    assert (found.subject, found.severity.value) == (f"{MODEL}/3", "high")
    assert (found.expected, found.found) == (f"run {before}", f"run {other}")


def test_a_foreign_metric_and_tag(sample_stores: Stores, client: MlflowClient, foreign: str) -> None:
    inspect_registry(sample_stores, INSPECTOR)
    client.log_metric(foreign, "auc", 0.99)
    client.set_tag(foreign, "owner", "eve")
    assert told(inspect_registry(sample_stores, INSPECTOR)) == {
        ("metric changed", "churn/1", "auc 0.7", "auc 0.99"),
        ("tag changed", "churn/1", "owner: ada", "owner: eve"),
    }


def test_a_metric_that_was_changed_before_anybody_looked(
    sample_stores: Stores, client: MlflowClient, foreign: str, manager: Actor
) -> None:
    time.sleep(0.01)  # MLflow counts in milliseconds
    client.log_metric(foreign, "auc", 0.99)
    assert inspect_registry(sample_stores, INSPECTOR) == (), "the model is not taken over yet"
    accept_registry(sample_stores, manager, reason="as found")
    assert inspect_registry(sample_stores, INSPECTOR) == (), "the value was accepted"
    client.create_model_version("churn", f"{client.get_run(foreign).info.artifact_uri}/model", foreign)
    found = [one for one in inspect_registry(sample_stores, INSPECTOR) if one.kind == "metric changed"]
    assert [(one.subject, one.expected) for one in found] == [("churn/2", "auc as it was when the run ended")]
    assert inspect_registry(sample_stores, INSPECTOR) == (), "it is told once"
    assert {one.gone for one in list_findings(sample_stores, INSPECTOR)} == {None}


def test_a_run_that_still_runs_is_noted_when_it_has_ended(
    sample_stores: Stores, client: MlflowClient, foreign: str, manager: Actor
) -> None:
    accept_registry(sample_stores, manager, reason="as found")
    run = client.create_run(client.get_run(foreign).info.experiment_id)
    client.create_model_version("churn", f"{run.info.artifact_uri}/model", run.info.run_id)
    assert inspect_registry(sample_stores, INSPECTOR) == ()
    client.log_metric(run.info.run_id, "auc", 0.7)
    client.set_terminated(run.info.run_id)
    assert {(one.kind, one.subject) for one in inspect_registry(sample_stores, INSPECTOR)} == {
        ("artifact missing", "churn/2")
    }


def test_what_is_closed_gone_and_back_is_a_new_finding(
    seen: Stores, client: MlflowClient, manager: Actor, auditor: Actor
) -> None:
    def tag(value: str) -> None:
        client.set_model_version_tag(MODEL, "1", "recipe", value)

    tag("another")
    (first,) = inspect_registry(seen, INSPECTOR)
    close_finding(seen, manager, first.id, reason="a slip; it is put right")
    assert inspect_registry(seen, INSPECTOR) == (), "closed, and still so: that is accepted"
    tag("iris_classifier")
    assert inspect_registry(seen, INSPECTOR) == ()
    assert seen.findings.get(first.id).gone is not None
    tag("another")
    (second,) = inspect_registry(seen, INSPECTOR)
    assert (second.kind, second.expected, second.found) == (first.kind, first.expected, first.found)
    assert second.id != first.id
    assert second.is_open
    assert inspect_registry(seen, INSPECTOR) == ()
    assert [one.id for one in list_findings(seen, auditor)] == [second.id]


def test_an_open_finding_says_since_when_it_is_not_seen(seen: Stores, client: MlflowClient) -> None:
    client.set_registered_model_alias(MODEL, "staging", "1")
    (found,) = inspect_registry(seen, INSPECTOR)
    client.delete_registered_model_alias(MODEL, "staging")
    before = datetime.now(UTC)
    inspect_registry(seen, INSPECTOR)
    gone = seen.findings.get(found.id).gone
    assert gone is not None
    assert gone >= before
    client.set_registered_model_alias(MODEL, "staging", "1")
    assert inspect_registry(seen, INSPECTOR) == (), "it is still open: the same finding"
    assert seen.findings.get(found.id).gone is None


def test_findings_of_people_are_not_touched_by_the_pass(seen: Stores, auditor: Actor) -> None:
    from core.entities import Severity
    from core.features.monitoring.findings import open_finding

    mine = open_finding(seen, auditor, subject=MODEL, detail="who labelled this?", severity=Severity.LOW)
    inspect_registry(seen, INSPECTOR)
    assert seen.findings.get(mine.id).gone is None


def test_who_pressed_the_button_stands_beside_the_inspector(
    seen: Stores, client: MlflowClient, scientist: Actor
) -> None:
    client.set_registered_model_alias(MODEL, "staging", "1")
    inspect_registry(seen, scientist)
    (event,) = seen.audit.search(action="finding.open")
    assert (event.actor, event.role) == ("modelledger", "auditor")
    assert event.channel == "test, asked by scientist"


def test_an_outage_of_the_artifacts_is_no_finding(seen: Stores, monkeypatch: pytest.MonkeyPatch) -> None:
    def down(*_: Any, **__: Any) -> Path:
        raise RegistryUnavailable("MLflow does not answer")

    monkeypatch.setattr(seen.models, "download", down)
    with pytest.raises(RegistryUnavailable):
        inspect_registry(seen, INSPECTOR)
    assert list_findings(seen, INSPECTOR) == ()


def test_a_password_in_a_tag_is_not_kept_in_the_log(sample_stores: Stores, client: MlflowClient) -> None:
    client.set_tag(run_of(client, 1), "mlflow.source.git.repoURL", "https://ci:hunter2hunter2@git.example/x.git")
    inspect_registry(sample_stores, INSPECTOR)
    noted = sample_stores.audit.search(subject="registry", limit=None)
    assert "hunter2hunter2" not in str(noted)
    assert "https://ci:***@git.example/x.git" in str(noted)
    assert inspect_registry(sample_stores, INSPECTOR) == (), "and it is not taken for a change"


def test_a_request_that_was_rejected_still_tells_what_the_artifact_was(
    sample_stores: Stores, client: MlflowClient, scientist: Actor, manager: Actor
) -> None:
    asked = request_promotion(sample_stores, scientist, model=MODEL, version=2, to=Stage.PRODUCTION, reason="r")
    reject(sample_stores, manager, asked.id, reason="r")
    (artifact(sample_stores, client, 2) / "extra.bin").write_bytes(b"x")
    stores = open_stores(sample_stores.settings)
    assert [(one.kind, one.subject) for one in inspect_registry(stores, INSPECTOR)] == [
        ("artifact replaced", f"{MODEL}/2")
    ]


def test_the_log_is_only_added_to(seen: Stores, client: MlflowClient) -> None:
    client.set_registered_model_alias(MODEL, "staging", "1")
    inspect_registry(seen, INSPECTOR)
    assert seen.audit.verify().ok
    with sqlite3.connect(seen.settings.home / "modelledger.db") as database:
        assert database.execute("SELECT count(*) FROM findings").fetchone() == (1,)
    database.close()


def test_when_it_was_looked_at_last_by_whom_and_what_was_seen(
    sample_stores: Stores, client: MlflowClient, auditor: Actor, scientist: Actor
) -> None:
    assert last_inspection(sample_stores, auditor) is None
    client.set_registered_model_alias(MODEL, "staging", "1")
    inspect_registry(sample_stores, INSPECTOR)
    first = last_inspection(sample_stores, auditor)
    assert first is not None
    assert (first.by, first.seen, first.new) == ("modelledger", 1, 1)
    before = datetime.now(UTC)
    inspect_registry(sample_stores, scientist)
    second = last_inspection(sample_stores, auditor)
    assert second is not None
    assert (second.by, second.seen, second.new) == ("scientist", 1, 0)
    assert before <= second.at <= datetime.now(UTC)


def test_a_pass_that_did_not_come_to_its_end_is_no_look(
    seen: Stores, auditor: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = last_inspection(seen, auditor)

    def down(*_: Any, **__: Any) -> Path:
        raise RegistryUnavailable("MLflow does not answer")

    monkeypatch.setattr(seen.models, "download", down)
    with pytest.raises(RegistryUnavailable):
        inspect_registry(seen, auditor)
    assert last_inspection(seen, auditor) == before


def test_a_finding_is_shown_with_its_own_events_and_the_run_behind(
    seen: Stores, client: MlflowClient, manager: Actor, auditor: Actor
) -> None:
    client.set_model_version_tag(MODEL, "1", "recipe", "another")
    client.log_metric(run_of(client, 1), "fairness", 1.0)
    first, second = inspect_registry(seen, INSPECTOR)
    close_finding(seen, manager, first.id, reason="a slip")
    shown = show_finding(seen, auditor, first.id)
    assert shown.finding.closed_by == "manager"
    assert [(e.action, e.outcome.value) for e in shown.events] == [
        ("finding.open", "success"),
        ("reconcile.resolve", "intent"),
        ("reconcile.resolve", "success"),
    ]
    assert shown.run_id == run_of(client, 1)
    assert [e.action for e in show_finding(seen, auditor, second.id).events] == ["finding.open"]
