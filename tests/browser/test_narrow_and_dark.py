"""Every page, filled, in a narrow window and in the dark theme: nothing scrolls sideways."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import cache
from pathlib import Path
from typing import Literal

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import Served, go, picture, serving
from tests.security.ground import built_ground, filled  # noqa: F401 — a fixture, under its own name

pytestmark = [pytest.mark.browser, pytest.mark.slow]

PAGES = (
    *("", "tables", "sql", "training", "runs", "models"),
    *("promotions", "predictions", "lineage", "audit", "admin"),
)
# What Streamlit scrolls is this element; the document itself never does.
OVERFLOW = """() => {
    const main = document.querySelector("[data-testid=stMain]");
    const right = main.getBoundingClientRect().left + main.clientWidth;
    const wide = [...main.querySelectorAll("*")].filter(one => one.getBoundingClientRect().right > right + 1);
    return {by: main.scrollWidth - main.clientWidth,
            first: wide.slice(0, 5).map(one => one.dataset.testid || one.className || one.tagName)};
}"""

Scheme = Literal["light", "dark"]
Windows = Callable[[int, Scheme], Page]


@pytest.fixture(scope="module")
def served(built_ground: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:  # noqa: F811
    """The app on a workspace with a request, a batch, a job, a finding, a schedule and a token."""
    home = tmp_path_factory.mktemp("filled") / "home"
    filled(built_ground, home)
    with serving(home) as served:
        yield served


@pytest.fixture(scope="module")
def windows(chromium: Browser) -> Iterator[Windows]:
    """windows(420, "light"): one window for each width and colour scheme."""
    with ExitStack() as contexts:

        @cache
        def window(width: int, scheme: Scheme) -> Page:
            context = chromium.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
            contexts.callback(context.close)
            return context.new_page()

        yield window


@pytest.mark.parametrize(
    ("name", "width", "scheme"),
    [*((name, 420, "light") for name in PAGES), *((name, 1280, "dark") for name in PAGES), ("", 420, "dark")],
)
def test_narrow_and_dark_are_usable(windows: Windows, served: Served, name: str, width: int, scheme: Scheme) -> None:
    page = windows(width, scheme)
    go(page, served, name, "admin" if name == "admin" else "manager")
    expect(page.get_by_role("heading").first).to_be_visible()
    overflow = page.evaluate(OVERFLOW)
    assert overflow["by"] <= 0, f"the page scrolls sideways: {overflow}"
    picture(page, f"{name or 'overview'}-{width}-{scheme}")
