"""The example files of docs/recipes.md, written out as the document says, so that what it shows is what is tested."""

from __future__ import annotations

import re
from pathlib import Path

DOCUMENT = Path(__file__).resolve().parents[1] / "docs" / "recipes.md"
_FILE = re.compile(r"`(recipes/[^`\n]+)`:\n\n```\w+\n(.*?)```", re.DOTALL)


def write_examples(home: Path) -> tuple[str, ...]:
    """Writes every file of the document below *home* and returns their paths as the document names them."""
    files = dict(_FILE.findall(DOCUMENT.read_text(encoding="utf-8")))
    for name, text in files.items():
        place = home / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text, encoding="utf-8")
    return tuple(files)
