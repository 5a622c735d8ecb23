"""Three histories of decisions, replayed by clicks and commands: page, dossier and JSON say what was true when.

They are one walk on one workspace: each history begins where the one before ended.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from html import unescape
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Locator, Page, ViewportSize, expect

from tests.browser.conftest import Served, go, picture, settled

pytestmark = [pytest.mark.browser, pytest.mark.slow]

MODEL = "iris_classifier"
# iris_classifier/2 has a lower precision and f1 than /3, and higher ones than /1.
FAILING = ("precision not worse than Production", "f1 not worse than Production")
SCREEN: ViewportSize = {"width": 1280, "height": 800}


@pytest.fixture(scope="module")
def page(chromium: Browser) -> Iterator[Page]:
    context = chromium.new_context(viewport=SCREEN, timezone_id="Europe/Berlin")
    yield context.new_page()
    context.close()


def answer(served: Served, *arguments: str) -> Any:
    done = served.command(*arguments, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def ask(served: Served, version: int) -> str:
    asking = ("--to", "Production", "--as", "scientist", "--reason", "it is ready")
    return str(answer(served, "request", f"{MODEL}/{version}", *asking)["id"])


def promote(served: Served, version: int) -> None:
    answer(served, "approve", ask(served, version), "--as", "manager2", "--reason", "the numbers hold")


def request_of(served: Served, request_id: str) -> dict[str, Any]:
    (request,) = [one for one in answer(served, "requests") if one["id"] == request_id]
    return dict(request)


def failed(check: dict[str, Any]) -> tuple[str, ...]:
    return tuple(gate["name"] for gate in check["gates"] if not gate["passed"])


def show(page: Page, served: Served, request_id: str, identity: str = "manager") -> None:
    go(page, served, "promotions", identity, promotions_request=request_id)


def plain(text: str) -> str:
    """Without the invisible characters that keep names from becoming links."""
    return text.replace("\u2060", "")


def alerts(page: Page, *words: str) -> Locator:
    """The messages of the page that hold all of *words*."""
    found = page.get_by_test_id("stMain").get_by_test_id("stAlert")
    for word in words:
        found = found.filter(has_text=word)
    return found


def open_request_record(page: Page) -> Locator:
    """Unfolds the gates at the request."""
    record = page.get_by_test_id("stExpander").filter(has_text="Gates at the request")
    record.locator("summary").click()
    settled(page)
    return record


def moments(page: Page) -> list[str]:
    """Which gates are shown, when they were evaluated and what the candidate was compared with, from top to bottom."""
    captions = page.get_by_test_id("stCaptionContainer").filter(has_text=re.compile("^Gates (now|at the)"))
    return [plain(caption) for caption in captions.all_inner_texts()]


def dossier_rows(served: Served, folder: Path, version: int, request_id: str) -> list[list[str]]:
    """The rows of the dossier's table of gates for a request: request, evaluated, compared with, gate, passed."""
    file = folder / f"{request_id}.html"
    done = served.command("dossier", f"{MODEL}/{version}", str(file), "--as", "auditor")
    assert done.returncode == 0, done.stderr
    rows = re.findall(r"<tr[^>]*>(.*?)</tr>", file.read_text(encoding="utf-8"), re.DOTALL)
    cells = [[_words(cell) for cell in re.findall(r"<td[^>]*>(.*?)</td>", row, re.DOTALL)] for row in rows]
    return [row for row in cells if row and row[0] == request_id and len(row) >= 5 and row[1].startswith("at the ")]


def _words(cell: str) -> str:
    return unescape(re.sub("<[^>]+>", "", cell)).strip()


def dossier_checks(served: Served, folder: Path, version: int, request_id: str) -> dict[str, tuple[set[str], set[str]]]:
    """For "request" and "decision": the versions compared with, and the gates that failed, as the dossier has them."""
    checks: dict[str, tuple[set[str], set[str]]] = {}
    for _, evaluated, rival, gate, passed, *_ in dossier_rows(served, folder, version, request_id):
        rivals, failing = checks.setdefault(evaluated.split(",")[0].removeprefix("at the "), (set(), set()))
        rivals.add(rival)
        failing |= {gate} if passed == "NO" else set()
    return checks


