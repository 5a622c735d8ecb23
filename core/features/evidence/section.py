"""One section of a dossier: a heading, sentences, and a table, in which no text can act."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

from core.escaping import visible
from core.learning.kpis import metric_text
from core.texts import text

_MAX_ROWS = 500


@dataclass(frozen=True, kw_only=True)
class Section:
    """A heading, sentences, and a table. No text holds a control or bidirectional character."""

    title: str
    paragraphs: tuple[str, ...] = ()
    header: tuple[str, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()


def plain(value: object) -> str:
    """Return *value* as text. Control, format and bidirectional characters are replaced by their number."""
    if value is None:
        return text("not recorded")
    if isinstance(value, datetime):
        return f"{value.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
    if isinstance(value, float):
        return metric_text(value, 6)
    return visible(re.sub(r"\s*\n\s*", " ", str(value)))


def make_section(
    title: str,
    *paragraphs: str,
    header: tuple[str, ...] = (),
    rows: Iterable[tuple[object, ...]] = (),
    empty: str = "",
) -> Section:
    """Build a section. A table without rows is replaced by the sentence *empty*; a long one keeps its last rows."""
    cells = [tuple(plain(cell) for cell in row) for row in rows]
    sentences = [plain(paragraph) for paragraph in paragraphs]
    if header and not cells:
        return Section(title=plain(title), paragraphs=(*sentences, plain(empty or text("Nothing is recorded."))))
    if len(cells) > _MAX_ROWS:
        sentences.append(text("The newest {shown} of {count} rows are shown.", shown=_MAX_ROWS, count=len(cells)))
    return Section(title=plain(title), paragraphs=tuple(sentences), header=header, rows=tuple(cells[-_MAX_ROWS:]))
