"""Data checks: whether the data of many models is readable, kept between reads so that a read stays short."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Hashable, Mapping

from core.features.lineage.version_data import DataView

# A read checks data for at most this long, and at least one data version.
_BUDGET_S = 2.0
# So many data versions are checked again by each read; up to this number of models every read is fresh.
_FRESH = 20
_KEPT = 5_000


class DataChecks:
    """The last view of each data version, and when it was made. Safe from several threads."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._views: dict[Hashable, tuple[float, DataView]] = {}

    def views(self, wanted: Mapping[Hashable, Callable[[], DataView]]) -> dict[Hashable, DataView | None]:
        """Return a view for each key of *wanted*, None where it was not checked yet.

        Those never checked are checked first, then those whose check is the oldest.
        """
        with self._lock:
            checked_at = {key: self._views[key][0] for key in wanted if key in self._views}
        oldest = sorted(checked_at, key=checked_at.__getitem__)[:_FRESH]
        end = self._clock() + _BUDGET_S
        for number, key in enumerate([*(key for key in wanted if key not in checked_at), *oldest]):
            if number and self._clock() >= end:
                break
            view = wanted[key]()
            with self._lock:
                self._views[key] = (self._clock(), view)
        with self._lock:
            while len(self._views) > _KEPT:
                self._views.pop(next(iter(self._views)))
            return {key: self._views[key][1] if key in self._views else None for key in wanted}
