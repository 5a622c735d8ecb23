"""KPIs of a model version: its logged model's, never another checkpoint's of the same run."""

from __future__ import annotations

import pytest
from mlflow import MlflowClient
from mlflow.entities import Dataset, DatasetInput, InputTag

from core.entities import Actor, ModelVersionKey, Stage
from core.errors import RunNotFound
from core.features.monitoring.overview import overview
from core.features.monitoring.registry_watch import find_outside_changes
from core.features.promotion.evaluate_gates import evaluate_gates
from core.features.runs.compare import Direction, compare_runs
from core.features.runs.models import list_models, show_model_version
from core.features.stores import Stores
from tests.checkpoints import Checkpoint, log_checkpoints

MODEL = "fraud"


@pytest.fixture
def client(stores: Stores, monkeypatch: pytest.MonkeyPatch) -> MlflowClient:
    uri = f"sqlite:///{stores.settings.home / 'mlflow.db'}"
    # MLflow resolves models:/m-… by the global address, whatever the client's.
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    return MlflowClient(uri)


def key(version: int) -> ModelVersionKey:
    return ModelVersionKey(model=MODEL, version=version)


def test_two_checkpoints_of_a_run_show_their_own_numbers(stores: Stores, auditor: Actor, client: MlflowClient) -> None:
    log_checkpoints(
        client,
        [Checkpoint(1, {"accuracy": 0.9}), Checkpoint(2, {"accuracy": 0.7})],
        model=MODEL,
        run_metrics={"TrainRows": 100},
    )
    (model,) = list_models(stores, auditor)
    assert {version.version: version.metrics for version in model.versions} == {
        1: {"accuracy": 0.9, "TrainRows": 100},
        2: {"accuracy": 0.7, "TrainRows": 100},
    }
    assert not any(version.notes for version in model.versions)
    view = show_model_version(stores, auditor, key(1))
    assert view.metrics["accuracy"] == 0.9
    assert view.measured.params["step"] == "1"


def test_gates_compare_the_checkpoints(stores: Stores, client: MlflowClient) -> None:
    log_checkpoints(client, [Checkpoint(1, {"accuracy": 0.9}), Checkpoint(2, {"accuracy": 0.7})], model=MODEL)
    stores.models.set_stages(MODEL, {1: Stage.PRODUCTION})
    evaluation = evaluate_gates(stores, key(2), Stage.PRODUCTION)
    assert evaluation.gate_evidence.metrics["accuracy"] == 0.7
    assert evaluation.gate_evidence.production_metrics["accuracy"] == 0.9
    assert evaluation.facts["candidate"]["metrics"]["accuracy"] == 0.7


def test_a_kpi_of_the_run_is_not_taken_for_that_of_one_of_its_models(
    stores: Stores, auditor: Actor, client: MlflowClient
) -> None:
    run_id, _ = log_checkpoints(
        client,
        [Checkpoint(1, {"accuracy": 0.9}), Checkpoint(2, {})],
        model=MODEL,
        run_metrics={"accuracy": 0.9, "f1": 0.8, "TestRows": 50},
    )
    (model,) = list_models(stores, auditor)
    second, first = model.versions
    assert (first.metrics, second.metrics) == ({"accuracy": 0.9, "TestRows": 50}, {"TestRows": 50})
    assert first.notes == (f"KPI of the run, not of this version: f1. Run {run_id} logged 2 models",)
    assert second.notes == (f"KPI of the run, not of this version: accuracy, f1. Run {run_id} logged 2 models",)
    failed = [gate for gate in evaluate_gates(stores, key(2), Stage.PRODUCTION).gates if not gate.passed]
    assert any(
        "fraud/2 has no f1 of its own" in gate.detail and "0.8 is the value of its run" in gate.detail
        for gate in failed
    )


def test_the_only_model_of_a_run_has_the_numbers_of_the_run(
    stores: Stores, auditor: Actor, client: MlflowClient
) -> None:
    log_checkpoints(client, [Checkpoint(0, {"f1": 0.6})], model=MODEL, run_metrics={"accuracy": 0.8})
    (model,) = list_models(stores, auditor)
    assert model.versions[0].metrics == {"f1": 0.6, "accuracy": 0.8}
    assert model.versions[0].notes == ()


