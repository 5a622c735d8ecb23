"""One section of a dossier: a heading, sentences, pictures and a table, in which no text can act."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from core.escaping import visible
from core.features.evidence.recorded_texts import translate_recorded
from core.learning.kpis import metric_text
from core.texts import Sentence, text, translate_sentence

_MAX_ROWS = 500


@dataclass(frozen=True, kw_only=True)
class Picture:
    """A vector picture (an SVG document); *alt* says in words what it shows."""

    svg: str
    alt: str


@dataclass(frozen=True, kw_only=True)
class Section:
    """A heading, sentences, *points* of a list, pictures, and a table.

    After `localized`, no text holds a control or bidirectional character. The sections of an annex are set smaller.
    """

    title: str
    paragraphs: tuple[str, ...] = ()
    points: tuple[str, ...] = ()
    pictures: tuple[Picture, ...] = ()
    header: tuple[str, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()
    is_annex: bool = True


class Recorded(str):
    """A sentence of ModelLedger that was stored as English text."""


def recorded(value: str) -> str:
    """Mark *value* as a sentence of ModelLedger that may have been stored, so that it can be recognised later."""
    return value if isinstance(value, Sentence) else Recorded(value)


class _Value(Recorded):
    """A value, or a sentence of ModelLedger in its place."""


def recorded_value(value: str) -> str:
    """Mark *value* as recorded; where no sentence is recognised, it is shown as it is."""
    return value if isinstance(value, Sentence) else _Value(value)


def plain(value: object) -> str:
    """Return *value* as text. A sentence and a recorded text stay what they are until `localized`."""
    if value is None:
        return text("not recorded")
    if isinstance(value, datetime):
        return f"{value.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
    if isinstance(value, float):
        return metric_text(value, 6)
    if isinstance(value, Sentence | Recorded):
        return value
    return _one_line(str(value))


def listed(sentences: Sequence[str]) -> str:
    """Return *sentences* as one text with commas, in which each can still be translated; empty where there is none."""
    whole: str = ""
    for sentence in sentences:
        whole = text("{before}, {after}", before=whole, after=sentence) if whole else sentence
    return whole


def make_section(
    title: str,
    *paragraphs: str,
    points: Iterable[str] = (),
    pictures: Iterable[Picture] = (),
    header: tuple[str, ...] = (),
    rows: Iterable[tuple[object, ...]] = (),
    empty: str = "",
    is_annex: bool = True,
) -> Section:
    """Build a section. A table without rows is replaced by the sentence *empty*; a long one keeps its last rows."""
    cells = [tuple(plain(cell) for cell in row) for row in rows]
    sentences = [plain(paragraph) for paragraph in paragraphs]
    if header and not cells:
        sentences.append(empty or text("Nothing is recorded."))
    if len(cells) > _MAX_ROWS:
        sentences.append(text("The newest {shown} of {count} rows are shown.", shown=_MAX_ROWS, count=len(cells)))
    return Section(
        title=plain(title),
        paragraphs=tuple(sentences),
        points=tuple(map(plain, points)),
        pictures=tuple(pictures),
        header=header if cells else (),
        rows=tuple(cells[-_MAX_ROWS:]),
        is_annex=is_annex,
    )


def localized(section: Section, language: str) -> Section:
    """Return *section* in *language*. Control, format and bidirectional characters are replaced by their number."""

    def said(value: str) -> str:
        return _said(value, language)

    return replace(
        section,
        title=said(section.title),
        paragraphs=tuple(map(said, section.paragraphs)),
        points=tuple(map(said, section.points)),
        header=tuple(map(said, section.header)),
        rows=tuple(tuple(map(said, row)) for row in section.rows),
    )


def _said(value: str, language: str) -> str:
    return _one_line(translate_sentence(_without_recorded(value, language), language))


def _without_recorded(value: str, language: str) -> str:
    """Return *value* with each recorded text in *language*. A text that is not recognised says that it is English."""
    if isinstance(value, Recorded):
        known = translate_recorded(value, language)
        if known is None and not isinstance(value, _Value):
            return text("{text} (recorded in English)", text=str(value))
        return str(value) if known is None else known
    if isinstance(value, Sentence):
        values = {
            name: _without_recorded(part, language) if isinstance(part, str) else part
            for name, part in value.values.items()
        }
        return Sentence(value.template, value.plural_template, value.n, values)
    return value


def _one_line(value: str) -> str:
    return visible(re.sub(r"\s*\n\s*", " ", value))
