"""LogFiles: the files of a Delta log, on this machine's disk or in an object store.

There are two implementations because reading 10,000 small files through a store's client takes nine times as long as
reading them as plain files.
"""

from __future__ import annotations

import os
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import obstore
from obstore import exceptions
from obstore.store import from_url

from core.delta.log.stored_files import Damage, StoredFile, damage
from core.errors import StorageUnavailable, first_line
from core.uris import local_path

LOG_FOLDER = "_delta_log"
COMMIT = re.compile(r"^(\d{20})\.json$")

_PARALLEL_REQUESTS = 32
# For more files than this one listing, of a thousand names per request, is cheaper than one request per file.
_LIST_ABOVE = 64
# Few retries: a page waits for the store, and a store that is down is better reported soon.
_RETRIES: Any = {"max_retries": 2, "retry_timeout": timedelta(seconds=10)}
# How many versions after a missing commit are tried before the search for newer commits ends.
_LOOK_AHEAD = 8


@dataclass(frozen=True, slots=True)
class File:
    """A file's content and the time of its last change, in seconds since 1970."""

    data: bytes
    modified_s: float


class LogFiles(ABC):
    """The files of one table. Names are paths below the table's root, with `/`.

    Every method raises StorageUnavailable if the storage does not answer or refuses access.
    """

    @abstractmethod
    def names(self) -> list[str]:
        """Return the names of the files in the log folder, without the folder; [] if there is no log folder."""

    @abstractmethod
    def newer_commits(self, version: int) -> list[int]:
        """Return the commits after *version*, in order. A gap shows as a missing number.

        The cost grows with the number of new commits, not with the age of the table.
        """

    @abstractmethod
    def commit_times(self, version: int) -> list[tuple[int, float]]:
        """Return the commits before *version*, back to the first gap, oldest first, each with its file's time.

        Times are in seconds since 1970. No file is read.
        """

    @abstractmethod
    def read(self, name: str) -> File:
        """Read one file. Raises FileNotFoundError."""

    @abstractmethod
    def read_all(self, names: Sequence[str]) -> Iterator[File]:
        """Yield the files in the order of *names*. Raises FileNotFoundError."""

    @abstractmethod
    def mark(self, name: str) -> Any:
        """Return a value that changes when the file is rewritten, or None if the file does not exist."""

    @abstractmethod
    def find_damage(self, files: Iterable[StoredFile]) -> Damage | None:
        """Return the first of *files* that does not exist or has another size than the log says, or None."""


class LocalFiles(LogFiles):
    """Files in a folder on this machine's disk."""

    def __init__(self, root: str) -> None:
        self.root = root

    def names(self) -> list[str]:
        try:
            return os.listdir(os.path.join(self.root, LOG_FOLDER))
        except (FileNotFoundError, NotADirectoryError):
            return []
        except OSError as error:
            raise _refused(self.root, error) from error

    def newer_commits(self, version: int) -> list[int]:
        newer: list[int] = []
        candidate = version + 1
        while candidate <= (newer[-1] if newer else version) + _LOOK_AHEAD:
            if os.path.exists(f"{self.root}/{commit_path(candidate)}"):
                newer.append(candidate)
            candidate += 1
        return newer

    def commit_times(self, version: int) -> list[tuple[int, float]]:
        times: list[tuple[int, float]] = []
        for earlier in range(version - 1, -1, -1):
            path = f"{self.root}/{commit_path(earlier)}"
            try:
                times.append((earlier, os.stat(path).st_mtime))
            except (FileNotFoundError, NotADirectoryError):
                break  # the log begins after this version
            except OSError as error:
                raise _refused(path, error) from error
        return times[::-1]

    def read(self, name: str) -> File:
        try:
            # os.open takes a third of the time of open() for files of a few hundred bytes.
            handle = os.open(f"{self.root}/{name}", os.O_RDONLY)
            try:
                status = os.fstat(handle)
                data = os.read(handle, status.st_size)
                while len(data) < status.st_size and (more := os.read(handle, status.st_size - len(data))):
                    data += more
            finally:
                os.close(handle)
        except (FileNotFoundError, NotADirectoryError):
            raise
        except OSError as error:
            raise _refused(f"{self.root}/{name}", error) from error
        return File(data, status.st_mtime)

    def read_all(self, names: Sequence[str]) -> Iterator[File]:
        return map(self.read, names)

    def mark(self, name: str) -> Any:
        try:
            status = os.stat(f"{self.root}/{name}")
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise _refused(f"{self.root}/{name}", error) from error
        return status.st_ino, status.st_size, status.st_mtime_ns

    def find_damage(self, files: Iterable[StoredFile]) -> Damage | None:
        # Files of a shallow clone can lie in an object store, which is not checked from here.
        checked = (file for file in files if "://" not in file.name)
        sized = ((file, _local_size(os.path.join(self.root, file.name))) for file in checked)
        return next(filter(None, (damage(file, size) for file, size in sized)), None)


