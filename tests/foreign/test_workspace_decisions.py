"""Gates, decisions and findings on models that ModelLedger did not create."""

from __future__ import annotations

import json
import socket
from typing import Any

import pytest

from tests.foreign.test_workspace import ask, command  # noqa: F401 - fixtures
from tests.foreign.workspace_tables import Expected

pytestmark = pytest.mark.slow

RECORDED, READABLE = "data version recorded", "data still readable"


def gates(ask: Any, version: str) -> dict[str, dict[str, Any]]:  # noqa: F811
    """The gates of a request of Production for *version*, by name; a gate on a metric by its metric as well."""
    answer = ask("request", version, "--to", "Production", "--as", "scientist", "--reason", "as good as it gets")
    return {gate["name"]: gate for gate in answer["gates"]}


def test_loss_that_grew_passes_no_gate(
    foreign: Expected,
    ask: Any,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    losses = foreign["models"]["losses/2"]["metrics"]
    policy = [{"gate": "not_below_production", "metric": name} for name in losses]
    monkeypatch.setenv("MODELLEDGER_POLICIES", json.dumps({"losses": policy}))
    answer = ask("request", "losses/2", "--to", "Production", "--as", "scientist", "--reason", "more data")
    compared = [gate for gate in answer["gates"] if any(name in gate["name"] + gate["detail"] for name in losses)]
    assert len(compared) == len(losses)
    assert not any(gate["passed"] for gate in compared)


def test_gate_on_a_metric_of_unknown_direction_asks_for_it(
    foreign: Expected,
    ask: Any,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    policy = [{"gate": "not_below_production", "metric": "uplift_index"}]
    monkeypatch.setenv("MODELLEDGER_POLICIES", json.dumps({"unknown_direction": policy}))
    answer = ask("request", "unknown_direction/2", "--to", "Production", "--as", "scientist", "--reason", "new")
    gate = next(gate for gate in answer["gates"] if "uplift_index" in gate["name"] + gate["detail"])
    assert not gate["passed"]
    assert "better" in gate["detail"]


@pytest.mark.parametrize("model", ["by_name", "by_spark", "by_input_uri", "by_id", "by_params", "inputs_many"])
def test_data_of_a_foreign_run_passes_the_gates_on_data(ask: Any, model: str) -> None:  # noqa: F811
    found = gates(ask, f"{model}/1")
    assert found[RECORDED]["passed"], found[RECORDED]
    assert found[READABLE]["passed"], found[READABLE]


@pytest.mark.parametrize("model", ["no_claim", "inputs_evaluation"])
def test_run_that_names_no_training_data_fails_the_gate(ask: Any, model: str) -> None:  # noqa: F811
    assert not gates(ask, f"{model}/1")[RECORDED]["passed"]


@pytest.mark.parametrize("model", ["identity_replaced", "identity_late", "identity_rows"])
def test_data_that_is_not_what_trained_the_model_fails_the_gate(ask: Any, model: str) -> None:  # noqa: F811
    assert not gates(ask, f"{model}/1")[READABLE]["passed"]


@pytest.mark.parametrize("model", ["unregistered_s3", "unregistered_path", "unregistered_spark"])
def test_nothing_is_opened_because_mlflow_names_it(
    foreign: Expected,
    ask: Any,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
    model: str,
) -> None:
    """A store that answers to nobody stands where the claim of s3:// would lead."""
    with socket.create_server(("127.0.0.1", 0)) as store:
        store.settimeout(0.2)
        address = f"http://127.0.0.1:{store.getsockname()[1]}"
        options = {"AWS_ENDPOINT_URL": address, "AWS_ALLOW_HTTP": "true", "AWS_ACCESS_KEY_ID": "a"}
        monkeypatch.setenv("MODELLEDGER_STORAGE_OPTIONS", json.dumps({**options, "AWS_SECRET_ACCESS_KEY": "b"}))
        found = gates(ask, f"{model}/1")
        shown = ask("lineage", f"{model}/1")
        with pytest.raises(TimeoutError):
            store.accept()
    assert not found[READABLE]["passed"]
    assert "not registered here" in found[READABLE]["detail"]
    assert "MODELLEDGER_TABLES" in json.dumps(shown["data"])


def test_first_contact_accuses_nobody_and_the_registry_is_accepted_as_found(
    foreign: Expected,
    ask: Any,  # noqa: F811
) -> None:
    assert ask("findings") == []
    accepted = ask("accept-registry", "--as", "manager", "--reason", "the state of the first day")
    assert {model["model"] for model in accepted} == {key.rpartition("/")[0] for key in foreign["models"]}
    assert ask("reconcile") == []
    assert ask("findings") == []


def test_candidate_is_requested_approved_and_rolled_back(ask: Any) -> None:  # noqa: F811
    ask("accept-registry", "--as", "manager", "--reason", "the state of the first day")
    requested = ask("request", "fraud_scorer/2", "--to", "Production", "--as", "scientist", "--reason", "more rows")
    assert all(gate["passed"] for gate in requested["gates"]), requested["gates"]
    approved = ask("approve", requested["id"], "--as", "manager", "--reason", "better precision")
    try:
        assert (approved["status"], approved["stages"]) == ("approved", {"1": "Archived", "2": "Production"})
        assert ask("findings") == []
    finally:
        rolled = ask("rollback", "fraud_scorer", "--to", 1, "--as", "manager", "--reason", "as it was")
    assert rolled["stages"]["1"] == "Production"
