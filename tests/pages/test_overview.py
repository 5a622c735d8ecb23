"""The page Overview: what serves, what waits for a decision, and where its links lead."""

from __future__ import annotations

from core.entities import RequestStatus
from core.services.stores import Stores
from tests.pages.conftest import MODEL, Opened, links, said


def test_a_request_waits_on_a_card_that_leads_to_its_decision(opened: Opened, used: Stores) -> None:
    (asked,) = used.decisions.list(statuses=(RequestStatus.OPEN,))
    test = opened("overview", "manager")
    assert not test.exception
    told = said(test).replace("\\", "").replace("\u2060", "")
    assert f"**{MODEL}/3** to" in told
    assert "asked by scientist" in told
    assert "more rows" in told
    assert links(test)["Decide"] == f"/promotions?promotions_request={asked.id}"


def test_what_serves_is_shown_with_its_decision_and_data(opened: Opened, used: Stores) -> None:
    test = opened("overview")
    told = said(test).replace("\\", "").replace("\u2060", "")
    assert "version 1 of 3" in told
    assert "by manager" in told
    assert "trained on iris_training_data@0" in told
    assert links(test)["Its versions"].startswith("/models?models_model=")
