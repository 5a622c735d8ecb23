"""Every page, every button and every command for every role: what the table of tests/core says holds everywhere."""

from __future__ import annotations

import ast
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import typer
from streamlit.testing.v1 import AppTest

from core.bootstrap import open_stores
from core.cli import app
from core.entities import RequestStatus
from core.features.stores import Stores
from core.settings import load_settings
from pages._ui import session
from tests.cli.conftest import Command, command  # noqa: F401 — a fixture, under its own name
from tests.core.test_permissions import TABLE
from tests.pages.conftest import Opened, opened, said  # noqa: F401 — a fixture, under its own name
from tests.security.acting import protos
from tests.security.ground import ROLES, built_ground, filled  # noqa: F401 — a fixture, under its own name

ROOT = Path(__file__).resolve().parents[2]
DATA = "iris_training_data"

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

# Each command, as it would be typed, and the action that it takes. What it asks for need not be there.
COMMANDS: dict[str, tuple[str, tuple[str, ...]]] = {
    "tables": ("data.read", ()),
    "history": ("data.read", (DATA,)),
    "show": ("data.read", (DATA,)),
    "diff": ("data.read", (DATA, "0", "1")),
    "sql": ("data.query", ("SELECT 1",)),
    "ingest": ("data.ingest", ("loans", str(Path(__file__)))),
    "models": ("model.read", ()),
    "timeline": ("model.read", ()),
    "train": ("run.train", ("none",)),
    "runs": ("run.read", ()),
    "compare": ("run.read", ("none", "none")),
    "lineage": ("lineage.read", ("none/1",)),
    "impact": ("lineage.read", (f"{DATA}@0",)),
    "score": ("prediction.score", ("none", DATA, "--into", "p")),
    "reproduce": ("model.reproduce", ("none/1",)),
    "head-to-head": ("model.compare", ("none/1", "none/2", "--table", "none")),
    "compare-versions": ("model.read", ("none/1", "none/2")),
    "describe": ("model.edit", ("none/1", "--text", "t", "--reason", "r")),
    "tag": ("model.edit", ("none/1", "owner", "ana", "--reason", "r")),
    "untag": ("model.edit", ("none/1", "owner", "--reason", "r")),
    "evaluate": ("model.evaluate", ("none/1", "--table", "none")),
    "why-moved": ("model.explain", ("none/1", "none/2")),
    "request": ("promotion.request", ("none/1", "--to", "Production", "--reason", "r")),
    "approve": ("promotion.decide", ("none", "--reason", "r")),
    "reject": ("promotion.decide", ("none", "--reason", "r")),
    "rollback": ("promotion.rollback", ("none", "--reason", "r")),
    "rollback --dry-run": ("promotion.read", ("none",)),
    "requests": ("promotion.read", ()),
    "reconcile": ("reconcile.read", ()),
    "reconcile --resolve": ("reconcile.resolve", ("REQUEST", "--reason", "r")),
    "findings": ("reconcile.read", ()),
    "findings --look": ("reconcile.read", ()),
    "findings --open": ("finding.open", ("m", "--reason", "r")),
    "findings --assign": ("finding.open", ("FINDING", "--owner", "ann", "--reason", "r")),
    "findings --close": ("reconcile.resolve", ("FINDING", "--reason", "r")),
    "accept-registry": ("registry.accept", ("--reason", "r")),
    "dossier": ("audit.export", ("none/1", "FILE.html")),
    "bundle": ("audit.export", ("none/1", "FILE.zip")),
    "verify-bundle": ("audit.verify", ("FILE.zip",)),
    "audit log": ("audit.read", ()),
    "audit verify": ("audit.verify", ()),
    "audit export": ("audit.export", ("FILE.csv",)),
    "audit head": ("audit.export", ()),
    "audit key": ("audit.read", ()),
    "schedule": ("trigger.write", ("none", "--on-new-data")),
    "schedules": ("job.read", ()),
    "unschedule": ("trigger.write", ("none",)),
    "allow-demo": ("settings.write", ("--reason", "r")),
    "notifications status": ("settings.read", ()),
    "notifications test": ("notification.send", ("none",)),
    "token issue": ("settings.write", ("n", "--role", "auditor")),
    "token list": ("settings.write", ()),
    "token revoke": ("settings.write", ("none",)),
}
# Whoever runs these has the server or the file itself, and nobody is asked for: they take no --as.
OF_THE_SERVER = {"demo", "doctor", "serve", "worker", "sql-endpoint", "perform"}
# No command does these; what keeps recipes and jobs is on the pages alone.
NO_COMMAND = {"job.cancel", "recipe.write", "prediction.read"}


