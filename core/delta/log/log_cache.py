"""Logs: the logs of many tables, kept in memory and shared by threads."""

from __future__ import annotations

import threading
from collections.abc import Mapping

from core.delta.log.log_files import files_of
from core.delta.log.table_log import Log
from core.entities import Table


class Logs:
    """One Log per table. Safe to share between threads."""

    def __init__(self, storage_options: Mapping[str, str] | None = None) -> None:
        self._storage_options = dict(storage_options or {})
        self._logs: dict[tuple[str, str], Log] = {}
        self._lock = threading.Lock()

    def of(self, table: Table) -> Log:
        """Return the log of *table*, with what it has read so far."""
        with self._lock:
            key = table.name, table.uri
            if key not in self._logs:
                self._logs[key] = Log(table, files_of(table.uri, self._storage_options))
            return self._logs[key]
