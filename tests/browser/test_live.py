"""An open page of Promotions shows what others do within 15 seconds, and disturbs nobody who types or decides."""

from __future__ import annotations

import json
import re

import pytest
from playwright.sync_api import Page, expect

from core.bootstrap import open_stores
from core.settings import load_settings
from pages._live.live import EVERY_S
from tests.browser.conftest import Served, go, settled

pytestmark = [pytest.mark.browser, pytest.mark.slow]

WITHIN_MS = 15_000
MODEL = "iris_classifier"


def ask(served: Served, version: int) -> str:
    arguments = (f"{MODEL}/{version}", "--to", "Production", "--as", "scientist", "--reason", "please", "--json")
    answer = served.command("request", *arguments)
    assert answer.returncode == 0, answer.stderr
    return str(json.loads(answer.stdout)["id"])


def find(served: Served, version: int) -> None:
    arguments = ("--open", f"{MODEL}/{version}", "--severity", "high", "--as", "auditor", "--reason", "leak")
    answer = served.command("findings", *arguments)
    assert answer.returncode == 0, answer.stderr


def test_change_is_shown_and_disturbs_neither_typing_nor_a_decision(page: Page, served: Served) -> None:
    first = ask(served, 1)
    go(page, served, "promotions", "manager", promotions_request=first)
    expect(page).to_have_title("(1) Promotions · ModelLedger")
    expect(page.get_by_role("link", name="Promotions (1)")).to_be_visible()
    reason = page.get_by_label(re.compile("^Reason")).first
    reason.click()
    page.keyboard.type("I looked at the confusion ")

    second = ask(served, 3)
    expect(page).to_have_title("(2) Promotions · ModelLedger", timeout=WITHIN_MS)
    expect(page.get_by_role("link", name="Promotions (2)")).to_be_visible()
    page.keyboard.type("mat")  # the cursor stays where it is
    assert f"promotions_request={first}" in page.url

    find(served, 1)  # adds lines above the evidence
    expect(page).to_have_title("(3) Promotions · ModelLedger", timeout=WITHIN_MS)
    expect(page.get_by_text("Findings of high severity are open").first).to_be_visible()
    settled(page)
    page.keyboard.type("rix")
    expect(reason).to_have_value("I looked at the confusion matrix")
    page.get_by_role("button", name="Reject", exact=True).click()
    expect(page.get_by_text("Request rejected").first).to_be_visible(timeout=60_000)

    # A decision waits for the lock of its model while a change is logged and the page would look for changes.
    go(page, served, "promotions", "manager", promotions_request=second)
    page.get_by_label(re.compile("^Reason")).first.fill("fine")
    stores = open_stores(load_settings(home=served.home))
    with stores.decisions.lock(MODEL):
        page.get_by_role("button", name="Approve", exact=True).click()
        expect(page.get_by_text("Evaluating the gates again")).to_be_visible()
        find(served, 2)
        page.wait_for_timeout(1_000 * EVERY_S + 2_000)
        expect(page.get_by_text("Evaluating the gates again")).to_be_visible()
    expect(page.get_by_text("Request approved").first).to_be_visible(timeout=60_000)
    decided = stores.audit.search(subject=f"{MODEL}/3", action="promotion.decide")
    assert [event.outcome.value for event in decided] == ["success", "intent"]
    reasons = {request.id: request.reason for request in stores.decisions.list()}
    assert reasons == {first: "I looked at the confusion matrix", second: "fine"}

    go(page, served, "promotions", "manager", promotions_tab="Roll back", promotions_back=MODEL, promotions_back_to="1")
    button = page.get_by_role("button", name="Roll back", exact=True)
    expect(page.get_by_text(f"Roll back to {MODEL}/1")).to_be_visible(timeout=60_000)
    expect(button).to_be_disabled()  # a version that was never approved has a finding of high severity
