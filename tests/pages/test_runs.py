"""The page Compare runs: filters, the baseline, and runs that are not as they should be."""

from __future__ import annotations

import math

import pandas as pd
import pytest
from streamlit.testing.v1 import AppTest

from core.entities import RunStatus, Stage
from core.features.stores import Stores
from tests.pages.conftest import Opened, said

EVIL = "<img src=x onerror=alert(1)> [link](http://evil) 'q' \"dq\" 🌸"


def table(test: AppTest, number: int = 0) -> pd.DataFrame:
    return test.dataframe[number].value


def odd_run(stores: Stores, *, name: str = EVIL) -> str:
    """Finished, without a data version, with NaN and infinity."""
    run_id = stores.runs.start("modelledger", name, "mallory", {})
    stores.runs.log(run_id, params={"C": "<b>1</b>"}, metrics={"f1": math.nan, "log_loss": math.inf})
    stores.runs.end(run_id, RunStatus.FINISHED)
    return run_id


def test_every_run_shows_its_data_version_and_model(opened: Opened, sample_stores: Stores) -> None:
    test = opened("runs")
    rows = table(test)
    iris = rows[rows["Model version"].str.startswith("iris_classifier")]
    assert list(iris["Data version"]) == [f"iris_training_data@{version}" for version in (2, 1, 0)]
    assert list(iris["TrainRows"]) == [105, 70, 35]
    assert set(rows["By"]) == {"scientist"}


def test_deltas_against_production_are_signed_and_marked(opened: Opened, sample_stores: Stores) -> None:
    sample_stores.models.set_stages("iris_classifier", {1: Stage.PRODUCTION})
    one, two = (sample_stores.models.versions("iris_classifier")[index].run_id for index in (2, 1))
    base, other = sample_stores.runs.get(str(one)), sample_stores.runs.get(str(two))
    test = opened("runs", runs_data="iris_training_data@1")
    assert "iris_classifier/1 is in Production" in said(test)
    rows = table(test, 1).set_index("Field")
    loss = rows.loc["log_loss (lower is better)", "iris_classifier/2"]
    delta = other.metrics["log_loss"] - base.metrics["log_loss"]
    assert loss.endswith("▲ better" if delta < 0 else "▼ worse")
    assert f"{delta:+.3g}" in loss
    assert rows.loc["Data version", "Baseline"] == "iris_training_data@0"


def test_only_differences_can_be_turned_off(opened: Opened, sample_stores: Stores) -> None:
    test = opened("runs", runs_data="iris_training_data")
    assert "param estimator" not in list(table(test, 1)["Field"])
    test.toggle(key="runs_only").set_value(False).run()
    assert "param estimator" in list(table(test, 1)["Field"])


@pytest.mark.parametrize("view", ["Bars", "Scatter", "Parallel coordinates", "Over data versions"])
def test_every_picture_is_drawn_also_with_odd_runs(view: str, opened: Opened, sample_stores: Stores) -> None:
    odd_run(sample_stores)
    test = opened("runs", runs_view=view)
    assert not test.exception
    assert not test.error
    (picture,) = test.get("plotly_chart")
    assert "<img" not in picture.proto.spec
    if view == "Over data versions":
        assert "1 of 6 runs are not shown: they logged no data version" in said(test)


def test_a_run_without_data_version_and_with_nan_is_labelled_and_inert(opened: Opened, sample_stores: Stores) -> None:
    odd_run(sample_stores)
    test = opened("runs")
    (row,) = table(test)[table(test)["Run"] == EVIL].to_dict("records")
    assert row["Data version"] == "no data version"
    assert row["Notes"] == "no data version was logged; no finite value of f1, log_loss"
    assert EVIL not in said(test)
    column = next(name for name in table(test, 1).columns if name.startswith(EVIL))
    shown = table(test, 1).set_index("Field")[column]
    assert shown["f1"] == "NaN"
    assert shown["log_loss (lower is better)"] == "∞"


def test_filters_of_the_address_open_the_same_view(opened: Opened, sample_stores: Stores) -> None:
    test = opened("runs", runs_data="iris_training_data@0")
    assert list(table(test)["Data version"]) == ["iris_training_data@0"]
    assert (
        opened("runs", runs_text="no such run").info[0].value
        == "No runs match these filters. Remove a filter to see more runs."
    )
    failed = opened("runs", runs_status="failed")
    assert failed.info[0].value == "No runs match these filters. Remove a filter to see more runs."


def test_a_link_to_runs_compares_those_and_tells_which_are_gone(opened: Opened, sample_stores: Stores) -> None:
    run_id = sample_stores.models.versions("iris_classifier")[0].run_id
    test = opened("runs", runs=f"{run_id},{'a' * 32}")
    assert "no longer in MLflow" in said(test)
    assert "a" * 32 in said(test)
    assert list(table(test, 1).columns)[-1] == "iris_classifier/3"


def test_a_deleted_run_of_a_link_is_compared_and_labelled(opened: Opened, sample_stores: Stores) -> None:
    from mlflow import MlflowClient

    run_id = str(sample_stores.models.versions("iris_classifier")[0].run_id)
    MlflowClient(sample_stores.settings.tracking_uri).delete_run(run_id)
    test = opened("runs", runs=run_id)
    assert "deleted in MLflow" in table(test, 1).set_index("Field").loc["Status", "iris_classifier/3"]


def test_a_baseline_can_be_chosen(opened: Opened, sample_stores: Stores) -> None:
    run_id = str(sample_stores.models.versions("iris_classifier")[1].run_id)
    test = opened("runs", runs_data="iris_training_data", runs_baseline=run_id)
    assert "Baseline: chosen by you" in said(test)


def test_more_runs_than_a_page_holds_are_turned_over(opened: Opened, sample_stores: Stores) -> None:
    for number in range(55):
        sample_stores.runs.start("many", f"run {number}", "scientist", {})
    test = opened("runs", runs_experiment="many")
    first = list(table(test)["Run"])
    assert len(first) == 50
    next(button for button in test.button if button.label == "Older").click().run()
    assert len(table(test)) == 5
    assert not set(first) & set(table(test)["Run"])


def test_one_run_shows_what_it_logged_and_what_was_changed_afterwards(opened: Opened, sample_stores: Stores) -> None:
    run_id = str(sample_stores.models.versions("iris_classifier")[0].run_id)
    sample_stores.runs.log(run_id, metrics={"f1": 1.0}, tags={"note": "<b>[x](http://evil)</b>"})
    test = opened("runs", runs=run_id, runs_view="One run")
    assert not test.exception
    assert "f1 was changed after the run had ended: 1 at" in said(test).replace("\\", "")
    params, tags, metrics, files = (frame.value for frame in test.dataframe[1:5])
    assert params.set_index("Name").loc["DataV", "Value"] == "2"
    assert tags.set_index("Name").loc["note", "Value"] == "<b>[x](http://evil)</b>"
    assert list(metrics[metrics["Metric"] == "f1"]["Logged"]) == ["during the run", "▲ after the run ended"]
    assert "model/model.skops" in list(files["File"])


def test_one_odd_run_is_shown_without_an_error(opened: Opened, sample_stores: Stores) -> None:
    test = opened("runs", runs=odd_run(sample_stores), runs_view="One run")
    assert not test.exception
    assert not test.error
    assert "no data version was logged" in said(test)
    assert EVIL not in said(test)


def test_mlflow_that_does_not_answer_is_told_in_one_sentence(
    opened: Opened, sample_stores: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    test = opened("runs")
    assert not test.exception
    assert "does not answer" in test.warning[0].value
    assert not test.dataframe
