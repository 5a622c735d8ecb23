"""Compare the rows of a file with the table's rows, and warn of what is often a mistake. A warning blocks nothing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from core.delta.row_hashes import row_hasher
from core.errors import CoreError, first_line
from core.texts import plural, text

# A larger table is compared up to this row, so that a check takes seconds.
MOST_COMPARED_ROWS = 1_000_000
_MOST_CATEGORIES = 200
_ALWAYS_CATEGORIES = 20
_SHOWN_CATEGORIES = 5
_SHOWN_CHARACTERS = 40


@dataclass(frozen=True, kw_only=True)
class IngestWarning:
    """Something in a file that a person should look at. *kind* is stable; *column* is None for whole rows."""

    kind: str
    column: str | None
    message: str

    def __str__(self) -> str:
        return self.message if self.column is None else f"{self.column}: {self.message}"


@dataclass(kw_only=True)
class _Column:
    """What the table holds in one column, as far as it was compared."""

    rows: int = 0
    nulls: int = 0
    nans: int = 0
    low: Any = None
    high: Any = None
    texts: set[str] | None = field(default_factory=set)

    def add(self, values: pa.Array) -> None:
        self.rows += len(values)
        self.nulls += values.null_count
        if _is_number(values.type):
            self.nans += _count_nans(values)
            low, high = _bounds(values)
            self.low = low if self.low is None else self.low if low is None else min(self.low, low)
            self.high = high if self.high is None else self.high if high is None else max(self.high, high)
        elif pa.types.is_string(values.type) and self.texts is not None:
            self.texts.update(pc.unique(values).drop_null().to_pylist())
            if len(self.texts) > _MOST_CATEGORIES:
                self.texts = None  # names or keys: a new one is nothing to warn of


@dataclass(frozen=True, kw_only=True)
class RowChecks:
    """The warnings on a file's rows, and with how many rows of the table the file was compared."""

    warnings: tuple[IngestWarning, ...]
    compared_rows: int


def check_rows(rows: pa.Table, stored: Iterable[pa.RecordBatch], *, all_rows: pa.Table | None = None) -> RowChecks:
    """Compare *rows* with the rows *stored* in the table, which have the same columns and types.

    Warns of new texts in a column with few different ones, of numbers beyond the range so far by more than the range,
    of nulls and NaN in columns that had none, and of rows that are repeated in the file or that the table has already.
    Rows are compared by a hash of 64 bits. *all_rows* are those of the file, if *rows* has not all their columns or
    would not be added to the table: then they are not looked for in it.
    """
    columns = {name: _Column() for name in rows.column_names}
    compared = 0
    with row_hasher() as hash_rows:
        hashes = hash_rows(rows if all_rows is None else all_rows)
        distinct, counts = np.unique(hashes, return_counts=True)
        is_stored = np.zeros(len(distinct), dtype=bool)
        for batch in _first(stored, MOST_COMPARED_ROWS):
            compared += batch.num_rows
            for name, column in columns.items():
                column.add(batch.column(name))
            if all_rows is None and len(distinct):
                stored_hashes = hash_rows(pa.Table.from_batches([batch]))
                places = np.minimum(np.searchsorted(distinct, stored_hashes), len(distinct) - 1)
                is_stored[places[distinct[places] == stored_hashes]] = True
    warnings = [
        warning for name, column in columns.items() for warning in _check_column(name, rows.column(name), column)
    ]
    if repeated := len(hashes) - len(distinct):
        message = plural("{n:,} row is repeated in the file", "{n:,} rows are repeated in the file", repeated)
        warnings.append(IngestWarning(kind="repeated_rows", column=None, message=message))
    if known := int(counts[is_stored].sum()):
        message = plural(
            "{n:,} of {total:,} rows is in the table already",
            "{n:,} of {total:,} rows are in the table already",
            known,
            total=rows.num_rows,
        )
        warnings.append(IngestWarning(kind="rows_in_table", column=None, message=message))
    return RowChecks(warnings=tuple(warnings), compared_rows=compared)


