"""Models: two versions compared, and description and tags edited, also by two people at once."""

from __future__ import annotations

import json

from mlflow import MlflowClient
from streamlit.testing.v1 import AppTest

from core.entities import Actor, ModelVersionKey, Stage
from core.features.runs.edit_model import describe, set_tag
from core.features.stores import Stores
from tests.pages.conftest import Opened, links, said

KEY = ModelVersionKey(model="iris_classifier", version=3)
COMPARED = {"models_model": "iris_classifier", "models_version": "3", "models_tab": "Compare versions"}
EDITED = {"models_model": "iris_classifier", "models_version": "3", "models_tab": "Description and tags"}


def words(test: AppTest) -> str:
    return said(test).replace("\\", "").replace("\u2060", "")


def press(test: AppTest, label: str) -> AppTest:
    return next(button for button in test.button if button.label == label).click().run()


def test_a_version_is_compared_with_production_and_any_other(opened: Opened, sample_stores: Stores) -> None:
    before = opened("models", **COMPARED)
    assert "iris_classifier/3 compared with iris_classifier/2" in words(before), "none is in Production"
    sample_stores.models.set_stages("iris_classifier", {1: Stage.PRODUCTION})
    test = opened("models", **COMPARED)
    assert not test.exception
    assert "iris_classifier/3 compared with iris_classifier/1" in words(test)
    assert "Compatible signature" in words(test)
    assert "their KPIs do not compare" in words(test)
    frames = [frame.value for frame in test.dataframe]
    kpis = next(frame for frame in frames if "Verdict" in frame).set_index("KPI")
    runs = [sample_stores.runs.get(str(sample_stores.models.version(KEY).run_id))]
    assert kpis.loc["precision", "iris_classifier/3"] == f"{runs[0].metrics['precision']:.4g}"
    assert kpis.loc["precision", "Verdict"] == "▲ better"
    assert kpis.loc["log_loss (lower is better)", "Difference"] < 0
    params = next(frame for frame in frames if "DataV" in set(frame.get("Field", ())) and "Part" not in frame)
    assert list(params["Field"]) == ["DataV", "ModelV"], "equal params are folded away"
    drawn = [json.loads(chart.proto.spec)["data"] for chart in test.get("plotly_chart")]
    ends = [trace for traces in drawn for trace in traces if trace.get("name") == "iris_classifier/3"]
    assert {trace["y"][0] for trace in ends} >= {"precision", "log_loss"}
    (url,) = [url for label, url in links(test).items() if label.startswith("Compare the rows of")]
    assert url == ("/tables?tables_table=iris_training_data&tables_tab=Compare+versions&tables_before=0&tables_after=2")
    other = opened("models", models_other_model="diabetes_progression", **COMPARED)
    assert "compared with diabetes_progression/2" in words(other)
    assert "Incompatible signature" in words(other)
    assert "The output species is new" not in words(other)


def test_the_description_is_saved_with_its_reason(opened: Opened, sample_stores: Stores) -> None:
    test = opened("models", "scientist", **EDITED)
    test.text_area[0].set_value("Three classes")
    test.text_input[0].set_value("for the review")
    test = press(test, "Save description")
    assert "The description of iris_classifier/3 is saved" in words(test)
    assert sample_stores.models.version(KEY).description == "Three classes"
    (event,) = sample_stores.audit.search(action="model.edit", outcome="success")
    assert (event.actor, event.reason, event.channel) == ("scientist", "for the review", "page")
    assert test.text_area[0].value == "Three classes"
    assert test.text_input[0].value == "", "the next edit needs a reason of its own"


def test_who_typed_while_another_saved_keeps_the_draft_and_is_told(
    opened: Opened, sample_stores: Stores, manager: Actor
) -> None:
    test = opened("models", "scientist", **EDITED)
    describe(sample_stores, manager, KEY.model, version=3, description="the manager's", reason="r")
    test.text_area[0].set_value("mine")
    test.text_input[0].set_value("r")
    test = press(test, "Save description")
    assert "was changed after you saw it. It is now: the manager's" in words(test)
    assert sample_stores.models.version(KEY).description == "the manager's"
    assert test.text_area[0].value == "mine"
    test = press(test, "Save description")
    assert "is saved" in words(test), "now the present text was shown"
    assert sample_stores.models.version(KEY).description == "mine"


def test_tags_are_set_and_removed_on_what_was_seen(opened: Opened, sample_stores: Stores, manager: Actor) -> None:
    test = opened("models", "manager", **EDITED)
    for field, value in (("name", "owner"), ("value", "ana")):
        next(box for box in test.text_input if str(box.key).endswith(f".{field}")).set_value(value)
    test.text_input[-1].set_value("r")
    test = press(test, "Set tag")
    assert sample_stores.models.version(KEY).tags["owner"] == "ana"
    assert "owner" in list(test.dataframe[-1].value["Tag"])
    set_tag(sample_stores, manager, KEY.model, "owner", "bo", version=3, reason="r")
    next(box for box in test.text_input if str(box.key).endswith(".name")).set_value("owner")
    test.text_input[-1].set_value("r")
    test = press(test, "Remove tag")
    assert "It is now: bo" in words(test)
    assert sample_stores.models.version(KEY).tags["owner"] == "bo"
    next(box for box in test.text_input if str(box.key).endswith(".name")).set_value("delta.table")
    test = press(test, "Remove tag")
    assert "belongs to MLflow or ModelLedger" in words(test)


def test_an_auditor_reads_the_texts_of_version_and_model(opened: Opened, sample_stores: Stores, manager: Actor) -> None:
    describe(sample_stores, manager, KEY.model, description="of the model", reason="r")
    test = opened("models", "auditor", models_texts_of="The model", **EDITED)
    assert "of the model" in words(test)
    assert "Only these roles can edit descriptions and tags: scientist, manager" in words(test)
    assert not [button for button in test.button if button.label in ("Save description", "Set tag")]


def test_texts_of_strangers_are_shown_as_written(opened: Opened, sample_stores: Stores) -> None:
    evil = "<b>x ![p](evil.png) [l](javascript:x) $y$ :red[z]"
    client = MlflowClient(sample_stores.settings.tracking_uri)
    client.update_model_version("iris_classifier", "3", evil)
    client.update_registered_model("iris_classifier", evil)
    for tag in ("team", "mlflow.loggedModels"):
        client.set_model_version_tag("iris_classifier", "3", tag, evil)
    for role, address in (
        ("auditor", COMPARED),
        ("auditor", {**EDITED, "models_texts_of": "The model"}),
        ("scientist", EDITED),
    ):
        test = opened("models", role, **address)
        assert not test.exception
        markdown = [*test.markdown, *test.caption, *test.warning, *test.error, *test.info, *test.success]
        assert not [one.value for one in markdown if "![p]" in one.value or "<b>" in one.value]
