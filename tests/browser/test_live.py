"""An open page of Promotions shows what others do within 15 seconds and keeps what a person is typing."""

from __future__ import annotations

import json
import re

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Served, go

pytestmark = [pytest.mark.browser, pytest.mark.slow]

WITHIN_MS = 15_000
MODEL = "iris_classifier"


def ask(served: Served, version: int) -> str:
    arguments = (f"{MODEL}/{version}", "--to", "Production", "--as", "scientist", "--reason", "please", "--json")
    answer = served.command("request", *arguments)
    assert answer.returncode == 0, answer.stderr
    return str(json.loads(answer.stdout)["id"])


def test_request_and_finding_appear_while_a_reason_is_typed(page: Page, served: Served) -> None:
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
    expect(reason).to_have_value("I looked at the confusion mat")
    assert f"promotions_request={first}" in page.url

    # A finding adds lines above or below the form.
    found = served.command(
        "findings", "--open", f"{MODEL}/1", "--severity", "high", "--as", "auditor", "--reason", "leak"
    )
    assert found.returncode == 0, found.stderr
    expect(page).to_have_title("(3) Promotions · ModelLedger", timeout=WITHIN_MS)
    expect(page.get_by_text("Findings of high severity are open").first).to_be_visible()
    reason.click()
    page.keyboard.press("Control+End")
    page.keyboard.type("rix")
    expect(reason).to_have_value("I looked at the confusion matrix")
    page.get_by_role("button", name="Reject", exact=True).click()
    expect(page.get_by_text("Request rejected").first).to_be_visible(timeout=60_000)
    decided = {one["id"]: one for one in json.loads(served.command("requests", "--json").stdout)}
    assert (decided[first]["status"], decided[first]["reason"]) == ("rejected", "I looked at the confusion matrix")
    assert decided[second]["status"] == "open"