def not_compared(error: CoreError) -> IngestWarning:
    """Return the warning for a table whose rows cannot be read."""
    message = text("the file was not compared with the table's rows: {reason}", reason=first_line(error))
    return IngestWarning(kind="not_compared", column=None, message=message)


def _check_column(name: str, values: pa.ChunkedArray, stored: _Column) -> Iterator[IngestWarning]:
    if not stored.rows:
        return
    if values.null_count and not stored.nulls:
        nulls = plural(
            "{n:,} value is null; the column had no nulls",
            "{n:,} values are null; the column had no nulls",
            values.null_count,
        )
        yield IngestWarning(kind="new_nulls", column=name, message=nulls)
    if _is_number(values.type):
        if (nans := _count_nans(values)) and not stored.nans:
            message = plural(
                "{n:,} value is NaN; the column had no NaN", "{n:,} values are NaN; the column had no NaN", nans
            )
            yield IngestWarning(kind="new_nan", column=name, message=message)
        yield from _check_range(name, values, stored)
    elif pa.types.is_string(values.type) and _is_categorical(stored):
        new = sorted(set(pc.unique(values).drop_null().to_pylist()) - (stored.texts or set()))
        if new:
            shown = ", ".join(repr(_short(value)) for value in new[:_SHOWN_CATEGORIES])
            message = plural(
                "{n:,} new value: {values}",
                "{n:,} new values: {values}",
                len(new),
                values=shown if len(new) <= _SHOWN_CATEGORIES else f"{shown}, …",
            )
            yield IngestWarning(kind="new_values", column=name, message=message)


def _check_range(name: str, values: pa.ChunkedArray, stored: _Column) -> Iterator[IngestWarning]:
    """Warn of values that are farther from the range so far than the range is wide."""
    low, high = _bounds(values)
    if stored.low is None or low is None:
        return
    width = (stored.high - stored.low) or abs(stored.high) or 1
    least, most = stored.low - width, stored.high + width
    if least <= low and high <= most:
        return
    numbers = values.cast(pa.float64(), safe=False)
    outside = pc.or_(pc.less(numbers, float(least)), pc.greater(numbers, float(most)))
    message = plural(
        "{n:,} value is far outside the range so far ({low} to {high}): {found}",
        "{n:,} values are far outside the range so far ({low} to {high}), for example {found}",
        max(1, pc.sum(outside).as_py() or 0),
        low=stored.low,
        high=stored.high,
        found=high if high > most else low,
    )
    yield IngestWarning(kind="out_of_range", column=name, message=message)


def _is_categorical(stored: _Column) -> bool:
    """Return whether a column repeats few texts; a new name or key is nothing to warn of."""
    if not stored.texts:
        return False
    return len(stored.texts) <= _ALWAYS_CATEGORIES or len(stored.texts) <= stored.rows // 2


def _is_number(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind))


def _count_nans(values: pa.Array | pa.ChunkedArray) -> int:
    return pc.sum(pc.is_nan(values)).as_py() or 0 if pa.types.is_floating(values.type) else 0


def _bounds(values: pa.Array | pa.ChunkedArray) -> tuple[Any, Any]:
    """Return the least and the greatest finite value; None and None if there is none."""
    finite = values.filter(pc.is_finite(values)) if pa.types.is_floating(values.type) else values
    bounds = pc.min_max(finite).as_py()
    return bounds["min"], bounds["max"]


def _first(batches: Iterable[pa.RecordBatch], most: int) -> Iterator[pa.RecordBatch]:
    left = most
    for batch in batches:
        yield batch.slice(0, left)
        left -= batch.num_rows
        if left <= 0:
            return


def _short(value: str) -> str:
    return value if len(value) <= _SHOWN_CHARACTERS else value[: _SHOWN_CHARACTERS - 1] + "…"
