"""The rules of the layout that import-linter cannot express. The import rules are contracts in pyproject.toml."""

from __future__ import annotations

import ast
import sys
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

# Modules of pages that have a function with the name of one of Streamlit's, and draw through pages/_ui/escaping.py.
OWN_DRAWERS = {"escaping", "jobs", "pickers", "lineage_graph"}


def sources() -> list[Path]:
    return [ROOT / "app.py", *sorted((ROOT / "core").rglob("*.py")), *sorted((ROOT / "pages").rglob("*.py"))]


def shown(path: Path) -> str:
    return str(path.relative_to(ROOT))


def test_app_imports_only_streamlit_and_parts_of_pages() -> None:
    """import-linter reads packages; app.py is a module beside them."""
    tree = ast.parse((ROOT / "app.py").read_text(encoding="utf-8"))
    names = {
        name
        for node in ast.walk(tree)
        for name in (
            [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else []
        )
    }
    wrong = [
        name
        for name in names
        if name.split(".")[0] not in sys.stdlib_module_names
        and name.split(".")[0] not in ("core", "streamlit")
        and not name.startswith("pages._")
    ]
    assert not wrong


def test_no_module_is_named_like_one_of_the_standard_library() -> None:
    """An editor, a traceback or a script that starts in the folder would take one for the other."""
    files = {path for name in ("core", "pages", "tests", "benchmarks", "docs") for path in (ROOT / name).rglob("*.py")}
    modules = files | {path.parent for path in files}
    assert not [shown(path) for path in modules if path.stem in sys.stdlib_module_names]


def test_no_folder_has_more_than_14_modules() -> None:
    modules = Counter(path.parent for path in sources() if path.name != "__init__.py")
    grown = {shown(folder): count for folder, count in modules.items() if count > 14}
    assert not grown, f"{grown}: which capability wants a folder?"


def test_every_file_says_what_it_is_in_its_first_line() -> None:
    silent = [
        shown(path)
        for path in sources()
        if path.read_text(encoding="utf-8") and not ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
    ]
    assert not silent


def test_no_file_has_outgrown_its_noun() -> None:
    """A screen has at most 150 lines, any other file 400."""
    lines = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in sources()}
    grown = {
        shown(path): count for path, count in lines.items() if count > (150 if path.parent == ROOT / "pages" else 400)
    }
    assert not grown, f"{grown}: look for the second noun"


def test_pages_show_data_through_the_one_place_that_escapes_it() -> None:
    """A table, a text or a block that bypasses pages/_ui/escaping.py would be shown and exported unescaped."""
    drawers = {"dataframe", "data_editor", "table", "text", "code", "json", "html", "latex"}
    wrong = [
        f"{shown(path)}:{node.lineno} {ast.unparse(node.func)}"
        for path in sources()
        if path.is_relative_to(ROOT / "pages") and path != ROOT / "pages" / "_ui" / "escaping.py"
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in drawers
        and ast.unparse(node.func.value) not in OWN_DRAWERS
    ]
    assert not wrong