class StoreFiles(LogFiles):
    """Objects below a URI (s3://, abfss://, gs://, …), read in parallel."""

    def __init__(self, uri: str, storage_options: Mapping[str, str] | None = None) -> None:
        self.uri = uri.rstrip("/")
        self._options = dict(storage_options or {})
        self._store = _open(self.uri, self._options)
        self._other_stores: dict[str, Any] = {}

    def names(self) -> list[str]:
        return self._names(None)

    def newer_commits(self, version: int) -> list[int]:
        names = self._names(commit_path(version))
        versions = (int(match[1]) for name in names if (match := COMMIT.match(name)))
        return sorted(newer for newer in versions if newer > version)

    def commit_times(self, version: int) -> list[tuple[int, float]]:
        modified = {name: item["last_modified"].timestamp() for name, item in self._listed(None)}
        times: list[tuple[int, float]] = []
        for earlier in range(version - 1, -1, -1):
            time_s = modified.get(commit_path(earlier).removeprefix(f"{LOG_FOLDER}/"))
            if time_s is None:
                break
            times.append((earlier, time_s))
        return times[::-1]

    def _names(self, after: str | None) -> list[str]:
        return [name for name, _ in self._listed(after)]

    def _listed(self, after: str | None) -> list[tuple[str, Any]]:
        """Return the files in the log folder, by name without the folder, with what the store reports of them."""
        chunks = self._request(lambda: list(obstore.list(self._store, prefix=LOG_FOLDER, offset=after)))
        files = ((str(item["path"]).rpartition(f"{LOG_FOLDER}/")[2], item) for chunk in chunks for item in chunk)
        return [(name, item) for name, item in files if "/" not in name]

    def read(self, name: str) -> File:
        def get() -> File:
            answer = obstore.get(self._store, name)
            return File(bytes(answer.bytes()), answer.meta["last_modified"].timestamp())

        file: File = self._request(get)
        return file

    def read_all(self, names: Sequence[str]) -> Iterator[File]:
        with ThreadPoolExecutor(max_workers=_PARALLEL_REQUESTS) as pool:
            yield from pool.map(self.read, names)

    def mark(self, name: str) -> Any:
        try:
            meta = self._request(lambda: obstore.head(self._store, name))
        except FileNotFoundError:
            return None
        return meta.get("e_tag"), meta["size"], meta["last_modified"]

    def find_damage(self, files: Iterable[StoredFile]) -> Damage | None:
        checked = list(files)
        sizes: dict[str, int | None] = {}
        # Files of a shallow clone have absolute names, which the listing of this table does not contain.
        relative = [file.name for file in checked if not _is_absolute(file.name)]
        if len(relative) > _LIST_ABOVE:
            listed = self._request(lambda: list(obstore.list(self._store)))
            sizes = dict.fromkeys(relative)
            sizes |= {str(item["path"]): int(item["size"]) for chunk in listed for item in chunk}
        with ThreadPoolExecutor(max_workers=_PARALLEL_REQUESTS) as pool:
            names = [file.name for file in checked]
            found = pool.map(lambda name: sizes[name] if name in sizes else self._size(name), names)
            return next(filter(None, map(damage, checked, found)), None)

    def _size(self, name: str) -> int | None:
        if name.startswith("/"):
            return _local_size(name)
        store, key = self._store, name
        if _is_absolute(name):
            scheme, _, rest = name.partition("://")
            bucket, _, key = rest.partition("/")
            address = f"{scheme}://{bucket}"
            if address not in self._other_stores:
                self._other_stores[address] = _open(address, self._options)
            store = self._other_stores[address]
        try:
            return int(self._request(lambda: obstore.head(store, key))["size"])
        except FileNotFoundError:
            return None

    def _request(self, request: Callable[[], Any]) -> Any:
        try:
            return request()
        except (exceptions.NotFoundError, FileNotFoundError) as error:
            raise FileNotFoundError(str(error)) from error
        except (exceptions.BaseError, OSError) as error:
            raise _refused(self.uri, error) from error


def files_of(uri: str, storage_options: Mapping[str, str] | None = None) -> LogFiles:
    """Return the files of the table at *uri*. Raises StorageUnavailable if no store can be opened for *uri*."""
    path = local_path(uri)
    return LocalFiles(path) if path is not None else StoreFiles(uri, storage_options)


def _is_absolute(name: str) -> bool:
    return name.startswith("/") or "://" in name


def _local_size(path: str) -> int | None:
    """Return the size of a file on this machine's disk in bytes, or None if the file does not exist."""
    try:
        return os.stat(path).st_size
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise _refused(path, error) from error


def commit_path(version: int) -> str:
    """Return the name of a commit's file."""
    return f"{LOG_FOLDER}/{version:020d}.json"


# Options that object_store expects in its client options rather than in the store's configuration.
_CLIENT_OPTIONS = frozenset(
    {"allow_http", "allow_invalid_certificates", "connect_timeout", "timeout", "proxy_url", "user_agent"}
)


def _open(uri: str, options: dict[str, str]) -> Any:
    client: dict[str, Any] = {}
    config: dict[str, str] = {}
    for key, value in options.items():
        plain = key.lower().removeprefix("aws_").removeprefix("azure_").removeprefix("google_")
        if plain in _CLIENT_OPTIONS:
            is_switch = plain.startswith("allow")
            client[plain] = str(value).lower() in ("true", "1", "yes") if is_switch else value
        else:
            config[key] = str(value)
    while True:
        try:
            return from_url(uri, config=config or None, client_options=client or None, retry_config=_RETRIES)
        except exceptions.UnknownConfigurationKeyError as error:
            # Some options are for delta-rs alone, such as its locks on S3: the store does not know them.
            message = str(error).lower()
            unknown = next((key for key in config if key.lower() in message), None)
            if unknown is None:
                raise _refused(uri, error) from error
            del config[unknown]
        except (exceptions.BaseError, ValueError, OSError) as error:
            raise _refused(uri, error) from error


def _refused(address: str, error: Exception) -> StorageUnavailable:
    return StorageUnavailable(
        "The storage of {uri} does not answer or refuses access: {cause}.", uri=address, cause=first_line(error)
    )
