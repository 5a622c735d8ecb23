"""The page Training: starting a job, watching it end, recipes and schedules."""

from __future__ import annotations

import pytest

from core.entities import Actor, JobStatus
from core.features.stores import Stores
from tests.pages.conftest import Opened, said
from tests.recipes_document import write_examples


def press(test: object, label: str) -> object:
    return next(button for button in test.button if button.label == label).click().run()  # type: ignore[attr-defined]


def test_a_scientist_starts_a_training_on_a_pinned_version(opened: Opened, sample_stores: Stores) -> None:
    test = opened("training", "scientist", training_recipe="iris_classifier", training_version="0")
    test.number_input(key="training_iris_classifier_C").set_value(0.5)
    press(test, "Train")
    (job,) = sample_stores.jobs.list()
    assert (job.kind, job.status, job.actor) == ("train", JobStatus.SCHEDULED, "scientist")
    assert job.arguments["table"] == "iris_training_data"
    assert job.arguments["version"] == 0
    assert job.arguments["params"] == {"C": 0.5, "max_iter": 1000, "class_weight": "none"}
    assert test.query_params["training_job"] == job.id
    assert job.id in said(test)


def test_the_fields_have_the_type_and_range_of_the_parameter(opened: Opened, sample_stores: Stores) -> None:
    test = opened("training", "scientist", training_recipe="iris_classifier")
    field = test.number_input(key="training_iris_classifier_max_iter")
    assert (field.value, field.min, field.max) == (1000, 1, 100_000)
    assert test.selectbox(key="training_iris_classifier_class_weight").options == ["none", "balanced"]


def test_an_auditor_sees_recipes_and_no_form(opened: Opened, sample_stores: Stores) -> None:
    test = opened("training", "auditor")
    assert not test.main.button
    assert list(test.dataframe[0].value["Recipe"]) == ["diabetes_progression", "iris_classifier"]


def test_a_failed_job_shows_its_reason_and_its_log_inert(
    opened: Opened, sample_stores: Stores, scientist: Actor
) -> None:
    job = sample_stores.jobs.submit("train", {"recipe": "x"}, scientist)
    sample_stores.jobs.claim("worker")
    sample_stores.jobs.write_line(job.id, "<b>line</b>")
    sample_stores.jobs.fail(job.id, 1, "one class only <img src=x>")
    test = opened("training", "auditor", training_job=job.id)
    assert "one class only" in test.error[0].value
    assert "\\<img" in test.error[0].value
    assert "<b>line</b>" in test.code[0].value


def test_a_finished_job_leads_to_its_model_and_run(opened: Opened, sample_stores: Stores, scientist: Actor) -> None:
    job = sample_stores.jobs.submit("train", {"recipe": "iris_classifier"}, scientist)
    sample_stores.jobs.claim("worker")
    sample_stores.jobs.finish(job.id, 1, {"model": "iris_classifier", "version": 3, "run_id": "a" * 32})
    test = opened("training", "auditor", training_job=job.id)
    assert not test.exception
    assert "iris\\_classifier/3" in said(test)


def test_a_running_job_is_cancelled_by_those_who_may(opened: Opened, sample_stores: Stores, scientist: Actor) -> None:
    job = sample_stores.jobs.submit("train", {"recipe": "x"}, scientist)
    sample_stores.jobs.claim("worker")
    assert not opened("training", "auditor", training_job=job.id).main.button
    test = opened("training", "scientist", training_job=job.id)
    press(test, "Cancel")
    assert sample_stores.jobs.get(job.id).cancel_requested


def test_a_job_that_does_not_exist_is_told(opened: Opened, sample_stores: Stores) -> None:
    test = opened("training", "scientist", training_job="nothing")
    assert "There is no job" in said(test)
    assert not test.exception


def test_past_jobs_are_listed_with_how_they_ended(opened: Opened, sample_stores: Stores, scientist: Actor) -> None:
    job = sample_stores.jobs.submit("train", {"recipe": "x"}, scientist)
    sample_stores.jobs.claim("worker")
    sample_stores.jobs.fail(job.id, 1, "no rows")
    test = opened("training", "auditor", training_tab="Jobs")
    (row,) = test.dataframe[0].value.to_dict("records")
    assert row["Job"] == job.id
    assert row["Status"].endswith("failed")
    assert row["Result"] == "no rows"


