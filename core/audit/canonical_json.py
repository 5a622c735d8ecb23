"""Canonical JSON: each value has one text on every machine, so that hashes of the text can be compared.

Keys are sorted. There is no white space. Strings are in Unicode normal form C. 1 and 1.0 are both written 1; other
floats are written as Python's shortest round-trip; NaN and the infinities are the strings "NaN", "Infinity" and
"-Infinity". Times are ISO 8601 in UTC with microseconds. Values without a canonical text raise TypeError: bytes, a time
without a zone (it means different instants on different machines), and two keys with the same normal form C.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from enum import Enum
from typing import Any
from unicodedata import normalize

_INTEGRAL_BELOW = 2**53
_ENCODER = json.JSONEncoder(ensure_ascii=False, sort_keys=True, separators=(",", ":"), allow_nan=False)
# PostgreSQL refuses NUL. No encoder accepts half of a surrogate pair.
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


def canonical(value: Any) -> str:
    """Return *value* as canonical JSON."""
    return _ENCODER.encode(settled(value))


def storable(text: str) -> str:
    """Return *text* in normal form C, with U+FFFD for each character that a database cannot store."""
    if text.isascii() and "\x00" not in text:
        return text  # most texts: halves the time to verify a log of a million events
    return normalize("NFC", _UNSTORABLE.sub("\N{REPLACEMENT CHARACTER}", text))


def settled(value: Any) -> Any:
    """Return *value* built of None, bool, int, float, str, list and dict only, each in its canonical form."""
    if type(value) is str:
        return storable(value)
    match value:
        case Enum():
            return settled(value.value)
        case None | bool() | int():
            return value
        case str():
            return storable(value)
        case float():
            return _number(value)
        case Decimal():
            return str(value.normalize())
        case datetime():
            if value.tzinfo is None:
                raise TypeError("a time without a zone has no canonical JSON")
            return value.astimezone(UTC).isoformat(timespec="microseconds")
        case Mapping():
            return _object(value)
        case Sequence() if not isinstance(value, bytes | bytearray):
            return [settled(item) for item in value]
        case _:
            raise TypeError(f"{type(value).__name__} has no canonical JSON")


def _number(value: float) -> int | float | str:
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    return int(value) if value.is_integer() and abs(value) < _INTEGRAL_BELOW else value


def _object(value: Mapping[Any, Any]) -> dict[str, Any]:
    items = {storable(str(settled(key))): settled(item) for key, item in value.items()}
    if len(items) != len(value):
        raise TypeError("two keys are the same in Unicode normal form C")
    return items