@pytest.fixture(scope="module")
def first(served: Served) -> str:
    """An open request of /2 that passed against /1; then /3 took Production."""
    promote(served, 1)
    request_id = ask(served, 2)
    promote(served, 3)
    return request_id


@pytest.fixture(scope="module")
def second(page: Page, served: Served, first: str) -> str:
    """A request of /2 that fails against /3, made from the page Models; then /1 came back to Production."""
    go(page, served, "models", "scientist", models_model=MODEL, models_version="2")
    page.get_by_role("link", name="Request promotion").click()
    expect(page.get_by_label("Reason for the request")).to_be_visible()
    settled(page)
    expect(alerts(page, "2 of 7 gates fail")).to_be_visible()
    page.get_by_label("Reason for the request").fill("more rows than /1")
    picture(page, "histories-request-form")
    page.get_by_role("button", name="Request promotion", exact=True).dblclick()
    expect(alerts(page, f"Request sent: {MODEL}/2 for Production.")).to_be_visible()
    settled(page)
    expect(alerts(page, "already requested")).to_have_count(0)
    expect(page.get_by_role("link", name="Show request")).to_be_visible()
    (request_id,) = [one["id"] for one in answer(served, "requests") if one["status"] == "open"]
    answer(served, "rollback", MODEL, "--to", "1", "--as", "manager2", "--reason", "complaints about /3")
    return str(request_id)


def test_a_request_that_passed_fails_after_another_version_took_production(
    page: Page, served: Served, first: str
) -> None:
    show(page, served, first)
    verdict = alerts(page, "2 of 7 gates fail")
    for name in FAILING:
        expect(verdict).to_contain_text(name)
        change = f"{name}: passed when requested; fails now: Production changed to {MODEL}/3."
        expect(page.get_by_test_id("stMain").get_by_text(change)).to_be_visible()
    picture(page, "histories-open-fails-now")
    record = open_request_record(page)
    expect(record).to_contain_text("All 7 gates pass.")
    now, then = moments(page)
    assert now.startswith("Gates now")
    assert now.endswith(f"compared with {MODEL}/3 in Production")
    assert then.startswith("Gates at the request")
    assert then.endswith(f"compared with {MODEL}/1 in Production")
    request = request_of(served, first)
    assert (request["now"]["compared_with"], failed(request["now"])) == (f"{MODEL}/3", FAILING)
    assert (request["at_request"]["compared_with"], failed(request["at_request"])) == (f"{MODEL}/1", ())
    assert [change.split(":")[0] for change in request["now"]["changes"]] == list(FAILING)
    assert request["now"]["at"] > request["at_request"]["at"]


def test_what_decides_is_on_the_first_screen_and_in_order_on_a_narrow_one(
    page: Page, served: Served, first: str
) -> None:
    show(page, served, first)
    parts = (
        alerts(page, "2 of 7 gates fail"),
        page.get_by_role("button", name="Reject", exact=True),
        page.locator(".js-plotly-plot").first,
    )
    expect(parts[2]).to_be_visible()
    settled(page)
    verdict, button, bars = (part.bounding_box() for part in parts)
    assert verdict
    assert button
    assert bars
    assert verdict["y"] + verdict["height"] < SCREEN["height"]
    assert button["y"] + button["height"] < SCREEN["height"]
    assert bars["y"] < SCREEN["height"]
    page.set_viewport_size({"width": 420, "height": 900})
    settled(page)
    tops = [part.bounding_box() for part in parts]
    picture(page, "histories-open-420")
    page.set_viewport_size(SCREEN)
    assert [box["y"] for box in tops if box] == sorted(box["y"] for box in tops if box)


