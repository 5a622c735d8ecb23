"""Recorded sentences: recognises a sentence that was stored as English text, so that another language can say it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from string import Formatter

from core.texts import SOURCE_LANGUAGE, read_catalogue

# A template with fewer fixed letters, such as "{before}, {after}", fits nearly every text.
_FEWEST_LETTERS = 8
# A longer text is none of ours, and the patterns would search it for long.
_MOST_CHARACTERS = 2_000
_SENTENCE_END = re.compile(r"(?<=\.) ")


def translate_recorded(stored: str, language: str) -> str | None:
    """Return *stored*, which `text` made and something stored, in *language*; None where no template fits.

    Of several templates the one with the longest fixed part is taken. Values that are sentences are translated too.
    """
    if language == SOURCE_LANGUAGE or not stored:
        return stored
    if len(stored) > _MOST_CHARACTERS:
        return None
    known = _recognized(stored, language)
    if known is not None:
        return known
    sentences = [_recognized(part, language) for part in _SENTENCE_END.split(stored)]
    return " ".join(map(str, sentences)) if all(sentences) else None


def _recognized(stored: str, language: str) -> str | None:
    for entry in _patterns(language):
        # Most templates are out at once; a pattern with many values would search long for the same answer.
        if not all(fixed in stored for fixed in entry.fixed):
            continue
        if (match := entry.pattern.fullmatch(stored)) is not None:
            values = {name: match[f"v{place}"] for place, name in enumerate(entry.names)}
            known = {name: _recognized(value, language) or value for name, value in values.items()}
            return entry.translation.format(**known) if known else entry.translation
    return None


@dataclass(frozen=True, kw_only=True)
class _Pattern:
    """The pattern of an English template: its *fixed* parts, the *names* of its values, and its translation."""

    pattern: re.Pattern[str]
    fixed: tuple[str, ...]
    names: tuple[str, ...]
    translation: str


@cache
def _patterns(language: str) -> tuple[_Pattern, ...]:
    """Return the pattern of each template, the longest fixed part first."""
    patterns = []
    for template, translation in _templates(language):
        parts = _parts(template)
        names = tuple(dict.fromkeys(name for _, name in parts if name))
        letters = sum(character.isalpha() for fixed, _ in parts for character in fixed)
        if names and letters < _FEWEST_LETTERS:
            continue
        without_formats = "".join(
            fixed.replace("{", "{{").replace("}", "}}") + (f"{{{name}}}" if name else "")
            for fixed, name in _parts(translation)
        )
        pattern = _Pattern(
            pattern=re.compile(_expression(parts, names) if names else re.escape(template), re.DOTALL),
            fixed=tuple(fixed for fixed, _ in parts) if names else (template,),
            names=names,
            translation=without_formats if names else translation,
        )
        patterns.append((letters, pattern))
    return tuple(pattern for _, pattern in sorted(patterns, key=lambda entry: -entry[0]))


def _templates(language: str) -> Iterator[tuple[str, str]]:
    """Yield each template, both forms of a plural, with its translation."""
    for message in read_catalogue(language):
        if not message.id or not message.string:
            continue
        if isinstance(message.id, str):
            yield message.id, str(message.string)
        else:
            yield message.id[0], message.string[0]
            yield message.id[1], message.string[-1]


def _parts(template: str) -> list[tuple[str, str | None]]:
    """Return the fixed parts, each with the name of the value after it. A template without values may hold braces."""
    try:
        return [(fixed, name) for fixed, name, _, _ in Formatter().parse(template)]
    except ValueError:
        return [(template, None)]


def _expression(parts: list[tuple[str, str | None]], names: tuple[str, ...]) -> str:
    expression, seen = "", set()
    for fixed, name in parts:
        expression += re.escape(fixed)
        if name:
            group = f"v{names.index(name)}"
            expression += f"(?P={group})" if group in seen else f"(?P<{group}>.+?)"
            seen.add(group)
    return expression
