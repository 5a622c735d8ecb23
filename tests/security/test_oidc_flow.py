"""People who signed in ask, decide and issue tokens in a real Chromium, and the log bears their names."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlencode

import pytest
from playwright.sync_api import Browser, Page, expect

from core.bootstrap import open_stores
from core.entities import Event, RequestStatus, Stage
from core.features.stores import Stores
from core.settings import load_settings
from tests.browser.conftest import settled
from tests.conftest import copy_sample
from tests.security.conftest import SignedInServer, signed_in_server
from tests.security.test_oidc_browser import sign_in

pytestmark = [pytest.mark.browser, pytest.mark.slow]
MODEL = "iris_classifier"


@pytest.fixture(scope="module")
def ledger(issuer: str, sample_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SignedInServer]:
    """The sample workspace behind the provider."""
    folder = tmp_path_factory.mktemp("ledger")
    copy_sample(sample_home, folder / "home")
    with signed_in_server(issuer, folder) as server:
        yield server


@pytest.fixture
def stores(ledger: SignedInServer) -> Stores:
    return open_stores(load_settings(home=Path(ledger.environment["MODELLEDGER_HOME"]), database_url=None))


def done(stores: Stores, action: str) -> list[Event]:
    """What succeeded, newest first."""
    return list(stores.audit.search(action=action, outcome="success"))


def signed_in(chromium: Browser, ledger: SignedInServer, name: str, page_name: str, **address: str) -> Page:
    """That person in a window of their own, on that page."""
    page = chromium.new_context(viewport={"width": 1280, "height": 900}).new_page()
    sign_in(page, ledger, name)
    expect(page.get_by_text(re.compile(rf"^Signed in as {name}@"))).to_be_visible()
    page.goto(f"{ledger.url}/{page_name}?{urlencode(address)}")
    settled(page)
    return page


def ask(page: Page, reason: str) -> None:
    page.get_by_label("Reason for the request").fill(reason)
    page.get_by_role("button", name="Request promotion").click()
    expect(page.get_by_text("Request sent:")).to_be_visible()
    page.context.close()


def test_asked_by_one_approved_by_another_never_by_who_asked(
    chromium: Browser, ledger: SignedInServer, stores: Stores
) -> None:
    form = {"promotions_tab": "Request promotion", "promotions_ask": MODEL}
    ask(signed_in(chromium, ledger, "sam", "promotions", **form, promotions_version="1"), "the first")
    page = signed_in(chromium, ledger, "mia", "promotions", promotions_status="waiting")
    page.get_by_label("Reason", exact=True).fill("the numbers hold")
    page.get_by_role("button", name="Approve", exact=True).click()
    expect(page.get_by_text(f"Request approved: {MODEL}/1 for Production")).to_be_visible()
    page.context.close()

    asked, decided = done(stores, "promotion.request")[0], done(stores, "promotion.decide")[0]
    assert (asked.actor, asked.role, asked.channel, asked.reason) == (
        *("sam@bank.example", "scientist", "page"),
        "the first",
    )
    assert (decided.actor, decided.role, decided.reason) == ("mia@bank.example", "manager", "the numbers hold")
    assert {v.version: v.stage for v in stores.models.versions(MODEL)}[1] is Stage.PRODUCTION

    # Who may ask and decide, by the groups of the provider, still decides on nothing of their own.
    ask(signed_in(chromium, ledger, "bea", "promotions", **form, promotions_version="3"), "mine")
    page = signed_in(chromium, ledger, "bea", "promotions", promotions_status="waiting")
    expect(page.get_by_text("You made this request; another manager must decide.")).to_be_visible()
    expect(page.get_by_role("button", name="Approve", exact=True)).to_have_count(0)
    page.context.close()
    assert done(stores, "promotion.request")[0].actor == "bea@bank.example"
    assert [one.status for one in stores.decisions.list(model=MODEL)] == [RequestStatus.OPEN, RequestStatus.APPROVED]


def test_an_admin_issues_a_token_that_acts_and_names_who_issued_it(
    chromium: Browser, ledger: SignedInServer, stores: Stores
) -> None:
    page = signed_in(chromium, ledger, "ian", "admin")
    page.get_by_label("Name", exact=True).fill("nightly")
    page.get_by_role("button", name="Issue token", exact=True).click()
    text = page.get_by_text(re.compile(r"^mlt_")).first
    expect(text).to_be_visible()
    actor = stores.tokens.actor(str(text.text_content()), stores.audit.search(limit=1)[0].time)
    page.context.close()
    issued = next(event for event in done(stores, "settings.write") if event.subject == "token of nightly")
    assert (issued.actor, issued.role) == ("ian@bank.example", "admin")
    assert actor.name == "token:nightly"
    assert actor.channel == f"token {issued.after['token']}, issued by ian@bank.example"
