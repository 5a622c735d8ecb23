"""MLflow that is down, hangs or answers nonsense: one clear error within a bounded time, whatever was asked."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from core.entities import ModelVersionKey, RunStatus, Stage
from core.errors import BadInput, CoreError, Forbidden, RegistryUnavailable, RunNotFound
from core.registry import connection as connection_module
from core.registry.connection import Connection
from core.registry.runs import Runs
from core.registry.stages import StageRegistry
from tests.contract.mlflow_server import free_port

CALLS: dict[str, Callable[[str], object]] = {
    "experiments": lambda uri: Runs(uri, 1.0).experiments(),
    "page": lambda uri: Runs(uri, 1.0).page(),
    "get": lambda uri: Runs(uri, 1.0).get("a" * 32),
    "get_many": lambda uri: Runs(uri, 1.0).get_many(["a" * 32]),
    "start": lambda uri: Runs(uri, 1.0).start("e", "n", "u", {}),
    "end": lambda uri: Runs(uri, 1.0).end("a" * 32, RunStatus.FAILED, "x"),
    "models": lambda uri: StageRegistry(uri, timeout_s=1.0).models(),
    "versions": lambda uri: StageRegistry(uri, timeout_s=1.0).versions("m"),
    "version": lambda uri: StageRegistry(uri, timeout_s=1.0).version(ModelVersionKey(model="m", version=1)),
    "set_stages": lambda uri: StageRegistry(uri, timeout_s=1.0).set_stages("m", {1: Stage.PRODUCTION}),
    "model": lambda uri: StageRegistry(uri, timeout_s=1.0).model("m"),
    "describe": lambda uri: StageRegistry(uri, timeout_s=1.0).describe("m", 1, "text"),
    "set_tag": lambda uri: StageRegistry(uri, timeout_s=1.0).set_tag("m", None, "owner", "ana"),
    "delete_tag": lambda uri: StageRegistry(uri, timeout_s=1.0).delete_tag("m", 1, "owner"),
    "artifacts": lambda uri: StageRegistry(uri, timeout_s=1.0).artifacts(ModelVersionKey(model="m", version=1)),
}


@pytest.fixture(autouse=True)
def short_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    """MLflow reads these at each call; another test of this process may have set a longer wait."""
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS.keys())
def test_a_server_that_is_down_is_named_at_once(call: Callable[[str], object]) -> None:
    with given_up():
        uri = f"http://127.0.0.1:{free_port()}"
        with pytest.raises(RegistryUnavailable, match=f"{uri}.*MLFLOW_TRACKING_URI"):
            call(uri)


@contextmanager
def given_up(longest_s: float = 5.0) -> Iterator[None]:
    """The wait inside is ours: left to itself MLflow waits 120 s for an answer, tries eight times, a database ten."""
    from mlflow import MlflowClient  # noqa: F401 - its import, which takes seconds at first, is no part of the wait

    started = time.monotonic()
    yield
    assert time.monotonic() - started < longest_s


class Hanging:
    """A server that takes connections, keeps them and never answers; *asked* counts them."""

    def __init__(self, listener: socket.socket) -> None:
        self.uri = f"http://127.0.0.1:{listener.getsockname()[1]}"
        self._listener, self._taken = listener, list[socket.socket]()

    @property
    def asked(self) -> int:
        while True:
            try:
                self._taken.append(self._listener.accept()[0])
            except BlockingIOError:
                return len(self._taken)

    def close(self) -> None:
        for one in self._taken:
            one.close()


@contextmanager
def hanging_server() -> Iterator[Hanging]:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(16)
        listener.setblocking(False)
        server = Hanging(listener)
        yield server
        server.close()


def test_a_server_that_hangs_is_asked_once_and_given_up_after_the_timeout() -> None:
    with hanging_server() as server, given_up():
        with pytest.raises(RegistryUnavailable) as caught:
            Runs(server.uri, 1.0).page()
        assert server.asked == 1
    # The server took the call, so its address is right.
    assert "did not answer within 1 s" in str(caught.value)
    assert "MODELLEDGER_MLFLOW_TIMEOUT_S" in str(caught.value)
    assert "MLFLOW_TRACKING_URI" not in str(caught.value)


def test_a_slow_answer_names_the_variable_of_mlflow_where_it_decides(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "2")
    with hanging_server() as server, given_up(), pytest.raises(RegistryUnavailable) as caught:
        Runs(server.uri, 1.0).page()
    assert "within 2 s" in str(caught.value)
    assert "MLFLOW_HTTP_REQUEST_TIMEOUT" in str(caught.value)


def test_the_second_call_after_an_outage_does_not_wait_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection_module, "_DOWN_S", 60.0)
    with hanging_server() as server:
        runs = Runs(server.uri, 1.0)
        for _ in range(2):
            with pytest.raises(RegistryUnavailable):
                runs.page()
        assert server.asked == 1


@contextmanager
def answering_server(status: int, body: bytes, *, version: str = "") -> Iterator[str]:
    """Answers every call with *body*, and GET /version with *version* if there is one."""

    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            is_version = self.path == "/version" and version
            content = version.encode() if is_version else body
            self.send_response(200 if is_version else status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = answer  # noqa: N815 - the names that http.server calls

        def log_message(self, format: str, *args: object) -> None:
            """Silent."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.mark.parametrize(
    ("status", "body", "error"),
    [
        (200, b"<html>a proxy's login page</html>", RegistryUnavailable),
        (500, b"oops", RegistryUnavailable),
        (502, b"", RegistryUnavailable),
        (403, b'{"error_code": "PERMISSION_DENIED", "message": "no"}', Forbidden),
        (401, b"who are you", Forbidden),
        (400, b'{"error_code": "INVALID_PARAMETER_VALUE", "message": "no"}', BadInput),
    ],
)
def test_every_odd_answer_is_an_error_of_ours(status: int, body: bytes, error: type[CoreError]) -> None:
    with answering_server(status, body) as uri, pytest.raises(error):
        Runs(uri, 1.0).page()


def test_every_error_code_of_mlflow_is_translated() -> None:
    from mlflow.exceptions import MlflowException
    from mlflow.protos.databricks_pb2 import ErrorCode

    connection = Connection("http://127.0.0.1:9")
    missing = RunNotFound("gone")
    for code in ErrorCode.keys():  # noqa: SIM118 - a protobuf enum is no mapping
        found = connection._translated(code, MlflowException("reason", ErrorCode.Value(code)), missing)
        assert isinstance(found, RegistryUnavailable | BadInput | Forbidden | RunNotFound), code
        assert "reason" in str(found) or found is missing


@pytest.mark.parametrize("kind", ["a folder", "no database", "a port where nothing listens"])
def test_a_store_that_cannot_be_opened_is_unavailable(kind: str, tmp_path: Path) -> None:
    (tmp_path / "text.db").write_text("this is no database, and it is long enough to be read as a header " * 20)
    uri = {
        "a folder": f"sqlite:///{tmp_path}",
        "no database": f"sqlite:///{tmp_path / 'text.db'}",
        "a port where nothing listens": f"postgresql+psycopg2://me:secret@127.0.0.1:{free_port()}/mlflow",
    }[kind]
    with given_up(10.0), pytest.raises(RegistryUnavailable) as caught:
        Runs(uri, 1.0).page()
    assert "secret" not in str(caught.value)
