"""Artifact files of runs and model versions: listed and copied, never loaded."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import urlsplit

from core.entities import Artifact
from core.errors import ArtifactNotFound, BadInput, CoreError, StorageUnavailable, first_line
from core.redact import masked
from core.registry.artifact_locations import Owners, require_no_way_out, require_own_place
from core.registry.call_timeout import within
from core.registry.connection import Connection
from core.registry.from_mlflow import to_artifact

_TOO_LARGE_BYTES = 5_000_000
# Models of some GB take minutes; each read of them is bounded by MLflow's own timeout besides.
_LONGEST_COPY_S = 600.0


def safe_path(path: str) -> str:
    """*path* inside an artifact: relative, without steps upwards. Raises BadInput."""
    parts = PurePosixPath(path).parts
    if path.startswith(("/", "\\")) or ".." in parts or "\x00" in path or urlsplit(path).scheme:
        raise BadInput(f"{path!r} does not name a file inside the artifact.", path=path)
    return "/".join(parts)


def list_files(connection: Connection, uri: str, owners: Owners, *, below: str = "") -> tuple[Artifact, ...]:
    """Files and folders one level below *below* in the artifact at *uri*. Raises ArtifactNotFound, ArtifactOutside."""
    below = safe_path(below)
    with _repository(connection, uri, owners, below) as repository:
        found = within(connection.whole_s, lambda: repository.list_artifacts(below or None))
    return tuple(to_artifact(info) for info in found)


def fetch(connection: Connection, uri: str, owners: Owners, into: Path, *, path: str = "") -> Path:
    """Copies the artifact at *uri* (or one file or folder of it) below *into*.

    Raises ArtifactNotFound, ArtifactOutside.
    """
    path = safe_path(path)
    if path:
        find_file(connection, uri, owners, path)
    elif not list_files(connection, uri, owners):
        raise ArtifactNotFound(f"The artifact at {uri} is empty: it was deleted or moved.", uri=uri)
    into.mkdir(parents=True, exist_ok=True)
    with _repository(connection, uri, owners, path) as repository:
        return Path(within(_LONGEST_COPY_S, lambda: repository.download_artifacts(path, dst_path=str(into))))


def find_file(connection: Connection, uri: str, owners: Owners, path: str) -> Artifact:
    """The file or folder *path* of the artifact. Raises ArtifactNotFound; MLflow's stores say it differently."""
    parent = str(PurePosixPath(path).parent)
    for item in list_files(connection, uri, owners, below="" if parent == "." else parent):
        if item.path == path:
            return item
    raise ArtifactNotFound(f"There is no {path!r} in this artifact; pick a file from its list.", uri=uri, path=path)


def read_bytes(connection: Connection, uri: str, owners: Owners, path: str, into: Path) -> bytes:
    """One file of the artifact. Raises ArtifactNotFound, BadInput where it is too large to be shown."""
    known = find_file(connection, uri, owners, safe_path(path))
    if known.is_folder:
        raise BadInput(f"{path!r} is a folder; pick a file in it.", path=path)
    if known.size_bytes is not None and known.size_bytes > _TOO_LARGE_BYTES:
        raise BadInput(f"{path!r} has {known.size_bytes} bytes: too large to be shown here.", path=path)
    return fetch(connection, uri, owners, into, path=path).read_bytes()


@contextmanager
def _repository(connection: Connection, uri: str, owners: Owners, path: str) -> Iterator[Any]:
    """MLflow's store of artifacts for *uri*, of which *path* will be read; what it raises becomes an error of ours."""
    try:
        with connection.answering(_gone(uri)):
            from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

            repository = get_artifact_repository(uri, tracking_uri=connection.tracking_uri)
            place = require_own_place(connection, repository, owners)
            if place is not None:
                if not place.exists():  # MLflow lists an absent local folder as empty; absent is not empty
                    raise _gone(uri)
                require_no_way_out(place, path)
            yield repository
    except CoreError:
        raise
    except ImportError as error:
        raise StorageUnavailable(
            f"Reading {masked(uri)} takes the package {error.name or error}, which is not installed here.", uri=uri
        ) from error
    except Exception as error:  # object stores are plugins of MLflow: what they raise cannot be listed
        raise StorageUnavailable(
            f"The artifact store at {masked(uri)} does not answer ({first_line(error)}). Check its credentials.",
            uri=uri,
        ) from error


def _gone(uri: str) -> ArtifactNotFound:
    return ArtifactNotFound(f"There is no artifact at {uri}: it was deleted or moved.", uri=uri)
