"""The files of an artifact: listed level by level where a registry keeps them, and listed and hashed on disk."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from pathlib import Path

from core.entities import Artifact

_MOST_FILES = 500


def list_all(list_level: Callable[[str], Iterable[Artifact]]) -> tuple[Artifact, ...]:
    """Return all files and folders of an artifact, by path. *list_level* lists one folder; "" is the artifact itself.

    No further folder is opened once 500 entries are listed.
    """
    artifacts: list[Artifact] = []
    folders = [""]
    while folders and len(artifacts) < _MOST_FILES:
        for artifact in list_level(folders.pop()):
            artifacts.append(artifact)
            if artifact.is_folder:
                folders.append(artifact.path)
    return tuple(sorted(artifacts, key=lambda artifact: artifact.path))


def files_below(folder: Path) -> list[Path]:
    """Return the files at any depth below *folder*, sorted by path."""
    return sorted(path for path in folder.rglob("*") if path.is_file())


def file_sha256(file: Path) -> str:
    """Return the SHA-256 of a file as hexadecimal digits."""
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def folder_sha256(folder: Path) -> str:
    """Return a SHA-256 over the files below *folder*: relative path and SHA-256 of each, sorted by path."""
    digest = hashlib.sha256()
    for file in files_below(folder):
        digest.update(f"{file.relative_to(folder).as_posix()}\0{file_sha256(file)}\n".encode())
    return digest.hexdigest()
