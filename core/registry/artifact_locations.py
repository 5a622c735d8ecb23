"""Places: which folders of this machine's disk are read as an artifact, and which never."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from core.errors import ArtifactOutside
from core.registry.connection import Connection

# Who asks for an artifact says where it may lie: the URIs of its run's and its logged model's own folders.
Owners = Callable[[], Iterable[str]]


def require_own_place(connection: Connection, repository: Any, owners: Owners) -> Path | None:
    """The folder that MLflow's *repository* reads, links followed; None where it is not on this machine's disk.

    Whoever can register a version names its source; this process reads it for every role. So a local folder must lie
    in one of *owners* or below the artifact root, and never holds the home or a key. Raises ArtifactOutside.
    """
    named = local_folder(repository)
    if named is None:
        return None
    place = named.resolve()
    _require_open(connection, place, named)
    root = connection.artifact_root
    if root is not None and root.resolve() in place.parents:
        return place
    if not any(place == own or own in place.parents for own in map(_resolved, owners()) if own is not None):
        raise ArtifactOutside(
            f"{named} is no place of this artifact: it lies outside its run's folder, so nothing there is read. "
            "Log the model to its run and register it from there.",
            place=str(named),
        )
    return place


def require_no_way_out(place: Path, path: str) -> None:
    """No link at or below *path* in *place* leads out of *place*. Raises ArtifactOutside with its name."""
    start = place / path
    for name in (start, *_below(start)):
        if name != place and place not in name.resolve().parents:
            raise ArtifactOutside(
                f"{name.relative_to(place)} is a link that leads out of the artifact; nothing of it is read.",
                place=str(place),
            )


def local_folder(repository: Any) -> Path | None:
    """Where MLflow will read, whichever URI (runs:/, models:/, file:, a path) led it there."""
    while (inner := getattr(repository, "repo", None)) is not None:
        repository = inner
    folder = getattr(repository, "artifact_dir", None)
    return Path(folder) if folder is not None else None


def _require_open(connection: Connection, place: Path, named: Path) -> None:
    for closed in connection.closed:
        held = closed.resolve()
        if place == held or place in held.parents:
            raise ArtifactOutside(
                f"{named} holds what this installation keeps for itself; nothing there is read as an artifact.",
                place=str(named),
            )


def _resolved(uri: str) -> Path | None:
    # MLflow's own decoding, not core.uris: MLflow decodes plain paths too, and this must be the folder that it reads.
    from mlflow.utils.file_utils import local_file_uri_to_path
    from mlflow.utils.uri import is_local_uri

    return Path(local_file_uri_to_path(uri)).resolve() if is_local_uri(uri) else None


def _below(folder: Path) -> Iterable[Path]:
    """Everything in *folder* at any depth; folders that are links are named, not entered."""
    for at, folders, names in os.walk(folder):
        yield from (Path(at) / name for name in (*folders, *names))
