"""The import rule and the layout, read from the source with ast."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

# Each layer may import the layers named; its own package always.
MAY_IMPORT: dict[str, set[str]] = {
    "core.entities": set(),
    "core.errors": set(),
    "core.texts": set(),
    "core.escaping": set(),
    "core.redact": set(),
    "core.identifiers": set(),
    "core.uris": set(),
    "core.settings": {"core.errors", "core.redact"},
    "core.learning": {"core.entities", "core.errors", "core.identifiers"},
    "core.database": {"core.errors", "core.redact"},
    "core.access": {"core.entities", "core.errors", "core.database"},
    "core.delta": {"core.entities", "core.errors", "core.identifiers", "core.uris"},
    "core.registry": {"core.entities", "core.errors", "core.learning", "core.settings", "core.redact"},
    "core.audit": {"core.entities", "core.errors", "core.access", "core.database", "core.redact"},
    "core.jobs": {"core.entities", "core.errors", "core.database", "core.redact"},
    "core.features": {
        "core.entities",
        "core.errors",
        "core.access",
        "core.settings",
        "core.learning",
        "core.delta",
        "core.registry",
        "core.audit",
        "core.jobs",
        "core.escaping",
        "core.redact",
    },
    "core.serve": {"core.errors", "core.access"},
    "core.bootstrap": {"core"},
    "core.commands": {"core"},
    "core.cli": {"core"},
    "core.sql_endpoint": {"core"},
    "core.__main__": {"core.cli"},
    "pages._": {"core", "pages"},
    "pages": {
        "core.entities",
        "core.errors",
        "core.access.permissions",
        "core.features",
        "core.learning",
        "core.delta.catalog",  # how TABLE@N is read
        "core.registry.runs",  # the type of a page of runs
        "core.escaping",
        "core.identifiers",
        *(f"pages.{folder.name}" for folder in (ROOT / "pages").glob("_[a-z]*")),
    },
}

# A library, and the only places that may import it.
ONLY_IN: dict[str, tuple[str, ...]] = {
    "deltalake": ("core/delta/delta_rs/",),
    "pyspark": ("core/delta/spark/", "core/learning/spark/"),
    "delta": ("core/delta/spark/",),
    "mlflow": ("core/registry/", "core/learning/"),
    # MLflow lets SQLAlchemy's errors through as it opens a store; its store on PostgreSQL is made under a lock there.
    "sqlalchemy": (
        "core/database/",
        "core/access/",
        "core/audit/",
        "core/jobs/",
        "core/registry/connection.py",
    ),
    "alembic": ("core/database/",),
    "duckdb": ("core/delta/",),
    "sqlglot": ("core/delta/",),
    "typst": ("core/features/evidence/render.py",),
    "streamlit": ("app.py", "pages/"),
    "plotly": ("pages/_",),
}


# Modules of pages/_ui and its siblings that have a function of such a name, and draw through inert themselves.
OF_OUR_OWN = {"escaping", "jobs", "pickers", "lineage_graph"}


def sources() -> list[Path]:
    return [ROOT / "app.py", *sorted((ROOT / "core").rglob("*.py")), *sorted((ROOT / "pages").rglob("*.py"))]


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute"
            yield node.module or ""
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def layer_of(path: Path) -> str:
    relative = path.relative_to(ROOT).with_suffix("")
    parts = list(relative.parts)
    if parts[0] == "pages":
        return "pages._" if len(parts) > 2 else "pages"
    return ".".join(parts[:2]) if parts[0] == "core" and len(parts) > 1 else parts[0]


def is_within(module: str, packages: set[str]) -> bool:
    return any(module == package or module.startswith(f"{package}.") for package in packages)


@pytest.mark.parametrize("path", sources(), ids=lambda path: str(path.relative_to(ROOT)))
def test_file_imports_only_what_its_layer_may(path: Path) -> None:
    layer = layer_of(path)
    if layer in ("app", "core.__init__"):
        allowed = {"core", "pages"}
    else:
        assert layer in MAY_IMPORT, f"{layer} is not in the import rule; say in MAY_IMPORT what it may import"
        allowed = MAY_IMPORT[layer] | {layer, "core.texts"}
    own = [name for name in imports(path) if name.split(".")[0] in ("core", "pages")]
    # "from core.x import y" yields core.x and core.x.y: both lie within an allowed package, or neither does.
    wrong = [name for name in own if name not in ("core", "pages") and not is_within(name, allowed)]
    assert not wrong, f"{path.relative_to(ROOT)} ({layer}) may not import {wrong}"


@pytest.mark.parametrize("library", ONLY_IN)
def test_library_is_imported_only_where_it_belongs(library: str) -> None:
    places = ONLY_IN[library]
    wrong = [
        str(path.relative_to(ROOT))
        for path in sources()
        if not str(path.relative_to(ROOT)).startswith(places)
        and any(name == library or name.startswith(f"{library}.") for name in imports(path))
    ]
    assert not wrong, f"{library} is imported in {wrong}; it belongs in {places}"


def test_every_file_says_what_it_is_in_its_first_line() -> None:
    silent = [
        str(p.relative_to(ROOT)) for p in sources() if p.read_text() and not ast.get_docstring(ast.parse(p.read_text()))
    ]
    assert not silent


@pytest.mark.parametrize("path", sources(), ids=lambda path: str(path.relative_to(ROOT)))
def test_file_has_not_outgrown_its_noun(path: Path) -> None:
    most = 150 if layer_of(path) == "pages" else 400
    lines = len(path.read_text(encoding="utf-8").splitlines())
    assert lines <= most, f"{lines} lines: look for the second noun"


def test_pages_show_data_through_the_one_place_that_makes_it_inert() -> None:
    """A table, a text or a block drawn past pages/_ui/escaping.py would be exported and shown as it came."""
    drawers = {"dataframe", "data_editor", "table", "text", "code", "json", "html", "latex"}
    wrong = [
        f"{path.relative_to(ROOT)}:{node.lineno} {ast.unparse(node.func)}"
        for path in sources()
        if path.is_relative_to(ROOT / "pages") and path.name != "escaping.py"
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in drawers
        and ast.unparse(node.func.value) not in OF_OUR_OWN
    ]
    assert not wrong
