"""Open operations: intents without an outcome, kept between reads, so that each read takes only new events."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

from core.entities import Event, Outcome


class OpenIntents:
    """The open intents of one log.

    *head* returns the number and the hash of the newest event, *scan* all open intents, *after* the events after a
    number. The log is append-only, so an operation that ended stays ended. If the event that was read last has changed,
    somebody changed the log by hand: then all events are read again.
    """

    def __init__(
        self,
        *,
        head: Callable[[], tuple[int, str]],
        scan: Callable[[], tuple[Event, ...]],
        after: Callable[[int], Iterator[Event]],
    ) -> None:
        self._head, self._scan, self._after = head, scan, after
        self._lock = threading.Lock()
        self._last_read: tuple[int, str] | None = None
        self._open: dict[str, Event] = {}

    def find(self) -> tuple[Event, ...]:
        """Return the open intents, oldest first."""
        with self._lock:
            if self._last_read is None or not self._read_new_events(self._last_read):
                # The head is read first: events that are appended before the scan are then only read twice.
                self._last_read = self._head()
                self._open = {event.operation: event for event in self._scan()}
            return tuple(sorted(self._open.values(), key=lambda event: event.sequence))

    def _read_new_events(self, last_read: tuple[int, str]) -> bool:
        """Read the events after *last_read*; return False where that event has changed."""
        number, digest = last_read
        # The first event of these must be the one that was read last.
        new = self._after(max(number - 1, 0))
        if number:
            last = next(new, None)
            if last is None or (last.sequence, last.hash) != (number, digest):
                return False
        for event in new:
            if event.outcome is Outcome.INTENT:
                self._open[event.operation] = event
            else:
                self._open.pop(event.operation, None)
            self._last_read = (event.sequence, event.hash)
        return True
