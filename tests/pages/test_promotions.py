"""The page Promotions: asking, deciding with four eyes, rolling back, resolving, each as its role and nobody else's."""

from __future__ import annotations

from dataclasses import replace

import pandas as pd
import pytest
from streamlit.testing.v1 import AppTest

from core.entities import Actor, Outcome, PromotionRequest, RequestStatus, Role, Stage
from core.features.promotion.decide import approve
from core.features.promotion.request_promotion import request_promotion
from core.features.promotion.roll_back import roll_back
from core.features.stores import Stores
from tests.pages.conftest import Opened, links, said

MODEL = "iris_classifier"
ASK, BACK, DIFFER = "Request promotion", "Roll back", "Differences"


def ask(stores: Stores, who: Actor, version: int, reason: str = "please") -> PromotionRequest:
    return request_promotion(stores, who, model=MODEL, version=version, to=Stage.PRODUCTION, reason=reason)


def press(test: AppTest, label: str, reason: str | None = None) -> AppTest:
    """Fills the reason in, where there is one, and presses the button of that name."""
    if reason is not None:
        test.text_area[0].set_value(reason)
    next(button for button in test.button if button.label == label).click()
    return test.run()


def labels(test: AppTest) -> set[str]:
    return {button.label for button in test.button}


def frame(test: AppTest, *columns: str) -> pd.DataFrame:
    """The shown table that has these columns."""
    for one in test.dataframe:
        if set(columns) <= set(one.value.columns):
            return one.value
    raise AssertionError(f"no table with {columns} is shown")


def stages(stores: Stores) -> dict[int, str]:
    return {v.version: v.stage.value for v in stores.models.versions(MODEL)}


@pytest.mark.parametrize("tab", ["Requests", ASK, BACK, DIFFER])
@pytest.mark.parametrize("identity", ["auditor", "scientist", "manager", "admin"])
def test_every_tab_opens_empty_and_with_the_sample(
    opened: Opened, sample_stores: Stores, identity: str, tab: str
) -> None:
    test = opened("promotions", identity, promotions_tab=tab)
    assert not test.exception
    assert not test.error


def test_without_a_request_the_page_says_who_asks(opened: Opened) -> None:
    assert "A data scientist makes one" in said(opened("promotions", "manager"))


def test_scientist_asks_with_the_gates_in_view(opened: Opened, sample_stores: Stores) -> None:
    test = opened("promotions", "scientist", promotions_tab=ASK, promotions_ask=MODEL, promotions_version="3")
    gates = frame(test, "Gate", "Compared").set_index("Gate")
    assert "Trained on iris_training_data@2." in gates.loc["data version recorded", "Compared"]
    test = press(test, "Request promotion", "all rows")
    assert not test.error
    (asked,) = sample_stores.decisions.list()
    assert (asked.key.version, asked.requested_by, asked.request_reason) == (3, "scientist", "all rows")
    assert asked.id in said(test)


def test_asking_without_a_reason_is_told_and_nothing_is_asked(opened: Opened, sample_stores: Stores) -> None:
    test = press(opened("promotions", "scientist", promotions_tab=ASK), "Request promotion")
    assert "reason is required" in test.error[0].value
    assert sample_stores.decisions.list() == ()


@pytest.mark.parametrize("identity", ["auditor", "manager", "admin"])
def test_who_may_not_ask_sees_no_form(opened: Opened, sample_stores: Stores, identity: str) -> None:
    test = opened("promotions", identity, promotions_tab=ASK)
    assert not {label for label in labels(test) if label.startswith("Request")}
    assert "Only data scientists can request" in said(test)