def commands() -> dict[str, typer.core.TyperCommand]:
    """Every command that there is, "audit log" say."""

    def below(group: Any, prefix: str) -> Iterator[tuple[str, Any]]:
        for name, one in group.commands.items():
            yield from below(one, f"{prefix}{name} ") if hasattr(one, "commands") else [(f"{prefix}{name}", one)]

    return dict(below(typer.main.get_command(app), ""))


@pytest.fixture
def home(built_ground: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:  # noqa: F811
    """One workspace for the module; its settings are those of a fresh installation."""
    for name in [one for one in os.environ if one.startswith(("MODELLEDGER_", "MLFLOW_"))]:
        monkeypatch.delenv(name)
    folder = built_ground.parent / "actions"
    monkeypatch.setenv("MODELLEDGER_HOME", str(folder))
    if not folder.exists():
        filled(built_ground, folder)
    return folder


@pytest.fixture
def stores(home: Path) -> Stores:
    return open_stores(load_settings(home=home))


def allowed(action: str, role: str) -> bool:
    return TABLE[action].split()[ROLES.index(role)] == "x"


def cells(table: dict[str, Any]) -> list[tuple[str, str]]:
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


@dataclass(frozen=True)
class View:
    """What one run of a page showed to one role: its words, whether it has a title, the labels of its buttons."""

    words: str
    has_title: bool
    buttons: frozenset[str]


@pytest.fixture(scope="module")
def views() -> dict[tuple[str, str, str], View]:
    """The runs so far, by page, role and address: each pair is run once, and all its buttons are read from it."""
    return {}


@pytest.fixture
def view(opened: Opened, views: dict[tuple[str, str, str], View]) -> Callable[..., View]:  # noqa: F811
    """view("models", "auditor", models_tab="Files"): the page as that role sees it; no exception was raised."""

    def get(page: str, role: str, **address: str) -> View:
        key = page, role, repr(sorted(address.items()))
        if key not in views:
            test = opened(page, role, **address)
            assert not test.exception
            views[key] = View(said(test).replace("\\", ""), bool(test.title), frozenset(buttons(test)))
        return views[key]

    return get


@pytest.mark.parametrize(("page", "role"), cells(GUARDS))
def test_page_opens_for_whom_the_table_says(view: Callable[..., View], page: str, role: str) -> None:
    shown = view(page, role)
    assert (f"may not do {GUARDS[page]}" in shown.words) is not allowed(GUARDS[page], role)
    assert shown.has_title is allowed(GUARDS[page], role)


def test_the_table_names_every_command_and_every_action_but_those_without_one() -> None:
    exist = commands()
    assert {" ".join(word for word in name.split() if not word.startswith("--")) for name in COMMANDS} == (
        set(exist) - OF_THE_SERVER
    )
    assert {action for action, _ in COMMANDS.values()} | NO_COMMAND == set(TABLE)
    takes_as = {name for name, one in exist.items() if any("--as" in option.opts for option in one.params)}
    assert takes_as == set(exist) - OF_THE_SERVER


@pytest.mark.parametrize("name", COMMANDS)
def test_command_does_what_the_table_says(
    command: Command,  # noqa: F811
    stores: Stores,
    tmp_path: Path,
    name: str,
) -> None:
    action, words = COMMANDS[name]
    here = {
        "REQUEST": next(one.id for one in stores.decisions.list() if one.status is RequestStatus.OPEN),
        "FINDING": stores.findings.list(include_closed=True)[0].id,
    }
    typed = [here.get(word, word.replace("FILE", str(tmp_path / "file"))) for word in words]
    for role in sorted(ROLES, key=lambda one: allowed(action, one)):
        before = stores.audit.head()[0]
        answer = command(*name.split(), *typed, "--as", role)
        assert answer.code in (0, 1), answer.err
        assert (f"{role} ({role}) may not do {action};" in answer.err) is not allowed(action, role), answer.err
        if not allowed(action, role):
            assert (answer.code, answer.out) == (1, "")
            new = stores.audit.events(after_sequence=before)
            assert [(e.actor, e.action, e.outcome.value) for e in new] == [(role, action, "denied")]
            assert list(tmp_path.iterdir()) == []


# What can be pressed, where, and the action that it takes. All of it is a form's or a page's own button.
CONTROLS: dict[str, tuple[str, str, dict[str, str]]] = {
    "Reproduce": ("model.reproduce", "models", {"models_tab": "Reproduce"}),
    "Compare the rows": ("lineage.read", "models", {}),
    "Compare versions": ("model.compare", "models", {"models_tab": "Head to head"}),
    "Save description": ("model.edit", "models", {"models_tab": "Description and tags"}),
    "Set tag": ("model.edit", "models", {"models_tab": "Description and tags"}),
    "Remove tag": ("model.edit", "models", {"models_tab": "Description and tags"}),
    "Draw pictures": ("model.evaluate", "models", {"models_tab": "Pictures"}),
    "Explain the change": ("model.explain", "models", {"models_tab": "Why did the KPI move?"}),
    "Dossier (PDF)": ("audit.export", "models", {}),
    "Dossier (HTML)": ("audit.export", "models", {}),
    "Evidence bundle": ("audit.export", "models", {}),
    "Train": ("run.train", "training", {}),
    "Save recipe": ("recipe.write", "training", {"training_tab": "New recipe"}),
    "Add schedule": ("trigger.write", "training", {"training_tab": "Schedules"}),
    "Delete schedule": ("trigger.write", "training", {"training_tab": "Schedules"}),
    "Cancel": ("job.cancel", "training", {"training_tab": "Jobs", "training_job": "JOB"}),
    "Approve": ("promotion.decide", "promotions", {}),
    "Reject": ("promotion.decide", "promotions", {}),
    "Request promotion": ("promotion.request", "promotions", {"promotions_tab": "Request promotion"}),
    "Roll back": (
        "promotion.rollback",
        "promotions",
        {"promotions_tab": "Roll back", "promotions_back": "diabetes_progression"},
    ),
    "Close action": ("reconcile.resolve", "promotions", {"promotions_tab": "Differences"}),
    "Score": ("prediction.score", "predictions", {}),
    "Verify": ("audit.verify", "audit", {"audit_tab": "Verify"}),
    "All events as JSON lines": ("audit.export", "audit", {"audit_tab": "Export"}),
    "All events as CSV": ("audit.export", "audit", {"audit_tab": "Export"}),
    "Signed head for printing": ("audit.export", "audit", {"audit_tab": "Export"}),
    "Run": ("data.query", "sql", {}),
    "Issue token": ("settings.write", "admin", {}),
    "Revoke token": ("settings.write", "admin", {}),
}
# Who turns a page, searches or takes a file that is shown anyway has passed the page's guard; who signs in or out is
# nobody.
FREE = {"Newest", "Older", "Download", "Sign in", "Sign in with {provider}", "Sign out", "All rows as CSV"}
# The last one holds the texts, joined by a comma; it changes the choice in the form, not the table.
FREE |= {"Read again", "Add to the filter", "Clear the selection", "Treat {texts} as null", ", "}
FREE |= {"Show this moment", "Back to now", "Show every page as of this event"}
# Asked by tests of their own: "Save as a new version" and "Check bundle" come after an upload, "Resolve" after a
# decision that died.
ELSEWHERE = {
    "Send test message": "tests/pages/test_notifications.py",
    "Check bundle": "tests/pages/test_audit.py",
    "Treat {texts} as null": "tests/pages/test_tables.py",
    "Save as a new version": "tests/pages/test_tables.py",
    "Resolve": "tests/pages/test_promotions.py",
    # On the tab Findings of the audit page.
    "Compare now": "tests/pages/test_findings.py",
    "Open finding": "tests/pages/test_findings.py",
    "Change owner or due date": "tests/pages/test_findings.py",
    "Accept the state as found": "tests/pages/test_take_over.py",
    "Close {n} finding": "tests/pages/test_take_over.py",
    "Close {n} findings": "tests/pages/test_take_over.py",
    "Mark as reviewed": "tests/pages/test_findings.py",
}


def labels_in_the_code() -> set[str]:
    """What the buttons of all pages are called, where their name is written out."""
    found = set()
    for path in (ROOT / "pages").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            name = node.func.attr if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) else ""
            if name in ("button", "form_submit_button", "download_button") and node.args:
                found |= {one.value for one in ast.walk(node.args[0]) if isinstance(one, ast.Constant)}
    return {label for label in found if isinstance(label, str)}


