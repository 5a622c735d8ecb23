"""What stands between ModelLedger and a real MLflow server: lets calls through, or behaves as a server in trouble."""

from __future__ import annotations

import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

TROUBLES = ("500", "503", "slow", "drips", "silent", "closed")


class Gateway:
    """*trouble* is one of TROUBLES, "403", "404", "done, not answered" or None; *only* limits it to such paths."""

    def __init__(self, behind: str) -> None:
        self.behind = behind
        self.trouble: str | None = None
        self.only = ""
        self.over = threading.Event()
        gateway = self

        class Handler(BaseHTTPRequestHandler):
            def answer(self) -> None:
                with suppress(OSError):  # who asked has gone
                    gateway._answer(self)

            do_GET = do_POST = do_PATCH = do_DELETE = answer  # noqa: N815 - the names that http.server calls

            def log_message(self, format: str, *args: object) -> None:
                """Silent."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.uri = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()

    def close(self) -> None:
        self.over.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def _answer(self, call: BaseHTTPRequestHandler) -> None:
        body = call.rfile.read(int(call.headers.get("Content-Length") or 0))
        trouble = self.trouble if self.only in call.path else None
        if trouble in ("403", "404", "500", "503"):
            _send(call, int(trouble), b'{"error_code": "PERMISSION_DENIED"}' if trouble == "403" else b"no upstream")
        elif trouble == "drips":
            call.send_response(200)
            call.send_header("Content-Length", "100000")
            call.end_headers()
            while not self.over.wait(0.2):
                call.wfile.write(b" ")
                call.wfile.flush()
        elif trouble == "closed":
            call.connection.close()
        elif trouble == "silent":
            self.over.wait()
        else:
            if trouble == "slow":
                self.over.wait(20)
            status, answer = self._ask(call, body)
            if trouble == "done, not answered":
                self.over.wait()
            _send(call, status, answer)

    def _ask(self, call: BaseHTTPRequestHandler, body: bytes) -> tuple[int, bytes]:
        kept = {name: call.headers[name] for name in ("Content-Type", "Accept") if name in call.headers}
        request = urllib.request.Request(self.behind + call.path, body or None, kept, method=call.command)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            return error.code, error.read()


def _send(call: BaseHTTPRequestHandler, status: int, body: bytes) -> None:
    call.send_response(status)
    call.send_header("Content-Type", "application/json")
    call.send_header("Content-Length", str(len(body)))
    call.end_headers()
    call.wfile.write(body)


@contextmanager
def gateway(behind: str) -> Iterator[Gateway]:
    made = Gateway(behind)
    try:
        yield made
    finally:
        made.close()
