"""RecordCache: records of MLflow by id, kept in memory so that a page does not read 1,000 runs on each rerun."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

# A run or a logged model has no reliable time of last change in MLflow: behind a server a settled record is taken as
# unchanged for this long.
_TRUST_S = 60.0
_MAX_ENTRIES = 50_000

ChangeMarker = tuple[int, ...] | None
Record = TypeVar("Record")


@dataclass(frozen=True)
class _Entry(Generic[Record]):
    record: Record | None
    marker: ChangeMarker
    read_at: float


class RecordCache(Generic[Record]):
    """Records by id, with the store's change marker from before they were read. None stands for "no such record".

    *is_settled* says whether a record is unlikely to change, as a run that has ended.
    """

    def __init__(self, is_settled: Callable[[Record], bool]) -> None:
        self._is_settled = is_settled
        self._entries: dict[str, _Entry[Record]] = {}
        self._lock = threading.Lock()

    def get_many(self, ids: Iterable[str], marker: ChangeMarker) -> dict[str, Record | None]:
        """Return the cached records that are valid: the store is unchanged, or they were settled and read recently."""
        now, records = time.monotonic(), {}
        with self._lock:
            for record_id in ids:
                entry = self._entries.get(record_id)
                if entry is not None and self._is_valid(entry, marker, now):
                    records[record_id] = entry.record
        return records

    def put_many(self, ids: Iterable[str], records: Mapping[str, Record], marker: ChangeMarker) -> None:
        """Keep *records*, and "no such record" for each of *ids* without one; *marker* is from before the read."""
        now = time.monotonic()
        with self._lock:
            if len(self._entries) > _MAX_ENTRIES:
                self._entries.clear()
            for record_id in ids:
                self._entries[record_id] = _Entry(records.get(record_id), marker, now)

    def _is_valid(self, entry: _Entry[Record], marker: ChangeMarker, now: float) -> bool:
        if marker is not None and entry.marker is not None:
            return entry.marker == marker
        return entry.record is not None and self._is_settled(entry.record) and now - entry.read_at < _TRUST_S