def test_a_rejection_keeps_both_checks(page: Page, served: Served, first: str, tmp_path: Path) -> None:
    show(page, served, first)
    page.get_by_label(re.compile("^Reason")).first.fill("worse than /3")
    page.get_by_role("button", name="Reject", exact=True).dblclick()
    expect(alerts(page, f"Request rejected: {MODEL}/2 for Production.")).to_be_visible()
    settled(page)
    expect(alerts(page, "nothing was changed")).to_have_count(0)
    expect(page.get_by_role("combobox", name="Request", exact=True)).to_have_value(re.compile("rejected"))
    show(page, served, first, "auditor")
    expect(alerts(page, "2 of 7 gates fail")).to_be_visible()
    open_request_record(page)
    decision, asked = moments(page)
    assert decision.startswith("Gates at the decision")
    assert decision.endswith(f"with {MODEL}/3 in Production")
    assert asked.startswith("Gates at the request")
    assert asked.endswith(f"with {MODEL}/1 in Production")
    picture(page, "histories-rejected")
    request = request_of(served, first)
    assert (request["status"], request["decided_by"], request["reason"]) == ("rejected", "manager", "worse than /3")
    for name, rival, gates in (("at_request", f"{MODEL}/1", ()), ("at_decision", f"{MODEL}/3", FAILING)):
        check = request[name]
        assert (check["compared_with"], failed(check), check["passed"]) == (rival, gates, not gates)
        assert check["evidence"]["production"]["model_version"] == rival
    assert request["at_request"]["at"] < request["at_decision"]["at"]
    assert dossier_checks(served, tmp_path, 2, first) == {
        "request": ({f"{MODEL}/1"}, set()),
        "decision": ({f"{MODEL}/3"}, set(FAILING)),
    }


def test_a_request_that_failed_passes_later_and_is_approved_once(
    page: Page, served: Served, second: str, tmp_path: Path
) -> None:
    asked = request_of(served, second)
    assert (asked["at_request"]["compared_with"], failed(asked["at_request"])) == (f"{MODEL}/3", FAILING)
    show(page, served, second)
    expect(alerts(page, "All 7 gates pass.").first).to_be_visible()
    for name in FAILING:
        change = f"{name}: failed when requested; passes now: Production changed to {MODEL}/1."
        expect(page.get_by_test_id("stMain").get_by_text(change)).to_be_visible()
    before = len(answer(served, "audit", "log"))
    page.get_by_label(re.compile("^Reason")).first.fill("better than /1")
    page.get_by_role("button", name="Approve", exact=True).dblclick()
    expect(alerts(page, f"Request approved: {MODEL}/2 for Production.")).to_be_visible(timeout=60_000)
    settled(page)
    expect(alerts(page, "nothing was changed")).to_have_count(0)
    decided = [e for e in answer(served, "audit", "log")[before:] if e["action"] == "promotion.decide"]
    assert [event["outcome"] for event in decided] == ["intent", "success"]
    show(page, served, second, "auditor")
    expect(alerts(page, "All 7 gates pass.").first).to_be_visible()
    record = open_request_record(page)
    expect(record).to_contain_text("2 of 7 gates fail")
    decision, then = moments(page)
    assert decision.startswith("Gates at the decision")
    assert decision.endswith(f"with {MODEL}/1 in Production")
    assert then.startswith("Gates at the request")
    assert then.endswith(f"with {MODEL}/3 in Production")
    picture(page, "histories-approved")
    request = request_of(served, second)
    assert (request["status"], request["decided_by"]) == ("approved", "manager")
    assert request["stages"] == {"1": "Archived", "2": "Production", "3": "Archived"}
    for name, rival, gates in (("at_request", f"{MODEL}/3", FAILING), ("at_decision", f"{MODEL}/1", ())):
        check = request[name]
        assert (check["compared_with"], failed(check), check["passed"]) == (rival, gates, not gates)
        assert check["evidence"]["production"]["model_version"] == rival
    assert dossier_checks(served, tmp_path, 2, second) == {
        "request": ({f"{MODEL}/3"}, set(FAILING)),
        "decision": ({f"{MODEL}/1"}, set()),
    }
