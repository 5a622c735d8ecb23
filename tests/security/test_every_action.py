"""Every page and every command for every role, beside core: what the table of tests/core says holds everywhere."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tests.cli.conftest import Command, command  # noqa: F401 — a fixture, under its own name
from tests.core.test_permissions import TABLE
from tests.pages.conftest import Opened, opened, said  # noqa: F401 — a fixture, under its own name

ROOT = Path(__file__).resolve().parents[2]
ROLES = ("auditor", "scientist", "manager", "admin")

# Each page and the action that its guard asks for, by hand.
GUARDS = {
    "admin": "settings.read",
    "audit": "audit.read",
    "lineage": "lineage.read",
    "models": "model.read",
    "overview": "model.read",
    "predictions": "prediction.read",
    "promotions": "promotion.read",
    "runs": "run.read",
    "sql": "data.query",
    "tables": "data.read",
    "training": "run.read",
}

# A command, as it would be typed, and the action that it takes. What it asks for need not be there.
COMMANDS = {
    "data.read": ("tables",),
    "data.query": ("sql", "SELECT 1"),
    "data.ingest": ("ingest", str(Path(__file__)), "loans"),
    "run.read": ("runs",),
    "model.read": ("models",),
    "promotion.read": ("requests",),
    "promotion.request": ("request", "m/1", "--to", "Production", "--reason", "r"),
    "promotion.decide": ("approve", "none", "--reason", "r"),
    "promotion.rollback": ("rollback", "m", "--reason", "r"),
    "reconcile.read": ("reconcile",),
    "audit.read": ("audit", "log"),
    "audit.verify": ("audit", "verify"),
    "settings.write": ("token", "list"),
}


def allowed(action: str, role: str) -> bool:
    return TABLE[action].split()[ROLES.index(role)] == "x"


def cells(table: dict[str, str] | dict[str, tuple[str, ...]]) -> list[tuple[str, str]]:
    return [(name, role) for name in table for role in ROLES]


def test_every_page_is_in_the_table_and_asks_first_for_its_action() -> None:
    pages = {path.stem: path for path in (ROOT / "pages").glob("*.py") if path.stem != "__init__"}
    assert set(pages) == set(GUARDS)
    for name, path in pages.items():
        body = [node for node in ast.parse(path.read_text()).body if not isinstance(node, ast.Import | ast.ImportFrom)]
        first = next(node for node in body[1:] if not _is_constant(node))  # after the docstring
        guard = ast.unparse(first)
        constant = GUARDS[name].upper().replace(".", "_")
        assert guard.removeprefix("actor = ") == f"session.require(Action.{constant})", path


def _is_constant(node: ast.stmt) -> bool:
    return isinstance(node, ast.Assign) and all(ast.unparse(target).isupper() for target in node.targets)


@pytest.mark.parametrize(("page", "role"), cells(GUARDS))
def test_page_opens_for_whom_the_table_says(opened: Opened, page: str, role: str) -> None:  # noqa: F811
    shown = opened(page, role)
    assert not shown.exception
    assert (f"may not do {GUARDS[page]}" in said(shown).replace("\\", "")) is not allowed(GUARDS[page], role)
    assert bool(shown.title) is allowed(GUARDS[page], role)


@pytest.mark.parametrize(("action", "role"), cells(COMMANDS))
def test_command_does_what_the_table_says(command: Command, action: str, role: str) -> None:  # noqa: F811
    answer = command(*COMMANDS[action], "--as", role)
    assert answer.code in (0, 1), answer.err
    assert (f"{role} ({role}) may not do {action};" in answer.err) is not allowed(action, role), answer.err
