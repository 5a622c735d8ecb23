"""One run with everything that it logged."""

from __future__ import annotations

import time

import pytest
from mlflow import MlflowClient

from core.entities import Actor, Role, RunStatus
from core.errors import Forbidden, RunNotFound
from core.features.runs.runs import show_run
from core.features.stores import Stores


def test_a_run_shows_its_versions_files_and_why_it_failed(stores: Stores, auditor: Actor, tmp_path: object) -> None:
    run_id = stores.runs.start("e", "n", "scientist", {})
    stores.runs.log(run_id, metrics={"f1": 0.5})
    stores.models.register("m", source="s3://nowhere/x", run_id=run_id, tags={})
    stores.runs.end(run_id, RunStatus.FAILED, "no rows")
    view = show_run(stores, auditor, run_id)
    assert view.reason == "no rows"
    assert [str(version.key) for version in view.versions] == ["m/1"]
    assert [point.value for point in view.history["f1"].points] == [0.5]
    assert view.late == {}
    assert view.artifacts == ()


def test_a_metric_that_was_changed_after_the_end_is_shown_with_both_values(stores: Stores, auditor: Actor) -> None:
    run_id = stores.runs.start("e", "n", "scientist", {})
    stores.runs.log(run_id, metrics={"f1": 0.5, "r2": 0.1})
    stores.runs.end(run_id, RunStatus.FINISHED)
    ended = stores.runs.get(run_id).ended
    stores.runs.log(run_id, metrics={"f1": 0.9})
    view = show_run(stores, auditor, run_id)
    assert [point.value for point in view.history["f1"].points] == [0.5, 0.9]
    assert [point.value for point in view.late["f1"]] == [0.9]
    assert set(view.late) == {"f1"}
    assert ended is not None
    assert view.late["f1"][0].timestamp > ended


def test_a_missing_run_is_not_found_and_an_actor_without_a_role_is_refused(stores: Stores, auditor: Actor) -> None:
    with pytest.raises(RunNotFound):
        show_run(stores, auditor, "a" * 32)
    with pytest.raises(Forbidden):
        show_run(stores, Actor(name="nobody", roles=frozenset[Role]()), "a" * 32)


def test_a_run_shows_its_parent_its_nested_runs_and_its_models(stores: Stores, auditor: Actor) -> None:
    parent = stores.runs.start("nested", "parent", "ana", {})
    child = stores.runs.start("nested", "child", "ana", {"mlflow.parentRunId": parent})
    view = show_run(stores, auditor, parent)
    assert [run.run_id for run in view.children.runs] == [child]
    assert view.parent is None
    nested = show_run(stores, auditor, child)
    assert nested.parent is not None
    assert (nested.parent.run_id, nested.children.runs) == (parent, ())


def test_a_late_value_at_an_earlier_step_is_found(stores: Stores, auditor: Actor) -> None:
    """MLflow shows the value of the highest step: the page must not rely on it."""
    run_id = stores.runs.start("late", "run", "ana", {})
    client = MlflowClient(f"sqlite:///{stores.settings.home / 'mlflow.db'}")
    client.log_metric(run_id, "f1", 0.5, step=7)
    stores.runs.end(run_id, RunStatus.FINISHED)
    time.sleep(0.01)
    client.log_metric(run_id, "f1", 0.9, step=1)
    view = show_run(stores, auditor, run_id)
    assert view.run.metrics["f1"] == 0.5
    assert [point.value for point in view.late["f1"]] == [0.9]


def test_a_run_with_150_metrics_costs_few_calls(
    stores: Stores, auditor: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = stores.runs.start("wide", "run", "ana", {})
    stores.runs.log(run_id, metrics={f"metric {number}": number for number in range(150)} | {"system/cpu": 4.0})
    calls: list[str] = []
    monkeypatch.setattr(MlflowClient, "get_metric_history", lambda *_, **__: calls.append("history") or [])
    view = show_run(stores, auditor, run_id)
    assert len(view.history) == 150
    assert "system/cpu" not in view.history
    assert calls == []
