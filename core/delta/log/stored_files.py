"""StoredFile: a file that a version needs in storage, and what the log says of its size."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple
from uuid import UUID

from core.uris import logged_path

# Path of a data file as the log writes it, and the key of its deletion vector ("" if it has none).
FileKey = tuple[str, str]

# A deletion vector has its length before it and its checksum behind it, four bytes each.
_VECTOR_FRAME_BYTES = 8


class DataFile(NamedTuple):
    """One file of a version. *rows* is None without statistics or with a deletion vector, which hides rows.

    *vector_end* is the byte at which its deletion vector ends in the vector's file.
    """

    size: int
    rows: int | None
    vector_end: int = 0


class StoredFile(NamedTuple):
    """A file in storage: *name* is decoded, and relative to the table, an absolute path or the URI of an object store.

    A file with deletion vectors holds those of several versions, so its *size_bytes* is the least that it can have.
    """

    name: str
    size_bytes: int
    is_size_exact: bool = True

    def fits(self, size_bytes: int) -> bool:
        """Return whether a file of *size_bytes* in storage can be this file."""
        return size_bytes == self.size_bytes or (size_bytes > self.size_bytes and not self.is_size_exact)


class Damage(NamedTuple):
    """A stored file that is missing (*found_bytes* is None) or has another size than the log says."""

    file: StoredFile
    found_bytes: int | None

    @property
    def short_name(self) -> str:
        """Return the file's name without its folders."""
        return self.file.name.rsplit("/", 1)[-1]


def damage(file: StoredFile, found_bytes: int | None) -> Damage | None:
    """Return the damage of a file whose size in storage is *found_bytes* (None: it does not exist), or None."""
    return None if found_bytes is not None and file.fits(found_bytes) else Damage(file, found_bytes)


def stored_files(files: Iterable[tuple[FileKey, DataFile]]) -> Iterator[StoredFile]:
    """Yield the data files and then the files that hold their deletion vectors."""
    vectors: dict[str, int] = {}
    for (path, vector), file in files:
        yield StoredFile(logged_path(path), file.size)
        if vector[:1] in ("p", "u"):
            name = _vector_file(vector)
            vectors[name] = max(vectors.get(name, 0), file.vector_end)
    for name in sorted(vectors):
        yield StoredFile(name, vectors[name], is_size_exact=False)


def vector_key(vector: Mapping[str, Any] | None) -> str:
    """Return the protocol's key of a deletion vector: a file with another vector is another logical file."""
    if not vector or vector.get("storageType") is None:
        return ""
    return f"{vector['storageType']}{vector['pathOrInlineDv']}@{vector.get('offset')}"


def vector_end(vector: Mapping[str, Any] | None) -> int:
    """Return the byte at which a deletion vector ends in its file; 0 for a vector that stands in the log."""
    if not vector or vector.get("storageType") not in ("p", "u"):
        return 0
    return int(vector.get("offset") or 0) + int(vector.get("sizeInBytes") or 0) + _VECTOR_FRAME_BYTES


def _vector_file(key: str) -> str:
    reference = key[1:].rpartition("@")[0]
    if key[0] == "p":
        return logged_path(reference)
    prefix, name = reference[:-20], reference[-20:]
    folder = f"{prefix}/" if prefix else ""
    return f"{folder}deletion_vector_{UUID(bytes=_from_z85(name))}.bin"


_Z85 = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#"


def _from_z85(text: str) -> bytes:
    """Decode ZeroMQ's base 85, in which the protocol writes UUIDs: five characters for four bytes."""
    decoded = b""
    for start in range(0, len(text), 5):
        number = 0
        for character in text[start : start + 5]:
            number = number * 85 + _Z85.index(character)
        decoded += number.to_bytes(4, "big")
    return decoded
