"""Frames: convert Arrow rows into the input of estimators, in the same way for training and for scoring."""

from __future__ import annotations

from enum import Enum

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from core.errors import BadParameter


class ColumnKind(str, Enum):
    """How an estimator uses a column."""

    NUMBER = "number"
    CATEGORY = "category"


def column_kind(kind: pa.DataType) -> ColumnKind | None:
    """Return NUMBER for numbers, booleans, decimals and times, CATEGORY for text, and None for any other type."""
    if pa.types.is_dictionary(kind):
        return column_kind(kind.value_type)
    if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind):
        return ColumnKind.NUMBER
    if pa.types.is_decimal(kind) or pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        return ColumnKind.NUMBER
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        return ColumnKind.CATEGORY
    return None


def features_frame(rows: pa.Table, columns: tuple[str, ...]) -> pd.DataFrame:
    """Return *columns* as a frame: numbers as float64 (times in seconds since 1970), text as objects.

    A missing value is NaN or None. Raises BadParameter for a column that no estimator can use (list, struct, binary).
    """
    values: dict[str, object] = {}
    for name in columns:
        column = rows.column(name)
        kind = column_kind(column.type)
        if kind is None:
            raise BadParameter(
                "Column {column!r} has the type {type}, which no estimator here can use; leave it out of the features.",
                column=name,
                type=str(column.type),
            )
        values[name] = _numbers(column) if kind is ColumnKind.NUMBER else _texts(column)
    return pd.DataFrame(values, columns=list(columns))


def has_value(column: pa.ChunkedArray) -> np.ndarray:
    """Return which rows of *column* are neither null nor NaN: a mask (rows,)."""
    return np.asarray(pc.invert(pc.is_null(column, nan_is_null=True)).to_numpy())


def target_values(rows: pa.Table, column: str) -> np.ndarray:
    """Return the target: numbers and booleans unchanged, decimals as float, text as objects; missing text is None."""
    values = rows.column(column)
    if pa.types.is_dictionary(values.type):
        values = values.cast(values.type.value_type)
    if pa.types.is_decimal(values.type):
        values = values.cast(pa.float64())
    if column_kind(values.type) is ColumnKind.CATEGORY:
        return _texts(values)
    return np.asarray(values.to_numpy())


def order_rows(rows: pa.Table) -> pa.Table:
    """Return the rows in an order that depends only on their contents.

    Engines, OPTIMIZE and parallel reads return rows in different orders. Without a fixed order the same seed would give
    different splits.
    """
    names = tuple(sorted(field.name for field in rows.schema if column_kind(field.type)))
    if not names or rows.num_rows < 2:
        return rows
    return rows.take(pa.array(np.argsort(hash_rows(rows, names), kind="stable")))


def hash_rows(rows: pa.Table, columns: tuple[str, ...]) -> np.ndarray:
    """Return a hash (rows,) of each row's values in *columns*; equal values have equal hashes in every table."""
    return pd.util.hash_pandas_object(features_frame(rows, columns), index=False).to_numpy()


def _numbers(column: pa.ChunkedArray) -> np.ndarray:
    kind = column.type
    if pa.types.is_dictionary(kind):
        column = column.cast(kind.value_type)
        kind = column.type
    if pa.types.is_date(kind):
        column, kind = column.cast(pa.timestamp("us")), pa.timestamp("us")
    if pa.types.is_timestamp(kind):
        micros = column.cast(pa.timestamp("us", tz=kind.tz)).cast(pa.int64())
        return np.asarray(pc.divide(micros.cast(pa.float64()), 1e6).to_numpy(), dtype=np.float64)
    if pa.types.is_boolean(kind):
        column = column.cast(pa.int8())
    return np.asarray(column.cast(pa.float64(), safe=False).to_numpy(), dtype=np.float64)


def _texts(column: pa.ChunkedArray) -> np.ndarray:
    texts = np.empty(len(column), dtype=object)
    texts[:] = column.cast(pa.string()).to_pylist()
    return texts
