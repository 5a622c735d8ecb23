"""The page Models: versions with their stages, the evidence of one, and evidence that was lost."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from core.entities import Actor, ModelVersionKey, Stage
from core.features.jobs.run_job import run_service
from core.features.promotion.decide import approve
from core.features.promotion.request_promotion import request_promotion
from core.features.runs.models import list_models
from core.features.stores import Stores
from core.jobs.progress import Silent
from pages._models import version_tables
from tests.pages.conftest import Opened, links, said

KEY = ModelVersionKey(model="iris_classifier", version=1)


def test_versions_are_listed_with_stage_data_and_run(opened: Opened, sample_stores: Stores) -> None:
    sample_stores.models.set_stages("iris_classifier", {2: Stage.PRODUCTION, 1: Stage.ARCHIVED})
    test = opened("models", models_model="iris_classifier")
    models, versions = test.dataframe[0].value, test.dataframe[1].value
    assert list(models["Model"]) == ["iris_classifier", "diabetes_progression"]
    assert list(models["In Production"]) == ["version 2", "none"]
    assert list(versions["Version"]) == [3, 2, 1]
    assert [text.split()[-1] for text in versions["Stage"]] == ["None", "Production", "Archived"]
    assert list(versions["Data version"]) == [f"iris_training_data@{number}" for number in (2, 1, 0)]
    assert test.subheader[0].value == "iris\\_classifier/2"


def test_the_address_names_the_version(opened: Opened, sample_stores: Stores) -> None:
    test = opened("models", models_model="iris_classifier", models_version="1")
    assert test.subheader[0].value == "iris\\_classifier/1"
    assert "trained on iris\\_training\\_data@0" in said(test).replace("\u2060", "")


def test_many_versions_are_listed_page_by_page(
    opened: Opened, sample_stores: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(version_tables, "PAGE_VERSIONS", 2)
    first = opened("models", models_model="iris_classifier", models_version="1")
    assert list(first.dataframe[1].value["Version"]) == [3, 2]
    first.number_input(key="models_page.box").set_value(2).run()
    assert list(first.dataframe[1].value["Version"]) == [1]
    assert first.query_params["models_page"] == "2"
    assert first.subheader[0].value == "iris\\_classifier/1"
    beyond = opened("models", models_model="iris_classifier", models_page="99")
    assert list(beyond.dataframe[1].value["Version"]) == [1]


def test_the_stages_of_versions_over_time_and_a_kpi_are_drawn(
    opened: Opened, sample_stores: Stores, scientist: Actor, manager: Actor
) -> None:
    """1 was in Production until 2 was; 3 never had a stage. 1 and 3 were tested on other rows than 2."""
    requests = []
    for version in (1, 2):
        request = request_promotion(
            sample_stores, scientist, model="iris_classifier", version=version, to=Stage.PRODUCTION, reason="r"
        )
        requests.append(approve(sample_stores, manager, request.id, reason=f"<b>{version}</b> is good"))
    test = opened("models", models_model="iris_classifier", models_kpi="precision")
    assert not test.exception
    stages, kpis = (json.loads(chart.proto.spec) for chart in test.get("plotly_chart")[:2])
    bars = {trace["name"]: trace for trace in stages["data"]}
    assert stages["layout"]["yaxis"]["ticktext"] == ["2", "1"]
    assert {name: trace["y"] for name, trace in bars.items()} == {"None": [0, 1], "Archived": [1], "Production": [0, 1]}
    (first, second) = bars["Production"]["hovertext"]
    assert first.startswith("iris_classifier/2 · Production<br>")
    assert "and still<br>approved by manager<br>requested by scientist<br>“&lt;b&gt;2&lt;/b&gt; is good”" in first
    assert "“&lt;b&gt;1&lt;/b&gt; is good”" in second
    assert bars["Production"]["customdata"] == [["promotions_request", request.id] for request in requests[::-1]]
    test.session_state["models_timeline_chart.picked"] = bars["Production"]["customdata"][1]  # as a click does
    assert links(test.run())["Show the decision"] == f"/promotions?promotions_request={requests[0].id}"
    assert "1 version that never had a stage is left out." in said(test)
    points = {trace["name"]: trace["x"] for trace in kpis["data"]}
    assert (points["was in Production"], points["in Production now"]) == ([1], [2])
    assert (points["Production's test rows"], points["other test rows"]) == ([2], [1, 3])
    versions = next(frame.value for frame in test.dataframe if "Tested on" in frame.value).set_index("Version")
    metrics = {v.version: v.metrics["precision"] for v in list_models(sample_stores, scientist)[1].versions}
    assert versions["precision against Production"].to_dict() == {
        3: f"Δ {metrics[3] - metrics[2]:+.3g} ▲ better",
        2: None,
        1: f"Δ {metrics[1] - metrics[2]:+.3g} ▼ worse",
    }
    assert versions["Tested on"].to_dict() == {3: "▲ other rows", 2: None, 1: "▲ other rows"}


def test_signature_and_requirements_are_read_without_loading(opened: Opened, sample_stores: Stores) -> None:
    test = opened("models", models_model="iris_classifier", models_tab="Signature and requirements")
    signature = test.dataframe[2].value
    assert list(signature[signature["Role"] == "output"]["Column"]) == ["species"]
    assert len(signature[signature["Role"] == "input"]) == 4
    assert "scikit-learn==" in test.code[0].value
    assert "Stored as skops" in said(test)


def test_files_are_listed_shown_and_downloaded(opened: Opened, sample_stores: Stores) -> None:
    test = opened("models", models_model="iris_classifier", models_tab="Files")
    names = list(test.dataframe[2].value["File"])
    assert {"MLmodel", "model.skops", "requirements.txt"} <= set(names)
    test.selectbox(key="models_file.box").set_value("requirements.txt").run()
    assert "skops==" in test.code[0].value
    test.selectbox(key="models_file.box").set_value("model.skops").run()
    assert not test.code
    assert not test.exception


def test_a_version_without_a_run_and_with_hostile_names_is_told(opened: Opened, sample_stores: Stores) -> None:
    evil = "<b>x ![p](evil.png) 'q' 🌸"
    sample_stores.models.register(evil, source="s3://nowhere/m", run_id="f" * 32, tags={"delta.table": evil})
    test = opened("models", models_model=evil)
    assert not test.exception
    assert "erased, or it never existed" in said(test).replace("\\", "")
    assert evil not in said(test)
    assert "![p]" not in said(test)


def test_a_lost_artifact_is_told_and_the_rest_still_shown(opened: Opened, sample_stores: Stores) -> None:
    source = str(sample_stores.models.version(KEY).source)
    shutil.rmtree(Path(unquote(urlsplit(source).path)))
    test = opened("models", models_model="iris_classifier", models_version="1")
    assert not test.exception
    assert "deleted or moved" in said(test)
    assert "precision" in list(test.dataframe[2].value["KPI"])


def test_a_deleted_run_and_a_changed_metric_are_told(opened: Opened, sample_stores: Stores) -> None:
    from mlflow import MlflowClient

    run_id = str(sample_stores.models.version(KEY).run_id)
    client = MlflowClient(sample_stores.settings.tracking_uri)
    client.log_metric(run_id, "f1", 1.0)
    client.delete_run(run_id)
    told = said(opened("models", models_model="iris_classifier", models_version="1")).replace("\\", "")
    assert "was deleted in MLflow" in told
    assert "The metric f1 was changed at" in told


def test_lost_data_is_told(opened: Opened, sample_stores: Stores) -> None:
    shutil.rmtree(Path(sample_stores.catalog.resolve("iris_training_data").uri))
    test = opened("models", models_model="iris_classifier", models_version="1")
    assert not test.exception
    assert "iris_training_data is not registered here" in said(test).replace("\\", "")


def test_a_version_that_does_not_exist_is_told(opened: Opened, sample_stores: Stores) -> None:
    test = opened("models", models_model="iris_classifier", models_version="99")
    assert "in the address does not exist" in said(test).replace("\\", "")
    assert test.subheader[0].value == "iris\\_classifier/3"


def test_a_version_is_made_again_and_its_verdict_stays(opened: Opened, sample_stores: Stores, auditor: Actor) -> None:
    address = {"models_model": "iris_classifier", "models_version": "1", "models_tab": "Reproduce"}
    test = opened("models", "auditor", **address)
    assert "Not reproduced yet" in said(test)
    test.button(key="models_make_again").click().run()
    (job,) = sample_stores.jobs.list(kind="reproduce")
    assert (job.arguments["model"], job.arguments["model_version"], job.actor) == ("iris_classifier", 1, "auditor")
    assert job.id in said(test)
    sample_stores.runs.log(str(sample_stores.models.version(KEY).run_id), metrics={"f1": 0.5})
    run_service(sample_stores, auditor, job.kind, job.arguments, Silent())
    test = opened("models", "manager", **address)
    assert "f1 (0.5 then, " in said(test)
    numbers = test.dataframe[2].value.set_index("Metric")
    assert (numbers.loc["f1", "Logged"], numbers.loc["f1", "Comparison"]) == ("0.5", "different")
    assert (numbers.loc["TestRows", "Reproduced"], numbers.loc["TestRows", "Comparison"]) == ("15", "same")


def test_an_admin_is_told_who_makes_models_again(opened: Opened, sample_stores: Stores) -> None:
    test = opened("models", "admin", models_model="iris_classifier", models_tab="Reproduce")
    assert "Only these roles can reproduce a model version: auditor, scientist, manager" in said(test)
    assert not test.main.button


def test_two_versions_are_compared_on_the_same_rows(opened: Opened, sample_stores: Stores, auditor: Actor) -> None:
    address = {"models_model": "iris_classifier", "models_version": "3", "models_tab": "Head to head"}
    test = opened("models", "auditor", **address)
    assert "Not compared yet" in said(test)
    next(button for button in test.button if button.label == "Compare versions").click().run()
    (job,) = sample_stores.jobs.list(kind="head-to-head")
    assert (job.arguments["against_version"], job.arguments["model_version"]) == (2, 3)
    assert (job.arguments["table"], job.arguments["version"]) == ("iris_training_data", 2)
    result = run_service(sample_stores, auditor, job.kind, job.arguments, Silent())
    test = opened("models", "manager", **address)
    words = said(test).replace("\\", "")
    assert "iris_classifier/3 against iris_classifier/2 on iris_training_data@2" in words
    assert f"{result['rows']} rows compared" in words
    kpis = next(frame.value for frame in test.dataframe if "Verdict" in frame.value).set_index("KPI")
    assert kpis.loc["accuracy", "iris_classifier/3"] == f"{result['metrics']['accuracy']['second']:.4g}"
    assert kpis.loc["accuracy", "Verdict"] == result["metrics"]["accuracy"]["verdict"]


def test_pictures_are_drawn_on_a_chosen_table_version(opened: Opened, sample_stores: Stores, auditor: Actor) -> None:
    address = {"models_model": "iris_classifier", "models_version": "1", "models_tab": "Pictures"}
    test = opened("models", "auditor", **address)
    next(button for button in test.button if button.label == "Draw pictures").click().run()
    (job,) = sample_stores.jobs.list(kind="evaluate")
    result = run_service(sample_stores, auditor, job.kind, job.arguments, Silent())
    words = said(opened("models", "manager", **address)).replace("\\", "")
    assert f"iris_classifier/1: {result['rows']} test rows" in words
    assert f"**accuracy** {result['metrics']['accuracy']:.4g}" in words


def test_the_change_of_a_kpi_is_explained(opened: Opened, sample_stores: Stores, auditor: Actor) -> None:
    address = {"models_model": "iris_classifier", "models_version": "3", "models_tab": "Why did the KPI move?"}
    test = opened("models", "auditor", models_moved_from="1", **address)
    assert "No change of a KPI was explained yet" in said(test)
    differs = next(frame.value for frame in test.dataframe if "Differs" in frame.value)
    assert differs["iris_classifier/1"].tolist() == ["iris_training_data@0"]
    test.number_input[0].set_value(0)
    next(button for button in test.button if button.label == "Explain the change").click().run()
    (job,) = sample_stores.jobs.list(kind="why-moved")
    assert (job.arguments["against_version"], job.arguments["model_version"], job.arguments["repeats"]) == (1, 3, 0)
    result = run_service(sample_stores, auditor, job.kind, job.arguments, Silent())
    test = opened("models", "manager", models_moved_kpi="accuracy", **address)
    assert not test.exception
    values = result["metrics"]["accuracy"]
    assert f"Of {values['logged_difference']:+.3g} accuracy" in said(test).replace("\\", "")
    parts = next(frame.value for frame in test.dataframe if "Step" in frame.value).set_index("Step")["accuracy"]
    assert parts.iloc[0] + parts.iloc[1:-1].sum() == pytest.approx(parts.iloc[-1])
    chart = json.loads(test.get("plotly_chart")[-1].proto.spec)
    bars = [bar["x"] for bar in chart["data"] if bar["type"] == "bar"]
    assert bars == [[values["parts"][0]["difference"]], [0.0], [values["test_rows"]]]


def test_pictures_of_a_version_stand_beside_those_of_production(opened: Opened, sample_stores: Stores) -> None:
    sample_stores.models.set_stages("iris_classifier", {1: Stage.PRODUCTION})
    test = opened("models", models_model="iris_classifier", models_version="3", models_tab="Pictures")
    assert not test.exception
    words = said(test).replace("\\", "")
    assert "iris_classifier/3: 45 test rows · iris_classifier/1 in Production: 15 test rows" in words
    assert "tested on different rows" in words
    layouts = [json.loads(chart.proto.spec)["layout"] for chart in test.get("plotly_chart")]
    titles = [layout["title"]["text"] for layout in layouts if "title" in layout]
    # AppTest lists the left column before the right one.
    assert sorted(titles) == [
        "Calibration",
        "Confusion matrix of iris_classifier/1 in Production",
        "Confusion matrix of iris_classifier/3",
        "Permutation importance",
        "Precision and recall",
        "Probability of the answer, iris_classifier/1 in Production",
        "Probability of the answer, iris_classifier/3",
        "ROC curve",
    ]