def test_manager_approves_with_gates_numbers_and_evidence_in_view(
    opened: Opened, sample_stores: Stores, scientist: Actor, manager2: Actor
) -> None:
    approve(sample_stores, manager2, ask(sample_stores, scientist, 1).id, reason="first")
    asked = ask(sample_stores, scientist, 3)
    test = opened("promotions", "manager", promotions_request=asked.id)
    kpis = frame(test, "KPI", f"{MODEL}/3", f"{MODEL}/1").set_index("KPI")
    runs = {v.version: sample_stores.runs.get(str(v.run_id)) for v in sample_stores.models.versions(MODEL)}
    for name in ("precision", "log_loss"):
        value, difference, *word = kpis.loc[name, f"{MODEL}/3"].split()
        assert float(value) == pytest.approx(runs[3].metrics[name], abs=1e-3)
        assert float(difference) == pytest.approx(runs[3].metrics[name] - runs[1].metrics[name], rel=0.01)
        assert word == ["▲", "better"]  # 0.98 against 0.88 of precision, 0.17 against 0.33 of log loss
        assert float(kpis.loc[name, f"{MODEL}/1"]) == pytest.approx(runs[1].metrics[name], abs=1e-3)
    gates = frame(test, "Gate", "Compared")
    assert list(gates["Gate"]) == [gate.name for gate in asked.gates]
    test = press(test, "Approve", "the numbers hold")
    assert not test.error
    assert stages(sample_stores) == {1: "Archived", 2: "None", 3: "Production"}
    done = sample_stores.decisions.get(asked.id)
    assert (done.decided_by, done.reason) == ("manager", "the numbers hold")
    assert "Request approved" in said(test)


def test_manager_rejects_and_no_stage_changes(opened: Opened, sample_stores: Stores, scientist: Actor) -> None:
    asked = ask(sample_stores, scientist, 1)
    test = press(opened("promotions", "manager", promotions_request=asked.id), "Reject", "not yet")
    assert sample_stores.decisions.get(asked.id).status is RequestStatus.REJECTED
    assert set(stages(sample_stores).values()) == {"None"}
    assert not {"Approve", "Reject"} & labels(test)
    assert "not yet" in said(test)


def test_decision_without_a_reason_is_told_and_the_request_stays_open(
    opened: Opened, sample_stores: Stores, scientist: Actor
) -> None:
    asked = ask(sample_stores, scientist, 1)
    test = press(opened("promotions", "manager", promotions_request=asked.id), "Approve")
    assert "reason is required" in test.error[0].value
    assert sample_stores.decisions.get(asked.id).status is RequestStatus.OPEN


@pytest.mark.parametrize("identity", ["auditor", "scientist", "admin"])
def test_who_may_not_decide_sees_the_request_and_no_button(
    opened: Opened, sample_stores: Stores, scientist: Actor, identity: str
) -> None:
    asked = ask(sample_stores, scientist, 1)
    test = opened("promotions", identity, promotions_request=asked.id)
    assert f"{MODEL}/1".replace("_", "\\_") in test.subheader[0].value
    assert not {"Approve", "Reject"} & labels(test)


def test_own_request_cannot_be_decided_here(opened: Opened, sample_stores: Stores) -> None:
    both = Actor(name="manager", roles=frozenset({Role.SCIENTIST, Role.MANAGER}), channel="test")
    asked = ask(sample_stores, both, 1)
    test = opened("promotions", "manager", promotions_request=asked.id)
    assert "another manager must decide" in said(test)
    assert not {"Approve", "Reject"} & labels(test)


def test_who_may_be_who_asked_has_no_button(opened: Opened, sample_stores: Stores, scientist: Actor) -> None:
    asked = ask(sample_stores, replace(scientist, name="Manager"), 1)
    test = opened("promotions", "manager", promotions_request=asked.id)
    told = said(test).replace("\u2060", "")
    assert "Manager, who may be the same person as you, made this request; another manager must decide." in told
    assert not {"Approve", "Reject"} & labels(test)


def test_second_of_two_managers_is_told_who_was_first(
    opened: Opened, sample_stores: Stores, scientist: Actor, manager2: Actor
) -> None:
    asked = ask(sample_stores, scientist, 1)
    test = opened("promotions", "manager", promotions_request=asked.id)
    approve(sample_stores, manager2, asked.id, reason="I was faster")
    test = press(test, "Approve", "me too")
    assert "manager2" in said(test)
    assert sample_stores.decisions.get(asked.id).decided_by == "manager2"


