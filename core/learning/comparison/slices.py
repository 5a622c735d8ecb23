"""Slices: the rows that share a value, or a quarter of the range, of one column."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pyarrow as pa

from core.learning.comparison.compare_models import Comparison, Part
from core.learning.frames import ColumnKind, column_kind, features_frame
from core.texts import text

# Slices are many, and their intervals are a first look: fewer resamples are enough.
SLICE_RESAMPLES = 2_000
MOST_VALUES = 20
FEW_NUMBERS = 10


@dataclass(frozen=True, kw_only=True)
class Slice:
    """One slice: its column, and its name, rows and differences."""

    column: str
    part: Part


def compare_slices(
    rows: pa.Table, columns: tuple[str, ...], compare: Callable[[np.ndarray], Comparison]
) -> tuple[Slice, ...]:
    """Return the slices of *columns*, the smallest first. *compare* compares the models on the rows of a mask (rows,).

    A column of which no slice can be made (a list, one value only) has none.
    """
    slices = [
        Slice(column=column, part=Part(name=name, rows=int(mask.sum()), differences=compare(mask).differences))
        for column in columns
        for name, mask in _masks(rows, column)
    ]
    return tuple(sorted(slices, key=lambda entry: (entry.part.rows, entry.column, entry.part.name)))


def _masks(rows: pa.Table, column: str) -> Iterator[tuple[str, np.ndarray]]:
    kind = column_kind(rows.schema.field(column).type)
    if kind is None:
        return
    values = features_frame(rows, (column,))[column].to_numpy()
    missing = np.array([value is None for value in values]) if kind is ColumnKind.CATEGORY else np.isnan(values)
    masks = list(_texts(values, missing) if kind is ColumnKind.CATEGORY else _numbers(values, missing))
    if missing.any():
        masks.append((text("no value"), missing))
    if len(masks) > 1:
        yield from masks


def _texts(values: np.ndarray, missing: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
    """Yield the 20 most frequent values, and all others together."""
    names, codes, counts = np.unique(values[~missing].astype(str), return_inverse=True, return_counts=True)
    chosen = np.argsort(-counts, kind="stable")[:MOST_VALUES]
    position = np.flatnonzero(~missing)
    for index in chosen:
        yield str(names[index]), _mask(len(values), position[codes == index])
    if len(names) > MOST_VALUES:
        yield (
            text("{count} other values", count=len(names) - MOST_VALUES),
            _mask(len(values), position[~np.isin(codes, chosen)]),
        )


def _numbers(values: np.ndarray, missing: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
    """Yield each of at most ten numbers, or the quarters between the quartiles."""
    distinct = np.unique(values[~missing])
    if len(distinct) <= FEW_NUMBERS:
        for number in distinct:
            yield f"{number:g}", values == number
        return
    edges = np.unique(np.quantile(values[~missing], [0.0, 0.25, 0.5, 0.75, 1.0]))
    for place, (low, high) in enumerate(pairwise(edges)):
        is_last = place == len(edges) - 2
        inside = (values >= low) & ((values <= high) if is_last else (values < high))
        yield text("{low:g} to {high:g}", low=low, high=high), inside


def _mask(size: int, positions: np.ndarray) -> np.ndarray:
    mask = np.zeros(size, dtype=bool)
    mask[positions] = True
    return mask
