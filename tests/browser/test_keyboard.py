"""By the keyboard alone: a promotion is asked for, approved by another, and proved, without a pointer."""

from __future__ import annotations

import json

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.conftest import Served, settled

pytestmark = pytest.mark.browser

# No page has more places to stop at.
MOST_STOPS = 150


def reach(page: Page, target: Locator) -> None:
    """Tab after Tab until *target* has the focus."""
    expect(target).to_be_visible()
    for _ in range(MOST_STOPS):
        page.keyboard.press("Tab")
        if target.evaluate("element => element.contains(document.activeElement)"):
            return
    raise AssertionError(f"{target} is not reached in {MOST_STOPS} stops")


def press(page: Page, target: Locator) -> None:
    reach(page, target)
    page.keyboard.press("Enter")
    settled(page)


def write(page: Page, target: Locator, text: str) -> None:
    reach(page, target)
    page.keyboard.type(text)


def act_as(page: Page, name: str) -> None:
    """Another demo identity, in the sidebar."""
    write(page, page.get_by_role("combobox", name="Acting as"), name)
    page.keyboard.press("Enter")
    expect(page.get_by_text(f"you are {name}")).to_be_visible()
    settled(page)


def turn_to(page: Page, name: str, key: str, times: int) -> None:
    """Another tab: the one that is open is stopped at, the arrows go on from it."""
    reach(page, page.get_by_role("tablist"))
    for _ in range(times):
        page.keyboard.press(key)
    page.keyboard.press("Enter")
    settled(page)
    expect(page.get_by_role("tab", name=name, selected=True)).to_be_visible()


def test_a_promotion_is_asked_for_approved_and_proved_by_the_keyboard_alone(page: Page, served: Served) -> None:
    page.goto(served.url)
    settled(page)
    act_as(page, "scientist")
    press(page, page.get_by_role("link", name="Promotions"))
    expect(page.get_by_role("heading", name="Promotions")).to_be_visible()
    turn_to(page, "Ask for a stage", "ArrowRight", 1)
    write(page, page.get_by_role("combobox", name="Model"), "iris_classifier")
    page.keyboard.press("Enter")
    settled(page)
    write(page, page.get_by_role("textbox", name="What speaks for it"), "by the keyboard")
    press(page, page.get_by_role("button", name="Ask for Production"))
    expect(page.get_by_text("iris_classifier/3").first).to_be_visible()

    act_as(page, "manager")
    turn_to(page, "Requests", "ArrowLeft", 1)
    write(page, page.get_by_role("textbox", name="Why"), "the numbers hold")
    press(page, page.get_by_role("button", name="Approve", exact=True))
    expect(page.get_by_text("iris_classifier/3: approved for Production.")).to_be_visible(timeout=60_000)

    press(page, page.get_by_role("link", name="Audit log"))
    turn_to(page, "Verify", "ArrowRight", 2)
    press(page, page.get_by_role("button", name="Verify", exact=True))
    expect(page.get_by_text("events hold").first).to_be_visible()
    (iris,) = [one for one in json.loads(served.command("models", "--json").stdout) if one["name"] == "iris_classifier"]
    assert {one["version"]: one["stage"] for one in iris["versions"]}[3] == "Production"
