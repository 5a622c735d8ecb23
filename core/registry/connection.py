"""Connection: MLflow's client with a bounded wait, and with every error of the library translated.

It never calls the global `mlflow.set_tracking_uri`, which leaks from one session of the app into the next.
"""

from __future__ import annotations

import fcntl
import logging
import os
import re
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, cast
from urllib.parse import urlsplit

from sqlalchemy.exc import SQLAlchemyError

from core.errors import (
    BadInput,
    BadSettings,
    CoreError,
    Forbidden,
    RegistryUnavailable,
    ServerLacksCall,
    first_line,
)
from core.redact import masked
from core.registry.call_timeout import BoundedClient
from core.registry.schema_check import back_up_older, check_store, is_own, sqlite_path
from core.texts import text

if TYPE_CHECKING:
    from mlflow import MlflowClient

# Codes of a server or a database that answers but refuses; every other code is an outage.
_BAD_INPUT = frozenset({"INVALID_PARAMETER_VALUE", "BAD_REQUEST", "RESOURCE_ALREADY_EXISTS", "RESOURCE_CONFLICT"})
_FORBIDDEN = frozenset({"PERMISSION_DENIED", "UNAUTHENTICATED", "CUSTOMER_UNAUTHORIZED"})
_MISSING = frozenset({"RESOURCE_DOES_NOT_EXIST", "NOT_FOUND"})
_UNKNOWN_CALL = "ENDPOINT_NOT_FOUND"
_VERSION = re.compile(r"[\w.+-]{1,40}")
_CALL = re.compile(r"endpoint (/\S+) failed with error code 404")
_DEFAULT_PORTS = {"postgresql": 5432, "mysql": 3306, "mssql": 1433}
# After an outage calls fail at once for this long, so a page with ten calls waits once, not ten times.
_DOWN_S = 2.0
_LOG = logging.getLogger(__name__)
# MLflow's modules import each other: a second thread must not use them while the first still imports them.
_import_lock = threading.Lock()


