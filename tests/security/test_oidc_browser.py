"""Sign-in in a real Chromium against a real provider: each role sees its own, anybody else a button and nothing."""

from __future__ import annotations

import json
import re
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect
from streamlit.web.server.starlette.starlette_app_utils import create_signed_value

from tests.security.conftest import COOKIE_SECRET, SignedInServer

pytestmark = [pytest.mark.browser, pytest.mark.slow]

COOKIE = "_streamlit_user"
# What stands in the navigation for everybody, and for whom "Settings" does too: FACTS of the permission table.
PAGES = ("Overview", "Tables", "SQL", "Training", "Models", "Promotions", "Predictions", "Lineage", "Audit log")
SEES_SETTINGS = {"ada": True, "sam": False, "mia": False, "ian": True}
ROLE = {"ada": "auditor", "sam": "scientist", "mia": "manager", "ian": "admin"}


@pytest.fixture(scope="module")
def window(chromium: Browser) -> Iterator[BrowserContext]:
    """One for all tests here, so that the app's script is loaded once; `context` takes its cookies away."""
    context = chromium.new_context(viewport={"width": 1280, "height": 900}, timezone_id="Europe/Berlin")
    yield context
    context.close()


@pytest.fixture
def context(window: BrowserContext) -> Iterator[BrowserContext]:
    """The window with nobody signed in."""
    window.clear_cookies()
    yield window
    for page in window.pages:
        page.close()


def sign_in(page: Page, bank: SignedInServer, name: str) -> None:
    # The provider's form asks another host for its style sheet, which keeps it from loading where there is no network.
    page.route(re.compile(r"^https://"), lambda route: route.abort())
    page.goto(bank.url)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url(f"{bank.issuer}/**", timeout=60_000)
    page.locator("input[name=sub]").first.fill(name)
    page.locator("input[name=sub]").first.press("Enter")
    page.wait_for_url(f"{bank.url}/**")


def is_here(page: Page, name: str) -> None:
    """Name and role in the sidebar. The name is broken up invisibly, so that it becomes no link."""
    expect(page.get_by_text(re.compile(rf"^Signed in as {name}@.?bank\.example \({ROLE[name]}\)$"))).to_be_visible()


def sees_nothing(page: Page) -> None:
    """The sign-in page: a button, and no navigation, no identity, no page."""
    expect(page.get_by_role("button", name="Sign in")).to_be_visible()
    expect(page.get_by_test_id("stSidebarNavLink")).to_have_count(0)
    expect(page.get_by_text("Signed in as")).to_have_count(0)
    expect(page.get_by_text("Acting as")).to_have_count(0)
    expect(page.get_by_test_id("stDataFrame")).to_have_count(0)


@pytest.fixture
def signed_cookie(bank: SignedInServer) -> Any:
    """A cookie as Streamlit signs it: with the server's own secret, or with another."""

    def cookie(secret: str = COOKIE_SECRET, **claims: Any) -> dict[str, str]:
        content = {
            "sub": "ian",
            "email": "ian@bank.example",
            "email_verified": True,
            "groups": ["IT"],
            "exp": time.time() + 600,
            "origin": bank.url,
            "is_logged_in": True,
            "provider": "default",
            **claims,
        }
        signed = create_signed_value(secret, COOKIE, json.dumps(content))
        return {"name": COOKIE, "value": signed.decode(), "url": bank.url}

    return cookie


@pytest.mark.parametrize("name", ["ada", "sam", "mia", "ian"])
def test_each_role_signs_in_and_sees_its_own_pages(page: Page, bank: SignedInServer, name: str) -> None:
    sign_in(page, bank, name)
    is_here(page, name)
    links = page.get_by_test_id("stSidebarNavLink")
    for title in PAGES:
        expect(links.filter(has_text=title).first).to_be_visible()
    expect(links.filter(has_text="Settings")).to_have_count(1 if SEES_SETTINGS[name] else 0)
    expect(page.get_by_text("Acting as")).to_have_count(0)


@pytest.mark.parametrize("path", ["", "overview", "models", "audit", "admin", "promotions", "admin?as=admin"])
def test_nobody_gets_a_button_and_nothing_else(page: Page, bank: SignedInServer, path: str) -> None:
    page.goto(f"{bank.url}/{path}")
    sees_nothing(page)


def test_a_hand_typed_address_of_another_roles_page_shows_nothing_of_it(page: Page, bank: SignedInServer) -> None:
    sign_in(page, bank, "sam")
    is_here(page, "sam")
    page.goto(f"{bank.url}/admin?as=admin")
    is_here(page, "sam")
    expect(page.get_by_text("MODELLEDGER_HOME")).to_have_count(0)
    expect(page.get_by_role("heading", name="Settings")).to_have_count(0)


