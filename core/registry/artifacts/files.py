"""Artifact files of runs and model versions: listed and copied, never loaded."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import urlsplit

from core.entities import Artifact
from core.errors import ArtifactNotFound, BadInput, CoreError, StorageUnavailable, first_line
from core.redact import masked
from core.registry.artifacts.locations import Owners, require_no_outside_links, require_own_folder
from core.registry.artifacts.packages import needed_packages
from core.registry.call_timeout import call_within
from core.registry.connection import Connection
from core.registry.from_mlflow import to_artifact

# Copying a model of several GB takes minutes; MLflow's own timeout also limits each read.
_MAX_COPY_S = 600.0


def list_files(connection: Connection, uri: str, owners: Owners, *, below: str = "") -> tuple[Artifact, ...]:
    """Return the files and folders one level below *below* in the artifact at *uri*.

    Raises:
        ArtifactNotFound: there is no artifact at *uri*.
        ArtifactOutside: the artifact lies in a folder that is not its own.
    """
    below = _inside(below)
    with _open_repository(connection, uri, owners, below) as repository:
        entries = call_within(connection.max_call_s, lambda: repository.list_artifacts(below or None))
    return tuple(to_artifact(entry) for entry in entries)


def fetch(connection: Connection, uri: str, owners: Owners, into: Path, *, path: str = "") -> Path:
    """Copy the artifact at *uri*, or the file or folder *path* of it, below *into* and return the path of the copy.

    Raises:
        ArtifactNotFound: there is no artifact at *uri*, or no *path* in it.
        ArtifactOutside: the artifact lies in a folder that is not its own.
    """
    path = _inside(path)
    if path:
        _require_entry(connection, uri, owners, path)
    elif not list_files(connection, uri, owners):
        raise ArtifactNotFound("The artifact at {uri} is empty: its files were deleted or moved.", uri=uri)
    into.mkdir(parents=True, exist_ok=True)
    with _open_repository(connection, uri, owners, path) as repository:
        return Path(call_within(_MAX_COPY_S, lambda: repository.download_artifacts(path, dst_path=str(into))))


def _inside(path: str) -> str:
    """Return *path* in normal form. Raises BadInput if *path* is absolute, a URI or leads out of the artifact."""
    parts = PurePosixPath(path).parts
    if path.startswith(("/", "\\")) or ".." in parts or "\x00" in path or urlsplit(path).scheme:
        raise BadInput("{path!r} does not name a file inside the artifact.", path=path)
    return "/".join(parts)


def _require_entry(connection: Connection, uri: str, owners: Owners, path: str) -> None:
    """Check that the artifact has a file or folder *path*: MLflow's stores report a missing one in different ways."""
    parent = str(PurePosixPath(path).parent)
    entries = list_files(connection, uri, owners, below="" if parent == "." else parent)
    if not any(entry.path == path for entry in entries):
        raise ArtifactNotFound("This artifact has no {path!r}. Pick a file from its list.", uri=uri, path=path)


@contextmanager
def _open_repository(connection: Connection, uri: str, owners: Owners, path: str) -> Iterator[Any]:
    """Yield MLflow's artifact store for *uri*, of which *path* will be read; translate the errors of the store."""
    address = uri
    try:
        with connection.client(_missing(uri)):
            from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

            repository = _repository(get_artifact_repository, uri, connection)
            address = _innermost(repository).artifact_uri
            folder = require_own_folder(connection, repository, owners)
            if folder is not None:
                # MLflow lists a missing local folder as an empty one.
                if not folder.exists():
                    raise _missing(uri)
                require_no_outside_links(folder, path)
        # Only a store behind the MLflow server fails as MLflow does.
        is_proxied = urlsplit(address).scheme in ("http", "https", "mlflow-artifacts")
        with connection.client(_missing(uri)) if is_proxied else nullcontext():
            yield repository
    except CoreError:
        raise
    except ImportError as error:
        packages = " ".join(needed_packages(address, error))
        raise StorageUnavailable(
            "Reading {address} needs packages that are not installed here. Install them: python -m pip install "
            "{packages}",
            address=masked(address),
            packages=packages,
            uri=uri,
        ) from error
    except Exception as error:  # object stores are plugins of MLflow, so their errors cannot be listed
        if getattr(error, "error_code", None) in ("RESOURCE_DOES_NOT_EXIST", "NOT_FOUND"):
            raise _missing(uri) from error
        raise StorageUnavailable(
            "The artifact store at {address} does not answer ({cause}). Check its address and credentials.",
            address=masked(address),
            cause=first_line(error),
            uri=uri,
        ) from error


def _innermost(repository: Any) -> Any:
    """Return the store to which MLflow's *repository* of a run or a model leads."""
    while (inner := getattr(repository, "repo", None)) is not None:
        repository = inner
    return repository


def _repository(get_artifact_repository: Callable[..., Any], uri: str, connection: Connection) -> Any:
    """Return MLflow's artifact store. An address that MLflow does not know is not an outage of MLflow itself."""
    from mlflow.exceptions import MlflowException

    try:
        return get_artifact_repository(uri, tracking_uri=connection.tracking_uri)
    except MlflowException as error:
        if urlsplit(uri).scheme in ("", "models", "runs"):
            raise  # MLflow is asked where these lie
        raise StorageUnavailable(
            "MLflow cannot open the artifact store of {address} here ({cause}).",
            address=masked(uri),
            cause=first_line(error),
            uri=uri,
        ) from error


def _missing(uri: str) -> ArtifactNotFound:
    return ArtifactNotFound("There is no artifact at {uri}: it was deleted or moved.", uri=uri)