class Connection:
    """A tracking store and a registry of MLflow. The client is created on first use: importing MLflow takes a second.

    *timeout_s* limits the wait until an answer begins; an answer that is not complete after twice that time is an
    outage. *artifact_root* is the folder in which an embedded store keeps artifacts. A folder that contains one of the
    *protected* paths (the home folder, key files) is never read as an artifact.

    A store must exist and have the schema of the installed MLflow. Only the SQLite file *own_store* is created, and
    upgraded after a copy was made, because it belongs to ModelLedger.
    """

    def __init__(
        self,
        tracking_uri: str,
        registry_uri: str | None = None,
        *,
        timeout_s: float = 5.0,
        artifact_root: Path | None = None,
        protected: Sequence[Path] = (),
        own_store: Path | None = None,
    ) -> None:
        self.tracking_uri = tracking_uri
        self.registry_uri = registry_uri or tracking_uri
        self.timeout_s = timeout_s
        self.artifact_root = artifact_root
        self.protected = tuple(protected)
        self.own_store = own_store
        self._client_lock = threading.Lock()
        self._down_until = 0.0
        self._down_cause = ""

    @property
    def max_call_s(self) -> float:
        """The longest time that one call of a server may take; a longer timeout that the user set for MLflow counts."""
        return 2 * max(self.timeout_s, self.wait_s)

    @property
    def wait_s(self) -> float:
        """The longest time until an answer begins: MLflow's own variable, if the user has set it, has precedence."""
        user_timeout = os.environ.get("MLFLOW_HTTP_REQUEST_TIMEOUT", "")
        return float(user_timeout) if user_timeout.isdigit() else self.timeout_s

    @cached_property
    def _client(self) -> MlflowClient:
        from mlflow import MlflowClient

        logging.getLogger("alembic").setLevel(logging.WARNING)
        logging.getLogger("mlflow").setLevel(logging.WARNING)
        # The tracking URI is checked first: it is the setting to correct where both name the same store.
        stores = {self.registry_uri: "MLFLOW_REGISTRY_URI", self.tracking_uri: "MLFLOW_TRACKING_URI"}
        with _own_store_lock(self.own_store if any(is_own(uri, self.own_store) for uri in stores) else None) as own:
            for uri, setting in reversed(stores.items()):
                _check_reachable(uri, self.timeout_s)
                with _named_package(uri, setting):
                    check_store(uri, setting=setting, own=self.own_store)
            backup = back_up_older(own) if own else None
            if backup is not None:
                _LOG.warning("MLflow upgrades the schema of %s, which an older version made; a copy is %s", own, backup)
            # Open both stores now, under the lock: two processes that migrate one database at once break it.
            with _named_package(self.tracking_uri, "MLFLOW_TRACKING_URI"):
                client = MlflowClient(tracking_uri=self.tracking_uri, registry_uri=self.registry_uri)
            if not _is_server(self.tracking_uri):
                client.search_experiments(max_results=1)
            if not _is_server(self.registry_uri):
                client.search_registered_models(max_results=1)
        if _is_server(self.tracking_uri) or _is_server(self.registry_uri):
            return cast("MlflowClient", BoundedClient(client, self.max_call_s))
        return client

    @contextmanager
    def client(self, missing: CoreError | None = None) -> Iterator[MlflowClient]:
        """Yield the client and translate what MLflow raises inside. *missing* is raised if MLflow finds no such entity.

        Raises:
            RegistryUnavailable: MLflow does not answer within a bounded time.
            BadInput: MLflow rejects the call.
            Forbidden: MLflow refuses the credentials.
        """
        if time.monotonic() < self._down_until:
            raise self._unavailable(self._down_cause)
        _set_environment(self.timeout_s)
        with _import_lock:
            import mlflow  # noqa: F401 - the whole package, before any part of it
            from mlflow.exceptions import MlflowException
        from requests.exceptions import RequestException

        try:
            with self._client_lock:
                client = self._client
            yield client
        except MlflowException as error:
            raise self._translated(error.error_code, error, missing) from error
        except (RequestException, SQLAlchemyError, OSError) as error:
            raise self._outage(error) from error

    def server_version(self, uri: str) -> str | None:
        """Return the version of the MLflow server at *uri*; None if *uri* is not a server that states it."""
        if not _is_server(uri):
            return None
        from mlflow.utils.credentials import get_default_host_creds
        from mlflow.utils.rest_utils import http_request

        try:
            answer = http_request(
                get_default_host_creds(uri),
                "/version",
                "GET",
                max_retries=0,
                timeout=self.timeout_s,
                raise_on_status=False,
            )
        except Exception as error:  # noqa: BLE001 -- MLflow and requests raise many kinds; the version is extra
            _LOG.debug("no version from %s: %s", masked(uri), first_line(error))
            return None
        return answer.text if answer.status_code == 200 and _VERSION.fullmatch(answer.text) else None

    def _unknown_call(self, error: Exception) -> ServerLacksCall:
        """Say which version the server has: the call may have gone to the tracking server or to the registry's."""
        match = _CALL.search(str(error))
        call = match[1] if match else first_line(error)
        uri = self.registry_uri if "registered-models" in call or "model-versions" in call else self.tracking_uri
        version = self.server_version(uri)
        if version is None:
            return ServerLacksCall(
                "The server at {uri} does not know a call of MLflow ({call}). Check that an MLflow server has this "
                "address.",
                uri=masked(uri),
                call=call,
            )
        return ServerLacksCall(
            "The MLflow server at {uri} has version {version} and lacks a call that ModelLedger needs ({call}). "
            "Upgrade the server.",
            uri=masked(uri),
            version=version,
            call=call,
        )

    def _translated(self, code: str, error: Exception, missing: CoreError | None) -> CoreError:
        if code == _UNKNOWN_CALL:
            return self._unknown_call(error)
        if code in _MISSING and missing is not None:
            return missing
        if code in _BAD_INPUT:
            return BadInput("MLflow rejects this: {cause}.", cause=first_line(error), code=code)
        if code in _FORBIDDEN:
            return Forbidden(
                "MLflow refuses access: {cause}. Check the credentials for MLflow.", cause=first_line(error), code=code
            )
        return self._outage(error)

    def _outage(self, error: Exception) -> RegistryUnavailable:
        if isinstance(error, RegistryUnavailable):
            return error
        cause, in_flight = _cause(error), _is_in_flight(error)
        if in_flight:
            # Only an outage that cost time is remembered: a refused connection fails at once each time.
            self._down_cause, self._down_until = cause, time.monotonic() + _DOWN_S
        return self._unavailable(cause, in_flight=in_flight)

    def _unavailable(self, cause: str, *, in_flight: bool = False) -> RegistryUnavailable:
        if cause == _TOO_SLOW:
            # MLflow's own variable has precedence, where the user has set it.
            is_ours = self.wait_s == _request_timeout(self.timeout_s)
            return RegistryUnavailable(
                "MLflow at {uri} did not answer within {seconds} s. It may be busy: try again, or set {setting} to a "
                "longer time.",
                uri=masked(self.tracking_uri),
                seconds=f"{self.wait_s:g}",
                setting="MODELLEDGER_MLFLOW_TIMEOUT_S" if is_ours else "MLFLOW_HTTP_REQUEST_TIMEOUT",
                in_flight=in_flight,
            )
        return RegistryUnavailable(
            "MLflow at {uri} does not answer ({cause}). Check that it runs and that MLFLOW_TRACKING_URI is right, then "
            "try again.",
            uri=masked(self.tracking_uri),
            cause=cause,
            in_flight=in_flight,
        )

    def change_marker(self) -> tuple[int, ...] | None:
        """Return a value that changes with each write to an embedded SQLite store; None if MLflow is a server.

        For 50 ms after a write every marker is different: the file system's clock could hide a second write.
        """
        paths = [sqlite_path(uri) for uri in {self.tracking_uri, self.registry_uri}]
        marker: list[int] = []
        for path in paths:
            if path is None:
                return None
            for file in (path, Path(f"{path}-wal")):
                try:
                    status = file.stat()
                except FileNotFoundError:
                    continue
                if time.time_ns() - status.st_mtime_ns < 50_000_000:
                    return (time.time_ns(),)
                marker += [status.st_mtime_ns, status.st_size]
        return tuple(marker)


