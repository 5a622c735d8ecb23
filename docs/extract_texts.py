"""Extracts every text for people from the source into core/locale/modelledger.pot. Called by `make texts`.

A text is the literal first argument of `t`, `tn`, `text`, `plural` (for `tn` and `plural` the first two) and of each
error below CoreError. The catalogue is sorted and names files without lines, so that it changes with the texts alone.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

from babel.messages.catalog import Catalog
from babel.messages.pofile import write_po

from core.errors import CoreError
from core.texts import LOCALE_DIR

ROOT = Path(__file__).resolve().parent.parent
CATALOGUE = LOCALE_DIR / "modelledger.pot"
# Functions that take a template, by the modules that define them.
FUNCTIONS = {"t": "pages._ui.texts", "tn": "pages._ui.texts", "text": "core.texts", "plural": "core.texts"}
WITH_PLURAL = {"tn", "plural"}


@dataclass(frozen=True, kw_only=True)
class TextCall:
    """One call that takes a template."""

    path: str
    line: int
    name: str
    call: ast.Call

    @property
    def templates(self) -> list[ast.expr]:
        """The arguments that are templates: one, or the singular and the plural."""
        return self.call.args[: 2 if self.name in WITH_PLURAL else 1]

    @property
    def is_error(self) -> bool:
        return self.name not in FUNCTIONS


def sources() -> list[Path]:
    """All modules of the product."""
    return [ROOT / "app.py", *sorted((ROOT / "core").rglob("*.py")), *sorted((ROOT / "pages").rglob("*.py"))]


def error_names() -> set[str]:
    """The names of CoreError and every error below it."""
    known, classes = set(), [CoreError]
    while classes:
        known |= {error.__name__ for error in classes}
        classes = [child for error in classes for child in error.__subclasses__()]
    return known


def text_calls(path: Path, errors: set[str]) -> Iterator[TextCall]:
    """Every call in *path* that takes a template, in the order of the source."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    imported = {
        alias.asname or alias.name: (node.module, alias.name)
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    functions = {name: used for name, (module, used) in imported.items() if FUNCTIONS.get(used) == module}
    # A class of the same name that the module defines itself is another class.
    errors = {name for name, (module, used) in imported.items() if module == "core.errors" and used in errors}
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        name = functions.get(called) if isinstance(node.func, ast.Name) else None
        if name is None and called in errors:
            name = called
        if name is not None:
            yield TextCall(path=str(path.relative_to(ROOT)), line=node.lineno, name=name, call=node)


def extract() -> Catalog:
    """The catalogue of all literal texts."""
    catalogue = Catalog(project="ModelLedger", version="", charset="utf-8", fuzzy=False)
    errors = error_names()
    for path in sources():
        for call in text_calls(path, errors):
            literals = [
                node.value
                for node in call.templates
                if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value
            ]
            if literals and len(literals) == len(call.templates):
                template = literals[0] if len(literals) == 1 else tuple(literals)
                catalogue.add(template, locations=[(call.path, call.line)])
    return catalogue


def rendered(catalogue: Catalog) -> bytes:
    """*catalogue* as the content of a .pot file, without anything that changes from day to day."""
    file = BytesIO()
    write_po(file, catalogue, omit_header=True, sort_output=True, include_lineno=False, width=0)
    return file.getvalue()


if __name__ == "__main__":
    CATALOGUE.parent.mkdir(exist_ok=True)
    CATALOGUE.write_bytes(rendered(extract()))
    print(f"{CATALOGUE.relative_to(ROOT)}: {len(extract())} texts")
