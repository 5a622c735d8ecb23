"""A registry as found, on the pages: not taken over, then accepted by a job; many models; findings closed at once."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from core.access.identity import demo_actor
from core.bootstrap import open_stores
from core.entities import Role, Severity
from core.features.jobs.run_job import run_service
from core.features.monitoring.findings import open_finding
from core.features.stores import Stores
from core.jobs.progress import Silent
from core.settings import load_settings
from tests.pages.conftest import Opened, links, said
from tests.plain_registry import PlainRegistry

NAMES = ("ada", "ben", "cy", "dot", "eve")


@pytest.fixture
def theirs(home: Path, tmp_path: Path) -> PlainRegistry:
    """Five models of theirs; ada and eve have a version in Production, ben has one in Staging."""
    registry = PlainRegistry(f"sqlite:///{home / 'mlflow.db'}", tmp_path / "artifacts")
    for name, stage in zip(NAMES, ("Production", "Staging", "None", "None", "Production"), strict=True):
        registry.version(name, metrics={"f1": 0.7})
        registry.version(name, metrics={"f1": 0.8}, stage=stage)
    return registry


@pytest.fixture
def stores(home: Path, theirs: PlainRegistry) -> Stores:
    return open_stores(load_settings(home=home))


def models(test: AppTest) -> list[str]:
    frame = next(one.value for one in test.dataframe if "Main KPI" in one.value.columns)
    return list(frame["Model"])


def labels(test: AppTest) -> set[str]:
    return {button.label for button in test.button}


def press(test: AppTest, label: str, reason: str) -> AppTest:
    fields = [field for field in (*test.text_area, *test.text_input) if "reason" in field.label.lower()]
    fields += [field for field in test.text_area if field.label == "Result of the investigation"]
    fields[0].set_value(reason)
    next(button for button in test.button if button.label == label).click()
    return test.run()


def test_the_overview_says_that_models_are_not_taken_over_and_leads_to_the_form(opened: Opened, stores: Stores) -> None:
    test = opened("overview")
    assert not test.exception
    assert "This registry has **5 models with 10 versions** that ModelLedger has not taken over yet." in said(test)
    assert links(test)["Take over"] == "/promotions?promotions_tab=Differences"
    assert "No open findings" in said(test)
    assert "Risks" not in said(test)


@pytest.mark.parametrize("identity", [role.value for role in Role])
def test_managers_and_admins_accept_and_the_others_read(opened: Opened, stores: Stores, identity: str) -> None:
    test = opened("promotions", identity, promotions_tab="Differences")
    assert not test.exception
    assert "Not taken over yet" in said(test)
    assert ("Accept the state as found" in labels(test)) is (identity in ("manager", "admin"))


def test_the_form_submits_a_job_and_the_accepted_registry_is_quiet(opened: Opened, stores: Stores) -> None:
    test = opened("promotions", "manager", promotions_tab="Differences")
    test = press(test, "Accept the state as found", "")
    assert "A reason is required" in said(test)
    test = press(test, "Accept the state as found", "reviewed with the team")
    assert not test.exception
    (job,) = stores.jobs.list(kind="accept")
    assert (job.actor, job.arguments["reason"]) == ("manager", "reviewed with the team")
    run_service(stores, demo_actor("manager", channel="test"), job.kind, job.arguments, Silent(), job=job)
    after = opened("promotions", "manager", promotions_tab="Differences")
    assert "Registry and decisions agree" in said(after)
    overview = opened("overview", overview_model="ada")
    assert "has not taken over yet" not in said(overview)
    assert "accepted as found by manager" in said(overview)
    assert "Risks" not in said(overview), "that its data is unknown was accepted"
    today = opened("overview", as_of=f"{datetime.now(UTC):%Y-%m-%d}")
    assert not today.exception
    frame = next(one.value for one in today.dataframe if "Decision" in one.value.columns)
    assert [tuple(row) for row in frame[["Model", "In Production", "Decision", "Decided by"]].values[:2]] == [
        ("ada", "version 2", "accepted as found", "manager"),
        ("eve", "version 2", "accepted as found", "manager"),
    ]


def test_many_models_are_one_table_that_the_address_filters_and_orders(opened: Opened, stores: Stores) -> None:
    auditor = demo_actor("auditor", channel="test")
    open_finding(stores, auditor, subject="dot/1", detail="labels?", severity=Severity.HIGH)
    assert models(opened("overview")) == ["dot", "ada", "eve", "ben", "cy"]
    assert models(opened("overview", overview_order="production")) == ["ada", "eve", "dot", "ben", "cy"]
    assert models(opened("overview", overview_order="name")) == list(NAMES)
    assert models(opened("overview", overview_stage="staging")) == ["ben"]
    assert models(opened("overview", overview_data="unknown")) == ["ada", "eve"]
    assert models(opened("overview", overview_attention="true")) == ["dot"]
    assert models(opened("overview", overview_text="VE")) == ["eve"]
    nobody = opened("overview", overview_text="nobody")
    assert not nobody.exception
    assert "No model matches" in said(nobody)
    card = opened("overview", overview_model="ada")
    assert "version 2 of 2" in said(card)
    assert "not taken over yet" in said(card)


def test_a_manager_closes_all_findings_that_a_filter_leaves(opened: Opened, stores: Stores) -> None:
    auditor = demo_actor("auditor", channel="test")
    for number in (1, 2):
        for name in NAMES:
            open_finding(stores, auditor, subject=f"{name}/{number}", detail="look", severity=Severity.LOW)
    assert not any("findings" in label for label in labels(opened("audit", "auditor", audit_tab="Findings")))
    test = opened("audit", "manager", audit_tab="Findings", findings_subject="/2")
    test = press(test, "Close 5 findings", "looked into together")
    assert not test.exception
    closed = [finding for finding in stores.findings.list(include_closed=True) if not finding.is_open]
    assert {finding.subject for finding in closed} == {f"{name}/2" for name in NAMES}
    assert {(finding.closed_by, finding.reason) for finding in closed} == {("manager", "looked into together")}
    assert "No finding matches" in said(test)