# The server took the call and did not answer in time: its address is right.
_TOO_SLOW = text("it took too long")
# Parts of the messages of urllib3 and MLflow, and the cause in a few words.
_CAUSES = (
    ("Connection refused", text("nothing listens there")),
    ("NewConnectionError", text("nothing listens there")),
    ("Name or service not known", text("there is no such host")),
    ("NameResolutionError", text("there is no such host")),
    ("Read timed out", _TOO_SLOW),
    ("ReadTimeoutError", _TOO_SLOW),
    ("ConnectTimeoutError", text("no connection within the time limit")),
    ("no complete answer within", _TOO_SLOW),
)


# Signs that a server got the call and did not answer: it may still do what the call requests.
_UNANSWERED = ("failed with exception", "failed with timeout exception")
_NEVER_SENT = (
    "Connection refused",
    "NewConnectionError",
    "Name or service not known",
    "NameResolutionError",
    "ConnectTimeoutError",
)


def _is_in_flight(error: Exception) -> bool:
    message = str(error)
    is_unanswered = isinstance(error, TimeoutError) or any(sign in message for sign in _UNANSWERED)
    return is_unanswered and not any(sign in message for sign in _NEVER_SENT)


def _cause(error: Exception) -> str:
    """Return the cause of an outage in a few words, or the first line of the library's message."""
    message = str(error)
    return next((cause for sign, cause in _CAUSES if sign in message), first_line(error))


def _request_timeout(timeout_s: float) -> int:
    """Return the whole seconds that MLflow's variable accepts."""
    return max(1, round(timeout_s))


def _set_environment(timeout_s: float) -> None:
    """Set the variables that MLflow reads at each call or at import, unless the user has set them."""
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", str(_request_timeout(timeout_s)))
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("MLFLOW_ALLOW_PICKLE_DESERIALIZATION", "false")
    os.environ.setdefault("MLFLOW_ALLOW_MODEL_CODE_EXECUTION", "false")
    os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")
    # "View run … at …" would land on stdout, between the JSON of the command line.
    os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")


def _is_server(uri: str) -> bool:
    return uri.startswith(("http://", "https://"))


@contextmanager
def _named_package(uri: str, setting: str) -> Iterator[None]:
    """Translate the error of a database's driver that is not installed."""
    try:
        yield
    except ImportError as error:
        raise BadSettings(
            "{uri} needs the package {package}, which is not installed here; check {setting}.",
            uri=masked(uri),
            package=error.name or str(error),
            setting=setting,
        ) from error


def _check_reachable(uri: str, timeout_s: float) -> None:
    """Check that the database at *uri* can be reached: MLflow itself tries ten times over 100 s before it gives up.

    Raises OSError, which the caller translates.
    """
    parts = urlsplit(uri)
    port = _DEFAULT_PORTS.get(parts.scheme.partition("+")[0])
    if port is not None and parts.hostname:
        socket.create_connection((parts.hostname, parts.port or port), timeout=timeout_s).close()


@contextmanager
def _own_store_lock(own: Path | None) -> Iterator[Path | None]:
    """Let one process at a time open, and so create or upgrade, ModelLedger's own store."""
    if own is None:
        yield None
        return
    own.parent.mkdir(parents=True, exist_ok=True)
    with Path(f"{own}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield own
