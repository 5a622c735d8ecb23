"""The ten steps of the product in a real browser: from a Delta version to a decision to a prediction, and the proof.

They are one walk: each step stands on what the one before left. Every step saves a screenshot.
"""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import Browser, BrowserContext, Error, Locator, Page, expect

from tests.browser.conftest import (
    Served,
    go,
    picture,
    press,
    serving,
    settled,
)

pytestmark = pytest.mark.browser

NEW_ROWS = (
    "sepal_length_cm,sepal_width_cm,petal_length_cm,petal_width_cm,species\n"
    "5.1,3.5,1.4,0.2,setosa\n6.2,3.4,5.4,2.3,virginica\n5.9,3.0,4.2,1.5,versicolor\n"
)


@pytest.fixture(scope="module")
def context(chromium: Browser) -> Iterator[BrowserContext]:
    context = chromium.new_context(
        viewport={"width": 1280, "height": 1000}, timezone_id="Europe/Berlin", accept_downloads=True
    )
    yield context
    context.close()


@pytest.fixture(scope="module")
def page(context: BrowserContext) -> Page:
    return context.new_page()


def told(served: Served, *arguments: str) -> Any:
    """What the command line answers on the same home."""
    done = served.command(*arguments, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def cell(page: Page, text: str) -> Locator:
    """A cell of a table, as it is told to a screen reader: the picture itself is a canvas."""
    return page.locator("[data-testid=stDataFrame] td").filter(has_text=re.compile(f"^{re.escape(text)}$")).first


def into_iris(page: Page) -> None:
    """Choose the table for a file: none is preset."""
    box, option = page.get_by_label("Into table"), page.get_by_role("option", name="iris_training_data")
    expect(box).to_be_visible()
    settled(page)
    for _ in range(5):
        # While the expander still opens, the list of options closes again: a person clicks once more.
        box.click()
        with suppress(Error):
            option.click(timeout=3_000)
            return
    option.click()


def train(page: Page, served: Served, **address: str) -> None:
    """Starts a training of iris_classifier on the table, and the version if one is named, of *address*."""
    go(page, served, "training", "scientist", training_recipe="iris_classifier", **address)
    press(page, "Train")


def iris_versions(served: Served) -> list[dict[str, Any]]:
    """What the command line tells of the versions of iris_classifier."""
    (iris,) = [one for one in told(served, "models") if one["name"] == "iris_classifier"]
    return list(iris["versions"])


def test_01_first_start_built_the_sample_and_serves_it(page: Page, served: Served) -> None:
    go(page, served, "")
    expect(page.get_by_role("heading", name="Overview")).to_be_visible()
    expect(page.get_by_text("iris_classifier").first).to_be_visible()
    for name in ("Tables", "Compare runs", "Promotions", "Audit log"):
        expect(page.get_by_role("link", name=name)).to_be_visible()
    picture(page, "01-overview-first-start")


def test_02_tables_travel_in_time_and_take_a_file_after_a_check(page: Page, served: Served, tmp_path: Path) -> None:
    go(page, served, "tables", "scientist", tables_table="iris_training_data", tables_version="0")
    expect(page.get_by_text("50 rows").first).to_be_visible()
    expect(page.locator(".stMarkdownBadge", has_text="readable").first).to_be_visible()
    picture(page, "02-tables-version-0")
    page.get_by_text("Schema", exact=True).click()
    for column in ("sepal_length_cm", "petal_width_cm", "species"):
        expect(cell(page, column)).to_be_attached()
    page.get_by_role("tab", name="History").click()
    settled(page)
    for model in ("iris_classifier/1", "iris_classifier/2", "iris_classifier/3"):
        expect(page.locator("[data-testid=stDataFrame] td").filter(has_text=model).first).to_be_attached()
    expect(cell(page, "50")).to_be_attached()
    picture(page, "02-tables-history")

    wrong = tmp_path / "wrong.csv"
    wrong.write_text("colour,species\nred,setosa\n")
    go(page, served, "tables", "scientist", tables_table="iris_training_data")
    page.get_by_text("Ingest a file").click()
    into_iris(page)
    page.locator("input[type=file]").first.set_input_files(wrong)
    expect(page.get_by_text("The file does not fit the table.")).to_be_visible()
    expect(page.get_by_role("button", name="Save as a new version")).to_be_disabled()
    picture(page, "02-tables-wrong-file")

    right = tmp_path / "more.csv"
    right.write_text(NEW_ROWS)
    page.locator("input[type=file]").first.set_input_files(right)
    expect(page.get_by_text(re.compile(r"3 rows would become version 3"))).to_be_visible()
    press(page, "Save as a new version")
    # The page puts an invisible character behind the @, so that the name does not become a link.
    expect(page.get_by_text(re.compile("3 rows were saved as iris_training_data@.?3"))).to_be_visible()
    settled(page)
    assert served.command("show", "iris_training_data", "--json").stdout.count('"version": 3') == 1
    picture(page, "02-tables-ingested")


def test_03_training_runs_in_a_worker_and_can_be_watched_from_another_tab(
    page: Page, served: Served, context: BrowserContext
) -> None:
    train(page, served, training_table="iris_training_data", training_version="3")
    expect(page.get_by_text(re.compile("Log \\(")).first).to_be_visible()
    page.wait_for_url(re.compile("training_job="))
    (job,) = parse_qs(urlsplit(page.url).query)["training_job"]
    other = context.new_page()
    go(other, served, "training", "auditor", training_job=job)
    for tab in (page, other):
        expect(tab.get_by_text("iris_classifier/4").first).to_be_visible(timeout=90_000)
    settled(page)
    picture(page, "03-training-finished")
    other.close()

    opened_again = context.new_page()
    go(opened_again, served, "training", "auditor", training_tab="Jobs")
    expect(cell(opened_again, job)).to_be_attached()
    picture(opened_again, "03-training-jobs")
    go(opened_again, served, "training", "auditor", training_job=job)
    expect(opened_again.get_by_text("iris_classifier/4").first).to_be_visible()
    opened_again.close()
    assert {one["version"]: one["data"] for one in iris_versions(served)}[4] == [
        {"table": "iris_training_data", "version": 3}
    ]


def test_03_a_training_is_cancelled_where_it_is_watched(page: Page, served: Served) -> None:
    train(page, served, training_table="iris_training_data")
    press(page, "Cancel")
    expect(page.get_by_role("alert").filter(has_text="cancelled")).to_be_visible(timeout=60_000)
    picture(page, "03-training-cancelled")
    assert max(one["version"] for one in iris_versions(served)) == 4


def test_03_a_training_that_fails_says_why(page: Page, served: Served) -> None:
    train(page, served, training_table="diabetes_training_data")
    why = page.get_by_role("alert").filter(has_text="diabetes_training_data has no column 'species'")
    expect(why).to_be_visible(timeout=90_000)
    picture(page, "03-training-failed")


@pytest.mark.parametrize("view", ["Bars", "Scatter", "Parallel coordinates", "Over data versions", "Differences"])
def test_04_runs_are_compared_in_every_picture(page: Page, served: Served, view: str) -> None:
    go(page, served, "runs", "scientist", runs_text="iris", runs_view=view)
    expect(page.get_by_role("heading", name="Compare runs")).to_be_visible()
    if view == "Differences":
        for name in ("Data version", "TrainRows", "f1"):
            expect(cell(page, name)).to_be_attached()
        expect(cell(page, "seed")).to_have_count(0)  # it is the same in all of them
    else:
        expect(page.locator(".js-plotly-plot").first).to_be_visible()
    picture(page, f"04-runs-{view.lower().replace(' ', '-')}")


def test_05_models_show_stage_kpis_data_version_and_artifacts(page: Page, served: Served) -> None:
    go(page, served, "models", "auditor", models_model="iris_classifier", models_version="4")
    expect(page.get_by_text("trained on iris_training_data@3")).to_be_visible()
    picture(page, "05-models")
    page.get_by_role("tab", name="Files").click()
    settled(page)
    picture(page, "05-models-files")


def test_06_requester_asks_another_approves_production_is_archived_and_rolled_back(page: Page, served: Served) -> None:
    ask(page, served, 1)
    approve(page, served, 1, "the first one")
    ask(page, served, 4)
    go(page, served, "promotions", "scientist")
    expect(page.get_by_role("button", name="Approve", exact=True)).to_have_count(0)
    approve(page, served, 4, "more data, better KPIs")
    stages = served.command("models", "--json").stdout
    assert stages.count('"stage": "Production"') == 1
    assert stages.count('"stage": "Archived"') == 1

    go(page, served, "promotions", "manager", promotions_tab="Roll back", promotions_back="iris_classifier")
    page.get_by_label(re.compile("^Reason")).first.fill("customers complained")
    picture(page, "06-promotions-rollback")
    press(page, "Roll back")
    expect(page.get_by_text("iris_classifier/1 is in Production again")).to_be_visible(timeout=60_000)
    picture(page, "06-promotions-rolled-back")
    last = told(served, "requests")[0]
    assert (last["kind"], last["version"], last["status"]) == ("rollback", 1, "approved")
    assert last["stages"] == {"1": "Production", "2": "None", "3": "None", "4": "Archived"}


def test_07_production_scores_a_chosen_version_and_the_batch_leads_back(page: Page, served: Served) -> None:
    go(
        page,
        served,
        "predictions",
        "scientist",
        predictions_model="iris_classifier",
        predictions_table="iris_training_data",
        predictions_version="2",
    )
    press(page, "Score")
    expect(page.get_by_role("heading", name="Batches")).to_be_visible(timeout=90_000)
    expect(page.locator(".js-plotly-plot").first).to_be_visible()
    settled(page)
    picture(page, "07-predictions")
    # Version 2 holds all 150 rows of the sample; version 1 of the model was trained on version 0.
    expect(page.get_by_text("100 of 150 rows of iris_classifier_predictions@0 are shown.")).to_be_visible()
    for text in ("iris_classifier/1", "iris_training_data@2", "150", "iris_classifier_predictions@0"):
        expect(cell(page, text)).to_be_attached()
    (batch,) = told(served, "lineage", "iris_classifier/1")["predictions"]
    batches = page.url
    for link, shown in (
        ("iris_classifier/1", "trained on iris_training_data@0"),
        ("iris_training_data@2", "50 of 150 rows are shown."),
        ("Lineage", "Lineage as a table"),
    ):
        page.get_by_test_id("stMain").get_by_role("link", name=link).click()
        expect(page.get_by_text(shown).first).to_be_visible()
        settled(page)
        page.goto(batches)
        settled(page)
    page.get_by_role("link", name="Query with SQL").click()
    # The link asks for the first 100 of them.
    expect(page.get_by_text("100 rows · read from iris_classifier_predictions@0")).to_be_visible()
    picture(page, "07-predictions-by-sql")
    found = told(served, "sql", "SELECT batch_id, count(*) FROM iris_classifier_predictions GROUP BY 1")
    assert [rows for _, rows in found["rows"]] == [150]
    assert found["rows"][0][0] in json.dumps(batch)


def test_08_lineage_goes_back_from_the_batch_and_forward_from_the_data(page: Page, served: Served) -> None:
    go(page, served, "lineage", "auditor", lineage_from="Prediction batch")
    expect(page.get_by_role("heading", name="Lineage as a table")).to_be_visible()
    expect(page.locator("svg text", has_text="iris_classifier/1").first).to_be_visible()
    picture(page, "08-lineage-of-a-batch")
    page.locator("svg text", has_text="iris_classifier/1").first.click()
    expect(page.get_by_role("link", name="Show model version")).to_be_visible()
    settled(page)
    picture(page, "08-lineage-clicked")
    page.get_by_role("link", name="Show model version").click()
    expect(page.get_by_role("heading", name="Models")).to_be_visible()
    go(
        page,
        served,
        "lineage",
        "auditor",
        lineage_from="Data version",
        lineage_table="iris_training_data",
        lineage_data="0",
    )
    picture(page, "08-lineage-of-a-data-version")


def test_09_audit_log_verifies_and_a_change_by_hand_is_found_at_its_place(page: Page, served: Served) -> None:
    go(page, served, "audit", "auditor")
    picture(page, "09-audit")
    go(page, served, "audit", "auditor", audit_tab="Verify")
    press(page, "Verify")
    expect(page.get_by_text("events are intact").first).to_be_visible()
    picture(page, "09-audit-verified")

    with sqlite3.connect(served.home / "modelledger.db") as database:
        for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            database.execute(f'DROP TRIGGER "{name}"')
        (before,) = database.execute("SELECT reason FROM events WHERE sequence = 3").fetchone()
        database.execute("UPDATE events SET reason = 'nothing to see here' WHERE sequence = 3")
    database.close()
    go(page, served, "audit", "auditor", audit_tab="Verify")
    press(page, "Verify")
    expect(page.get_by_text(re.compile(r"event 3\b|Event 3\b|number 3\b")).first).to_be_visible()
    picture(page, "09-audit-tampered")
    with sqlite3.connect(served.home / "modelledger.db") as database:
        database.execute("UPDATE events SET reason = ? WHERE sequence = 3", (before,))
    database.close()


def test_10_overview_says_what_serves_waits_and_changed(page: Page, served: Served) -> None:
    asking = ("--to", "Production", "--as", "scientist", "--reason", "the newest rows")
    asked = told(served, "request", "iris_classifier/3", *asking)
    go(page, served, "", "manager")
    expect(page.get_by_text("No pending requests.")).to_have_count(0)
    expect(page.get_by_test_id("stMain").get_by_text("iris_classifier/3").first).to_be_visible()
    expect(page.get_by_text("version 1 of 4")).to_be_visible()
    expect(page.get_by_text("trained on iris_training_data@0")).to_be_visible()
    expect(page.get_by_role("heading", name="Recent activity")).to_be_visible()
    picture(page, "10-overview")
    told(served, "reject", asked["id"], "--as", "manager", "--reason", "not yet")
    page.reload()
    settled(page)
    expect(page.get_by_text("No pending requests.")).to_be_visible()


def test_a_second_start_keeps_everything(page: Page, served: Served) -> None:
    """The last step: the first server is stopped, and another starts on what it left."""
    served.stop()
    kept = ("tables", "models", "requests", "findings")
    before = {name: told(served, name) for name in kept}
    events = told(served, "audit", "log")
    batches = "SELECT * FROM iris_classifier_predictions ORDER BY ALL"
    predicted = told(served, "sql", batches)
    assert (len(before["tables"]), len(predicted["rows"])) == (3, 150)
    with serving(served.home) as again:
        go(page, again, "")
        expect(page.get_by_text("version 1 of 4")).to_be_visible()
        go(page, again, "predictions")
        expect(page.get_by_text("100 of 150 rows of iris_classifier_predictions@0 are shown.")).to_be_visible()
        assert {name: told(again, name) for name in kept} == before
        assert told(again, "sql", batches) == predicted
        verdict = told(again, "audit", "verify")
        since = told(again, "audit", "log")
    # Its worker may have added what it does by itself; what stood there stands there, the head among it.
    assert since[: len(events)] == events
    assert {event["actor"] for event in since[len(events) :]} <= {"modelledger"}
    assert (verdict["ok"], verdict["events"] >= len(events)) == (True, True)


def ask(page: Page, served: Served, version: int) -> None:
    go(
        page,
        served,
        "promotions",
        "scientist",
        promotions_tab="Request promotion",
        promotions_ask="iris_classifier",
        promotions_version=str(version),
    )
    page.get_by_label("Reason for the request").fill(f"version {version} is ready")
    picture(page, f"06-promotions-ask-{version}")
    press(page, "Request promotion")
    expect(page.get_by_text(f"Request sent: iris_classifier/{version} for Production.")).to_be_visible()


def approve(page: Page, served: Served, version: int, reason: str) -> None:
    go(page, served, "promotions", "manager", promotions_status="waiting")
    picture(page, "06-promotions-decide")
    page.get_by_label(re.compile("^Reason")).first.fill(reason)
    press(page, "Approve")
    expect(page.get_by_text(f"Request approved: iris_classifier/{version} for Production.")).to_be_visible(
        timeout=60_000
    )
    picture(page, "06-promotions-decided")
