"""The page Compare runs: filters, the baseline, and runs that are not as they should be."""

from __future__ import annotations

import json
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
    assert "55 runs · page 1 of 2" in said(test)
    test.number_input(key="runs_page.box").set_value(2).run()
    assert len(table(test)) == 5
    assert not set(first) & set(table(test)["Run"])
    assert test.query_params["runs_page"] == "2"
    linked = opened("runs", runs_experiment="many", runs_page="2", runs_order="name ASC")
    assert list(table(linked)["Run"]) == [f"run {number}" for number in (54, 6, 7, 8, 9)]


def test_one_run_shows_what_it_logged_and_what_was_changed_afterwards(opened: Opened, sample_stores: Stores) -> None:
    run_id = str(sample_stores.models.versions("iris_classifier")[0].run_id)
    sample_stores.runs.log(run_id, metrics={"f1": 1.0}, tags={"note": "<b>[x](http://evil)</b>"})
    test = opened("runs", runs=run_id, runs_view="One run")
    assert not test.exception
    assert "f1 was changed after the run had ended: 1 at" in said(test).replace("\\", "")
    params, tags, last, metrics, datasets, files = (frame.value for frame in test.dataframe[1:7])
    assert params.set_index("Name").loc["DataV", "Value"] == "2"
    assert tags.set_index("Name").loc["note", "Value"] == "<b>[x](http://evil)</b>"
    assert list(metrics[metrics["Metric"] == "f1"]["Logged"]) == ["during the run", "▲ after the run ended"]
    shown = last.set_index("Metric").loc["f1", ["Value", "Values", "Logged"]]
    assert shown.tolist() == ["1", "2", "▲ after the run ended"]
    assert list(datasets["Context"]) == ["training"]
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


def names(test: AppTest) -> list[str]:
    return list(table(test)["Run"])


def test_a_filter_in_the_syntax_of_mlflow_and_an_order_find_runs(opened: Opened, sample_stores: Stores) -> None:
    for number in range(4):
        run_id = sample_stores.runs.start("many", f"run {number}", "ana", {})
        sample_stores.runs.log(run_id, params={"depth": 3}, metrics={"val/loss": number / 10})
    test = opened("runs", runs_filter="metrics.val/loss < 0.25 AND params.depth = '3'")
    assert names(test) == ["run 2", "run 1", "run 0"]
    test.selectbox(key="runs_order.box").set_value("metrics.`val/loss` ASC").run()
    assert names(test) == ["run 0", "run 1", "run 2"]
    assert test.query_params["runs_order"] == "metrics.`val/loss` ASC"
    assert names(opened("runs", runs_user="ana", runs_order="metrics.`val/loss` DESC"))[0] == "run 3"
    assert opened("runs", runs_model="iris_classifier", runs_user="ana").info
    assert len(names(opened("runs", runs_user="ana", runs_since="2020-01-01", runs_until="2100-12-31"))) == 4
    assert opened("runs", runs_user="ana", runs_until="2020-01-01").info


def test_a_filter_that_is_not_valid_says_what_is_wrong(opened: Opened, sample_stores: Stores) -> None:
    (error,) = opened("runs", runs_filter="f1 > 1").error
    assert "f1 is not a field" in error.value.replace("\\", "")
    (error,) = opened("runs", runs_order="f1").error
    assert "is not an order of runs" in error.value


def test_a_condition_is_added_to_the_filter_from_a_form(opened: Opened, sample_stores: Stores) -> None:
    test = opened("runs", runs_filter="params.target = 'species'")
    test.selectbox(key="runs_field").set_value("metrics.TrainRows")
    test.selectbox(key="runs_operator").set_value(">")
    test.text_input(key="runs_value").set_value("50")
    next(button for button in test.button if button.label == "Add to the filter").click().run()
    assert test.text_input(key="runs_filter").value == "params.target = 'species' AND metrics.TrainRows > 50"
    assert set(table(test)["TrainRows"]) <= {70, 105}
    test.text_input(key="runs_value").set_value("many")
    next(button for button in test.button if button.label == "Add to the filter").click().run()
    assert "'many' is not one" in said(test).replace("\\", "")