def test_somebody_without_a_role_is_told_so_and_recorded(page: Page, bank: SignedInServer) -> None:
    sign_in(page, bank, "eve")
    expect(page.get_by_text("is signed in but has no role here")).to_be_visible()
    expect(page.get_by_test_id("stSidebarNavLink")).to_have_count(0)
    with sqlite3.connect(Path(bank.environment["MODELLEDGER_HOME"]) / "modelledger.db") as database:
        rows = database.execute("SELECT actor, outcome FROM events WHERE action = 'sign-in'").fetchall()
    database.close()
    assert rows == [("eve@bank.example", "denied")]


def test_a_genuine_cookie_lets_in_so_that_the_refusals_below_mean_something(
    page: Page, context: BrowserContext, bank: SignedInServer, signed_cookie: Any
) -> None:
    context.add_cookies([signed_cookie()])
    page.goto(bank.url)
    is_here(page, "ian")


def test_an_expired_identity_is_asked_to_sign_in_again(
    page: Page, context: BrowserContext, bank: SignedInServer, signed_cookie: Any
) -> None:
    context.add_cookies([signed_cookie(exp=time.time() - 1)])
    page.goto(f"{bank.url}/admin")
    sees_nothing(page)
    expect(page.get_by_text("The sign-in expired")).to_be_visible()


def test_an_identity_ends_within_an_open_session(
    page: Page, context: BrowserContext, bank: SignedInServer, signed_cookie: Any
) -> None:
    until = time.time() + 12
    context.add_cookies([signed_cookie(exp=until)])
    page.goto(bank.url)
    is_here(page, "ian")
    page.wait_for_timeout(max(0.0, until - time.time()) * 1000 + 200)
    page.get_by_test_id("stSidebarNavLink").filter(has_text="Settings").click()
    sees_nothing(page)


@pytest.mark.parametrize("forgery", ["another secret", "no signature", "changed"])
def test_a_forged_cookie_gets_nothing(
    page: Page, context: BrowserContext, bank: SignedInServer, signed_cookie: Any, forgery: str
) -> None:
    cookie = signed_cookie()
    if forgery == "another secret":
        cookie = signed_cookie(secret="guessed")
    elif forgery == "no signature":
        cookie["value"] = json.dumps(
            {"email": "ian@bank.example", "email_verified": True, "groups": ["IT"], "is_logged_in": True}
        )
    else:
        cookie["value"] = cookie["value"][:10] + ("A" if cookie["value"][10] != "A" else "B") + cookie["value"][11:]
    context.add_cookies([cookie])
    page.goto(bank.url)
    sees_nothing(page)


def test_forged_headers_get_nothing(chromium: Browser, bank: SignedInServer) -> None:
    claims = {"email": "ian@bank.example", "groups": "IT", "is_logged_in": "true", "exp": "99999999999"}
    headers = {f"X-Streamlit-User-{name}": value for name, value in claims.items()} | {
        "X-Forwarded-User": "ian@bank.example",
        "X-Forwarded-Email": "ian@bank.example",
        "X-Auth-Request-Groups": "IT",
        "X-Streamlit-User": "ian@bank.example",
        "Remote-User": "ian@bank.example",
    }
    context = chromium.new_context(extra_http_headers=headers)
    page = context.new_page()
    page.goto(f"{bank.url}/admin")
    sees_nothing(page)
    context.close()


def test_after_sign_out_a_copy_of_the_cookie_is_worth_nothing(
    page: Page, context: BrowserContext, chromium: Browser, bank: SignedInServer
) -> None:
    sign_in(page, bank, "ian")
    is_here(page, "ian")
    stolen = [cookie for cookie in context.cookies(bank.url) if cookie["name"].startswith(COOKIE)]
    assert stolen, "there is a cookie to steal"
    assert all(cookie["httpOnly"] for cookie in stolen)
    page.get_by_role("button", name="Sign out").click()
    page.wait_for_url(f"{bank.issuer}/**")  # the provider's own page for the end of a session
    page.goto(bank.url)
    sees_nothing(page)
    thief = chromium.new_context()
    thief.add_cookies(stolen)
    other = thief.new_page()
    other.goto(f"{bank.url}/admin")
    sees_nothing(other)
    expect(other.get_by_text("This sign-in was ended")).to_be_visible()
    thief.close()
