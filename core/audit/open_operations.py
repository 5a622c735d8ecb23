"""Intents without an outcome, remembered: each look reads only what was appended since the last one."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

from core.entities import Event, Outcome


class OpenIntents:
    """The open intents of one log. *head* gives its end, *scan* all open intents, *after* the events behind a number.

    The log is append-only, so what was once ended stays ended. Where the event that was last seen is not there as it
    was, somebody changed the log by hand: then everything is read again.
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
        self._seen: tuple[int, str] | None = None
        self._open: dict[str, Event] = {}

    def find(self) -> tuple[Event, ...]:
        """Oldest first."""
        with self._lock:
            if self._seen is None or not self._go_on(self._seen):
                # The end is read first: what is appended before the scan is then merely seen twice.
                self._seen = self._head()
                self._open = {event.operation: event for event in self._scan()}
            return tuple(sorted(self._open.values(), key=lambda event: event.sequence))

    def _go_on(self, seen: tuple[int, str]) -> bool:
        """Reads what is new behind *seen*; False where the log is no longer the one that was seen."""
        number, digest = seen
        # One event before what is new: it has to be the one that was the end.
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
            self._seen = (event.sequence, event.hash)
        return True
