"""Names and reasons that would act, in a real Chromium: no script runs, no element, link or picture is made of them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
from playwright.sync_api import Browser, Page, expect

from core.features.stores import Stores
from tests.browser.conftest import serving, settled
from tests.security.acting import as_visible, cells_of, hidden, starts_a_formula
from tests.security.nasty import FOLDERS, HOST, NAMED, OWNED, TEXTS, home  # noqa: F401 — a fixture, under its own name

pytestmark = [pytest.mark.browser, pytest.mark.slow]

LOOKED_AT = [
    *(f"promotions?promotions_tab={tab}" for tab in ("Requests", "Request promotion")),
    "audit",
    f"models?models_model={quote(NAMED)}&models_version=1",
    "models?models_model=iris_classifier&models_version=3",
    "models?models_model=learned&models_tab=Signature and requirements",
    "tables?tables_table=texts",
    *(f"tables?tables_table={quote(name)}&tables_tab=History" for name in FOLDERS),
    "overview",
    "sql?sql_query=SELECT * FROM texts",
    "training?training_tab=Jobs",
    *(f"runs?runs_view={view}" for view in ("Bars", "One run")),
    "predictions?as=scientist",
    f"lineage?lineage_model={quote(NAMED)}",
    "admin?as=admin",
]
# What any of the texts would leave in a page, were it read as anything but words.
TRACES = """() => {
  const all = (query) => [...document.querySelectorAll(query)];
  const found = [];
  if (window.OWNED !== undefined) found.push("a script ran");
  for (const one of all("a, img, iframe, form, object, embed, link, script")) {
    const target = (one.getAttribute("href") || "") + (one.getAttribute("src") || "");
    if (/HOST|javascript:|mailto:|^x$/.test(target)) found.push(one.outerHTML);
  }
  for (const one of all("*"))
    for (const name of one.getAttributeNames()) if (name.startsWith("on")) found.push(one.outerHTML);
  for (const one of all("iframe, .katex, .stMarkdownColoredText, .stMarkdownColoredBackground, .stMarkdownShimmer"))
    found.push(one.outerHTML);
  for (const one of all("streamlit-help-icon, img[alt='Streamlit logo']")) found.push(one.outerHTML);
  for (const one of all("[data-testid=stIconMaterial]"))
    if (one.textContent === "rocket_launch") found.push(one.outerHTML);
  for (const one of all(".stMarkdownBadge")) if (["g", "b"].includes(one.textContent)) found.push(one.outerHTML);
  for (const one of all("[data-testid=stMarkdownContainer]"))
    for (const made of one.querySelectorAll("em, del, li, blockquote, hr, table, pre, h1, h2, h3, [style^=font-size]"))
      if (!one.closest("[data-testid=stHeading]")) found.push(made.outerHTML);
  for (const emoji of ["💀", "💯"]) if (document.body.innerText.includes(emoji)) found.push(emoji);
  return found;
}""".replace("OWNED", OWNED).replace("HOST", HOST.replace(".", "[.]"))


@pytest.fixture(scope="module")
def server(nasty_home: Path) -> Iterator[str]:
    with serving(nasty_home, MODELLEDGER_SAMPLE="false", MODELLEDGER_INSPECT_EVERY_S="0") as served:
        yield served.url


@pytest.fixture(scope="module")
def window(chromium: Browser, server: str) -> Iterator[tuple[Page, list[str]]]:
    """One window for all tests here, and the dialogs and requests to other hosts that it saw."""
    context = chromium.new_context(viewport={"width": 1280, "height": 900}, timezone_id="Europe/Berlin")
    page, seen = context.new_page(), list[str]()
    # A table is saved through the browser's own dialog where there is one, which no test can press.
    page.add_init_script("delete window.showSaveFilePicker")
    page.on("dialog", lambda dialog: (seen.append(f"dialog {dialog.message}"), dialog.dismiss()))
    page.on("request", lambda request: None if _own(request.url, server) else seen.append(request.url))
    yield page, seen
    context.close()


@pytest.fixture
def watched(window: tuple[Page, list[str]]) -> Iterator[Page]:
    """The window; the test fails where anything opens a dialog or asks another host for anything."""
    page, seen = window
    yield page
    # Nothing of this test is left to be seen in the next one.
    page.goto("about:blank")
    found = list(seen)
    seen.clear()
    assert found == []


def _own(url: str, server: str) -> bool:
    """Streamlit itself asks Google for the picture of a tab whose page has an icon: docs/security.md says so."""
    icons = "https://fonts.gstatic.com/s/i/short-term/release/materialsymbolsrounded/"
    return url.startswith((server, server.replace("http", "ws"), "data:", "blob:", icons))


@pytest.mark.parametrize("address", LOOKED_AT, ids=lambda address: address[:30].encode("ascii", "replace").decode())
def test_a_browser_makes_nothing_of_it(watched: Page, server: str, address: str) -> None:
    watched.goto(f"{server}/{address}{'&' if '?' in address else '?'}{'' if 'as=' in address else 'as=manager'}")
    settled(watched)
    expect(watched.get_by_role("heading").first).to_be_visible()
    assert watched.evaluate(TRACES) == []


def test_each_reason_is_read_as_it_was_written(watched: Page, server: str, stores: Stores) -> None:
    found = {one.reason: one.id for one in stores.decisions.list() if one.reason in TEXTS.values()}
    for text in (TEXTS[kind] for kind in ("html", "link", "icon", "block", "bidi", "quotes")):
        request_id = found[text]
        watched.goto(f"{server}/promotions?as=manager&promotions_request={request_id}")
        settled(watched)
        # Playwright makes one space of every gap on both sides.
        expect(watched.get_by_test_id("stChatMessage").filter(has_text=as_visible(text)).first).to_be_visible()
        assert watched.evaluate(TRACES) == [], text


def test_a_table_that_is_downloaded_computes_nothing(watched: Page, server: str) -> None:
    for address in ("tables?tables_table=texts", "audit", "promotions"):
        watched.goto(f"{server}/{address}{'&' if '?' in address else '?'}as=manager")
        settled(watched)
        tables = watched.get_by_test_id("stDataFrame").locator("visible=true")
        for place in range(tables.count()):
            around = tables.nth(place).locator("xpath=ancestor::*[.//*[@data-testid='stElementToolbar']][1]")
            tables.nth(place).scroll_into_view_if_needed()
            tables.nth(place).hover()
            with watched.expect_download() as download:
                # By the keyboard: while the page still settles, a pointer may find the table above its own toolbar.
                around.get_by_role("button", name="Download as CSV").press("Enter")
            cells = cells_of(download.value.path().read_text("utf-8-sig"))
            assert len(cells) > 3
            assert [cell for cell in cells if starts_a_formula(cell) or hidden(cell, keep="\n\t")] == []


def test_the_log_that_a_page_gives_away_computes_nothing(watched: Page, server: str) -> None:
    watched.goto(f"{server}/audit?as=auditor&audit_tab=Export")
    settled(watched)
    with watched.expect_download() as download:
        watched.get_by_role("button", name="All events as CSV").click()
    cells = cells_of(download.value.path().read_text("utf-8"))
    assert f"'{TEXTS['formula']}" in cells
    assert [cell for cell in cells if starts_a_formula(cell) or hidden(cell, keep="\n\t")] == []
