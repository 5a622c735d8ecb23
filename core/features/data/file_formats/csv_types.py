"""Give the text columns of a CSV file types: those of the table where the values fit, else those that lose nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

_SAMPLE_ROWS = 2_000
# A text column is called a column of numbers or dates with exceptions if at least this share of its values is one.
_MOSTLY = 0.5
_FEW_TEXTS = 5

_SPECIAL = r"(?i:[+-]?(nan|inf|infinity))"
_PLAIN = {".": r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", ",": r"[+-]?(\d+,?\d*|,\d+)([eE][+-]?\d+)?"}
_GROUPED = {".": r"[+-]?\d{1,3}(,\d{3})+(\.\d+)?", ",": r"[+-]?\d{1,3}(\.\d{3})+(,\d+)?"}
# One group of three digits after the mark: a fraction for some, thousands for others.
_ONE_GROUP = {".": r"^[+-]?\d{1,3},\d{3}$", ",": r"^[+-]?\d{1,3}\.\d{3}$"}
_EITHER_NUMBER = f"^({_PLAIN['.']}|{_GROUPED['.']}|{_PLAIN[',']}|{_GROUPED[',']})$"
_WHOLE = r"^[+-]?\d+$"
_WHOLE_WITH_ZEROS = r"^[+-]?\d+(\.0*)?$"
_LEADING_ZERO = r"^[+-]?0[0-9]"
_TOO_LONG_FOR_DOUBLE = r"^[+-]?[0-9]{16,}$"
_BOOLEAN = r"^(?i:true|false|verdadero|falso)$"
_BOOLEAN_OR_BIT = r"^(?i:true|false|verdadero|falso|1|0)$"
_TIME = r"[ T]\d{1,2}:\d\d(:\d\d(\.\d{1,6})?)?"
_ZONE = r"(Z|[+-]\d\d(:?\d\d)?)"
_ISO = rf"^\d{{4}}-\d\d-\d\d({_TIME}{_ZONE}?)?$"
_ISO_ZONED = rf"^\d{{4}}-\d\d-\d\d{_TIME}{_ZONE}$"
_WITH_TIME = r"\d:\d\d"
_DAY, _MONTH = r"(0?[1-9]|[12]\d|3[01])", r"(0?[1-9]|1[0-2])"
_BY_ORDER = {
    "iso": _ISO,
    "dmy": rf"^{_DAY}[/.-]{_MONTH}[/.-]\d{{4}}({_TIME})?$",
    "mdy": rf"^{_MONTH}[/.-]{_DAY}[/.-]\d{{4}}({_TIME})?$",
}


@dataclass(frozen=True, kw_only=True)
class Style:
    """How numbers and dates are written.

    *is_decimal_sure* is false if no value shows which mark is the decimal one. *is_point_doubtful*: in such a file a
    point that three digits follow in all values may group thousands.
    """

    decimal: str
    is_decimal_sure: bool
    dates: str | None
    is_point_doubtful: bool = False


@dataclass(frozen=True, kw_only=True)
class Exceptions:
    """The values that keep a column from a type: the *row* of the first, their number, and the few different ones."""

    reason: str
    row: int
    found: str
    count: int
    texts: tuple[str, ...]
    expected: str


Converted = tuple[pa.ChunkedArray, Exceptions | None]


def detect_decimal(columns: list[pa.ChunkedArray], chosen: str | None) -> tuple[str, bool]:
    """Return the decimal mark of the file, and whether a value or the choice shows it.

    1.5 shows a point and 1,5 a comma; 1,234 shows nothing. Where columns contradict each other, the mark is the point
    and nothing is sure.
    """
    if chosen is not None:
        return chosen, True
    seen = set()
    for column in columns:
        values = _present(column)
        if not _is_mostly(values.slice(0, _SAMPLE_ROWS), _EITHER_NUMBER):
            continue
        values = values.filter(pc.match_substring_regex(values, r"^[+-]?[\d.,]*[.,][\d.,]*$"))
        numbers = values.filter(pc.match_substring_regex(values, _EITHER_NUMBER))
        fits = {mark: _all(numbers, f"^({_number(mark)})$") for mark in ".,"}
        seen |= {mark for mark in ".," if fits[mark] and not fits["," if mark == "." else "."]}
    return (seen.pop(), True) if len(seen) == 1 else (".", False)


def infer(column: pa.ChunkedArray, style: Style) -> Converted:
    """Return *column* with the type of its values, or as text if a type would lose something."""
    values = _present(column)
    sample = values.slice(0, _SAMPLE_ROWS)
    if len(values) == 0:
        return column, None
    if _all(values, _BOOLEAN):
        return _booleans(column), None
    number = f"^({_number(style.decimal)}|{_SPECIAL})$"
    if _is_mostly(sample.filter(pc.invert(pc.match_substring_regex(sample, f"^{_SPECIAL}$"))), _EITHER_NUMBER):
        if wrong := _exceptions(column, number, "number"):
            return column, wrong
        return _number_or_text(column, values, style)
    orders = [style.dates] if style.dates else list(_BY_ORDER)
    if orders := [order for order in orders if order and _is_mostly(sample, _BY_ORDER[order])]:
        return _infer_dates(column, values, orders)
    return column, None


def to_type(column: pa.ChunkedArray, target: pa.DataType, style: Style) -> Converted:
    """Return *column* with the type *target* of the table, or as text with the values that do not fit."""
    if pa.types.is_boolean(target):
        wrong = _exceptions(column, _BOOLEAN_OR_BIT, str(target))
        return (column, wrong) if wrong else (_booleans(column), None)
    if pa.types.is_integer(target) or pa.types.is_floating(target) or pa.types.is_decimal(target):
        return _to_number(column, target, style)
    if pa.types.is_date(target) or pa.types.is_timestamp(target):
        return _to_date(column, target, style)
    return column, None


def _to_number(column: pa.ChunkedArray, target: pa.DataType, style: Style) -> Converted:
    expected = str(target)
    special = f"|{_SPECIAL}" if pa.types.is_floating(target) else ""
    if wrong := _exceptions(column, f"^({_number(style.decimal)}{special})$", expected):
        return column, wrong
    values = _present(column)
    if not style.is_decimal_sure and _any(values, _ONE_GROUP[style.decimal]):
        return column, _exceptions(
            column, _ONE_GROUP[style.decimal], expected, reason="ambiguous_number", is_wrong=True
        )
    plain = _plain_numbers(column, style.decimal)
    if pa.types.is_integer(target):
        if wrong := _exceptions(column, _WHOLE_WITH_ZEROS, expected, plain=plain):
            return column, wrong
        return _cast(column, pc.replace_substring_regex(plain, r"\.0*$", ""), target)
    converted, wrong = _cast(column, plain, target)
    return converted, wrong or _doubtful_points(column, values, style)


def _number_or_text(column: pa.ChunkedArray, values: pa.ChunkedArray, style: Style) -> Converted:
    """Return a column whose values are all numbers as int64 or double, if that loses nothing."""
    grouped = _ONE_GROUP[style.decimal]
    if not style.is_decimal_sure and _any(values, grouped):
        return column, _exceptions(column, grouped, "number", reason="ambiguous_number", is_wrong=True)
    plain = _plain_numbers(column, style.decimal)
    digits = _present(plain)
    if _any(digits, _LEADING_ZERO):
        return column, None
    if _all(digits, _WHOLE):
        converted, wrong = _cast(column, plain, pa.int64())
        return (column, None) if wrong else (converted, None)
    if _any(digits, _TOO_LONG_FOR_DOUBLE):
        return column, None
    return _cast(column, plain, pa.float64())[0], _doubtful_points(column, values, style)


def _doubtful_points(column: pa.ChunkedArray, values: pa.ChunkedArray, style: Style) -> Exceptions | None:
    if not style.is_point_doubtful:
        return None
    fractions = values.filter(pc.invert(pc.match_substring_regex(values, _WHOLE)))
    if not _all(fractions, _ONE_GROUP[","]):
        return None
    return _exceptions(column, _ONE_GROUP[","], "number", reason="point", is_wrong=True)


def _infer_dates(column: pa.ChunkedArray, values: pa.ChunkedArray, orders: list[str]) -> Converted:
    """Return a column of mostly dates as dates or timestamps; a day and month that may be exchanged stay text."""
    fitting = [order for order in orders if _all(values, _BY_ORDER[order])]
    if len(fitting) > 1:
        return column, _exceptions(column, _BY_ORDER[fitting[0]], "date", reason="ambiguous_date", is_wrong=True)
    if not fitting:
        found = max(orders, key=lambda order: _share(values, _BY_ORDER[order]))
        return column, _exceptions(column, _BY_ORDER[found], "date")
    has_times = _any(values, _WITH_TIME)
    zoned = has_times and _any(values, _ISO_ZONED)
    if zoned and not _all(values, _ISO_ZONED):
        return column, _exceptions(column, _ISO_ZONED, "timestamp with a zone")
    target = pa.timestamp("us", "UTC" if zoned else None) if has_times else pa.date32()
    return _cast(column, _iso_dates(column, fitting[0]), target)


def _to_date(column: pa.ChunkedArray, target: pa.DataType, style: Style) -> Converted:
    expected = str(target)
    values = _present(column)
    orders = [style.dates] if style.dates else [o for o in _BY_ORDER if _all(values, _BY_ORDER[o])]
    if len(orders) > 1 and len(values):
        return column, _exceptions(column, _BY_ORDER[orders[0]], expected, reason="ambiguous_date", is_wrong=True)
    order = orders[0] if orders else max(_BY_ORDER, key=lambda order: _share(values, _BY_ORDER[order]))
    if wrong := _exceptions(column, _BY_ORDER[order], expected):
        return column, wrong
    iso = _iso_dates(column, order)
    if pa.types.is_date(target):
        iso = pc.replace_substring_regex(iso, r"[ T]00:00(:00(\.0+)?)?$", "")
        return _cast(column, iso, target)
    if target.tz is None:
        return _cast(column, iso, target)
    # A time without a zone is UTC, as in ModelLedger's SQL.
    zoned = pc.if_else(
        pc.match_substring_regex(iso, rf":\d\d(\.\d+)?{_ZONE}$"), iso, pc.binary_join_element_wise(iso, "Z", "")
    )
    return _cast(column, zoned, target)


def _iso_dates(column: pa.ChunkedArray, order: str) -> pa.ChunkedArray:
    """Return dates in ISO 8601, from a day, month and year in *order*."""
    text = _trimmed(column)
    if order != "iso":
        text = pc.replace_substring_regex(text, r"^(\d)[/.-]", r"0\1/")
        text = pc.replace_substring_regex(text, r"^(\d\d)[/.-](\d)[/.-]", r"\1/0\2/")
        swapped = r"\3-\2-\1" if order == "dmy" else r"\3-\1-\2"
        text = pc.replace_substring_regex(text, r"^(\d\d)[/.-](\d\d)[/.-](\d{4})", swapped)
    else:
        text = pc.replace_substring_regex(text, r"([+-]\d\d)(\d\d)$", r"\1:\2")
    return pc.replace_substring_regex(text, r"[ T](\d):", r" 0\1:")


def _plain_numbers(column: pa.ChunkedArray, decimal: str) -> pa.ChunkedArray:
    """Return numbers as Python writes them: no plus, no thousands, a decimal point."""
    text = pc.replace_substring_regex(_trimmed(column), r"^\+", "")
    text = pc.replace_substring(text, "," if decimal == "." else ".", "")
    return text if decimal == "." else pc.replace_substring(text, ",", ".")


def _booleans(column: pa.ChunkedArray) -> pa.ChunkedArray:
    lower = pc.utf8_lower(_trimmed(column))
    return pc.if_else(pc.is_valid(lower), pc.is_in(lower, value_set=pa.array(["true", "verdadero", "1"])), None)


def _cast(column: pa.ChunkedArray, text: pa.ChunkedArray, target: pa.DataType) -> Converted:
    """Return *text* as *target*, or *column* and the first value for which the type has no place."""
    try:
        return text.cast(target), None
    except pa.ArrowInvalid:
        row = _first_failure(text, lambda values: values.cast(target))
        return column, Exceptions(
            reason="text", row=row, found=column[row].as_py(), count=1, texts=(), expected=str(target)
        )


def _first_failure(values: pa.ChunkedArray, convert: Callable[[pa.ChunkedArray], object]) -> int:
    """Return the position of the first value that *convert* refuses, by halving."""
    low, high = 0, len(values)
    while high - low > 1:
        middle = (low + high) // 2
        try:
            convert(values.slice(low, middle - low))
        except pa.ArrowInvalid:
            high = middle
        else:
            low = middle
    return low


def _exceptions(
    column: pa.ChunkedArray,
    pattern: str,
    expected: str,
    *,
    plain: pa.ChunkedArray | None = None,
    reason: str = "text",
    is_wrong: bool = False,
) -> Exceptions | None:
    """Return the values that do not match *pattern* (with *is_wrong*: those that do), or None if there is none."""
    matches = pc.match_substring_regex(_trimmed(column) if plain is None else plain, pattern)
    wrong = pc.fill_null(matches if is_wrong else pc.invert(matches), False)
    count = pc.sum(wrong).as_py() or 0
    if not count:
        return None
    row = pc.index(wrong, True).as_py()
    texts = column.filter(wrong).slice(0, _SAMPLE_ROWS).unique().slice(0, _FEW_TEXTS).to_pylist()
    return Exceptions(
        reason=reason, row=row, found=column[row].as_py(), count=count, texts=tuple(texts), expected=expected
    )


def without_texts(column: pa.ChunkedArray, texts: Sequence[str]) -> pa.ChunkedArray:
    """Return *column* with null for each of *texts*."""
    return pc.if_else(pc.is_in(column, value_set=pa.array(texts)), None, column)


def _trimmed(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return the values without spaces around them; an empty one is null, because only a text can be empty."""
    text = pc.utf8_trim_whitespace(column)
    return pc.if_else(pc.equal(text, ""), None, text)


def _present(column: pa.ChunkedArray) -> pa.ChunkedArray:
    return _trimmed(column).drop_null()


def _number(decimal: str) -> str:
    return f"{_PLAIN[decimal]}|{_GROUPED[decimal]}"


def _share(values: pa.ChunkedArray, pattern: str) -> float:
    return float(pc.mean(pc.match_substring_regex(values, pattern)).as_py() or 0.0) if len(values) else 0.0


def _is_mostly(values: pa.ChunkedArray, pattern: str) -> bool:
    return _share(values, pattern) >= _MOSTLY


def _all(values: pa.ChunkedArray, pattern: str) -> bool:
    return bool(pc.all(pc.match_substring_regex(values, pattern)).as_py())


def _any(values: pa.ChunkedArray, pattern: str) -> bool:
    return bool(pc.any(pc.match_substring_regex(values, pattern)).as_py())
