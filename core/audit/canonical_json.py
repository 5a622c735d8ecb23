"""Canonical JSON: one value, one text, whatever the machine, so that a hash over it means something.

Keys are sorted; no white space; strings in Unicode normal form C; 1 and 1.0 are the same number and written 1; other
floats are Python's shortest round-trip; NaN and the infinities are the strings "NaN", "Infinity", "-Infinity"; times
are ISO 8601 in UTC with microseconds. What has no such text is refused with TypeError: bytes, a time without a zone
(it would mean another instant on another machine), two keys that are one key in normal form C.
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
# No database and no UTF-8 holds all of these: NUL is refused by PostgreSQL, half a surrogate pair by any encoder.
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


def canonical(value: Any) -> str:
    """*value* as canonical JSON."""
    return _ENCODER.encode(settled(value))


def storable(text: str) -> str:
    """*text* in normal form C, with U+FFFD for what neither database can hold."""
    if text.isascii() and "\x00" not in text:
        return text  # most texts are; a log of a million events is verified in half the time
    return normalize("NFC", _UNSTORABLE.sub("\N{REPLACEMENT CHARACTER}", text))


def settled(value: Any) -> Any:
    """*value* made of None, bool, int, float, str, list and dict alone, each in its one form."""
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
    found = {storable(str(settled(key))): settled(item) for key, item in value.items()}
    if len(found) != len(value):
        raise TypeError("two keys are the same in Unicode normal form C")
    return found
