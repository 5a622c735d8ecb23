"""Escaping: text from data is shown as written and has no effect where it is shown.

Pages, exports, dossiers and the command line all escape through this module.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any

# Control, format (bidi, zero width), surrogate, private use and unassigned characters, and the two line separators.
_UNSEEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
# Pictographs: Python's tables do not know the newest ones.
_PICTOGRAPHS = range(0x1F000, 0x1FC00)
_PRINTABLE_ASCII = re.compile(r"[ -~]*")
_JOINER = "\N{ZERO WIDTH JOINER}"
_VARIATION = "\N{VARIATION SELECTOR-16}"
# Characters that start a formula in a spreadsheet; the wide forms count in East Asian locales.
_FORMULA = tuple("=+-@\t\r")
_FORMULA_WIDE = (
    "\N{FULLWIDTH EQUALS SIGN}",
    "\N{FULLWIDTH PLUS SIGN}",
    "\N{FULLWIDTH HYPHEN-MINUS}",
    "\N{FULLWIDTH COMMERCIAL AT}",
)


# Excel splits a CSV at semicolons where decimals have a comma, and at tabs; a quote within such a cell holds no line
# together. What follows any of them may begin a cell of its own.
_FORMULA_INSIDE = re.compile(rf"(?<=[;\t\n])(?= *[{re.escape(''.join((*'=+-@', *_FORMULA_WIDE)))}])")


def visible(text: object, *, keep: str = "") -> str:
    """Return *text* with hidden and control characters spelled out: U+202E becomes ‹U+202E›. *keep*: exceptions."""
    shown = str(text)
    if _PRINTABLE_ASCII.fullmatch(shown):
        return shown
    return "".join(
        f"‹U+{ord(c):04X}›" if c not in keep and _is_unseen(shown, place) else c for place, c in enumerate(shown)
    )


def line(text: object) -> str:
    """Return *text* as one line for a terminal, without control characters; a mark replaces a line end."""
    return visible(re.sub(r"\r?\n", " ↵ ", str(text)).replace("\t", " "))


def cell(text: str) -> str:
    """Return *text* for a cell of a spreadsheet: nothing hidden and never a formula, however the file is split."""
    shown = _FORMULA_INSIDE.sub("'", visible(text, keep="\n\t"))
    return f"'{shown}" if text.lstrip(" \n").startswith(_FORMULA + _FORMULA_WIDE) else shown


def cells(value: Any) -> Any:
    """Apply `cell` to every text in *value*, also inside lists and mappings."""
    match value:
        case str():
            return cell(value)
        case Mapping():
            return {cells(name): cells(item) for name, item in value.items()}
        case Sequence() if not isinstance(value, bytes | bytearray):
            return [cells(item) for item in value]
        case _:
            return value


def in_json(text: str) -> str:
    r"""Return a JSON document with hidden characters as \u escapes: the same document, safe for a terminal."""
    if text.isascii() and "\x7f" not in text:
        return text  # JSON has escaped the other control characters itself
    return "".join(_escaped(c) if c != "\n" and _is_unseen(text, place) else c for place, c in enumerate(text))


def _escaped(character: str) -> str:
    code = character.encode("utf-16-be", "surrogatepass").hex()
    return "".join(f"\\u{code[place : place + 4]}" for place in range(0, len(code), 4))


def _is_unseen(text: str, place: int) -> bool:
    c = text[place]
    return unicodedata.category(c) in _UNSEEN and ord(c) not in _PICTOGRAPHS and not _joins(text, place)


def _joins(text: str, place: int) -> bool:
    """Whether the character at this position joins two pictographs to one emoji."""
    if text[place] != _JOINER or place == 0 or place + 1 == len(text):
        return False
    before, after = text[place - 1], text[place + 1]
    held = before == _VARIATION or unicodedata.category(before) in ("So", "Sk")
    return held and unicodedata.category(after) == "So"