def test_who_approves_on_a_page_that_shows_what_served_before_is_told_and_looks_again(
    opened: Opened, sample_stores: Stores, scientist: Actor, manager2: Actor
) -> None:
    asked, other = ask(sample_stores, scientist, 3), ask(sample_stores, scientist, 1)
    test = opened("promotions", "manager", promotions_request=asked.id)
    approve(sample_stores, manager2, other.id, reason="I was faster")
    test = press(test, "Approve", "it is the first one")
    assert f"manager2 moved {MODEL}/1 to Production meanwhile".replace("_", "\\_") in said(test)
    assert stages(sample_stores) == {1: "Production", 2: "None", 3: "None"}
    test = press(test, "Approve", "better than that one, too")
    assert not test.error
    assert stages(sample_stores) == {1: "Archived", 2: "None", 3: "Production"}


def test_who_rolls_back_after_somebody_else_did_is_told(
    opened: Opened, sample_stores: Stores, scientist: Actor, manager2: Actor
) -> None:
    for version in (1, 3):
        approve(sample_stores, manager2, ask(sample_stores, scientist, version).id, reason="fine")
    test = opened("promotions", "manager", promotions_tab=BACK, promotions_back=MODEL)
    roll_back(sample_stores, manager2, MODEL, reason="complaints")
    test = press(test, "Roll back", "complaints")
    assert "meanwhile" in said(test)
    assert stages(sample_stores) == {1: "Production", 2: "None", 3: "Archived"}


def test_reason_with_markup_is_shown_as_written(opened: Opened, sample_stores: Stores, scientist: Actor) -> None:
    text = '<img src=x onerror=alert(1)> [link](https://evil.example) **"bold"** 🚀'
    asked = ask(sample_stores, scientist, 1, text)
    test = opened("promotions", "manager", promotions_request=asked.id)
    assert text in [one.value for one in test.text]
    assert not any("evil.example" in one.value for one in (*test.markdown, *test.caption))


def test_no_cell_of_the_table_is_a_formula(opened: Opened, sample_stores: Stores, scientist: Actor) -> None:
    ask(sample_stores, scientist, 1, "=HYPERLINK(1)")
    assert list(frame(opened("promotions", "manager"), "Reason")["Reason"]) == ["'=HYPERLINK(1)"]


def test_filters_are_in_the_address(opened: Opened, sample_stores: Stores, scientist: Actor, manager: Actor) -> None:
    approve(sample_stores, manager, ask(sample_stores, scientist, 1).id, reason="fine")
    ask(sample_stores, scientist, 2)
    shown = lambda **address: list(frame(opened("promotions", **address), "Status")["Status"])  # noqa: E731
    assert len(shown()) == 2
    assert shown(promotions_status="waiting") == ["◐ open"]
    assert shown(promotions_status="decided") == ["● approved"]


def test_manager_rolls_back_after_the_check(
    opened: Opened, sample_stores: Stores, scientist: Actor, manager2: Actor
) -> None:
    for version in (1, 3):
        approve(sample_stores, manager2, ask(sample_stores, scientist, version).id, reason="fine")
    test = opened("promotions", "manager", promotions_tab=BACK, promotions_back=MODEL)
    test = press(test, "Roll back", "complaints")
    assert not test.error
    assert stages(sample_stores) == {1: "Production", 2: "None", 3: "Archived"}
    assert "in Production again" in said(test)


@pytest.mark.parametrize("identity", ["auditor", "scientist", "admin"])
def test_who_may_not_roll_back_sees_the_stages_and_no_button(
    opened: Opened, sample_stores: Stores, identity: str
) -> None:
    test = opened("promotions", identity, promotions_tab=BACK, promotions_back=MODEL)
    assert len(frame(test, "Version", "Stage")) == 3
    assert "Roll back" not in labels(test)


def test_stage_changed_outside_is_shown(opened: Opened, sample_stores: Stores) -> None:
    assert "agree" in said(opened("promotions", promotions_tab=DIFFER))
    sample_stores.models.set_stages(MODEL, {2: Stage.PRODUCTION})
    shown = frame(opened("promotions", promotions_tab=DIFFER), "Kind", "Subject", "Found")
    assert list(shown["Subject"]) == [f"{MODEL}/2"]


