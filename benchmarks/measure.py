"""Measurement: one number of `make bench`, always a ratio of two times taken in one run on one machine."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """*ratio* is what is compared with *goal*: the smaller the better. *note* says what the baseline is."""

    name: str
    ratio: float
    goal: float
    ours_s: float
    baseline_s: float
    note: str = ""

    @property
    def is_met(self) -> bool:
        return self.ratio <= self.goal


def fastest_s(work: Callable[[], object], *, times: int = 7) -> float:
    """The shortest of several runs, in seconds: what the work costs where nothing else disturbs it."""
    best = float("inf")
    for _ in range(times):
        gc.collect()
        started = time.perf_counter()
        work()
        best = min(best, time.perf_counter() - started)
    return best
