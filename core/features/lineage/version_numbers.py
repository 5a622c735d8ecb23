"""Version number: the version of a Delta table in a text that anybody may have written."""

from __future__ import annotations

# A Delta version is a signed 64-bit number.
_LARGEST = 2**63 - 1


def version_number(value: object, *, prefix: str = "") -> int | None:
    """Return the version that *value* names, a number or its digits; None for anything else.

    Before the digits the letter *prefix* may stand, in either case.
    """
    if isinstance(value, bool) or not isinstance(value, int | str):
        return None
    digits = str(value).strip()
    if prefix and digits[:1].lower() == prefix:
        digits = digits[1:].strip()
    if not (digits.isascii() and digits.isdigit() and len(digits) <= 19):
        return None
    return int(digits) if int(digits) <= _LARGEST else None
