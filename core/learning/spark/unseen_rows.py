"""Rows of a Spark frame that have a target, and those that are not among the rows of another frame."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from core.identifiers import quote_spark
from core.learning.spark.training_rows import kind_of_column

_HASH = "__row_hash"


def with_target(frame: Any, target: str) -> Any:
    """Return the rows whose *target* is neither null nor NaN."""
    from pyspark.sql import functions as f

    value = frame[quote_spark(target)]
    is_floating = frame.schema[target].dataType.typeName() in ("float", "double")
    return frame.where(value.isNotNull() & ~f.isnan(value) if is_floating else value.isNotNull())


def without(frame: Any, others: Any) -> Any:
    """Return the rows of *frame* that have not the values of a row of *others* in the columns that both have."""
    shared = sorted(name for name in frame.columns if kind_of_column(frame, name) and name in others.columns)
    hashes = others.select(_hash(others, shared).alias(_HASH)).distinct()
    return frame.withColumn(_HASH, _hash(frame, shared)).join(hashes, _HASH, "left_anti").drop(_HASH)


def _hash(frame: Any, columns: Sequence[str]) -> Any:
    from pyspark.sql import functions as f

    return f.xxhash64(*[frame[quote_spark(name)] for name in columns])
