"""Log: the log of one Delta table, read from its own files, with history and snapshots.

A version is the number in the name of a commit file, never a count. Commits are kept after they were read, so a
refresh reads only new commits. Only what a call needs is parsed: the newest N commits, or those after a checkpoint.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, TypeVar

from cachetools import LRUCache

from core.delta.log import checkpoint
from core.delta.log.commit import commit_info, read_actions, to_commit
from core.delta.log.commit_times import CommitTimes
from core.delta.log.log_files import COMMIT, LogFiles, commit_path
from core.delta.log.state import IN_COMMIT_TIMESTAMP, State
from core.delta.log.stored_files import DataFile, FileKey
from core.entities import Commit, Snapshot, Table
from core.errors import LogCorrupt, LogExpired, TableNotFound, VersionNotFound

_LOG = logging.getLogger(__name__)

T = TypeVar("T")

# How many paths of data files are cached, over all versions.
_MAX_CACHED_PATHS = 200_000


class Log:
    """The log of one table. Safe to share between threads. Every call first looks for new commits.

    Every method but exists() can raise TableNotFound, LogExpired, LogCorrupt (which names the file) and
    StorageUnavailable; methods with a version also raise VersionNotFound.
    """

    def __init__(self, table: Table, files: LogFiles) -> None:
        self.table = table
        self.files = files
        self._lock = threading.RLock()
        self._forget()

    def _forget(self) -> None:
        self._latest: int | None = None
        self._latest_mark: Any = None
        self._oldest: int | None = None  # None until the folder is listed
        self._gap: int | None = None  # the first commit that is missing although later commits exist
        self._checkpoints: dict[int, tuple[str, ...]] = {}
        self._commits: dict[int, Commit] = {}
        self._times = CommitTimes(self.table.name, self.files)
        self._in_commit_from: tuple[int, int | None] | None = None  # of which newest version, and from when on
        self._snapshots: dict[int, Snapshot] = {}
        self._data_files: LRUCache[int, tuple[tuple[FileKey, DataFile], ...]] = LRUCache(
            _MAX_CACHED_PATHS, getsizeof=len
        )
        self._tip: State | None = None

    # ---------------------------------------------------------------------------------------- reading

    def exists(self) -> bool:
        """Return whether the table has a commit, even a damaged or expired one."""
        with self._lock:
            try:
                self._refresh()
            except TableNotFound:
                return False
            except (LogCorrupt, LogExpired):
                return True
            return True

    def latest(self) -> int:
        """Return the newest version. Raises LogCorrupt if a commit before it is missing."""
        with self._lock:
            return self._refresh_whole()

    def history(self, limit: int | None = None) -> tuple[Commit, ...]:
        """Return the commits whose files exist, newest first, at most *limit*; only those before a missing commit."""
        with self._lock:
            latest = self._refresh()
            if self._in_commit_from is not None and self._in_commit_from[1] != self._in_commit_times_from():
                self._commits.clear()  # the table began or ceased to use in-commit timestamps
            oldest = self._list() if limit is None else max(0, latest - limit + 1)
            try:
                self._parse(oldest, latest)
            except FileNotFoundError:
                # Older commits were cleaned up: the folder shows where the log begins.
                oldest = max(oldest, self._list(again=True))
                self._require_files(lambda: self._parse(oldest, latest))
            commits = self._commits
            return tuple([commits[version] for version in range(latest, oldest - 1, -1)])

    def commit(self, version: int) -> Commit | None:
        """Return the commit of *version*, or None if its file was cleaned up."""
        with self._lock:
            self._require_version(version, self._refresh())
            try:
                self._parse(version, version)
            except FileNotFoundError:
                return None
            return self._commits[version]

    def snapshot(self, version: int | None = None) -> Snapshot:
        """Return the table at *version*, or at the newest version."""
        with self._lock:
            latest = self._refresh_whole() if version is None else self._refresh()
            version = latest if version is None else version
            self._require_version(version, latest)
            if version not in self._snapshots:
                self._replay(version, version).require_columns()
            return self._snapshots[version]

    def snapshots(self, newest: int | None = None) -> tuple[Snapshot, ...]:
        """Return the snapshots of the *newest* versions, newest first.

        Versions that have expired, that have no columns yet, or that come after a missing commit are left out.
        """
        with self._lock:
            latest = self._refresh()
            oldest = self._oldest_state()
            first = oldest if newest is None else max(oldest, latest - newest + 1)
            if missing := [version for version in range(first, latest + 1) if version not in self._snapshots]:
                self._replay(missing[0], missing[-1])
            versions = range(latest, first - 1, -1)
            return tuple([self._snapshots[version] for version in versions if version in self._snapshots])

    def data_files(self, version: int) -> tuple[tuple[FileKey, DataFile], ...]:
        """Return the files of a version by path, as the log writes the path, and deletion vector."""
        with self._lock:
            latest = self._refresh()
            self._require_version(version, latest)
            if (cached := self._data_files.get(version)) is not None:
                return cached
            files = tuple(self._state(version).files.items())
            if len(files) <= _MAX_CACHED_PATHS:
                self._data_files[version] = files
            return files

    def transaction_version(self, name: str) -> int | None:
        """Return the number of the last transaction of the application *name*, or None."""
        with self._lock:
            return self._state(self._refresh_whole()).transactions.get(name)

    def version_that_wrote(self, name: str) -> int | None:
        """Return the newest version whose commit contains the transaction *name*, or None."""
        with self._lock:
            latest, oldest = self._refresh_whole(), self._list()
            quoted = f'"{name}"'.encode()
            for version in range(latest, oldest - 1, -1):
                file = self.files.read(commit_path(version))
                if b'"txn"' not in file.data or quoted not in file.data:
                    continue
                entries = read_actions(file, commit_path(version), self.table.name)
                if any(entry["txn"].get("appId") == name for entry in entries if "txn" in entry):
                    return version
            return None

    def filled_by_table(self) -> frozenset[str]:
        """Return the columns of the newest version that the table fills itself: generated and identity columns."""
        with self._lock:
            return self._state(self._refresh_whole()).filled_by_table()

    def version_range(self) -> str:
        """Return the versions that can be read, such as `0–12`, for messages."""
        with self._lock:
            latest, oldest = self._refresh(), self._oldest_state()
            return f"{oldest}–{latest}" if oldest < latest else f"{latest}"

    # ----------------------------------------------------------------------------------- finding files

    def _refresh_whole(self) -> int:
        """Return the newest version. Raises LogCorrupt, which names the file, if a commit before it is missing."""
        latest = self._refresh()
        if self._gap is not None:
            raise self._missing_commit(self._gap)
        return latest

    def _missing_commit(self, version: int) -> LogCorrupt:
        return LogCorrupt(
            "{table}: {file} is missing between other commits. Restore the file from a backup.",
            table=self.table.name,
            file=commit_path(version),
        )

    def _refresh(self) -> int:
        """Return the newest version before a gap; look only at what may have changed since the last call."""
        if self._latest is not None and self._mark(self._latest) != self._latest_mark:
            self._forget()  # the log was cleaned up, restored from a backup or replaced by another table
        if self._latest is None:
            self._latest = self._open()
        newer = self.files.newer_commits(self._latest)
        if self._gap is not None or (newer and newer[-1] - self._latest != len(newer)):
            self._list(again=True)  # finds the gap, or that a checkpoint follows it
            newer = [version for version in newer if self._gap is None or version < self._gap]
        if newer or self._latest_mark is None:
            self._latest = newer[-1] if newer else self._latest
            self._latest_mark = self._mark(self._latest)
        return self._latest

    def _open(self) -> int:
        """Return a version after which newer commits are to be searched."""
        hint = checkpoint.hinted_version(self.files)
        if hint is not None and (mark := self._mark(hint)) is not None:
            self._latest_mark = mark
            return hint
        self._list(again=True)
        assert self._latest is not None
        return self._latest

    def _list(self, *, again: bool = False) -> int:
        """Return the oldest commit whose file exists; list the folder if that commit is unknown or gone, or *again*."""
        if not again and self._oldest is not None and self._mark(self._oldest) is not None:
            return self._oldest
        names = self.files.names()
        versions = sorted(int(match[1]) for name in names if (match := COMMIT.match(name)))
        self._checkpoints = checkpoint.checkpoints(names)
        if not versions:
            self._raise_no_commits(names)
        runs = _runs(versions)
        # Commits before a gap are not used if a checkpoint follows the gap: the log was cleaned up to there.
        newest_checkpoint = max(self._checkpoints, default=-1)
        usable = [run for run in runs if len(runs) == 1 or run[0] <= newest_checkpoint + 1]
        if not usable:
            raise self._missing_commit(runs[-1][0] - 1)
        oldest, latest = usable[-1]
        self._gap = latest + 1 if latest < versions[-1] else None
        if self._latest is None or self._gap is not None:
            self._latest, self._latest_mark = latest, None
        if self._oldest is not None:
            for version in range(self._oldest, oldest):
                self._commits.pop(version, None)
        self._oldest = oldest
        return oldest

    def _raise_no_commits(self, names: list[str]) -> None:
        if self._checkpoints or any(name.startswith("_last_checkpoint") for name in names):
            raise LogExpired(
                "{table}: the log at {uri} contains only checkpoints; its commits were removed.",
                table=self.table.name,
                uri=self.table.uri,
            )
        raise TableNotFound(
            "There is no Delta table at {uri} ({table}). Ingest data to create the table.",
            table=self.table.name,
            uri=self.table.uri,
        )

    def _require_version(self, version: int, latest: int) -> None:
        if 0 <= version <= latest:
            return
        if self._gap is not None and version >= self._gap:
            raise self._missing_commit(self._gap)
        raise VersionNotFound(
            "{table} has versions {versions}; version {version} was requested. Pick one from its history.",
            table=self.table.name,
            versions=self.version_range(),
            version=version,
        )

    # ----------------------------------------------------------------------------------------- parsing

    def _parse(self, first: int, last: int) -> None:
        """Read the commits *first* to *last* that were not read before."""
        commits = self._commits
        versions = [version for version in range(first, last + 1) if version not in commits]
        paths = [commit_path(version) for version in versions]
        table = self.table.name
        for version, path, file in zip(versions, paths, self.files.read_all(paths), strict=True):
            actions = read_actions(file, path, table)
            info = commit_info(actions)
            in_commit_from = self._in_commit_times_from() if IN_COMMIT_TIMESTAMP in info else None
            time = self._times.time(version, info, file.modified_s, in_commit_from=in_commit_from)
            commits[version] = to_commit(table, version, actions, time)

    def _in_commit_times_from(self) -> int | None:
        """Return the first version whose in-commit timestamp counts, as the newest version has it."""
        assert self._latest is not None
        if self._in_commit_from is None or self._in_commit_from[0] != self._latest:
            try:
                start = self._state(self._latest).in_commit_times_from()
            except LogExpired:
                start = None  # the table's features are unknown, so file times count
            self._in_commit_from = self._latest, start
        return self._in_commit_from[1]

    def _base(self, version: int) -> int | None:
        """Return the checkpoint from which to replay to *version*; None is the first commit. Raises LogExpired."""
        oldest = self._list()
        usable = [start for start in self._checkpoints if start <= version and start >= oldest - 1]
        if usable:
            return max(usable)
        if oldest == 0:
            return None
        raise LogExpired(
            "{table}: version {version} has expired: the log was cleaned up to version {cleaned}; versions {versions} "
            "are available.",
            table=self.table.name,
            version=version,
            cleaned=oldest - 1,
            versions=self.version_range(),
        )

    def _oldest_state(self) -> int:
        """Return the oldest version whose state can be computed. Raises LogExpired if there is none."""
        oldest = self._list()
        if oldest == 0:
            return 0
        usable = [start for start in self._checkpoints if start >= oldest - 1]
        if usable:
            return min(usable)
        raise LogExpired(
            "{table}: the log begins with version {oldest}, and there is no checkpoint with the state before it.",
            table=self.table.name,
            oldest=oldest,
        )

    def _state(self, version: int) -> State:
        """Return the state at *version*."""
        if self._tip is not None and self._tip.version == version:
            return self._tip
        return self._replay(version, version)

    def _replay(self, first: int, last: int) -> State:
        """Store the snapshots of versions *first* to *last* and return the state at *last*."""
        if self._tip is not None and self._tip.version < first:
            try:
                return self._advance(self._tip, first, last)
            except FileNotFoundError:
                self._list(again=True)  # the next commits were cleaned up; a checkpoint contains them
        return self._require_files(lambda: self._advance(self._begin(first), first, last))

    def _advance(self, state: State, first: int, last: int) -> State:
        paths = [commit_path(version) for version in range(state.version + 1, last + 1)]
        try:
            for path, file in zip(paths, self.files.read_all(paths), strict=True):
                version = state.version + 1
                entries = read_actions(file, path, self.table.name)
                state.apply(version, entries, path)
                if version >= first and state.has_columns:
                    self._snapshots[version] = state.snapshot(self._time(state, entries, file.modified_s))
        except BaseException:
            if state is self._tip:
                self._tip = None  # the state may contain half a commit
            raise
        if self._tip is None or state.version >= self._tip.version:
            self._tip = state
        return state

    def _require_files(self, read: Callable[[], T]) -> T:
        """Return what *read* returns. Raises LogCorrupt if a file that the folder listed is gone."""
        try:
            return read()
        except FileNotFoundError as error:
            raise LogCorrupt(
                "{table}: a file of the log is missing: {cause}. Restore the file from a backup.",
                table=self.table.name,
                cause=str(error),
            ) from error

    def _begin(self, first: int) -> State:
        base = self._base(first)
        if base is None:
            return State(self.table.name)
        try:
            state, modified_s = checkpoint.load(self.table.name, base, self._checkpoints[base], self.files)
        except (LogCorrupt, FileNotFoundError) as error:
            if self._oldest != 0:
                raise  # the state before the oldest commit is in checkpoints alone
            _LOG.warning("%s: a checkpoint cannot be used, so all commits are read. %s", self.table.name, error)
            return State(self.table.name)
        if base == first:
            try:
                file = self.files.read(commit_path(base))
                entries = read_actions(file, commit_path(base), self.table.name)
                modified_s = file.modified_s
            except FileNotFoundError:
                entries = []  # the commit was cleaned up: the checkpoint's time is the closest known time
            self._snapshots[base] = state.snapshot(self._time(state, entries, modified_s))
        return state

    def _time(self, state: State, entries: list[dict[str, Any]], modified_s: float) -> datetime:
        info, start = commit_info(entries), state.in_commit_times_from()
        return self._times.time(state.version, info, modified_s, in_commit_from=start)

    def _mark(self, version: int) -> Any:
        return self.files.mark(commit_path(version))


def _runs(versions: Sequence[int]) -> list[tuple[int, int]]:
    """Return the first and last version of each run of *versions* without a gap; *versions* are sorted."""
    starts = [at for at, version in enumerate(versions) if at == 0 or versions[at - 1] != version - 1]
    ends = [start - 1 for start in starts[1:]] + [len(versions) - 1]
    return [(versions[start], versions[end]) for start, end in zip(starts, ends, strict=True)]
