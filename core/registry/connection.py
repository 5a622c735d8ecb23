"""A connection to MLflow: one client, a bounded wait, and every error of the library translated.

Never the global `mlflow.set_tracking_uri`: it leaks from one session of the app into the next.
"""

from __future__ import annotations

import fcntl
import logging
import os
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, cast
from urllib.parse import urlsplit

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from core.errors import BadInput, BadSettings, CoreError, Forbidden, RegistryUnavailable, first_line
from core.redact import masked
from core.registry.call_timeout import BoundedClient

if TYPE_CHECKING:
    from mlflow import MlflowClient

# What a server or a database says when it is there but will not; everything else is an outage.
_BAD_INPUT = frozenset({"INVALID_PARAMETER_VALUE", "BAD_REQUEST", "RESOURCE_ALREADY_EXISTS", "RESOURCE_CONFLICT"})
_REFUSED = frozenset({"PERMISSION_DENIED", "UNAUTHENTICATED", "CUSTOMER_UNAUTHORIZED"})
_MISSING = frozenset({"RESOURCE_DOES_NOT_EXIST", "NOT_FOUND", "ENDPOINT_NOT_FOUND"})
_DEFAULT_PORTS = {"postgresql": 5432, "mysql": 3306, "mssql": 1433}
# After an outage the next calls fail at once for this long: a page with ten calls waits once, not ten times.
_DOWN_S = 2.0
# Any number of our own; it only has to be the same in every process.
_MAKER_LOCK = 7_310_946_223
# MLflow's modules import each other: a thread that comes while another imports them would find them half made.
_importing = threading.Lock()


class Connection:
    """Where MLflow is. The client is made on first use: importing MLflow costs a second.

    *timeout_s* bounds the wait for an answer to begin; the whole of it is there after twice that time, or it is an
    outage. *artifact_root* is where an embedded store keeps artifacts. Of what is
    *closed* (the home, files of keys) nothing that holds it is ever read as an artifact.
    """

    def __init__(
        self,
        tracking_uri: str,
        registry_uri: str | None = None,
        *,
        timeout_s: float = 5.0,
        artifact_root: Path | None = None,
        closed: Sequence[Path] = (),
    ) -> None:
        self.tracking_uri = tracking_uri
        self.registry_uri = registry_uri or tracking_uri
        self.timeout_s = timeout_s
        self.artifact_root = artifact_root
        self.closed = tuple(closed)
        self._making = threading.Lock()
        self._down_until = 0.0
        self._down_reason = ""

    @property
    def whole_s(self) -> float:
        """The longest that one call of a server takes; a longer wait that a user has set for MLflow holds."""
        own = os.environ.get("MLFLOW_HTTP_REQUEST_TIMEOUT", "")
        return 2 * max(self.timeout_s, float(own) if own.isdigit() else 0.0)

    @cached_property
    def _client(self) -> MlflowClient:
        from mlflow import MlflowClient

        logging.getLogger("alembic").setLevel(logging.WARNING)
        logging.getLogger("mlflow").setLevel(logging.WARNING)
        for uri in {self.tracking_uri, self.registry_uri}:
            _check_reachable(uri, self.timeout_s)
        # Opens both stores now, each under its lock: two processes that migrate one database break it. One after the
        # other, because two addresses may lead to one database, and nobody can wait for himself.
        with _one_maker(self.tracking_uri):
            try:
                client = MlflowClient(tracking_uri=self.tracking_uri, registry_uri=self.registry_uri)
            except ImportError as error:
                raise BadSettings(
                    f"{masked(self.tracking_uri)} takes the package {error.name or error}, which is not installed "
                    "here; check MLFLOW_TRACKING_URI and MLFLOW_REGISTRY_URI.",
                    setting="MLFLOW_TRACKING_URI",
                ) from error
            if not _is_server(self.tracking_uri):
                client.search_experiments(max_results=1)
        with _one_maker(self.registry_uri):
            if not _is_server(self.registry_uri):
                client.search_registered_models(max_results=1)
        if _is_server(self.tracking_uri) or _is_server(self.registry_uri):
            return cast("MlflowClient", BoundedClient(client, self.whole_s))
        return client

    @contextmanager
    def answering(self, missing: CoreError | None = None) -> Iterator[MlflowClient]:
        """The client; whatever MLflow raises inside becomes an error of ours. *missing* is raised for "not there".

        Raises RegistryUnavailable after a bounded wait, BadInput, Forbidden, or *missing*.
        """
        if time.monotonic() < self._down_until:
            raise RegistryUnavailable(self._down_reason, uri=masked(self.tracking_uri))
        _quiet_environment(self.timeout_s)
        with _importing:
            import mlflow  # noqa: F401 - all of it, before any part of it
            from mlflow.exceptions import MlflowException
        from requests.exceptions import RequestException

        try:
            with self._making:
                client = self._client
            yield client
        except MlflowException as error:
            raise self._translated(error.error_code, error, missing) from error
        except (RequestException, SQLAlchemyError, OSError) as error:
            raise self._outage(error) from error

    def _translated(self, code: str, error: Exception, missing: CoreError | None) -> CoreError:
        if code in _MISSING and missing is not None:
            return missing
        if code in _BAD_INPUT:
            return BadInput(f"MLflow does not take this: {first_line(error)}.", code=code)
        if code in _REFUSED:
            return Forbidden(f"MLflow refuses us: {first_line(error)}. Check its credentials.", code=code)
        return self._outage(error)

    def _outage(self, error: Exception) -> RegistryUnavailable:
        if isinstance(error, RegistryUnavailable):
            return error
        reason = (
            f"MLflow at {masked(self.tracking_uri)} does not answer ({_why(error)}). "
            "Check that it runs and that MLFLOW_TRACKING_URI is right, then try again."
        )
        in_flight = _is_in_flight(error)
        if in_flight:
            # Only what cost time is remembered: a refused connection or an answered fault is told at once each time.
            self._down_reason, self._down_until = reason, time.monotonic() + _DOWN_S
        return RegistryUnavailable(reason, uri=masked(self.tracking_uri), in_flight=in_flight)

    def stamp(self) -> tuple[int, ...] | None:
        """Changes whenever an embedded SQLite store was written to; None for a server, where that cannot be told.

        While the last write is so young that the file system's clock could hide another, no two are equal.
        """
        paths = [_sqlite_path(uri) for uri in {self.tracking_uri, self.registry_uri}]
        found: list[int] = []
        for path in paths:
            if path is None:
                return None
            for name in (path, Path(f"{path}-wal")):
                try:
                    stat = name.stat()
                except FileNotFoundError:
                    continue
                if time.time_ns() - stat.st_mtime_ns < 50_000_000:
                    return (time.time_ns(),)
                found += [stat.st_mtime_ns, stat.st_size]
        return tuple(found)


