"""An address says what is shown: in full, from the first run on, and it opens the same view again."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest
from streamlit.testing.v1 import AppTest

from core.access.identity import demo_actor
from core.bootstrap import open_stores
from core.entities import Stage
from core.features.scoring.score import score
from core.features.stores import Stores
from core.settings import load_settings
from tests.conftest import copy_sample
from tests.pages.conftest import Opened, said

IRIS, DIABETES = "iris_training_data", "diabetes_training_data"
MODEL = "iris_classifier"


@pytest.fixture(scope="session")
def scored_home(sample_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sample with a version in Production and a prediction batch."""
    home = tmp_path_factory.mktemp("scored") / "home"
    copy_sample(sample_home, home)
    stores = open_stores(load_settings(home=home, database_url=None))
    stores.models.set_stages(MODEL, {1: Stage.PRODUCTION})
    scientist = demo_actor("scientist", channel="test")
    score(stores, scientist, model=MODEL, table=IRIS, version=0, into="predictions", batch_id="b" * 16)
    return home


@pytest.fixture
def scored(home: Path, scored_home: Path) -> Stores:
    """Stores on a copy of that workspace."""
    copy_sample(scored_home, home)
    return open_stores(load_settings(home=home))


@pytest.mark.parametrize(
    ("page", "address", "named"),
    [
        ("tables", {}, {"tables_table": DIABETES, "tables_version": "1"}),
        ("training", {}, {"training_recipe": "diabetes_progression", "training_table": DIABETES}),
        ("models", {}, {"models_model": "diabetes_progression", "models_version": "2"}),
        ("models", {"models_tab": "Files"}, {"models_file": "MLmodel"}),
        ("lineage", {}, {"lineage_model": "diabetes_progression", "lineage_version": "2"}),
        (
            "lineage",
            {"lineage_model": MODEL, "lineage_version": "1"},
            {"lineage_node": f"model {MODEL}/1"},
        ),
        ("lineage", {"lineage_from": "Data version"}, {"lineage_table": DIABETES, "lineage_data": "1"}),
        ("predictions", {}, {"predictions_model": MODEL, "predictions_table": IRIS, "predictions_batch": "b" * 16}),
        ("runs", {"runs_view": "Bars"}, {"runs_metric": "precision", "runs_baseline": "production"}),
        ("runs", {"runs_view": "Scatter"}, {"runs_metric": "precision", "runs_param": "DataV"}),
    ],
)
def test_the_address_names_what_is_shown_also_where_nobody_chose(
    opened: Opened, scored: Stores, page: str, address: dict[str, str], named: dict[str, str]
) -> None:
    test = opened(page, "scientist", **address)
    assert not test.exception
    assert {name: value for name, value in test.query_params.items() if name in named} == named


def test_a_link_to_a_table_means_it_also_when_a_name_sorts_before_it(opened: Opened, sample_stores: Stores) -> None:
    link = dict(opened("tables").query_params)
    link.pop("as", None)
    sample_stores.engine.write(sample_stores.catalog.place("aaa"), pa.table({"x": [1]}), mode="append")
    again = opened("tables", **link)
    assert again.query_params["tables_table"] == DIABETES
    assert "version **1** · 442 rows" in said(again)


def box(key: str, value: str) -> Callable[[AppTest], object]:
    return lambda test: test.selectbox(key=f"{key}.box").set_value(value)


def through(test: AppTest) -> object:
    return test.multiselect(key="runs_through.box").set_value(["C", "max_iter"])


def nothing_through(test: AppTest) -> object:
    return test.multiselect(key="runs_through.box").set_value([])


ONE = {"models_model": MODEL, "models_version": "1"}


