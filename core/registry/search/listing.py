"""RunListing: the runs that match a filter, newest first, read from MLflow in pages as far as they are needed."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

from core.entities import Run
from core.registry.record_cache import ChangeMarker
from core.registry.search.call_size import CallSize

# Behind a server a run is read again after this time, when it is shown.
_FRESH_S = 5.0
# The newest runs that are read again, to find new ones.
_HEAD = 100
# A listing that took longer than this to read is kept: new runs are added, and it is read again after the second time.
_CHEAP_S = 0.5
_KEPT_S = 600.0
_MAX_RUNS = 50_000
_MAX_RUNS_IN_ALL = 100_000
_MAX_LISTINGS = 32


@dataclass(frozen=True, kw_only=True)
class RunPage:
    """Some runs, newest first. *next_token* requests the page after them and is None on the last page."""

    runs: tuple[Run, ...]
    next_token: str | None


class ReadPage(Protocol):
    """Reads a page of the runs that match *conditions*, newest first."""

    def __call__(
        self, experiments: Sequence[str] = (), conditions: str = "", *, limit: int, token: str | None = None
    ) -> RunPage: ...


@dataclass(frozen=True)
class _Row:
    run: Run
    marker: ChangeMarker
    read_at: float


class RunListing:
    """The matching runs that were read so far. Sessions share it."""

    def __init__(
        self,
        read: ReadPage,
        experiments: Sequence[str],
        conditions: str,
        marker: Callable[[], ChangeMarker],
        size: CallSize,
    ) -> None:
        self._read, self._experiments, self._conditions = read, tuple(experiments), conditions
        self._marker, self._size = marker, size
        self._rows: dict[str, _Row] = {}
        self._token: str | None = None
        self._lock = threading.RLock()
        self.is_complete = False
        self.cost_s = 0.0
        self.begun_at = self.checked_at = time.monotonic()
        self.checked_marker = marker()
        self.read_at = datetime.now(UTC)

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def is_capped(self) -> bool:
        """Whether more runs may match than are kept in memory."""
        return self.is_complete and self._token is not None

    @property
    def runs(self) -> list[Run]:
        """The runs read so far, newest first."""
        with self._lock:
            return [row.run for row in self._rows.values()]

    def advance(self) -> None:
        """Read the next runs with one search, unless all have been read."""
        with self._lock:
            if self.is_complete:
                return
            started, marker, rows = time.monotonic(), self._marker(), self._size.rows
            with self._size.measured(rows):
                page = self._search(self._conditions, rows, self._token)
            for run in page.runs:
                # Tokens count runs: a run that started in the meantime shifts the pages, and a run appears again.
                self._rows.setdefault(run.run_id, _Row(run, marker, started))
            self.cost_s += time.monotonic() - started
            self._token = page.next_token
            self.is_complete = page.next_token is None or len(self._rows) >= _MAX_RUNS

    def add_new(self) -> bool:
        """Read the newest runs again: add new ones, drop those that left. False if too many are new to add them."""
        with self._lock:
            started, marker = time.monotonic(), self._marker()
            page = self._search(self._conditions, _HEAD, None)
            head = {run.run_id: _Row(run, marker, started) for run in page.runs}
            if page.next_token is None:
                self._rows, self._token, self.is_complete = head, None, True
            elif not any(run_id in self._rows for run_id in head):
                return False
            else:
                oldest = page.runs[-1].started
                kept = {
                    run_id: row
                    for run_id, row in self._rows.items()
                    if run_id not in head and (oldest is None or row.run.started is None or row.run.started <= oldest)
                }
                self._rows = head | kept
            self.checked_at, self.checked_marker = started, marker
            return True

    def current(self, runs: Sequence[Run]) -> list[Run]:
        """Return *runs* as MLflow has them now, without those that were deleted or match no longer."""
        with self._lock:
            now, marker = time.monotonic(), self._marker()
            stale = [run.run_id for run in runs if not self._is_fresh(run.run_id, marker, now)]
            while stale:
                part, stale = stale[: self._size.rows], stale[self._size.rows :]
                listed = ", ".join(f"'{run_id}'" for run_id in part)
                both = " AND ".join(filter(None, (self._conditions, f"attributes.run_id IN ({listed})")))
                with self._size.measured(len(part)):
                    found = {run.run_id: run for run in self._search(both, len(part), None).runs}
                for run_id in part:
                    if run_id in found:
                        self._rows[run_id] = _Row(found[run_id], marker, now)
                    else:
                        self._rows.pop(run_id, None)
            return [self._rows[run.run_id].run for run in runs if run.run_id in self._rows]

    def _is_fresh(self, run_id: str, marker: ChangeMarker, now: float) -> bool:
        row = self._rows.get(run_id)
        if row is None:
            return False
        return row.marker == marker if marker is not None else now - row.read_at < _FRESH_S

    def _search(self, conditions: str, limit: int, token: str | None) -> RunPage:
        return self._read(self._experiments, conditions, limit=limit, token=token)


class RunListings:
    """The listings of the last filters. A listing of thousands of runs is kept and completed, not read again."""

    def __init__(self, read: ReadPage, marker: Callable[[], ChangeMarker], size: CallSize) -> None:
        self._read, self._marker, self._size = read, marker, size
        self._listings: OrderedDict[tuple[tuple[str, ...], str], RunListing] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, experiments: Sequence[str] = (), conditions: str = "", *, again: bool = False) -> RunListing:
        """Return the listing of *conditions* in *experiments* (all if empty), which has the newest runs.

        *again* reads all runs again. Without it, a change of an old run in a listing of thousands may be missed for up
        to ten minutes, until the run is shown.
        """
        key = (tuple(sorted(experiments)), conditions)
        with self._lock:
            listing = None if again else self._listings.get(key)
        if listing is not None and self._is_valid(listing):
            with self._lock:
                self._listings[key] = listing
                self._listings.move_to_end(key)
            return listing
        listing = RunListing(self._read, experiments, conditions, self._marker, self._size)
        with self._lock:
            self._listings[key] = listing
            self._listings.move_to_end(key)
            while len(self._listings) > 1 and (
                len(self._listings) > _MAX_LISTINGS or sum(map(len, self._listings.values())) > _MAX_RUNS_IN_ALL
            ):
                self._listings.popitem(last=False)
        return listing

    def _is_valid(self, listing: RunListing) -> bool:
        """Whether the listing is as new as it must be, if necessary after its newest runs were read again."""
        now, marker = time.monotonic(), self._marker()
        if marker is not None and listing.checked_marker == marker:
            return True
        if marker is None and now - listing.checked_at < _FRESH_S:
            return True
        is_cheap = listing.is_complete and listing.cost_s < _CHEAP_S
        if is_cheap or now - listing.begun_at > _KEPT_S or not len(listing):
            return False
        return listing.add_new()
