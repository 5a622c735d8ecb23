"""Artifact locations: which folders on this machine's disk may be read as an artifact, and which never."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from core.errors import ArtifactOutside
from core.registry.connection import Connection

# Returns the URIs of the folders in which an artifact may lie: those of its run and of its logged model.
Owners = Callable[[], Iterable[str]]


def require_own_folder(connection: Connection, repository: Any, owners: Owners) -> Path | None:
    """Return the folder that MLflow's *repository* reads, with links resolved, or None if it is not on this disk.

    Anyone who can register a version chooses its source, and this process reads that source for every role. So a local
    folder must lie in one of *owners* or below the artifact root, and it must not contain a protected path.

    Raises:
        ArtifactOutside: the folder lies elsewhere or contains a protected path.
    """
    named = local_folder(repository)
    if named is None:
        return None
    folder = named.resolve()
    _require_unprotected(connection, folder, named)
    root = connection.artifact_root
    if root is not None and root.resolve() in folder.parents:
        return folder
    if not any(folder == own or own in folder.parents for own in map(_resolved, owners()) if own is not None):
        raise ArtifactOutside(
            "{folder} is outside the folder of the artifact's run, so ModelLedger does not read it. Log the model to "
            "its run and register it from there.",
            folder=str(named),
        )
    return folder


def require_no_outside_links(folder: Path, path: str) -> None:
    """Check that no link at or below *path* in *folder* leads out of *folder*.

    Raises:
        ArtifactOutside: a link leads out; the message names the link.
    """
    start = folder / path
    for entry in (start, *_below(start)):
        if entry != folder and folder not in entry.resolve().parents:
            raise ArtifactOutside(
                "{link} is a link that leads out of the artifact, so ModelLedger does not read the artifact.",
                link=str(entry.relative_to(folder)),
                folder=str(folder),
            )


def local_folder(repository: Any) -> Path | None:
    """Return the local folder that MLflow will read, for any kind of URI (runs:/, models:/, file:, a path)."""
    while (inner := getattr(repository, "repo", None)) is not None:
        repository = inner
    folder = getattr(repository, "artifact_dir", None)
    return Path(folder) if folder is not None else None


def _require_unprotected(connection: Connection, folder: Path, named: Path) -> None:
    for path in connection.protected:
        protected = path.resolve()
        if folder == protected or folder in protected.parents:
            raise ArtifactOutside(
                "{folder} contains private files of this installation, so ModelLedger does not read it as an artifact.",
                folder=str(named),
            )


def _resolved(uri: str) -> Path | None:
    # MLflow's own decoding, not core.uris: MLflow decodes plain paths too, and this must be the folder that it reads.
    from mlflow.utils.file_utils import local_file_uri_to_path
    from mlflow.utils.uri import is_local_uri

    return Path(local_file_uri_to_path(uri)).resolve() if is_local_uri(uri) else None


def _below(folder: Path) -> Iterable[Path]:
    """Return everything in *folder* at any depth; folders that are links are listed but not entered."""
    for parent, folders, files in os.walk(folder):
        yield from (Path(parent) / name for name in (*folders, *files))