@pytest.mark.parametrize(
    ("page", "address", "change"),
    [
        ("tables", {}, box("tables_table", IRIS)),
        ("tables", {"tables_table": IRIS}, box("tables_version", "0")),
        ("tables", {"tables_table": IRIS}, lambda test: test.number_input(key="tables_page.box").set_value(3)),
        ("tables", {"tables_table": IRIS, "tables_tab": "Compare versions"}, box("tables_before", "2")),
        ("tables", {"tables_table": IRIS, "tables_tab": "Compare versions"}, box("tables_key", "species")),
        ("training", {}, box("training_recipe", MODEL)),
        ("training", {"training_recipe": MODEL}, box("training_table", DIABETES)),
        ("training", {"training_recipe": MODEL}, box("training_version", "0")),
        ("runs", {"runs_view": "Bars"}, box("runs_metric", "f1")),
        ("runs", {"runs_view": "Scatter"}, box("runs_param", "C")),
        ("runs", {"runs_view": "Parallel coordinates", "runs_data": IRIS}, through),
        ("runs", {"runs_view": "Parallel coordinates", "runs_through": "C"}, nothing_through),
        ("models", {}, box("models_model", MODEL)),
        ("models", ONE, box("models_version", "2")),
        ("models", ONE | {"models_tab": "Files"}, box("models_file", "requirements.txt")),
        ("lineage", {"lineage_model": MODEL, "lineage_version": "1"}, box("lineage_node", f"commit {IRIS}@0")),
        ("predictions", {}, box("predictions_table", DIABETES)),
        ("predictions", {}, box("predictions_version", "0")),
    ],
)
def test_what_is_chosen_is_in_the_address_and_opens_the_same_view(
    opened: Opened, scored: Stores, page: str, address: dict[str, str], change: Callable[[AppTest], AppTest]
) -> None:
    test = opened(page, "scientist", **address)
    before = dict(test.query_params)
    change(test)
    test.run()
    assert not test.exception
    link = dict(test.query_params)
    assert link != before
    identity = link.pop("as")
    again = opened(page, identity, **link)
    assert dict(again.query_params) == link | {"as": identity}
    assert choices(again) == choices(test)


def choices(test: AppTest) -> list[tuple[str, object]]:
    """Every picker of the page with what it shows."""
    kinds = ("selectbox", "multiselect", "number_input")
    return [(str(one.key), one.value) for kind in kinds for one in getattr(test, kind)]


def test_the_older_runs_of_one_filter_are_not_passed_over_by_another(opened: Opened, sample_stores: Stores) -> None:
    for number in range(55):
        sample_stores.runs.start("many", f"run {number}", "scientist", {})
    test = opened("runs", runs_experiment="many")
    test.number_input(key="runs_page.box").set_value(2).run()
    assert len(test.dataframe[0].value) == 5
    link = {name: value for name, value in test.query_params.items() if name != "as"}
    test.text_input(key="runs_text").set_value("run 54").run()
    assert list(test.dataframe[0].value["Run"]) == ["run 54"]
    assert "runs_page" not in test.query_params
    again = opened("runs", **link)
    assert len(again.dataframe[0].value) == 5


@pytest.mark.parametrize(("page", "first"), [("99", 101), ("0", 1), ("-3", 1), ("²", 1), ("x", 1), ("", 1)])
def test_a_page_that_is_not_there_is_the_nearest_that_is(opened: Opened, stores: Stores, page: str, first: int) -> None:
    stores.engine.write(stores.catalog.place("many"), pa.table({"x": list(range(1, 121))}), mode="append")
    test = opened("tables", tables_table="many", tables_page=page)
    assert not test.exception
    shown = test.dataframe[1].value
    assert shown["x"].iloc[0] == first
    assert test.number_input(key="tables_page.box").value == (first + 49) // 50


def test_an_older_version_than_the_list_holds_is_trained_on(opened: Opened, sample_stores: Stores) -> None:
    add_commits(Path(sample_stores.catalog.resolve(IRIS).uri) / "_delta_log", 3, 215)
    test = opened("training", "scientist", training_recipe=MODEL, training_version="1")
    assert not test.warning
    next(button for button in test.button if button.label == "Train").click().run()
    (job,) = sample_stores.jobs.list()
    assert job.arguments["version"] == 1
    test = opened("training", "scientist", training_recipe=MODEL)
    test.number_input(key="training_version.older").set_value(2).run()
    assert test.selectbox(key="training_version.box").value == "2"
    assert test.query_params["training_version"] == "2"


def add_commits(log: Path, first: int, last: int) -> None:
    """Commits that change nothing, written as the Delta protocol says."""
    for version in range(first, last + 1):
        told = {"commitInfo": {"timestamp": 1_790_000_000_000 + version, "operation": "OPTIMIZE"}}
        (log / f"{version:020d}.json").write_text(json.dumps(told))
