"""RunCache: runs that have ended, kept in memory so that a page does not read 1,000 runs from MLflow on each rerun."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from core.entities import Run, RunStatus

# A run has no time of last change in MLflow: behind a server an ended run is taken as unchanged for this long.
_TRUST_S = 60.0
_MAX_ENTRIES = 50_000
_ENDED = frozenset({RunStatus.FINISHED, RunStatus.FAILED, RunStatus.KILLED})

ChangeMarker = tuple[int, ...] | None


@dataclass(frozen=True)
class _Entry:
    run: Run | None
    marker: ChangeMarker
    read_at: float


class RunCache:
    """Runs by id, with the store's change marker from before they were read. None stands for "no such run"."""

    def __init__(self) -> None:
        self._entries: dict[str, _Entry] = {}
        self._lock = threading.Lock()

    def get_many(self, run_ids: Iterable[str], marker: ChangeMarker) -> dict[str, Run | None]:
        """Return the cached runs that are valid: the store is unchanged, or they had ended and were read recently."""
        now, runs = time.monotonic(), {}
        with self._lock:
            for run_id in run_ids:
                entry = self._entries.get(run_id)
                if entry is not None and self._is_valid(entry, marker, now):
                    runs[run_id] = entry.run
        return runs

    def put_many(self, run_ids: Iterable[str], runs: Mapping[str, Run], marker: ChangeMarker) -> None:
        """Keep *runs*, and "no such run" for each of *run_ids* without one; *marker* is from before the read."""
        now = time.monotonic()
        with self._lock:
            if len(self._entries) > _MAX_ENTRIES:
                self._entries.clear()
            for run_id in run_ids:
                self._entries[run_id] = _Entry(runs.get(run_id), marker, now)

    @staticmethod
    def _is_valid(entry: _Entry, marker: ChangeMarker, now: float) -> bool:
        if marker is not None and entry.marker is not None:
            return entry.marker == marker
        return entry.run is not None and entry.run.status in _ENDED and now - entry.read_at < _TRUST_S