def test_the_table_names_every_button() -> None:
    # This label holds the number of exported rows.
    assert labels_in_the_code() - {"First {most:,} rows as CSV"} <= set(CONTROLS) | FREE | set(ELSEWHERE)


def buttons(test: AppTest) -> set[str]:
    """The labels of everything that can be pressed, downloads too."""
    return {one.label for one in protos(test) if one.DESCRIPTOR.name in ("Button", "DownloadButton")}


def address_of(label: str, stores: Stores) -> dict[str, str]:
    """Where that button is."""
    running = stores.jobs.list(live_only=True)
    return {key: running[-1].id if value == "JOB" else value for key, value in CONTROLS[label][2].items()}


@pytest.mark.parametrize("label", CONTROLS)
def test_a_button_is_there_for_whom_the_table_says(view: Callable[..., View], stores: Stores, label: str) -> None:
    action, page, _ = CONTROLS[label]
    address = address_of(label, stores)
    for role in ROLES:
        assert (label in view(page, role, **address).buttons) is allowed(action, role), role


# What may be pressed in a test: a download is asked for by the browser alone.
PRESSED = [label for label, (action, _, _) in CONTROLS.items() if action != "audit.export" and "." in TABLE[action]]


@pytest.mark.parametrize("label", PRESSED)
def test_a_button_that_should_not_be_there_is_refused_by_core(
    opened: Opened,  # noqa: F811
    stores: Stores,
    label: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The page is made to offer everything to everybody: then core alone stands between, and it does."""
    action, page, _ = CONTROLS[label]
    monkeypatch.setattr(session, "may", lambda actor, what: True)
    refused = [role for role in ROLES if not allowed(action, role) and allowed(GUARDS[page], role)]
    assert refused
    for role in refused:
        test = opened(page, role, **address_of(label, stores))
        before = stores.audit.head()[0]
        for field in test.text_input:
            field.set_value("forced")
        pressed = [button for button in test.button if button.label == label]
        if pressed:  # else the page could not even list what the button is about
            test = pressed[0].click().run()
        assert not test.exception
        assert f"may not do {action}" in said(test).replace("\\", ""), role
        new = stores.audit.events(after_sequence=before)
        assert {(e.actor, e.action, e.outcome.value) for e in new} <= {(role, action, "denied")}
