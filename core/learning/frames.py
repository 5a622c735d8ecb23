"""Frames: Arrow rows turned into what estimators take, the same way for training and for scoring."""

from __future__ import annotations

from enum import Enum

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from core.errors import BadParameter


class ColumnKind(str, Enum):
    """What an estimator sees of a column."""

    NUMBER = "number"
    CATEGORY = "category"


def column_kind(kind: pa.DataType) -> ColumnKind | None:
    """Numbers, booleans, decimals and times are numbers; text is a category; anything else is None."""
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
    """*columns* as a frame: numbers as float64 (times as seconds since 1970), text as objects, missing as NaN or None.

    Raises BadParameter for a column that no estimator can take (lists, structs, binary).
    """
    made: dict[str, object] = {}
    for name in columns:
        column = rows.column(name)
        kind = column_kind(column.type)
        if kind is None:
            raise BadParameter(
                f"Column {name!r} holds {column.type}, which no estimator here takes; leave it out of the features.",
                column=name,
            )
        made[name] = _numbers(column) if kind is ColumnKind.NUMBER else _texts(column)
    return pd.DataFrame(made, columns=list(columns))


def target_values(rows: pa.Table, column: str) -> np.ndarray:
    """The target as numpy: numbers and booleans as they are, decimals as float, text as objects. None is missing."""
    values = rows.column(column)
    if pa.types.is_dictionary(values.type):
        values = values.cast(values.type.value_type)
    if pa.types.is_decimal(values.type):
        values = values.cast(pa.float64())
    if column_kind(values.type) is ColumnKind.CATEGORY:
        return _texts(values)
    return np.asarray(values.to_numpy())


def order_rows(rows: pa.Table) -> pa.Table:
    """The rows in an order that depends on nothing but their contents.

    Engines, OPTIMIZE and parallel reads return rows in different orders: without this a seed pins nothing.
    """
    plain = [
        (name, column) for name, column in zip(rows.column_names, rows.columns, strict=True) if column_kind(column.type)
    ]
    if not plain or rows.num_rows < 2:
        return rows
    names = tuple(sorted(name for name, _ in plain))
    hashes = pd.util.hash_pandas_object(features_frame(rows, names), index=False).to_numpy()
    return rows.take(pa.array(np.argsort(hashes, kind="stable")))


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
    made = np.empty(len(column), dtype=object)
    made[:] = column.cast(pa.string()).to_pylist()
    return made
