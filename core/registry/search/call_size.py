"""CallSize: how many rows to request in one call, so that no answer costs the server more than about half a second."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

_GOAL_S = 0.4
_FIRST = 100
# A run costs MLflow's server about 1 ms: 5,000 runs in one call took 5 s.
_MOST = 500
_LEAST = 20


class CallSize:
    """*rows* adapts to the time of the last answer: at most twice as many as before, between 20 and 500."""

    def __init__(self) -> None:
        self.rows = _FIRST

    @contextmanager
    def measured(self, rows: int) -> Iterator[None]:
        """Measure the call inside, which requests *rows*, and adapt."""
        started = time.monotonic()
        yield
        self.adapt(rows, time.monotonic() - started)

    def adapt(self, rows: int, taken_s: float) -> None:
        """Choose the next number of rows after a call for *rows* took *taken_s*."""
        affordable = int(rows * _GOAL_S / taken_s) if taken_s > 0 else _MOST
        # A call for fewer rows says little about the cost of a row: each call takes some time.
        if rows >= self.rows or affordable < rows:
            self.rows = max(_LEAST, min(_MOST, 2 * self.rows, affordable))