def test_the_newest_value_counts_where_several_datasets_were_measured(
    stores: Stores, auditor: Actor, client: MlflowClient
) -> None:
    log_checkpoints(
        client,
        [Checkpoint(0, {}, {("train", "aa"): {"f1": 0.99}, ("holdout", "bb"): {"f1": 0.6}})],
        model=MODEL,
    )
    view = show_model_version(stores, auditor, key(1))
    assert view.metrics == {"f1": 0.6}
    assert [(metric.dataset, metric.value) for metric in view.measured.measured] == [("train", 0.99), ("holdout", 0.6)]
    assert view.measured.notes == ("several datasets have values of f1; those on holdout count",)


def test_the_overview_shows_the_version_in_production(stores: Stores, auditor: Actor, client: MlflowClient) -> None:
    log_checkpoints(client, [Checkpoint(1, {"accuracy": 0.9}), Checkpoint(2, {"accuracy": 0.7})], model=MODEL)
    stores.models.set_stages(MODEL, {1: Stage.PRODUCTION})
    (serving,) = overview(stores, auditor).serving
    assert serving.metrics == {"accuracy": 0.9}
    assert serving.trend == {"accuracy": (0.9, 0.7)}


def test_a_changed_metric_of_a_logged_model_is_found(stores: Stores, client: MlflowClient) -> None:
    run_id, (first, _) = log_checkpoints(
        client, [Checkpoint(1, {"accuracy": 0.9}), Checkpoint(2, {"accuracy": 0.7})], model=MODEL
    )
    find_outside_changes(stores)
    client.log_metric(run_id, "accuracy", 0.99, step=1, model_id=first)
    changes = [d for d in find_outside_changes(stores) if "accuracy" in d.expected]
    assert [(d.subject, d.expected, d.found) for d in changes] == [("fraud/1", "accuracy 0.9", "accuracy 0.99")]


def test_a_version_whose_logged_model_was_deleted_says_so(stores: Stores, auditor: Actor, client: MlflowClient) -> None:
    _, (model_id,) = log_checkpoints(client, [Checkpoint(0, {"f1": 0.6})], model=MODEL)
    client.delete_logged_model(model_id)
    (model,) = list_models(stores, auditor)
    assert model.versions[0].notes == (f"the logged model {model_id} is not in MLflow",)


def test_a_value_on_training_data_never_counts_where_there_is_another(
    stores: Stores, auditor: Actor, client: MlflowClient
) -> None:
    on_datasets = {("holdout", "bb"): {"f1": 0.6}, ("train", "aa"): {"f1": 0.99}}
    run_id, _ = log_checkpoints(client, [Checkpoint(0, {}, on_datasets)], model=MODEL)
    dataset = Dataset("train", "aa", "local", "{}")
    client.log_inputs(run_id, [DatasetInput(dataset, [InputTag("mlflow.data.context", "training")])])
    assert show_model_version(stores, auditor, key(1)).metrics == {"f1": 0.6}


def test_versions_of_one_run_are_compared_by_their_own_numbers(
    stores: Stores, auditor: Actor, client: MlflowClient
) -> None:
    run_id, _ = log_checkpoints(
        client, [Checkpoint(1, {"accuracy": 0.9}), Checkpoint(2, {"accuracy": 0.7})], model=MODEL
    )
    stores.models.set_stages(MODEL, {1: Stage.PRODUCTION})
    found = compare_runs(stores, auditor, ["fraud/2", "fraud/1", run_id])
    assert found.deltas["fraud/2"] == pytest.approx({"accuracy": -0.2})
    assert found.directions["fraud/1"] == {"accuracy": Direction.SAME}
    assert found.baseline is not None
    assert (found.baseline.run_id, found.baseline.metrics["accuracy"]) == (run_id, 0.9)
    assert found.differing_params == ("step",)
    assert "the run logged 2 models; the numbers are the run's" in found.notes[run_id]
    against = compare_runs(stores, auditor, ["fraud/1"], baseline="fraud/2")
    assert against.deltas["fraud/1"] == pytest.approx({"accuracy": 0.2})
    with pytest.raises(RunNotFound) as missing:
        compare_runs(stores, auditor, ["fraud/1", "fraud/99", "gone/1"])
    assert missing.value.values["missing"] == ("fraud/99", "gone/1")
