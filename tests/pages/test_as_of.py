"""As of a date on the pages: one picker in the address, what stood then, nothing of today. And evidence to take."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from core.entities import Actor, Severity, Stage
from core.features.monitoring.findings import assign_finding, open_finding
from core.features.promotion.decide import approve
from core.features.promotion.request_promotion import request_promotion
from core.features.stores import Stores
from tests.clock import datetime_at
from tests.pages.conftest import Opened, said

PAGES = ("overview", "models", "lineage")


@pytest.fixture
def served(sample_stores: Stores, scientist: Actor, manager: Actor) -> Stores:
    request = request_promotion(
        sample_stores, scientist, model="iris_classifier", version=2, to=Stage.PRODUCTION, reason="[good](http://x.y)"
    )
    approve(sample_stores, manager, request.id, reason="The numbers hold.")
    return sample_stores


@pytest.mark.parametrize("page", PAGES)
def test_the_date_in_the_address_shows_what_stood_then(page: str, opened: Opened, served: Stores) -> None:
    test = opened(page, "auditor", as_of=f"{datetime.now(UTC):%Y-%m-%d}", models_model="iris_classifier")
    assert not test.exception
    assert not test.error
    assert "State at the end of" in said(test)


def test_overview_tells_what_served_and_who_approved_it(opened: Opened, served: Stores) -> None:
    # A stage that was moved behind the decisions' back is today's: it is not in what stood then.
    served.models.set_stages("iris_classifier", {2: Stage.ARCHIVED, 1: Stage.PRODUCTION})
    told = said(opened("overview", "auditor", as_of=f"{datetime.now(UTC):%Y-%m-%d}"))
    assert "version 2" in told
    assert "approved by manager · requested by scientist" in told
    assert "The numbers hold." in told


@pytest.mark.parametrize("page", PAGES)
def test_before_the_first_event_there_was_nothing(page: str, opened: Opened, served: Stores) -> None:
    test = opened(page, "auditor", as_of="2020-03-31")
    assert not test.exception
    assert "up to event 0" in said(test)
    assert "No model had been trained." in said(test)


def test_the_audit_log_ends_at_the_date(opened: Opened, served: Stores) -> None:
    told = said(opened("audit", "auditor", as_of="2020-03-31"))
    assert "Events until the end of 2020-03-31" in told
    assert "No events match" in told
    assert opened("audit", "auditor").dataframe


def test_who_may_export_takes_dossier_and_bundle_from_models(opened: Opened, served: Stores) -> None:
    test = opened("models", "auditor", models_model="iris_classifier")
    assert not test.exception
    labels = {element.label for element in test.get("download_button")}
    assert {"Dossier (PDF)", "Dossier (HTML)", "Evidence bundle"} <= labels
    other = opened("models", "scientist", models_model="iris_classifier")
    assert "Evidence bundle" not in {element.label for element in other.get("download_button")}
    assert "Only auditors and managers can export" in said(other)


def test_findings_are_shown_as_they_stood_and_nothing_can_be_done_about_them_then(
    opened: Opened, sample_stores: Stores, auditor: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Opened yesterday for the manager; ana has it since today."""
    today = datetime.now(UTC)
    yesterday = today - timedelta(days=1)
    with monkeypatch.context() as earlier:
        for module in ("core.audit.log", "core.features.monitoring.findings"):
            earlier.setattr(f"{module}.datetime", datetime_at(lambda: yesterday))
        one = open_finding(
            sample_stores, auditor, subject="iris_classifier/3", detail="odd rows", severity=Severity.HIGH
        )
    assign_finding(sample_stores, auditor, one.id, owner="ana", due=one.due, reason="she knows it")
    address = {"audit_tab": "Findings", "finding": one.id}
    then = opened("audit", "auditor", as_of=f"{yesterday:%Y-%m-%d}", **address)
    assert not then.exception
    assert "owner: manager" in said(then)
    assert {"Compare now", "Change owner or due date", "Open finding", "Close finding"}.isdisjoint(
        {b.label for b in then.button}
    )
    now = opened("audit", "auditor", **address)
    assert "owner: ana" in said(now)
    assert {"Compare now", "Change owner or due date", "Open finding"} <= {b.label for b in now.button}
    before = opened("audit", "auditor", as_of="2020-03-31", **address)
    assert "No finding was open on that day." in said(before)
    assert not before.exception
    for page in PAGES:
        test = opened(page, "auditor", as_of=f"{yesterday:%Y-%m-%d}", models_model="iris_classifier")
        assert not test.exception
    told = opened("overview", "auditor", as_of=f"{yesterday:%Y-%m-%d}")
    assert [link.proto.url for link in told.get("link_button")] == [
        f"/audit?audit_tab=Findings&finding={one.id}&as_of={yesterday:%Y-%m-%d}"
    ]
