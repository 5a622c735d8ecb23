"""The page Predictions: scoring what is pinned, jobs that are found again, rows by the page, drift between batches."""

from __future__ import annotations

import pandas as pd
from streamlit.testing.v1 import AppTest

from core.entities import Actor, JobStatus
from core.features.stores import Stores
from tests.pages.conftest import BATCHES, IRIS, MODEL, Opened, links, said


def frame(test: AppTest, *columns: str) -> pd.DataFrame:
    """The shown table that has these columns."""
    return next(one.value for one in test.dataframe if set(columns) <= set(one.value.columns))


def test_what_is_scored_is_pinned_and_its_job_is_in_the_address(opened: Opened, used: Stores) -> None:
    test = opened("predictions", "scientist", predictions_table=IRIS, predictions_version="1")
    next(button for button in test.button if button.label == "Score").click().run()
    assert not test.exception
    (job,) = used.jobs.list(kind="score")
    assert (job.status, job.actor) == (JobStatus.SCHEDULED, "scientist")
    pinned = {"model": MODEL, "model_version": 1, "table": IRIS, "version": 1, "into": f"{MODEL}_predictions"}
    assert pinned.items() <= job.arguments.items()
    assert test.query_params["predictions_job"] == job.id
    assert job.id in said(test)


def test_a_scoring_that_failed_is_found_again_by_anybody(opened: Opened, used: Stores, scientist: Actor) -> None:
    failed = used.jobs.submit("score", {"model": MODEL, "model_version": 1, "table": IRIS, "version": 0}, scientist)
    used.jobs.claim("worker")
    used.jobs.fail(failed.id, 1, "the columns differ")
    address = links(opened("overview", "auditor"))[f"Show job {failed.id} (Scoring)"]
    assert address == f"/predictions?predictions_job={failed.id}"
    for number in range(60):
        used.jobs.submit("score", {"model": f"m{number}"}, scientist, job_id=f"later{number}")
        used.jobs.request_cancel(f"later{number}", "scientist")
    test = opened("predictions", "auditor", predictions_job=failed.id)
    assert not test.warning
    assert "the columns differ" in said(test)
    fresh = opened("predictions", "auditor")
    listed = frame(fresh, "Job", "Status")
    assert len(listed) == 50
    assert set(listed["Status"]) == {"▲ killed"}
    fresh.number_input(key="predictions_jobs_page.box").set_value(2).run()
    ended = frame(fresh, "Job", "Status").set_index("Job")
    assert ended.loc[failed.id, ["Status", "Result"]].tolist() == ["✕ failed", "the columns differ"]


def test_the_rows_of_a_batch_are_turned_over_page_by_page(opened: Opened, used: Stores) -> None:
    test = opened("predictions", "auditor", predictions_batch=BATCHES[2], predictions_page="2")
    assert "50 of 150 rows" in said(test)
    shown = frame(test, "prediction", "petal_width_cm")
    assert len(shown) == 50
    assert set(shown["batch_id"]) == {BATCHES[2]}
    past_the_end = opened("predictions", predictions_batch=BATCHES[2], predictions_page="99")
    assert past_the_end.query_params["predictions_page"] == "2"


def test_drift_between_two_batches_is_told_column_by_column(opened: Opened, used: Stores) -> None:
    test = opened("predictions", predictions_batch=BATCHES[2], predictions_reference=BATCHES[0])
    assert not test.exception
    drift = frame(test, "Column", "PSI", "Verdict").set_index("Column")
    assert {"prediction", "petal_width_cm", "species"} <= set(drift.index)
    assert (drift["PSI"] >= 0).all()
    # The shuffled fifty are a third of the same flowers.
    assert set(drift["Verdict"]) <= {"stable", "shifted"}
    assert list(drift["Verdict"] == "stable") == list(drift["PSI"] < 0.1)


def test_a_batch_leads_back_to_its_model_and_its_data(opened: Opened, used: Stores) -> None:
    found = links(opened("predictions", predictions_batch=BATCHES[0]))
    assert found[f"{MODEL}/1"] == f"/models?models_model={MODEL}&models_version=1"
    assert found[f"{IRIS}@0"] == f"/tables?tables_table={IRIS}&tables_version=0"
    assert found["Lineage"] == f"/lineage?lineage_from=Prediction+batch&lineage_batch={BATCHES[0]}"
