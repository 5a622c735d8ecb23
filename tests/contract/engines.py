"""The Delta engines that the contract is tested on; where one truly differs it is said here, as data."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import pytest

from core.delta.engine import DeltaEngine
from core.errors import EngineUnavailable


@dataclass(frozen=True, kw_only=True)
class Kind:
    """One engine; *differs* names what it does otherwise, with the reason: each is a strict xfail."""

    name: str
    differs: dict[str, str] = field(default_factory=dict)


DELTA_RS = Kind(name="delta-rs")
SPARK = Kind(name="spark")

KINDS = (DELTA_RS, SPARK)


def parameters() -> list[object]:
    """For pytest.mark.parametrize over all engines; Spark's carries its marker."""
    return [pytest.param(kind, id=kind.name, marks=[pytest.mark.spark] if kind is SPARK else []) for kind in KINDS]


@contextmanager
def opened(kind: Kind) -> Iterator[DeltaEngine]:
    """Skips where what the engine needs is not installed, except under CI=true."""
    if kind is DELTA_RS:
        from core.delta.delta_rs import DeltaRsEngine

        yield DeltaRsEngine()
        return
    from core.delta import spark_java, spark_session
    from core.delta.spark import SparkEngine

    try:
        spark_java.require_java()
    except EngineUnavailable as error:
        if os.environ.get("CI") == "true":
            raise
        pytest.skip(str(error))
    yield SparkEngine("local[2]")
    spark_session.close()


def xfail_where_it_differs(request: pytest.FixtureRequest, kind: Kind, what: str) -> None:
    """Marks the running test as a strict expected failure where *kind* differs in *what*."""
    if what in kind.differs:
        request.applymarker(pytest.mark.xfail(reason=kind.differs[what], strict=True))