def test_unfinished_decision_is_shown_and_resolved_by_a_manager(
    opened: Opened, sample_stores: Stores, scientist: Actor
) -> None:
    asked = ask(sample_stores, scientist, 1)
    sample_stores.decisions.change_status(
        asked.id, RequestStatus.OPEN, RequestStatus.UNFINISHED, decided_by="manager2", intended={"1": "Production"}
    )
    looked = opened("promotions", "auditor", promotions_request=asked.id)
    assert "the decision is unfinished" in said(looked)
    assert "Resolve" not in labels(looked)
    test = press(opened("promotions", "manager", promotions_request=asked.id), "Resolve", "restart")
    assert not test.error
    assert sample_stores.decisions.get(asked.id).status is RequestStatus.OPEN
    assert "Request open" in said(test)


def test_action_that_died_is_closed_by_a_manager(opened: Opened, sample_stores: Stores, scientist: Actor) -> None:
    sample_stores.audit.append(scientist, "data.ingest", "sales", Outcome.INTENT)
    test = opened("promotions", "manager", promotions_tab=DIFFER)
    assert list(frame(test, "Kind", "Subject")["Subject"]) == ["sales"]
    test = press(test, "Close action", "power cut")
    assert not test.error
    assert sample_stores.audit.unfinished() == ()
    assert "is failed" in said(test)


def test_registry_that_is_down_leaves_the_requests_readable(
    opened: Opened, sample_stores: Stores, scientist: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = ask(sample_stores, scientist, 1)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    monkeypatch.setenv("MODELLEDGER_MLFLOW_TIMEOUT_S", "1")
    test = opened("promotions", "manager", promotions_request=asked.id)
    assert not test.exception
    assert test.subheader
    test = press(test, "Approve", "now")
    assert test.warning, "the page says that MLflow does not answer"
    assert sample_stores.decisions.get(asked.id).status is RequestStatus.OPEN


def test_the_verdict_names_the_gates_that_fail_before_the_form(
    opened: Opened, sample_stores: Stores, scientist: Actor, manager2: Actor
) -> None:
    approve(sample_stores, manager2, ask(sample_stores, scientist, 3).id, reason="first")
    asked = ask(sample_stores, scientist, 2)
    test = opened("promotions", "manager", promotions_request=asked.id)
    # iris_classifier/2 has 0.970 of precision and 0.967 of f1, /3 has 0.979 and 0.978.
    failing = ["precision not worse than Production", "f1 not worse than Production"]
    lines = ["**2 of 7 gates fail**", *(f"- **{name}**" for name in failing)]
    assert test.error[0].value == "\n".join(lines)
    (bars,) = [chart.proto.alt for chart in test.get("plotly_chart")]
    assert bars.startswith(f"KPIs of {MODEL}/2 / {MODEL}/3: precision 0.9697 / 0.9792 gate: ≥ 0.9792;")
    assert "f1 0.9666 / 0.9778 gate: ≥ 0.9778" in bars


def test_a_version_offers_its_promotion_where_it_is_shown(
    opened: Opened, sample_stores: Stores, scientist: Actor, manager: Actor
) -> None:
    run_id = str(sample_stores.models.versions(MODEL)[0].run_id)
    (version,) = [v.version for v in sample_stores.models.versions(MODEL) if v.run_id == run_id]
    places = (
        ("models", {"models_model": MODEL, "models_version": str(version)}),
        ("runs", {"runs": run_id, "runs_view": "One run", "runs_detail": run_id}),
    )
    tab = f"/promotions?promotions_tab=Request+promotion&promotions_ask={MODEL}&promotions_version={version}"
    for page, address in places:
        assert links(opened(page, "scientist", **address))[ASK] == tab
        assert ASK not in links(opened(page, "manager", **address))
    asked = ask(sample_stores, scientist, version)
    for page, address in places:
        shown = links(opened(page, "manager", **address))
        assert shown["Show request"] == f"/promotions?promotions_request={asked.id}"
        assert ASK not in shown
    form = opened("promotions", "scientist", promotions_tab=ASK, promotions_ask=MODEL, promotions_version=str(version))
    assert "scientist already made this request; it is open." in said(form)
    assert ASK not in labels(form)
    approve(sample_stores, manager, asked.id, reason="good")
    assert not {ASK, "Show request"} & set(links(opened("models", "scientist", **places[0][1])))
