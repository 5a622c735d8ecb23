"""One measurement of `make bench`: a ratio of two times from one run on one machine."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """*ratio* is compared with *goal*; a smaller ratio is better. *note* names the baseline."""

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
    """Return the shortest of several runs in seconds: the cost without disturbance."""
    best = float("inf")
    for _ in range(times):
        gc.collect()
        started = time.perf_counter()
        work()
        best = min(best, time.perf_counter() - started)
    return best
