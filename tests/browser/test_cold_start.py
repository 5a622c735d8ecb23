"""The first visit to a server goes to a page's own address, before app.py ever ran in it."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import DRAWN, ROOT, await_health, clean_environment, free_port, settled, stop_server

pytestmark = [pytest.mark.browser, pytest.mark.slow]


@pytest.fixture
def cold(tmp_path: Path) -> Iterator[str]:
    """Streamlit alone: nobody has opened the front page, as `serve` does at its start."""
    port = free_port()
    with (tmp_path / "server.log").open("wb") as log:
        server = subprocess.Popen(
            [sys.executable, "-m", "streamlit", "run", "app.py", "--server.port", str(port)],
            cwd=ROOT,
            env=clean_environment(tmp_path / "home"),
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    try:
        await_health(server, port, tmp_path / "server.log")
        yield f"http://127.0.0.1:{port}"
    finally:
        stop_server(server)


def test_page_opened_first_by_its_address_stands_in_the_navigation_with_its_view(cold: str, page: Page) -> None:
    page.goto(f"{cold}/audit?audit_tab=Verify&as=manager")
    settled(page)
    expect(page.get_by_role("heading", name="Audit log")).to_be_visible()
    expect(page.get_by_role("button", name="Verify")).to_be_visible()
    links = page.get_by_test_id("stSidebarNavLink")
    expect(links.filter(has_text="Compare runs")).to_have_count(1)
    expect(links.filter(has_text="admin")).to_have_count(0)
    expect(page.get_by_text("you are manager")).to_have_count(1)


def test_address_of_a_page_that_is_not_offered_says_who_may_see_it(cold: str, page: Page) -> None:
    page.goto(f"{cold}/admin?as=scientist")
    settled(page)
    expect(page.get_by_text("scientist (scientist) may not do settings.read")).to_be_visible()
    expect(page.get_by_role("heading", name="Settings")).to_have_count(0)
    expect(page.get_by_test_id("stSidebarNavLink").filter(has_text="Settings")).to_have_count(0)


def test_front_page_is_found_under_its_name_too(cold: str, page: Page) -> None:
    for address in ("overview", "", "overview"):
        page.goto(f"{cold}/{address}")
        settled(page)
        expect(page.get_by_role("heading", name="Overview")).to_be_visible()
        expect(page.get_by_text("does not seem to exist")).to_have_count(0)


def test_role_in_the_first_address_is_kept_from_page_to_page(cold: str, page: Page) -> None:
    page.goto(f"{cold}/?as=manager")
    settled(page)
    expect(page.get_by_text("you are manager")).to_have_count(1)
    for name in ("Audit log", "Models"):
        page.wait_for_load_state("networkidle")
        page.evaluate(DRAWN)  # a click on a page that is still being drawn can overtake its own address
        page.get_by_role("link", name=name).first.click()
        expect(page.get_by_role("heading", name=name, exact=True)).to_be_visible()
        settled(page)
        expect(page.get_by_text("you are manager")).to_have_count(1)
        expect(page).to_have_url(re.compile("as=manager"))