def test_a_new_recipe_is_saved_from_the_tables_own_columns(opened: Opened, sample_stores: Stores) -> None:
    test = opened("training", "scientist", training_tab="New recipe")
    test.selectbox(key="training_new_table").set_value("iris_training_data").run()
    next(field for field in test.text_input if field.label == "Name").set_value("my_iris")
    target = next(box for box in test.selectbox if box.label == "Target")
    assert "species" in target.options
    target.set_value("species")
    press(test, "Save recipe")
    assert "The recipe my\\_iris was saved" in said(test)
    again = opened("training", "auditor")
    assert "my_iris" in list(again.dataframe[0].value["Recipe"])


def test_a_recipe_without_a_proper_name_is_refused_in_a_sentence(opened: Opened, sample_stores: Stores) -> None:
    test = opened("training", "scientist", training_tab="New recipe")
    next(field for field in test.text_input if field.label == "Name").set_value("../up")
    press(test, "Save recipe")
    assert "is not a valid name for a recipe" in said(test)
    assert not test.exception


def test_a_schedule_is_added_listed_and_deleted(opened: Opened, sample_stores: Stores) -> None:
    test = opened("training", "scientist", training_tab="Schedules")
    next(radio for radio in test.radio if radio.label == "When").set_value("cron")
    next(field for field in test.text_input if field.label == "Cron expression").set_value("30 2 * * 1")
    press(test, "Add schedule")
    (trigger,) = sample_stores.jobs.triggers.list()
    assert trigger.cron == "30 2 * * 1"
    assert test.dataframe[0].value.iloc[0]["When"] == "cron 30 2 * * 1 (UTC)"
    press(test, "Delete schedule")
    assert sample_stores.jobs.triggers.list() == ()


@pytest.mark.parametrize("line", ["", "every day", "99 * * * *"])
def test_a_cron_line_that_cannot_be_used_is_refused(line: str, opened: Opened, sample_stores: Stores) -> None:
    test = opened("training", "scientist", training_tab="Schedules")
    next(radio for radio in test.radio if radio.label == "When").set_value("cron")
    next(field for field in test.text_input if field.label == "Cron expression").set_value(line)
    press(test, "Add schedule")
    assert test.error
    assert not test.exception
    assert sample_stores.jobs.triggers.list() == ()


def test_a_recipe_file_that_cannot_be_used_is_named(opened: Opened, sample_stores: Stores) -> None:
    folder = sample_stores.settings.recipes_folder
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "broken.toml").write_text("task = ")
    test = opened("training", "scientist")
    assert "broken" in said(test)
    assert not test.exception


def test_a_project_is_in_the_picker_and_its_parameters_are_fields(opened: Opened, sample_stores: Stores) -> None:
    write_examples(sample_stores.settings.home)
    test = opened("training", "scientist", training_recipe="flowers", training_version="0")
    assert "flowers" in test.selectbox(key="training_recipe.box").options
    trees, leaf = test.number_input(key="training_flowers_trees"), test.number_input(key="training_flowers_leaf")
    assert (trees.value, leaf.value) == (40, 1)
    trees.set_value(25)
    press(test, "Train")
    (job,) = sample_stores.jobs.list()
    assert (job.arguments["recipe"], job.arguments["version"]) == ("flowers", 0)
    assert job.arguments["params"] == {"trees": 25, "leaf": 1}


def test_a_project_that_is_gone_is_told_and_other_recipes_go_on(opened: Opened, sample_stores: Stores) -> None:
    write_examples(sample_stores.settings.home)
    (sample_stores.settings.recipes_folder / "flowers" / "MLproject").unlink()
    test = opened("training", "scientist", training_recipe="flowers")
    assert not test.exception
    assert "its file MLproject cannot be read" in said(test).replace("\\", "")
    assert len(test.error) == 1
    test.selectbox(key="training_recipe.box").set_value("iris_classifier").run()
    assert not test.error
    assert [button.label for button in test.button if button.label == "Train"] == ["Train"]