# What urllib3 and MLflow say at length, in a person's words.
_OUTAGES = (
    ("Connection refused", "nothing listens there"),
    ("NewConnectionError", "nothing listens there"),
    ("Name or service not known", "there is no such host"),
    ("NameResolutionError", "there is no such host"),
    ("Read timed out", "it took too long"),
    ("ReadTimeoutError", "it took too long"),
    ("ConnectTimeoutError", "it took too long"),
    ("no whole answer within", "it took too long"),
)


# Signs that a server was asked and no answer came: it may still do what it was asked.
_UNANSWERED = ("failed with exception", "failed with timeout exception")
_NEVER_ASKED = (
    "Connection refused",
    "NewConnectionError",
    "Name or service not known",
    "NameResolutionError",
    "ConnectTimeoutError",
)


def _is_in_flight(error: Exception) -> bool:
    text = str(error)
    unanswered = isinstance(error, TimeoutError) or any(sign in text for sign in _UNANSWERED)
    return unanswered and not any(sign in text for sign in _NEVER_ASKED)


def _why(error: Exception) -> str:
    """The reason of an outage in a few words; the library's own first line where none is known."""
    text = str(error)
    return next((words for sign, words in _OUTAGES if sign in text), first_line(error))


def _quiet_environment(timeout_s: float) -> None:
    """MLflow reads these at each call, and some as it is imported. What a user has set himself stays."""
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", str(max(1, round(timeout_s))))
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("MLFLOW_ALLOW_PICKLE_DESERIALIZATION", "false")
    os.environ.setdefault("MLFLOW_ALLOW_MODEL_CODE_EXECUTION", "false")
    os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")
    # "View run … at …" would land on stdout, between the JSON of the command line.
    os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")


def _is_server(uri: str) -> bool:
    return uri.startswith(("http://", "https://"))


def _sqlite_path(uri: str) -> Path | None:
    return Path(uri.removeprefix("sqlite:///")) if uri.startswith("sqlite:///") else None


def _check_reachable(uri: str, timeout_s: float) -> None:
    """MLflow tries a database ten times over 100 s before it gives up: one look first.

    Raises OSError, which the caller translates.
    """
    path = _sqlite_path(uri)
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("ab"):
            return
    parts = urlsplit(uri)
    port = _DEFAULT_PORTS.get(parts.scheme.partition("+")[0])
    if port is not None and parts.hostname:
        socket.create_connection((parts.hostname, parts.port or port), timeout=timeout_s).close()


@contextmanager
def _one_maker(uri: str) -> Iterator[None]:
    """Only one process at a time opens (and so creates or migrates) an embedded store or a database."""
    path = _sqlite_path(uri)
    with ExitStack() as lock:
        if path is not None:
            fcntl.flock(lock.enter_context(Path(f"{path}.lock").open("w")), fcntl.LOCK_EX)
        elif uri.startswith("postgresql"):
            lock.enter_context(_postgres_lock(uri))
        yield


@contextmanager
def _postgres_lock(uri: str) -> Iterator[None]:
    """Held by this connection, over machines; given back with it."""
    engine = sa.create_engine(uri, poolclass=sa.pool.NullPool, connect_args={"connect_timeout": 5})
    with engine.connect() as connection:
        connection.execute(sa.text("SELECT pg_advisory_lock(:key)"), {"key": _MAKER_LOCK})
        yield
