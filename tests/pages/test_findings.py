"""Findings on the pages: found by the button in the real MLflow store, assigned, closed, reviewed, and told wherever
somebody looks at what they are about.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pandas as pd
import pytest
from mlflow import MlflowClient
from streamlit.testing.v1 import AppTest

from core.bootstrap import open_stores
from core.entities import Actor, Finding, Outcome, PromotionRequest, RequestStatus, Severity, Stage
from core.features.monitoring.baseline import INSPECTOR
from core.features.monitoring.findings import (
    BY_HAND,
    SEVERITIES,
    close_finding,
    inspect_registry,
    open_finding,
    show_finding,
)
from core.features.promotion.decide import approve
from core.features.promotion.request_promotion import request_promotion
from core.features.promotion.review import EMERGENCY_ROLLBACK
from core.features.promotion.roll_back import roll_back
from core.features.stores import Stores
from pages._audit.finding_views import TITLES
from tests.pages.conftest import Opened, said

MODEL = "iris_classifier"
TAB = "Findings"
ROLES = ["auditor", "scientist", "manager", "admin"]


@pytest.fixture
def client(sample_stores: Stores) -> MlflowClient:
    """Somebody who goes to MLflow directly."""
    return MlflowClient(f"sqlite:///{sample_stores.settings.home / 'mlflow.db'}")


@pytest.fixture
def moved(sample_stores: Stores, client: MlflowClient) -> Finding:
    """The finding of a version that was moved to Staging past ModelLedger."""
    stage(client, 2, "Staging")
    return next(one for one in inspect_registry(sample_stores, INSPECTOR) if one.kind == "stage differs")


@pytest.fixture
def two_needed(sample_stores: Stores, monkeypatch: pytest.MonkeyPatch) -> Stores:
    """The sample, where two people must approve iris_classifier for Production; versions 1 and 3 were."""
    monkeypatch.setenv("MODELLEDGER_APPROVALS", json.dumps({MODEL: 2}))
    stores = open_stores(sample_stores.settings.model_copy(update={"approvals": {MODEL: 2}}))
    return stores


def stage(client: MlflowClient, version: int, to: str) -> None:
    with pytest.warns(FutureWarning, match="deprecated"):
        client.transition_model_version_stage(MODEL, str(version), to)


def plain(test: AppTest) -> str:
    """What the page tells, without the escapes that keep names inert."""
    return said(test).replace("\\", "")


def table(test: AppTest, *columns: str) -> pd.DataFrame:
    """The shown table that has these columns."""
    for one in test.dataframe:
        if set(columns) <= set(one.value.columns):
            return one.value
    raise AssertionError(f"no table with {columns} is shown")


def badges(test: AppTest) -> str:
    """Badges are Markdown of their own kind."""
    return "\n".join(one.value for one in test.markdown if "-badge[" in one.value)


def leads_to(test: AppTest, finding: Finding) -> bool:
    """Whether the page tells the finding in words and has a link to it."""
    told = f"{TITLES[finding.kind]}: {finding.subject}"
    urls = [one.proto.url for one in test.get("link_button")]
    return told in plain(test) and f"/audit?audit_tab={TAB}&finding={finding.id}" in urls


def links(test: AppTest) -> dict[str, str]:
    """Where each link of the page leads, by its words."""
    return {one.proto.label.replace("\\", ""): one.proto.url for one in test.get("link_button")}


def labels(test: AppTest) -> set[str]:
    return {button.label for button in test.button}


def press(test: AppTest, label: str, **filled: str) -> AppTest:
    """Fills in what is named by its label, with _ for a space, and presses the button."""
    for name, value in filled.items():
        fields = [*test.text_input, *test.text_area]
        next(field for field in fields if field.label == name.replace("_", " ")).set_value(value)
    next(button for button in test.button if button.label == label).click()
    return test.run()


def serve(stores: Stores, scientist: Actor, version: int, *managers: Actor) -> PromotionRequest:
    asked = request_promotion(stores, scientist, model=MODEL, version=version, to=Stage.PRODUCTION, reason="ready")
    for one in managers:
        asked = approve(stores, one, asked.id, reason="yes")
    assert asked.status is RequestStatus.APPROVED
    return asked


def test_every_kind_of_finding_has_words_for_people() -> None:
    assert set(TITLES) == {*SEVERITIES, EMERGENCY_ROLLBACK, BY_HAND}


@pytest.mark.parametrize("identity", ROLES)
def test_with_nothing_open_the_tab_says_what_a_finding_is(opened: Opened, stores: Stores, identity: str) -> None:
    test = opened("audit", identity, audit_tab=TAB)
    assert not test.exception
    assert not test.error
    assert "No open findings" in said(test)
    assert "Not compared yet" in said(test)
    assert "no open finding" in badges(test)


def test_look_now_finds_a_stage_that_was_moved_in_mlflow_and_then_nothing_new(
    opened: Opened, sample_stores: Stores, client: MlflowClient
) -> None:
    inspect_registry(sample_stores, INSPECTOR)
    stage(client, 2, "Production")
    test = press(opened("audit", "auditor", audit_tab=TAB), "Compare now")
    assert not test.error
    assert f"New findings: Stage changed outside ModelLedger: {MODEL}/2" in plain(test)
    shown = table(test, "Severity", "Subject")
    row = shown[shown["Finding"] == "Stage changed outside ModelLedger"].iloc[0]
    assert (row["Severity"], row["Subject"], row["Expected"], row["Found"], row["Owner"], row["Due"]) == (
        "✕ high",
        f"{MODEL}/2",
        "None",
        "Production",
        "manager",
        "in 3 days",
    )
    assert "by auditor" in said(test)
    assert {v.version: v.stage.value for v in sample_stores.models.versions(MODEL)}[2] == "Production", "not repaired"
    assert "No new findings" in said(press(test, "Compare now"))


def test_a_finding_opens_by_its_address_with_all_of_it(opened: Opened, sample_stores: Stores, moved: Finding) -> None:
    test = opened("audit", "scientist", finding=moved.id)
    assert not test.exception
    assert f"Stage changed outside ModelLedger: {MODEL}/2" in plain(test)
    assert [one.value for one in test.code] == ["None", "Staging"]
    assert "No decision was ever made" in said(test)
    assert "Opened by ModelLedger" in plain(test)
    assert "last seen" in said(test)
    (event,) = show_finding(sample_stores, INSPECTOR, moved.id).events
    assert list(table(test, "No.", "Action")["No."]) == [event.sequence]
    run_id = str(sample_stores.models.versions(MODEL)[1].run_id)
    assert links(test) == {
        "Show model version": f"/models?models_model={MODEL}&models_version=2",
        "Show decisions": f"/promotions?promotions_model={MODEL}",
        "Show run": f"/runs?runs={run_id}",
    }


def test_an_address_of_no_finding_is_told(opened: Opened, moved: Finding) -> None:
    test = opened("audit", "auditor", audit_tab=TAB, finding="nothing")
    assert "Finding “nothing” in the address does not exist" in plain(test)
    assert not test.exception


def test_what_is_picked_stays_picked_while_the_picker_is_out_of_sight() -> None:
    test = AppTest.from_string(
        """
        import streamlit as st
        from pages._ui import pickers

        if not st.toggle("Another tab", key="away"):
            pickers.choose("Finding", ["a", "b"], "pick", labels={"a": "one", "b": "two"}, index=None)
        """
    )
    test.query_params["pick"] = "b"
    assert test.run().selectbox[0].value == "b"
    assert not test.toggle[0].set_value(True).run().selectbox
    assert test.toggle[0].set_value(False).run().selectbox[0].value == "b"


def test_due_dates_that_have_passed_are_said_in_words(opened: Opened, sample_stores: Stores, moved: Finding) -> None:
    late = datetime.now(UTC) - timedelta(days=2, hours=1)
    sample_stores.findings.assign(moved.id, owner="ana", due=late)
    test = opened("audit", "auditor", audit_tab=TAB)
    assert table(test, "Due", "Owner")[["Due", "Owner"]].to_numpy().tolist()[0] == ["overdue by 2 days", "ana"]
    assert "1 overdue" in badges(test)


@pytest.mark.parametrize("identity", ROLES)
def test_who_may_do_what_with_a_finding(opened: Opened, moved: Finding, identity: str) -> None:
    test = opened("audit", identity, audit_tab=TAB, finding=moved.id)
    offered = labels(test) & {"Open finding", "Change owner or due date", "Close finding", "Compare now"}
    may = {"auditor": {"Open finding", "Change owner or due date"}, "manager": {"Close finding"}}
    assert offered == {"Compare now"} | may.get(identity, set())
    assert ("Only managers can close a finding" in said(test)) == (identity != "manager")
    assert ("Only auditors can open a finding by hand" in said(test)) == (identity != "auditor")
    assert ("Only auditors can change the owner" in said(test)) == (identity != "auditor")


def test_auditor_gives_it_to_another_owner_with_a_reason(opened: Opened, sample_stores: Stores, moved: Finding) -> None:
    test = opened("audit", "auditor", audit_tab=TAB, finding=moved.id)
    refused = press(test, "Change owner or due date")
    assert "reason is required" in refused.error[0].value
    over = (datetime.now(UTC) - timedelta(days=3)).date()
    next(one for one in refused.date_input if one.label.startswith("Due")).set_value(over)
    refused = press(refused, "Change owner or due date", Reason="late")
    assert f"{over} is in the past" in plain(refused)
    assert sample_stores.findings.get(moved.id).due == moved.due
    next(one for one in refused.text_input if one.label == "Owner" and one.form_id.endswith(moved.id)).set_value("ana")
    day = (datetime.now(UTC) + timedelta(days=30)).date()
    next(one for one in refused.date_input if one.label.startswith("Due")).set_value(day)
    test = press(refused, "Change owner or due date", Reason="she runs the pipeline")
    assert not test.error
    after = sample_stores.findings.get(moved.id)
    assert (after.owner, after.due.date()) == ("ana", day)
    (event,) = sample_stores.audit.search(action="finding.open", actor="auditor", outcome="success")
    assert (event.reason, event.before["owner"], event.after["owner"]) == ("she runs the pipeline", "manager", "ana")
    assert "Owner: ana" in plain(test)


def test_auditor_opens_one_by_hand(opened: Opened, sample_stores: Stores) -> None:
    test = opened("audit", "auditor", audit_tab=TAB)
    refused = press(test, "Open finding", What_must_be_looked_into="who labelled these rows?")
    assert "Name the subject of the finding" in refused.error[0].value
    test = press(refused, "Open finding", Subject="iris_training_data@1")
    assert not test.error
    (kept,) = sample_stores.findings.list()
    assert (kept.subject, kept.detail, kept.opened_by, kept.severity) == (
        "iris_training_data@1",
        "who labelled these rows?",
        "auditor",
        Severity.HIGH,
    )
    shown = opened("audit", "auditor", audit_tab=TAB, finding=kept.id)
    assert links(shown) == {"Show data version": "/tables?tables_table=iris_training_data&tables_version=1"}


def test_manager_closes_it_with_what_was_found_out_and_it_is_kept(
    opened: Opened, sample_stores: Stores, moved: Finding
) -> None:
    test = opened("audit", "manager", audit_tab=TAB, finding=moved.id)
    refused = press(test, "Close finding")
    assert "reason is required" in refused.error[0].value
    assert sample_stores.findings.get(moved.id).is_open
    test = press(refused, "Close finding", Result_of_the_investigation="a test by hand; put back")
    assert not test.error
    closed = sample_stores.findings.get(moved.id)
    assert (closed.closed_by, closed.reason) == ("manager", "a test by hand; put back")
    assert "Finding closed" in said(test)
    assert "a test by hand; put back" in [one.value for one in test.text], "it stays in view"
    assert "Close finding" not in labels(test)
    rest = opened("audit", "auditor", audit_tab=TAB)
    assert moved.id not in [i for one in rest.dataframe for i in one.value.get("Id", [])]
    everything = opened("audit", "auditor", audit_tab=TAB, audit_closed="true")
    shown = table(everything, "Closed by", "Id").set_index("Id")
    assert list(shown.loc[moved.id, ["Closed by", "Due"]]) == ["manager", "closed"]


def test_two_managers_at_once_and_the_second_is_told_who_was_first(
    opened: Opened, sample_stores: Stores, moved: Finding, manager2: Actor
) -> None:
    test = opened("audit", "manager", audit_tab=TAB, finding=moved.id)
    close_finding(sample_stores, manager2, moved.id, reason="I was faster")
    test = press(test, "Close finding", Result_of_the_investigation="me too")
    assert sample_stores.findings.get(moved.id).closed_by == "manager2"
    assert "closed by manager2" in plain(test).replace("Closed", "closed")


def test_mlflow_that_is_down_is_told_and_what_is_recorded_is_shown(
    opened: Opened, moved: Finding, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    monkeypatch.setenv("MODELLEDGER_MLFLOW_TIMEOUT_S", "1")
    test = press(opened("audit", "auditor", audit_tab=TAB), "Compare now")
    assert not test.exception
    assert test.warning, "the page says that MLflow does not answer"
    assert f"{MODEL}/2" in list(table(test, "Severity", "Subject")["Subject"])
    assert "by the worker" in said(test), "the last whole pass is still the worker's"


def test_names_in_findings_are_inert(opened: Opened, sample_stores: Stores, auditor: Actor) -> None:
    text = "<img src=x> [link](https://evil.example) **bold**"
    made = open_finding(sample_stores, auditor, subject=f"=1+1 {text}", detail=text, severity=Severity.HIGH)
    test = opened("audit", "auditor", audit_tab=TAB, finding=made.id)
    assert not test.exception
    assert text in [one.value for one in test.text]
    assert not any("](https://evil" in one.value for one in (*test.markdown, *test.caption, *test.subheader))
    assert table(test, "Subject")["Subject"].iloc[0].startswith("'=1+1")


def test_overview_and_models_tell_it_and_lead_to_it(opened: Opened, sample_stores: Stores, moved: Finding) -> None:
    for test in (
        opened("overview", "manager"),
        opened("models", "scientist", models_model=MODEL, models_version="2"),
        opened("lineage", "auditor", lineage_model=MODEL, lineage_version="2"),
    ):
        assert not test.exception
        assert leads_to(test, moved)
    other = opened("models", "scientist", models_model=MODEL, models_version="1")
    assert not leads_to(other, moved)
    findings = table(other, "Version", "Findings").set_index("Version")["Findings"]
    assert findings.dropna().to_dict() == {2: "✕ high, 1 open"}


def test_overview_without_findings_says_so(opened: Opened, sample_stores: Stores) -> None:
    assert "No open findings" in said(opened("overview", "manager"))


def test_lineage_marks_the_node_that_has_one(opened: Opened, moved: Finding) -> None:
    test = opened("lineage", "auditor", lineage_model=MODEL, lineage_version="2")
    rows = table(test, "Kind", "Problem").set_index("Name")
    assert rows.loc[f"{MODEL}/2", "Problem"] == f"finding: Stage changed outside ModelLedger: {MODEL}/2"
    assert "an open finding, marked with !: 1 of" in said(test)
    clean = opened("lineage", "auditor", lineage_model=MODEL, lineage_version="1")
    assert set(table(clean, "Kind", "Problem")["Problem"]) == {""}


def test_who_decides_is_told_of_high_findings_on_the_model(
    opened: Opened, sample_stores: Stores, moved: Finding, scientist: Actor, auditor: Actor, manager: Actor
) -> None:
    asked = request_promotion(sample_stores, scientist, model=MODEL, version=3, to=Stage.PRODUCTION, reason="ready")
    test = opened("promotions", "manager", promotions_request=asked.id)
    assert f"Findings of high severity are open on {MODEL}" in plain(test)
    assert leads_to(test, moved)
    close_finding(sample_stores, manager, moved.id, reason="known")
    open_finding(sample_stores, auditor, subject=MODEL, detail="a typo", severity=Severity.LOW)
    assert "Findings of high severity" not in plain(opened("promotions", "manager", promotions_request=asked.id))


def test_findings_about_the_data_and_the_rival_are_on_the_page_of_the_decision(
    opened: Opened, sample_stores: Stores, scientist: Actor, auditor: Actor, manager: Actor
) -> None:
    first = request_promotion(sample_stores, scientist, model=MODEL, version=2, to=Stage.PRODUCTION, reason="first")
    approve(sample_stores, manager, first.id, reason="fine")
    asked = request_promotion(sample_stores, scientist, model=MODEL, version=3, to=Stage.PRODUCTION, reason="ready")
    subjects = {"iris_training_data@2": "wrong labels", f"{MODEL}/2": "a leak", f"{MODEL}/1": "old news"}
    for subject, detail in subjects.items():
        open_finding(sample_stores, auditor, subject=subject, detail=detail, severity=Severity.MEDIUM)
    test = opened("promotions", "manager", promotions_request=asked.id)
    assert "about its data" in plain(test)
    assert "wrong labels" in plain(test)
    assert "about the version compared with" in plain(test)
    assert "a leak" in plain(test)
    assert "old news" not in plain(test)


def test_rollback_by_one_person_is_announced_marked_and_reviewed_by_another(
    opened: Opened, two_needed: Stores, scientist: Actor, manager: Actor, manager2: Actor
) -> None:
    for version in (1, 3):
        serve(two_needed, scientist, version, manager, manager2)
    test = opened("promotions", "manager", promotions_tab="Roll back", promotions_back=MODEL)
    assert "Another manager must review the rollback, because a promotion to Production needs 2 approvals" in said(test)
    test = press(test, "Roll back", Reason="it is down")
    assert not test.error
    assert "another manager must review the rollback" in said(test)
    (finding,) = two_needed.findings.list()

    mine = opened("promotions", "manager", promotions_request=finding.id)
    assert "by one person, review pending" in badges(mine)
    assert table(mine, "Review", "Id").set_index("Id").loc[finding.id, "Review"] == ("▲ by one person, review pending")
    assert "You rolled back without a second approval; another manager must review it" in said(mine)
    assert "Mark as reviewed" not in labels(mine)
    assert "review pending" in badges(opened("overview", "auditor"))
    on_models = opened("models", "auditor", models_model=MODEL, models_version="1")
    assert leads_to(on_models, finding)
    assert "A manager other than the one who rolled back" in said(
        opened("promotions", "auditor", promotions_request=finding.id)
    )

    theirs = opened("promotions", "manager2", promotions_request=finding.id)
    theirs = press(theirs, "Mark as reviewed", Result_of_the_investigation="it was right to")
    assert not theirs.error
    assert "Finding reviewed" in said(theirs)
    assert "reviewed by manager2" in badges(theirs)
    assert "it was right to" in [one.value for one in theirs.text]
    assert two_needed.findings.get(finding.id).closed_by == "manager2"
    assert "review pending" not in badges(opened("overview", "auditor"))
    history = table(opened("promotions", "auditor"), "Review", "Id").set_index("Id")
    assert history.loc[finding.id, "Review"] == "● reviewed by manager2"


def test_who_rolled_back_alone_is_refused_on_the_audit_page_too(
    opened: Opened, two_needed: Stores, scientist: Actor, manager: Actor, manager2: Actor
) -> None:
    for version in (1, 3):
        serve(two_needed, scientist, version, manager, manager2)
    done = roll_back(two_needed, manager, MODEL, reason="it is down")
    test = opened("audit", "manager", audit_tab=TAB, finding=done.id)
    assert "another manager must review it" in said(test)
    assert not {"Close finding", "Mark as reviewed"} & labels(test)
    assert links(test)["Show rollback"] == f"/promotions?promotions_request={done.id}"
    events = table(test, "No.", "Action")
    assert set(events["Action"]) == {"promotion.rollback"}
    assert list(events["Outcome"]) == ["○ intent", "● success"]


def test_where_one_is_enough_a_rollback_is_no_emergency(
    opened: Opened, sample_stores: Stores, scientist: Actor, manager: Actor, manager2: Actor
) -> None:
    for version in (1, 3):
        serve(sample_stores, scientist, version, manager2)
    test = opened("promotions", "manager", promotions_tab="Roll back", promotions_back=MODEL)
    assert "emergency" not in said(test)
    assert "alone" not in said(press(test, "Roll back", Reason="complaints"))
    assert sample_stores.findings.list() == ()


def test_what_was_begun_and_not_ended_is_shown_while_mlflow_is_down(
    opened: Opened, sample_stores: Stores, scientist: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    sample_stores.audit.append(scientist, "data.ingest", "sales", Outcome.INTENT)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    monkeypatch.setenv("MODELLEDGER_MLFLOW_TIMEOUT_S", "1")
    test = opened("promotions", "manager", promotions_tab="Differences")
    assert test.warning
    assert list(table(test, "Kind", "Subject")["Subject"]) == ["sales"]
    test = press(test, "Close action", Reason="power cut")
    assert sample_stores.audit.unfinished() == ()
    reader = opened("promotions", "auditor", promotions_tab="Differences")
    assert "Close action" not in labels(reader)
