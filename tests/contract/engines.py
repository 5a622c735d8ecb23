"""The Delta engines that the contract is tested on; where they differ the product says so as data: by
core.delta.table_features and Readability.REFUSED."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from core.delta.engine import DeltaEngine


@dataclass(frozen=True, kw_only=True)
class Kind:
    """One engine."""

    name: str


DELTA_RS = Kind(name="delta-rs")
SPARK = Kind(name="spark")

KINDS = (DELTA_RS, SPARK)


def parameters(*, is_spark_slow: bool = False) -> list[object]:
    """For pytest.mark.parametrize over all engines; Spark's carries its marker, and that of slow tests if asked."""
    marks = {DELTA_RS: [], SPARK: [pytest.mark.spark, *([pytest.mark.slow] if is_spark_slow else [])]}
    return [pytest.param(kind, id=kind.name, marks=marks[kind]) for kind in KINDS]


def opened(kind: Kind, request: pytest.FixtureRequest) -> DeltaEngine:
    """Skips where what the engine needs is not installed, except under CI=true. Spark's are on one session."""
    if kind is DELTA_RS:
        from core.delta.delta_rs.engine import DeltaRsEngine

        return DeltaRsEngine()
    from core.delta.spark.engine import SparkEngine

    request.getfixturevalue("java")
    return SparkEngine("local[2]")