def test_selected_runs_stay_selected_on_other_pages_and_under_other_filters(
    opened: Opened, sample_stores: Stores
) -> None:
    first, second = (str(version.run_id) for version in sample_stores.models.versions("iris_classifier")[:2])
    test = opened("runs", runs=f"{first},{second}", runs_data="iris_training_data@0")
    assert "2 selected runs are not on this page." in said(test).replace("\\", "")
    assert "Comparing 2 selected runs." in said(test)
    next(button for button in test.button if button.label == "Clear the selection").click().run()
    assert "Comparing all runs of this page." in said(test)
    assert not test.exception


def foreign_run(stores: Stores, number: int) -> str:
    """A run as a team's own script logs it, without a data version."""
    run_id = stores.runs.start("foreign", f"run {number}", "ana", {})
    params = {"depth": number, "booster": "tree" if number % 2 else "linear", "path": f"/data/{number}"}
    stores.runs.log(run_id, params=params, metrics={"val/loss": number / 10, "latency": 5 - number})
    return run_id


def axes(test: AppTest) -> list[str]:
    (picture,) = test.get("plotly_chart")
    return [dimension["label"] for dimension in json.loads(picture.proto.spec)["data"][0]["dimensions"]]


def test_parallel_coordinates_need_no_data_version(opened: Opened, sample_stores: Stores) -> None:
    for number in range(30):
        foreign_run(sample_stores, number)
    test = opened("runs", runs_experiment="foreign", runs_view="Parallel coordinates", runs_metric="val/loss")
    assert not test.exception
    assert "not shown" not in said(test)
    # The path is another word for each run, so it is no axis until it is chosen.
    assert axes(test) == ["depth", "booster", "latency", "val/loss"]


def test_the_axes_of_parallel_coordinates_are_chosen(opened: Opened, sample_stores: Stores) -> None:
    for number in range(3):
        foreign_run(sample_stores, number)
    odd_run(sample_stores, name="odd")
    test = opened("runs", runs_view="Parallel coordinates", runs_metric="latency", runs_user="ana")
    test.multiselect(key="runs_through.box").set_value(["path"]).run()
    test.multiselect(key="runs_metrics.box").set_value([]).run()
    assert axes(test) == ["path", "latency"]
    test = opened("runs", runs_view="Parallel coordinates", runs_metric="latency", runs_through="depth")
    assert axes(test)[0] == "depth"
    assert "runs are not shown, because they lack a value: depth (" in said(test).replace("\\", "")


def test_undefined_metrics_are_shown_as_what_they_are(opened: Opened, stores: Stores) -> None:
    run_id = stores.runs.start("undefined", "odd", "ana", {})
    stores.runs.log(run_id, metrics={"f1": math.nan, "rmse": math.inf, "r2": -math.inf, "mae": 0.25})
    stores.runs.log(stores.runs.start("undefined", "plain", "ana", {}), metrics={"mae": 0.5})
    rows = table(opened("runs", runs_experiment="undefined")).set_index("Run")
    assert rows.loc["odd", ["f1", "rmse", "r2", "mae"]].tolist() == ["NaN", "∞", "−∞", 0.25]
    assert rows.loc["plain", "f1"] is None
    one = opened("runs", runs=run_id, runs_view="One run")
    shown = next(frame.value for frame in one.dataframe if "Values" in frame.value)
    assert dict(zip(shown["Metric"], shown["Value"], strict=True)) == {
        "f1": "NaN",
        "rmse": "∞",
        "r2": "−∞",
        "mae": "0.25",
    }


def test_an_address_that_changes_decides_which_runs_are_selected(opened: Opened, sample_stores: Stores) -> None:
    """As the browser's button Back changes it."""
    first, second = (str(version.run_id) for version in sample_stores.models.versions("iris_classifier")[:2])
    test = opened("runs", runs=f"{first},{second}")
    assert "Comparing 2 selected runs." in said(test)
    test.query_params["runs"] = first
    test.run()
    assert "Comparing 1 selected run." in said(test)
    test.query_params["runs"] = ""
    test.run()
    assert "Comparing all runs of this page." in said(test)
