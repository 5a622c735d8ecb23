"""The log of one Delta table, read from its own files: history, snapshots, and what changed since they were read.

A version is the name of its file, never a count. What was read is kept; a refresh costs the new commits.
Only what is asked for is parsed: the newest N commits, or the commits after the nearest checkpoint.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from cachetools import LRUCache

from core.delta.log import checkpoint
from core.delta.log.commit import actions, commit_time, to_commit
from core.delta.log.log_files import COMMIT, LogFiles, commit_path
from core.delta.log.state import FileKey, State
from core.entities import Commit, Snapshot, Table
from core.errors import LogCorrupt, LogExpired, TableNotFound, VersionNotFound

T = TypeVar("T")

# How many paths of data files are kept, over all versions that were asked for.
_PATHS_KEPT = 200_000


class Log:
    """Safe to share between threads. Every question first looks whether the log went on.

    Raises TableNotFound, VersionNotFound, LogExpired, LogCorrupt (naming the file), StorageUnavailable.
    """

    def __init__(self, table: Table, files: LogFiles) -> None:
        self.table = table
        self.files = files
        self._lock = threading.RLock()
        self._forget()

    def _forget(self) -> None:
        self._latest: int | None = None
        self._latest_mark: Any = None
        self._oldest: int | None = None  # None until the folder was listed
        self._checkpoints: dict[int, tuple[str, ...]] = {}
        self._commits: dict[int, Commit] = {}
        self._snapshots: dict[int, Snapshot] = {}
        self._data_files: LRUCache[int, tuple[FileKey, ...]] = LRUCache(_PATHS_KEPT, getsizeof=len)
        self._tip: State | None = None

    # ---------------------------------------------------------------------------------------- questions

    def exists(self) -> bool:
        """Whether anything was ever committed here, even if it is damaged or expired."""
        with self._lock:
            try:
                self._refresh()
            except TableNotFound:
                return False
            except (LogCorrupt, LogExpired):
                return True
            return True

    def latest(self) -> int:
        with self._lock:
            return self._refresh()

    def history(self, limit: int | None = None) -> tuple[Commit, ...]:
        """Commits newest first, at most *limit*, as far back as their files are there."""
        with self._lock:
            latest = self._refresh()
            oldest = self._list() if limit is None else max(0, latest - limit + 1)
            try:
                self._parse(oldest, latest)
            except FileNotFoundError:
                # Older commits were cleaned away: the folder tells where the log begins.
                oldest = max(oldest, self._list(anew=True))
                self._reading(lambda: self._parse(oldest, latest))
            commits = self._commits
            return tuple([commits[version] for version in range(latest, oldest - 1, -1)])

    def snapshot(self, version: int | None = None) -> Snapshot:
        with self._lock:
            latest = self._refresh()
            wanted = latest if version is None else version
            self._require(wanted, latest)
            if wanted not in self._snapshots:
                self._replay(wanted, wanted)
            return self._snapshots[wanted]

    def snapshots(self, newest: int | None = None) -> tuple[Snapshot, ...]:
        """Newest first, in one walk; older ones that the log no longer holds are left out."""
        with self._lock:
            latest = self._refresh()
            oldest = self._oldest_state()
            first = oldest if newest is None else max(oldest, latest - newest + 1)
            if missing := [version for version in range(first, latest + 1) if version not in self._snapshots]:
                self._replay(missing[0], missing[-1])
            return tuple([self._snapshots[version] for version in range(latest, first - 1, -1)])

    def data_files(self, version: int) -> tuple[FileKey, ...]:
        """Paths (as the log has them) and deletion vectors of the files of a version."""
        with self._lock:
            latest = self._refresh()
            self._require(version, latest)
            if (known := self._data_files.get(version)) is not None:
                return known
            state = self._tip if self._tip is not None and self._tip.version == version else None
            found = tuple((state or self._replay(version, version)).files)
            if len(found) <= _PATHS_KEPT:
                self._data_files[version] = found
            return found

    def transaction_version(self, name: str) -> int | None:
        """The number under which the application *name* wrote last, or None."""
        with self._lock:
            latest = self._refresh()
            state = self._tip if self._tip is not None and self._tip.version == latest else None
            return (state or self._replay(latest, latest)).transactions.get(name)

    def version_that_wrote(self, name: str) -> int | None:
        """The newest version whose commit carries the transaction *name*, or None if no commit here does."""
        with self._lock:
            latest, oldest = self._refresh(), self._list()
            quoted = f'"{name}"'.encode()
            for version in range(latest, oldest - 1, -1):
                file = self.files.read(commit_path(version))
                if b'"txn"' not in file.data or quoted not in file.data:
                    continue
                found = actions(file, commit_path(version), self.table.name)
                if any(action["txn"].get("appId") == name for action in found if "txn" in action):
                    return version
            return None

    def made_by_table(self) -> frozenset[str]:
        """Columns of the newest version that the table fills itself: generated ones and identities."""
        with self._lock:
            latest = self._refresh()
            state = self._tip if self._tip is not None and self._tip.version == latest else None
            return (state or self._replay(latest, latest)).made_by_table()

    def version_words(self) -> str:
        """The versions that there are, for messages."""
        with self._lock:
            latest, oldest = self._refresh(), self._oldest_state()
            return f"{oldest}–{latest}" if oldest < latest else f"{latest}"

    # ----------------------------------------------------------------------------------------- finding

    def _refresh(self) -> int:
        """The newest version; looks only at what may have changed since the last time."""
        if self._latest is not None and self._mark(self._latest) != self._latest_mark:
            self._forget()  # cleaned, restored from a backup, or another table by now
        if self._latest is None:
            self._latest = self._open()
        newer = self.files.newer_commits(self._latest)
        if newer and newer[-1] - self._latest != len(newer):
            self._list(anew=True)  # raises, naming the commit that is lost between the newer ones
        if newer or self._latest_mark is None:
            self._latest = newer[-1] if newer else self._latest
            self._latest_mark = self._mark(self._latest)
        return self._latest

    def _open(self) -> int:
        """A version from which on nothing but newer commits need to be looked for."""
        hint = checkpoint.hinted_version(self.files)
        if hint is not None and (mark := self._mark(hint)) is not None:
            self._latest_mark = mark
            return hint
        self._list(anew=True)
        assert self._latest is not None
        return self._latest

    def _list(self, *, anew: bool = False) -> int:
        """The oldest commit whose file is there; lists the folder unless that was done and still holds."""
        if not anew and self._oldest is not None and self._mark(self._oldest) is not None:
            return self._oldest
        names = self.files.names()
        versions = sorted(int(match[1]) for name in names if (match := COMMIT.match(name)))
        self._checkpoints = checkpoint.checkpoints(names)
        if not versions:
            self._refuse_without_commits(names)
        newest_checkpoint = max(self._checkpoints, default=-1)
        # Commits before a gap are of no use where a checkpoint lies behind it: cleaning went so far.
        begin = len(versions) - 1
        while begin > 0 and versions[begin - 1] == versions[begin] - 1:
            begin -= 1
        if begin > 0 and versions[begin] > newest_checkpoint + 1:
            lost = versions[begin] - 1
            raise LogCorrupt(
                f"{self.table.name}: {commit_path(lost)} is missing between commits that are there. "
                "Restore the file from a backup.",
                table=self.table.name,
                file=commit_path(lost),
            )
        if self._latest is None:
            self._latest = versions[-1]
        if self._oldest is not None:
            for version in range(self._oldest, versions[begin]):
                self._commits.pop(version, None)
        self._oldest = versions[begin]
        return self._oldest

    def _refuse_without_commits(self, names: list[str]) -> None:
        if self._checkpoints or any(name.startswith("_last_checkpoint") for name in names):
            raise LogExpired(
                f"{self.table.name}: its log at {self.table.uri} holds no commit any more, only checkpoints.",
                table=self.table.name,
            )
        raise TableNotFound(
            f"There is no Delta table at {self.table.uri} ({self.table.name}); ingest data to make it.",
            table=self.table.name,
        )

    def _require(self, version: int, latest: int) -> None:
        if 0 <= version <= latest:
            return
        raise VersionNotFound(
            f"{self.table.name} has versions {self.version_words()}; {version} was asked for. "
            "Pick one from its history.",
            table=self.table.name,
            version=version,
        )

    # ----------------------------------------------------------------------------------------- parsing

    def _parse(self, first: int, last: int) -> None:
        """Makes commits *first* to *last* known; those that are are not read again."""
        commits = self._commits
        versions = [version for version in range(first, last + 1) if version not in commits]
        paths = [commit_path(version) for version in versions]
        table = self.table.name
        for version, path, file in zip(versions, paths, self.files.read_all(paths), strict=True):
            commits[version] = to_commit(table, version, actions(file, path, table), file.modified_s)

    def _base(self, version: int) -> int | None:
        """The checkpoint to begin at to reach *version*; None: from the first commit. Raises LogExpired."""
        oldest = self._list()
        usable = [at for at in self._checkpoints if at <= version and at >= oldest - 1]
        if usable:
            return max(usable)
        if oldest == 0:
            return None
        raise LogExpired(
            f"{self.table.name}: version {version} has expired: its log was cleaned up to version {oldest - 1}; "
            f"versions {self.version_words()} are there.",
            table=self.table.name,
            version=version,
        )

    def _oldest_state(self) -> int:
        """The oldest version whose state can still be told. Raises LogExpired where there is none."""
        oldest = self._list()
        if oldest == 0:
            return 0
        usable = [at for at in self._checkpoints if at >= oldest - 1]
        if usable:
            return min(usable)
        raise LogExpired(
            f"{self.table.name}: its log begins with version {oldest} and no checkpoint holds what was before.",
            table=self.table.name,
        )

    def _replay(self, first: int, last: int) -> State:
        """Keeps the snapshots of versions *first* to *last* and returns the state at *last*."""
        if self._tip is not None and self._tip.version < first:
            try:
                return self._advance(self._tip, first, last)
            except FileNotFoundError:
                self._list(anew=True)  # commits behind it were cleaned away; a checkpoint holds them
        return self._reading(lambda: self._advance(self._begin(first), first, last))

    def _advance(self, state: State, first: int, last: int) -> State:
        paths = [commit_path(version) for version in range(state.version + 1, last + 1)]
        try:
            for path, file in zip(paths, self.files.read_all(paths), strict=True):
                version = state.version + 1
                found = actions(file, path, self.table.name)
                state.apply(version, found, path)
                if version >= first:
                    self._snapshots[version] = state.snapshot(commit_time(_info(found), file.modified_s))
        except BaseException:
            if state is self._tip:
                self._tip = None  # half a commit may be in it
            raise
        if self._tip is None or state.version >= self._tip.version:
            self._tip = state
        return state

    def _reading(self, read: Callable[[], T]) -> T:
        """*read*, with what vanished since the folder was listed named as lost."""
        try:
            return read()
        except FileNotFoundError as error:
            raise LogCorrupt(
                f"{self.table.name}: a file of its log is gone: {error}. Restore it from a backup.",
                table=self.table.name,
            ) from error

    def _begin(self, first: int) -> State:
        base = self._base(first)
        if base is None:
            return State(self.table.name)
        state, modified_s = checkpoint.load(self.table.name, base, self._checkpoints[base], self.files)
        if base == first:
            try:
                file = self.files.read(commit_path(base))
                info, modified_s = _info(actions(file, commit_path(base), self.table.name)), file.modified_s
            except FileNotFoundError:
                info = {}  # cleaned away: the checkpoint's own time is the nearest that is known
            self._snapshots[base] = state.snapshot(commit_time(info, modified_s))
        return state

    def _mark(self, version: int) -> Any:
        return self.files.mark(commit_path(version))


def _info(found: list[dict[str, Any]]) -> Mapping[str, Any]:
    return next((action["commitInfo"] or {} for action in found if "commitInfo" in action), {})
