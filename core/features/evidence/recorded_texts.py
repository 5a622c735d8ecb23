"""Recorded sentences: recognises a sentence that was stored as English text, so that another language can say it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from string import Formatter

from core.entities import Stage
from core.texts import SOURCE_LANGUAGE, read_catalogue

# A template with fewer fixed letters, such as "no {metric}", fits nearly every text: its values must be single words.
_FEWEST_LETTERS = 8
# A longer text is none of ours, and the patterns would search it for long.
_MOST_CHARACTERS = 2_000
_STAGES = frozenset(stage.value for stage in Stage)
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
    if all(sentences):
        return " ".join(map(str, sentences))
    # A name or a verdict before the sentence, such as "sales@2: The log opens and every data file exists."
    subject, colon, rest = stored.partition(": ")
    said = translate_recorded(rest, language) if colon and rest else None
    return None if said is None else f"{_recognized(subject, language) or subject}: {said}"


def _recognized(stored: str, language: str) -> str | None:
    for entry in _patterns(language):
        # Most templates are out at once; a pattern with many values would search long for the same answer.
        if not all(fixed in stored for fixed in entry.fixed):
            continue
        if (match := entry.pattern.fullmatch(stored)) is not None:
            values = {name: match[f"v{place}"] for place, name in enumerate(entry.names)}
            for first, second in entry.adjacent:
                values[first], values[second] = _split(values[first] + values[second], language)
            known = {name: _translated_value(value, language) for name, value in values.items()}
            return entry.translation.format(**known) if known else entry.translation
    return None


def _split(value: str, language: str) -> tuple[str, str]:
    """Split two values without a fixed part between them: the second is a text like " (tolerance 0.1)", or empty."""
    for place in range(1, len(value)):
        if not value[place].isalnum() and _recognized(value[place:], language) is not None:
            return value[:place], value[place:]
    return value, ""


def _translated_value(value: str, language: str) -> str:
    """A value of one word is a name, such as that of a table, except for a stage."""
    is_sentence = " " in value.strip() or value in _STAGES
    return (_recognized(value, language) or value) if is_sentence else value


@dataclass(frozen=True, kw_only=True)
class _Pattern:
    """The pattern of an English template: its *fixed* parts, the *names* of its values, and its translation.

    *adjacent* are pairs of values without a fixed part between them.
    """

    pattern: re.Pattern[str]
    fixed: tuple[str, ...]
    names: tuple[str, ...]
    adjacent: tuple[tuple[str, str], ...]
    translation: str


@cache
def _patterns(language: str) -> tuple[_Pattern, ...]:
    """Return the pattern of each template, the longest fixed part first."""
    patterns = []
    for template, translation in _templates(language):
        parts = _parts(template)
        names = tuple(dict.fromkeys(name for _, name in parts if name))
        letters = sum(character.isalpha() for fixed, _ in parts for character in fixed)
        if names and letters == 0:
            continue  # such as "{before}, {after}"
        without_formats = "".join(
            fixed.replace("{", "{{").replace("}", "}}") + (f"{{{name}}}" if name else "")
            for fixed, name in _parts(translation)
        )
        pattern = _Pattern(
            pattern=re.compile(
                _expression(parts, names, ".*?" if letters >= _FEWEST_LETTERS else r"\S+")
                if names
                else re.escape(template),
                re.DOTALL,
            ),
            fixed=tuple(fixed for fixed, _ in parts) if names else (template,),
            names=names,
            adjacent=tuple(
                (before, name) for (_, before), (fixed, name) in pairwise(parts) if before and name and not fixed
            ),
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


def _expression(parts: list[tuple[str, str | None]], names: tuple[str, ...], value: str) -> str:
    expression, seen = "", set()
    for fixed, name in parts:
        expression += re.escape(fixed)
        if name:
            group = f"v{names.index(name)}"
            expression += f"(?P={group})" if group in seen else f"(?P<{group}>{value})"
            seen.add(group)
    return expression
