"""CommitTimes: the time of each commit, by the rules of Delta.

Without in-commit timestamps a commit's time is the time of its file, but at least one millisecond after the commit
before it: files that were copied or restored have times in any order, and object stores have times in whole seconds.

Source: Delta protocol, "In-Commit Timestamps"; delta-spark, DeltaHistoryManager.monotonizeCommitTimestamps.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from core.delta.log.log_files import LogFiles, commit_path
from core.errors import LogCorrupt

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class CommitTimes:
    """The times of the commits whose files exist, with the times that were computed so far."""

    def __init__(self, table: str, files: LogFiles) -> None:
        self._table = table
        self._files = files
        self._times_ms: dict[int, int] = {}

    def time(self, version: int, info: Mapping[str, Any], modified_s: float, *, in_commit_from: int | None) -> datetime:
        """Return the time of *version*, UTC in milliseconds.

        *info* is its commitInfo, *modified_s* the time of its file, and *in_commit_from* the first version whose
        in-commit timestamp counts (None: the table does not use them). Raises LogCorrupt, which names the file.
        """
        if in_commit_from is not None and version >= in_commit_from and info.get("inCommitTimestamp") is not None:
            return self._in_commit_time(version, info["inCommitTimestamp"])
        return to_datetime(self._file_time_ms(version, modified_s))

    def _in_commit_time(self, version: int, value: Any) -> datetime:
        try:
            return to_datetime(int(value))
        except (TypeError, ValueError, OverflowError) as error:
            raise LogCorrupt(
                "{table}: {file} has the inCommitTimestamp {value!r}, which is not a time in milliseconds since 1970.",
                table=self._table,
                file=commit_path(version),
                value=value,
            ) from error

    def _file_time_ms(self, version: int, modified_s: float) -> int:
        times = self._times_ms
        if version not in times:
            if version - 1 not in times:
                for earlier, earlier_s in self._files.commit_times(version):
                    self._append(earlier, earlier_s)
            self._append(version, modified_s)
        return times[version]

    def _append(self, version: int, modified_s: float) -> None:
        before = self._times_ms.get(version - 1)
        time_ms = to_milliseconds(modified_s)
        self._times_ms[version] = time_ms if before is None else max(time_ms, before + 1)


def to_milliseconds(time_s: float) -> int:
    """Return *time_s* in whole milliseconds; the rounding undoes the error of binary fractions."""
    return round(time_s * 1_000_000) // 1000


def to_datetime(time_ms: int) -> datetime:
    """Return the moment *time_ms* milliseconds after 1970. Raises OverflowError outside the years 1 to 9999."""
    return _EPOCH + timedelta(milliseconds=time_ms)
