"""The data that trained a model is that table, not another of its name: seen by every service that names the data."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from deltalake import DeltaTable, write_deltalake
from mlflow import MlflowClient

from core.entities import Actor, Identity, IdentityVerdict, ModelVersionKey, NodeKind, Reproduced, Severity, Stage
from core.errors import EvidenceChanged, GatesFailed
from core.features.evidence.collect import collect_evidence
from core.features.lineage.build_graph import lineage_of_batch, lineage_of_model
from core.features.lineage.impact import impact_of_version
from core.features.lineage.origin import check_batch, check_content, origin_of_model
from core.features.lineage.trained_on import versions_trained
from core.features.monitoring.findings import inspect_registry
from core.features.monitoring.overview import overview
from core.features.open_requests.present_gates import present_gates
from core.features.promotion.decide import approve
from core.features.promotion.evaluate_gates import evaluate_gates
from core.features.promotion.request_promotion import request_promotion
from core.features.scoring.score import score
from core.features.stores import Stores
from core.features.training.reproduce import reproduce
from core.uris import local_path
from tests.cli.conftest import Command
from tests.cli.conftest import command as command_fixture
from tests.features.iris import TABLE, iris
from tests.pages.conftest import Opened
from tests.pages.conftest import opened as opened_fixture

KEY = ModelVersionKey(model="iris_classifier", version=3)
DATA = f"{TABLE}@2"
# As many rows as in the sample at each version, but not the same.
OTHER_ROWS = [iris().slice(first, 50) for first in (100, 50, 50)]


command, opened = command_fixture, opened_fixture


def folder(stores: Stores) -> Path:
    path = local_path(stores.catalog.resolve(TABLE).uri)
    assert path is not None
    return Path(path)


def written_again(stores: Stores) -> None:
    """Deletes the table and writes another in its place: the same name, versions and numbers of rows, other rows."""
    place = folder(stores)
    shutil.rmtree(place)
    for part in OTHER_ROWS:
        write_deltalake(str(place), part, mode="append")


def kept_id(stores: Stores) -> None:
    """Writes the log anew with the table id that it had: only times and rows can show the difference."""
    place = folder(stores)
    table_id = str(DeltaTable(str(place)).metadata().id)
    shutil.rmtree(place)
    for part in OTHER_ROWS:
        write_deltalake(str(place), part, mode="append")
    first = place / "_delta_log" / f"{0:020d}.json"
    actions = [json.loads(line) for line in first.read_text().splitlines()]
    for action in actions:
        if "metaData" in action:
            action["metaData"]["id"] = table_id
    first.write_text("".join(json.dumps(action) + "\n" for action in actions))


def identity_of(stores: Stores, actor: Actor, key: ModelVersionKey = KEY) -> Identity:
    (identity,) = origin_of_model(stores, actor, key).identities
    assert identity is not None
    return identity


def data_gate(stores: Stores, key: ModelVersionKey = KEY) -> tuple[bool, str]:
    gates = {gate.name: gate for gate in evaluate_gates(stores, key, Stage.PRODUCTION).gates}
    gate = gates["data still readable"]
    return gate.passed, gate.detail


# ------------------------------------------------------------------------------- another table of the same name


def test_the_sample_is_the_training_data(sample_stores: Stores, auditor: Actor) -> None:
    assert identity_of(sample_stores, auditor).verdict is IdentityVerdict.TRAINING_DATA
    (view,) = check_content(sample_stores, auditor, KEY)
    assert view.identity is not None
    assert view.identity.is_content_equal


def test_a_table_written_again_under_its_name_is_another_table(sample_stores: Stores, auditor: Actor) -> None:
    before = sample_stores.engine.snapshot(sample_stores.catalog.resolve(TABLE)).table_id
    written_again(sample_stores)
    after = str(DeltaTable(str(folder(sample_stores))).metadata().id)
    identity = identity_of(sample_stores, auditor)
    assert identity.verdict is IdentityVerdict.ANOTHER_TABLE
    assert before in identity.contradictions[0]
    assert after in identity.contradictions[0]


def test_gates_fail_and_an_approval_is_refused(sample_stores: Stores, scientist: Actor, manager: Actor) -> None:
    assert data_gate(sample_stores)[0]
    asked = request_promotion(
        sample_stores, scientist, model=KEY.model, version=KEY.version, to=Stage.PRODUCTION, reason="better"
    )
    written_again(sample_stores)
    passed, detail = data_gate(sample_stores)
    assert not passed
    assert f"{DATA} is another table now" in detail
    # The facts changed since the request was made.
    with pytest.raises(EvidenceChanged, match="data_replaced"):
        approve(sample_stores, manager, asked.id, reason="fine")
    second = request_promotion(
        sample_stores, scientist, model=KEY.model, version=KEY.version, to=Stage.PRODUCTION, reason="again"
    )
    with pytest.raises(GatesFailed, match="another table now"):
        approve(sample_stores, manager, second.id, reason="fine")


def test_an_open_request_that_was_looked_at_before_fails_at_the_next_look(
    sample_stores: Stores, scientist: Actor, manager: Actor
) -> None:
    asked = request_promotion(
        sample_stores, scientist, model=KEY.model, version=KEY.version, to=Stage.PRODUCTION, reason="better"
    )
    before = present_gates(sample_stores, manager, asked)
    assert before is not None
    assert before.check.passed
    written_again(sample_stores)
    now = present_gates(sample_stores, manager, asked)
    assert now is not None
    assert not now.check.passed
    assert now.expiry == "data_replaced"
    assert any("data still readable: passed when requested; fails now" in change for change in now.changes)


def test_lineage_shows_the_data_as_it_was_and_not_the_commit_of_the_other_table(
    sample_stores: Stores, auditor: Actor
) -> None:
    written_again(sample_stores)
    graph = lineage_of_model(sample_stores, auditor, KEY)
    (node,) = [node for node in graph.nodes if node.kind is NodeKind.COMMIT]
    assert node.problem is not None
    assert "another table now" in node.problem
    assert "operation" not in node.detail
    assert not node.subject
    origin = origin_of_model(sample_stores, auditor, KEY)
    assert any("another table now" in finding for finding in origin.data[0].findings)


def test_impact_of_the_other_table_does_not_contain_the_model(sample_stores: Stores, auditor: Actor) -> None:
    (trained,) = versions_trained(sample_stores, auditor, TABLE)[2]
    assert trained == KEY
    written_again(sample_stores)
    assert versions_trained(sample_stores, auditor, TABLE) == {}
    impact = impact_of_version(sample_stores, auditor, TABLE, 2)
    ((kind, subject),) = [(replaced.kind, replaced.subject) for replaced in impact.replaced]
    assert (kind, subject) == (NodeKind.MODEL, str(KEY))
    assert [node.subject for node in impact.graph.nodes] == [DATA]


def test_reproduction_is_impossible_before_a_training(sample_stores: Stores, manager: Actor) -> None:
    written_again(sample_stores)
    found = reproduce(sample_stores, manager, KEY)
    assert found.verdict is Reproduced.IMPOSSIBLE
    assert "another table now" in found.why
    assert found.metrics == {}


def test_an_inspection_opens_a_high_finding_once(sample_stores: Stores, auditor: Actor) -> None:
    inspect_registry(sample_stores, auditor)
    written_again(sample_stores)
    found = [finding for finding in inspect_registry(sample_stores, auditor) if finding.kind == "data replaced"]
    assert {finding.subject for finding in found} == {f"iris_classifier/{number}" for number in (1, 2, 3)}
    assert {finding.severity for finding in found} == {Severity.HIGH}
    assert "another table now" in found[0].detail
    assert not inspect_registry(sample_stores, auditor)


def test_overview_warns_of_the_data_of_the_version_in_production(
    sample_stores: Stores, scientist: Actor, manager: Actor, auditor: Actor
) -> None:
    asked = request_promotion(
        sample_stores, scientist, model=KEY.model, version=KEY.version, to=Stage.PRODUCTION, reason="first"
    )
    approve(sample_stores, manager, asked.id, reason="fine")
    written_again(sample_stores)
    (risk,) = overview(sample_stores, auditor).risks
    assert (risk.kind, risk.subject) == ("data replaced", str(KEY))
    inspect_registry(sample_stores, auditor)
    assert overview(sample_stores, auditor).risks == ()  # the finding says it


def test_the_finding_is_gone_when_the_table_is_back(sample_stores: Stores, auditor: Actor, tmp_path: Path) -> None:
    place = folder(sample_stores)
    shutil.copytree(place, tmp_path / "backup")
    written_again(sample_stores)
    inspect_registry(sample_stores, auditor)
    shutil.rmtree(place)
    shutil.copytree(tmp_path / "backup", place)
    inspect_registry(sample_stores, auditor)
    found = [finding for finding in sample_stores.findings.list() if finding.kind == "data replaced"]
    assert len(found) == 3
    assert all(finding.gone for finding in found)


def test_dossier_says_that_the_rows_are_not_those_of_the_training(sample_stores: Stores, auditor: Actor) -> None:
    written_again(sample_stores)
    (data,) = collect_evidence(sample_stores, auditor, KEY).data
    assert data.identity is not None
    assert data.identity.verdict is IdentityVerdict.ANOTHER_TABLE
    assert data.recorded != data.recomputed


def test_a_table_with_fewer_versions_is_another_table_too(sample_stores: Stores, auditor: Actor) -> None:
    place = folder(sample_stores)
    shutil.rmtree(place)
    write_deltalake(str(place), iris())
    assert identity_of(sample_stores, auditor).verdict is IdentityVerdict.ANOTHER_TABLE
    assert "another table now" in data_gate(sample_stores)[1]


def test_a_batch_that_scored_the_former_table_says_so(sample_stores: Stores, scientist: Actor, auditor: Actor) -> None:
    batch = score(
        sample_stores, scientist, model=KEY.model, model_version=KEY.version, table=TABLE, version=1, into="predictions"
    )
    assert batch.source_table_id == sample_stores.engine.snapshot(sample_stores.catalog.resolve(TABLE)).table_id
    written_again(sample_stores)
    graph = lineage_of_batch(sample_stores, auditor, batch.batch_id)
    problems = [node.problem for node in graph.nodes if node.kind is NodeKind.COMMIT]
    assert len(problems) == 2
    assert all(problem and "another table now" in problem for problem in problems)
    identity = check_batch(sample_stores, auditor, batch)
    assert identity is not None
    assert identity.is_contradicted
    (replaced,) = impact_of_version(sample_stores, auditor, TABLE, 1).replaced[1:]
    assert (replaced.kind, replaced.subject) == (NodeKind.BATCH, batch.batch_id)


# --------------------------------------------------------------------------------------- the same id, other rows


def test_a_log_that_began_again_with_its_old_id_is_seen_by_the_time_of_the_commit(
    sample_stores: Stores, auditor: Actor
) -> None:
    kept_id(sample_stores)
    identity = identity_of(sample_stores, auditor)
    assert identity.verdict is IdentityVerdict.OTHER_ROWS
    assert "was written at" in identity.contradictions[0]


def test_the_content_shows_other_rows_where_times_and_counts_agree(sample_stores: Stores, auditor: Actor) -> None:
    kept_id(sample_stores)
    past = datetime(2026, 1, 1, tzinfo=UTC)
    for number, file in enumerate(sorted((folder(sample_stores) / "_delta_log").glob("*.json"))):
        os.utime(file, times=((past + timedelta(minutes=number)).timestamp(),) * 2)
    assert identity_of(sample_stores, auditor).verdict is IdentityVerdict.TRAINING_DATA
    (view,) = check_content(sample_stores, auditor, KEY)
    assert view.identity is not None
    assert view.identity.verdict is IdentityVerdict.OTHER_ROWS
    assert "no longer holds the training rows" in view.identity.contradictions[0]


# ------------------------------------------------------------------------------------- the same table, elsewhere


def test_a_moved_table_and_a_restored_version_are_the_training_data(
    sample_stores: Stores, auditor: Actor, tmp_path: Path
) -> None:
    place = folder(sample_stores)
    DeltaTable(str(place)).restore(0)
    shutil.copytree(place, tmp_path / "moved", copy_function=shutil.copy)  # file times are those of the copy
    shutil.rmtree(place)
    shutil.copytree(tmp_path / "moved", place, copy_function=shutil.copy)
    identity = identity_of(sample_stores, auditor)
    assert identity.verdict is IdentityVerdict.TRAINING_DATA
    assert data_gate(sample_stores)[0]


def test_a_policy_on_content_lets_an_equal_copy_pass(sample_stores: Stores, auditor: Actor, tmp_path: Path) -> None:
    place = folder(sample_stores)
    rows = [DeltaTable(str(place), version=number).to_pyarrow_table() for number in range(3)]
    shutil.rmtree(place)
    for part in rows:
        write_deltalake(str(place), part, mode="overwrite")
    assert identity_of(sample_stores, auditor).verdict is IdentityVerdict.ANOTHER_TABLE
    (view,) = check_content(sample_stores, auditor, KEY)
    assert view.identity is not None
    assert view.identity.verdict is IdentityVerdict.SAME_ROWS
    assert not data_gate(sample_stores)[0]
    policies = {"*": [{"gate": "data_readable", "check_content": True}]}
    settings = sample_stores.settings.model_copy(update={"policies": policies})
    passed, detail = data_gate(replace(sample_stores, settings=settings))
    assert passed
    assert "another table now" in detail  # it passes, and says what differs


# ----------------------------------------------------------------------- trainings that ModelLedger did not start


def a_foreign_version(stores: Stores, tags: dict[str, str], metrics: dict[str, float]) -> ModelVersionKey:
    client = MlflowClient(stores.settings.tracking_uri)
    run = client.create_run(client.create_experiment("team"), tags=tags)
    for name, value in metrics.items():
        client.log_metric(run.info.run_id, name, value)
    client.set_terminated(run.info.run_id)
    client.create_registered_model("churn")
    client.create_model_version("churn", "file:///nowhere/model", run.info.run_id, await_creation_for=0)
    return ModelVersionKey(model="churn", version=1)


def test_a_foreign_training_without_an_id_is_compared_by_time_and_rows(sample_stores: Stores, auditor: Actor) -> None:
    tags = {"delta.table": TABLE, "delta.version": "2"}
    key = a_foreign_version(sample_stores, tags, {"TrainRows": 90.0, "TestRows": 30.0})
    identity = identity_of(sample_stores, auditor, key)
    assert identity.verdict is IdentityVerdict.UNPROVEN
    assert identity.notes == (f"120 of the 150 rows of {DATA} were used.",)
    written_again(sample_stores)
    assert identity_of(sample_stores, auditor, key).verdict is IdentityVerdict.OTHER_ROWS
    assert not data_gate(sample_stores, key)[0]


# -------------------------------------------------------------------------------------------------- command line


def test_command_line_names_the_other_table(sample_stores: Stores, command: Command) -> None:
    written_again(sample_stores)
    answer = command("lineage", str(KEY), "--json")
    assert answer.code == 0
    (data,) = answer.json["data"]
    assert data["identity"]["verdict"] == "another_table"
    assert data["identity"]["facts"]["table_id"]["comparison"] == "contradicts"
    assert data["identity"]["facts"]["content_sha256"]["comparison"] == "not_compared"
    impact = command("impact", DATA, "--json").json
    assert impact["models"] == []
    assert [(item["kind"], item["subject"]) for item in impact["replaced"]] == [("model", str(KEY))]


def test_command_line_compares_the_content(sample_stores: Stores, command: Command) -> None:
    answer = command("lineage", str(KEY), "--check-content", "--json")
    assert answer.code == 0
    assert answer.json["data"][0]["identity"]["facts"]["content_sha256"]["comparison"] == "agrees"
    written_again(sample_stores)
    answer = command("lineage", str(KEY), "--check-content", "--json")
    assert answer.code == 1
    assert answer.json["data"][0]["identity"]["facts"]["content_sha256"]["comparison"] == "contradicts"
    assert answer.err.startswith(f"{KEY} was not trained on this data: ")
    assert answer.err.count("\n") == 1


# ------------------------------------------------------------------------------------------------------- pages


def test_models_shows_the_other_table_and_compares_its_rows(opened: Opened, sample_stores: Stores) -> None:
    written_again(sample_stores)
    test = opened("models", models_model=KEY.model, models_version=str(KEY.version))
    assert any("another table now" in error.value for error in test.error)

    def comparisons() -> dict[str, str]:
        table = next(item.value for item in test.dataframe if "At training" in item.value.columns)
        return {
            fact: label.split(maxsplit=1)[1] for fact, label in zip(table["Fact"], table["Comparison"], strict=True)
        }

    assert comparisons() == {
        "table id": "contradicts",
        "time of the commit": "contradicts",
        "rows": "agrees",
        "SHA-256 of the rows": "not compared",
    }
    test.button(key="models_compare_rows").click().run()
    assert comparisons()["SHA-256 of the rows"] == "contradicts"
    assert not test.exception


def test_lineage_of_the_other_table_lists_the_model_apart(opened: Opened, sample_stores: Stores) -> None:
    written_again(sample_stores)
    test = opened("lineage", lineage_from="Data version", lineage_table=TABLE, lineage_data="2")
    assert any("used other data that had this name before" in error.value for error in test.error)
    (table,) = [item.value for item in test.dataframe if list(item.value.columns) == ["Kind", "Name", "Reason"]]
    assert list(table["Name"]) == [str(KEY)]
