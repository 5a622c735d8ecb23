"""The page Overview: what serves, what waits for a decision, and where its links lead."""

from __future__ import annotations

import json
from dataclasses import replace

from core.access.permissions import Action
from core.entities import Actor, Outcome, RequestStatus
from core.features.stores import Stores
from pages._audit import event_views
from tests.pages.conftest import MODEL, Opened, links, said


def test_a_request_waits_on_a_card_that_leads_to_its_decision(opened: Opened, used: Stores) -> None:
    (asked,) = used.decisions.list(statuses=(RequestStatus.OPEN,))
    test = opened("overview", "manager")
    assert not test.exception
    told = said(test).replace("\\", "").replace("\u2060", "")
    assert f"**{MODEL}/3** →" in told
    assert "requested by scientist" in told
    assert "more rows" in told
    assert links(test)["Decide"] == f"/promotions?promotions_request={asked.id}"


def test_what_serves_is_shown_with_its_decision_and_data(opened: Opened, used: Stores) -> None:
    test = opened("overview")
    told = said(test).replace("\\", "").replace("\u2060", "")
    assert "version 1 of 3" in told
    assert "approved by manager" in told
    assert "trained on iris_training_data@0" in told
    assert links(test)["Show versions"].startswith("/models?models_model=")


def test_which_version_was_in_production_when_is_drawn(opened: Opened, used: Stores) -> None:
    test = opened("overview", "auditor")
    chart = json.loads(test.get("plotly_chart")[-1].proto.spec)
    assert chart["layout"]["yaxis"]["ticktext"] == ["iris_classifier"]
    (bars,) = chart["data"]
    assert (bars["name"], bars["text"]) == ("Production", ["1"])
    assert "1 model never had a version in Production" in said(test)


def test_what_changed_lately_is_told_in_words(opened: Opened, used: Stores) -> None:
    test = opened("overview", "manager")
    shown = next(one.value for one in test.dataframe if "Action" in one.value.columns)
    told = {(row["Actor"], row["Action"], row["Subject"]) for row in shown.to_dict("records")}
    assert {
        ("scientist", "requested Production", f"{MODEL}/1"),
        ("manager", "approved", f"{MODEL}/1"),
        ("scientist", "scored", f"{MODEL}/1"),
    } <= told


def test_every_action_that_the_log_tells_has_its_words(stores: Stores, auditor: Actor) -> None:
    event = stores.audit.append(auditor, "data.ingest", "x", Outcome.SUCCESS)
    silent = {action for action in Action if event_views.verb(replace(event, action=action.value)) == action.value}
    assert {action.value.split(".")[1] for action in silent} == {"read", "query", "verify"}
    assert Action.RECONCILE_READ not in silent
    of_no_row = replace(event, action=Action.PROMOTION_REQUEST.value, after={"binds": {"request": None}})
    assert event_views.verb(of_no_row) == "requested promotion"
