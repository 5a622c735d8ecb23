"""Texts that often mean null. None of them is read as null unless a person chooses it: NA is Namibia's code too."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc

_USUAL = (
    *("NA", "na", "N/A", "n/a", "#N/A", "<NA>", "N/D", "n/d", "#N/D", "ND", "S/D", "s/d"),
    *("NULL", "null", "Null", "(null)", "\\N", "NaN", "nan", "None", "none", "NONE", "nil"),
    *("-", "--", "?", ".", "missing", "unknown"),
)
_MOST = 20
_FEW = 3
_LONGEST = 40


def usual_null_texts(columns: Sequence[pa.ChunkedArray]) -> Counter[str]:
    """Return the texts of *columns* that often mean null, with the number of their values."""
    counts: Counter[str] = Counter()
    usual = pa.array(_USUAL)
    for column in columns:
        values = column.filter(pc.is_in(column, value_set=usual))
        counts.update({entry["values"]: entry["counts"] for entry in values.value_counts().to_pylist()})
    return counts


def few_words(texts: Sequence[str]) -> tuple[str, ...]:
    """Return *texts* if they are few and none has a digit: such values among numbers or dates often mean null."""
    is_few = 0 < len(texts) <= _FEW and not any(character.isdigit() for text in texts for character in text)
    return tuple(texts) if is_few else ()


def most_frequent(counts: Counter[str]) -> tuple[tuple[str, int], ...]:
    """Return the most frequent texts first, without long ones, which mean something."""
    short = [(text, count) for text, count in counts.items() if len(text) <= _LONGEST]
    return tuple(sorted(short, key=lambda item: (-item[1], item[0]))[:_MOST])
