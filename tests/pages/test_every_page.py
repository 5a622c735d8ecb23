"""What holds for every page: its guard comes first, it opens cold, empty and filled, and names come out inert."""

from __future__ import annotations

import ast
import shutil
from pathlib import Path

import pytest

from core.access.permissions import GRANTS, Action
from core.entities import Outcome, Role
from core.features.stores import Stores
from pages._ui.navigation import SCREENS
from tests.pages.conftest import ROOT, Opened, said

PAGES = sorted(path.stem for path in (ROOT / "pages").glob("*.py"))


def guard_of(page: str) -> Action:
    """The action that the page's guard asks for, read from its source."""
    tree = ast.parse((ROOT / "pages" / f"{page}.py").read_text(encoding="utf-8"))
    for node in tree.body:
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            continue  # the docstring
        if isinstance(node, ast.Import | ast.ImportFrom):
            continue
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant | ast.Tuple | ast.Dict):
            continue  # constants
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            pytest.fail(f"{page}: line {node.lineno} stands before the guard")
        call = node.value if isinstance(node, ast.Assign | ast.Expr) else None
        assert isinstance(call, ast.Call), f"{page}: line {node.lineno} runs before the guard"
        assert ast.unparse(call.func) == "session.require", f"{page}: line {node.lineno} runs before the guard"
        argument = call.args[0]
        assert isinstance(argument, ast.Attribute)
        return Action[argument.attr]
    pytest.fail(f"{page} has no guard")


@pytest.mark.parametrize("page", PAGES)
def test_the_guard_is_the_first_thing_that_runs(page: str) -> None:
    assert guard_of(page) in Action


@pytest.mark.parametrize("page", PAGES)
def test_opened_cold_on_an_empty_home_it_says_what_to_do(page: str, opened: Opened) -> None:
    says_what_to_do(page, opened)


# A new MLflow store takes 2 s to make: the other pages have their turn in the slow tests.
@pytest.mark.parametrize(
    "page", [pytest.param(page, marks=[] if page == "models" else [pytest.mark.slow]) for page in PAGES]
)
def test_opened_first_of_all_a_page_makes_the_workspace_and_says_what_to_do(
    page: str, opened: Opened, home: Path
) -> None:
    shutil.rmtree(home)
    says_what_to_do(page, opened)
    assert (home / "modelledger.db").exists()


def says_what_to_do(page: str, opened: Opened) -> None:
    test = opened(page, "admin" if page == "admin" else "scientist")
    assert not test.exception
    assert "Demo identities" in said(test)
    assert test.title
    if page not in ("admin", "audit"):
        assert test.info, "an empty page says what to do next"


@pytest.mark.parametrize("page", PAGES)
def test_opened_cold_with_the_sample_it_shows_it_without_an_error(
    page: str, opened: Opened, sample_stores: Stores
) -> None:
    test = opened(page, "admin" if page == "admin" else "manager")
    assert not test.exception
    assert not test.error


@pytest.mark.parametrize(
    ("page", "role"), [(page, role) for page in PAGES for role in Role if guard_of(page) not in GRANTS[role]]
)
def test_forbidden_page_shows_a_sentence_and_nothing_else(
    page: str, role: Role, opened: Opened, sample_stores: Stores
) -> None:
    test = opened(page, role.value)
    assert not test.exception
    assert [role.value in error.value for error in test.error] == [True]
    assert not test.title
    assert not test.dataframe
    test.run()
    refused = sample_stores.audit.search(outcome=Outcome.DENIED.value)
    assert [(event.actor, event.action) for event in refused] == [(role.value, guard_of(page).value)]


@pytest.mark.parametrize("page", [page for page in PAGES if page != "admin"])
def test_an_unknown_identity_in_the_address_falls_back_to_one_that_may_only_read(page: str, opened: Opened) -> None:
    test = opened(page, "root")
    assert not test.exception
    assert "You are **auditor**" in said(test)


def test_every_page_is_in_the_navigation() -> None:
    assert sorted(screen.name for screen in SCREENS) == PAGES
    assert [screen.name for screen in SCREENS if screen.action is not guard_of(screen.name)] == []


def test_pages_keep_no_raw_html() -> None:
    raw = [path.name for path in Path(ROOT / "pages").rglob("*.py") if "unsafe_allow_html" in path.read_text()]
    assert raw == []
