"""By the keyboard alone: a promotion is asked for, approved by another, and proved, without a pointer."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.conftest import Served, serving, settled
from tests.conftest import copy_sample

pytestmark = [pytest.mark.browser, pytest.mark.slow]


@pytest.fixture(scope="module")
def served(sample_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """The app on a copy of the sample workspace."""
    home = tmp_path_factory.mktemp("served") / "home"
    copy_sample(sample_home, home)
    with serving(home) as served:
        yield served


# No page has more places to stop at.
MOST_STOPS = 150


def reach(page: Page, target: Locator) -> None:
    """Tab after Tab until *target* has the focus. A page that is drawn anew on the way loses it: then once more."""
    for _ in range(3):
        expect(target).to_be_visible()
        settled(page)
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


def choose(page: Page, target: Locator, name: str) -> None:
    """One of a list, by the beginning of its name."""
    write(page, target, name)
    expect(page.get_by_role("option").first).to_have_text(name)
    page.keyboard.press("Enter")
    expect(target).to_have_value(name)
    settled(page)


def act_as(page: Page, name: str) -> None:
    """Another demo identity, in the sidebar."""
    choose(page, page.get_by_role("combobox", name="Acting as"), name)
    expect(page.get_by_text(f"you are {name}")).to_be_visible()
    settled(page)


def turn_to(page: Page, name: str) -> None:
    """Another tab: an arrow goes to the next one, round at the end; the page is drawn anew for each."""
    expect(page.get_by_role("tab", name=name)).to_be_visible()
    wanted = page.get_by_role("tab", name=name, selected=True)
    for _ in range(page.get_by_role("tab").count()):
        if wanted.count():
            break
        before = page.get_by_role("tab", selected=True).inner_text()
        reach(page, page.get_by_role("tablist"))
        page.keyboard.press("ArrowRight")
        page.keyboard.press("Enter")
        expect(page.get_by_role("tab", selected=True)).not_to_have_text(before)
        settled(page)
    expect(wanted).to_be_visible()


def test_a_promotion_is_asked_for_approved_and_proved_by_the_keyboard_alone(page: Page, served: Served) -> None:
    page.goto(served.url)
    settled(page)
    act_as(page, "scientist")
    press(page, page.get_by_role("link", name="Promotions"))
    expect(page.get_by_role("heading", name="Promotions")).to_be_visible()
    turn_to(page, "Request promotion")
    choose(page, page.get_by_role("combobox", name="Model"), "iris_classifier")
    write(page, page.get_by_role("textbox", name="Reason for the request"), "by the keyboard")
    press(page, page.get_by_role("button", name="Request promotion"))
    expect(page.get_by_text("iris_classifier/3").first).to_be_visible()

    act_as(page, "manager")
    turn_to(page, "Requests")
    write(page, page.get_by_role("textbox", name="Reason"), "the numbers hold")
    press(page, page.get_by_role("button", name="Approve", exact=True))
    expect(page.get_by_text("Request approved: iris_classifier/3 for Production.")).to_be_visible(timeout=60_000)

    press(page, page.get_by_role("link", name="Audit log"))
    turn_to(page, "Verify")
    press(page, page.get_by_role("button", name="Verify", exact=True))
    expect(page.get_by_text("events are intact").first).to_be_visible()
    (iris,) = [one for one in json.loads(served.command("models", "--json").stdout) if one["name"] == "iris_classifier"]
    assert {one["version"]: one["stage"] for one in iris["versions"]}[3] == "Production"
