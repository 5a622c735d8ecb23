"""Over real HTTP: who may connect, what a visitor is told, and where a server refuses to start."""

from __future__ import annotations

import http.client
import http.server
import socket
import subprocess
import sys
import threading
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from websockets.sync.client import connect
from websockets.typing import Subprotocol

from core.access.identity import is_loopback
from core.errors import BadSettings
from core.serve import serve
from tests.browser.conftest import ROOT, await_health, clean_environment, free_port, start_server, stop_server

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The app on an empty workspace, served as behind a proxy: with a provider, which is never asked."""
    found, folder = free_port(), tmp_path_factory.mktemp("http")
    secrets = folder / "secrets.toml"
    secrets.write_text(
        '[auth]\nredirect_uri = "https://ledger.bank.example/oauth2callback"\ncookie_secret = "of these tests"\n'
        'client_id = "modelledger"\nclient_secret = "of these tests"\n'
        f'server_metadata_url = "http://127.0.0.1:{free_port()}/.well-known/openid-configuration"\n'
    )
    settings = {
        "MODELLEDGER_SAMPLE": "false",
        "MODELLEDGER_HOSTS": "ledger.bank.example",
        "MODELLEDGER_SECRETS": str(secrets),
    }
    server = start_server(clean_environment(folder / "home") | settings, found)
    yield found
    stop_server(server)


def status(port: int, *, host: str, origin: str | None = None) -> int:
    """How the app answers a browser that connects under *host*, from a page of *origin*."""
    headers = {
        "Host": host,
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==",
    }
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request("GET", "/_stcore/stream", headers=headers | ({"Origin": origin} if origin else {}))
    answer = connection.getresponse().status
    connection.close()
    return answer


@pytest.mark.parametrize(
    ("host", "origin", "answer"),
    [
        ("127.0.0.1", None, 101),
        ("localhost", None, 101),
        ("ledger.bank.example", None, 101),
        ("evil.example", None, 403),
        ("bank.example", None, 403),
        ("ledger.bank.example.evil.example", None, 403),
        ("127.0.0.1", "http://evil.example", 403),
    ],
)
def test_only_known_hosts_and_origins_connect(port: int, host: str, origin: str | None, answer: int) -> None:
    assert status(port, host=host, origin=origin) == answer


@pytest.mark.parametrize(
    "path",
    ["/", "/promotions", "/static/", "/_stcore/health", "/_stcore/host-config", "/media/none", "/_stcore/stream"],
)
def test_no_other_page_may_frame_the_app_or_learn_its_addresses(port: int, path: str) -> None:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as answer:
            headers = answer.headers
    except urllib.error.HTTPError as error:  # what refuses says it too
        headers = error.headers
        error.close()
    assert headers["Content-Security-Policy"] == "frame-ancestors 'self'"
    assert headers["X-Frame-Options"] == "SAMEORIGIN"
    assert headers["Referrer-Policy"] == "same-origin"
    assert headers["X-Content-Type-Options"] == "nosniff"


class Framing(http.server.BaseHTTPRequestHandler):
    """A page at another port, which is another origin; its address names what it frames."""

    def do_GET(self) -> None:
        body = f'<iframe src="{urllib.parse.unquote(self.path[1:])}"></iframe>'.encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def foreign() -> Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Framing) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_a_foreign_page_that_frames_the_app_shows_nothing_of_it(page: Page, port: int, foreign: str) -> None:
    """So that nobody has Approve clicked by somebody who thinks to click something else."""
    framed = f"http://127.0.0.1:{port}/promotions"
    with page.expect_event("requestfailed", lambda request: request.url == framed) as failed:
        page.goto(f"{foreign}/{urllib.parse.quote(framed, safe='')}")
    assert failed.value.failure == "net::ERR_BLOCKED_BY_RESPONSE"
    # What says no such thing is framed: it is the answer's own word that keeps the app out.
    with page.expect_response(f"{foreign}/inner") as shown:
        page.goto(f"{foreign}/{urllib.parse.quote(f'{foreign}/inner', safe='')}")
    assert shown.value.ok


def test_an_upload_without_the_xsrf_token_is_refused(port: int) -> None:
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/_stcore/upload_file/session/file",
        data=b'--x\r\nContent-Disposition: form-data; name="f"; filename="f.csv"\r\n\r\na\r\n--x--\r\n',
        headers={"Content-Type": "multipart/form-data; boundary=x"},
        method="PUT",
    )
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(request, timeout=10)
    refused.value.close()
    assert refused.value.code == 403


@pytest.mark.parametrize(
    "path",
    [
        "/app/static/../core/settings.py",
        "/..%2f..%2fcore%2fsettings.py",
        "/.streamlit/secrets.toml",
        "/.env",
        "/core/settings.py",
        "/_stcore/agent/",
        "/media/../../core/settings.py",
    ],
)
def test_no_file_of_the_server_is_served(port: int, path: str) -> None:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as answer:
            body = answer.read().decode(errors="replace")
    except urllib.error.HTTPError as error:
        body = error.read().decode(errors="replace")
        error.close()
    assert "BaseSettings" not in body
    assert "Traceback" not in body
    assert str(ROOT) not in body


def test_a_fault_shows_a_visitor_neither_traceback_nor_path(page: Page, tmp_path: Path) -> None:
    """A registry that does not answer in its own protocol, a table that is not there: words, and no code."""
    found = free_port()
    environment = clean_environment(tmp_path / "home") | {
        "MODELLEDGER_SAMPLE": "false",
        "MLFLOW_TRACKING_URI": f"http://127.0.0.1:{free_port()}",
        "MODELLEDGER_MLFLOW_TIMEOUT_S": "1",
    }
    server = start_server(environment, found)
    try:
        page.goto(f"http://127.0.0.1:{found}/")
        expect(page.get_by_role("heading", name="Overview")).to_be_visible()
        for name in ("models", "runs", "overview"):
            page.goto(f"http://127.0.0.1:{found}/{name}")
            page.wait_for_selector("[data-testid='stApp'][data-test-script-state='notRunning']")
            expect(page.get_by_text("Acting as").first).to_be_visible()
            expect(page.get_by_text("does not answer").first).to_be_visible()
            text = page.inner_text("body")
            assert "Traceback" not in text
            assert "site-packages" not in text
            assert str(ROOT) not in text
    finally:
        stop_server(server)


@pytest.mark.parametrize("address", ["0.0.0.0", "::", "192.0.2.7", ""])
def test_a_shared_server_without_a_provider_does_not_start(address: str) -> None:
    with pytest.raises(BadSettings, match="no sign-in provider is configured"):
        serve(port=free_port(), address=address)


def test_a_server_behind_a_proxy_without_a_provider_does_not_start() -> None:
    with pytest.raises(BadSettings, match=r"reach this server as ledger\.bank\.example, and no sign-in provider"):
        serve(port=free_port(), hosts=("ledger.bank.example",))


@pytest.mark.parametrize(
    ("options", "settings"),
    [(("--address", "0.0.0.0"), {}), ((), {"MODELLEDGER_HOSTS": "ledger.bank.example"})],
)
def test_the_command_says_so_in_one_line(tmp_path: Path, options: tuple[str, ...], settings: dict[str, str]) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "core", "serve", *options, "--port", str(free_port())],
        cwd=ROOT,
        env=clean_environment(tmp_path / "home") | {"MODELLEDGER_SAMPLE": "false"} | settings,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert "no sign-in provider is configured" in done.stderr


@contextmanager
def run_by_hand(folder: Path, address: str) -> Iterator[int]:
    """`streamlit run app.py` on *address*, past `serve`; yields its port."""
    found = free_port()
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen(
            [
                *(sys.executable, "-m", "streamlit", "run", "app.py"),
                *("--server.address", address, "--server.port", str(found)),
            ],
            cwd=ROOT,
            env=clean_environment(folder / "home"),
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    try:
        await_health(server, found, folder / "log")
        yield found
    finally:
        stop_server(server)


def test_streamlit_run_on_every_address_shows_nothing(page: Page, tmp_path: Path) -> None:
    with run_by_hand(tmp_path, "0.0.0.0") as found:
        for path in ("", "audit", "admin?as=admin"):
            page.goto(f"http://127.0.0.1:{found}/{path}")
            expect(page.get_by_text("This server is shared")).to_be_visible()
            expect(page.get_by_text("Acting as")).to_have_count(0)
            expect(page.get_by_text("MODELLEDGER_HOME")).to_have_count(0)


def drawn(port: int, host: str = "127.0.0.1", **headers: str) -> bytes:
    """All that the app sends to a browser that connects under the name *host* with *headers*."""
    told = b""
    with connect(
        f"ws://{host}:{port}/_stcore/stream",
        sock=socket.create_connection(("127.0.0.1", port)),
        subprotocols=[Subprotocol("streamlit")],
        additional_headers=headers,
        max_size=None,
    ) as session:
        session.send(b"\x5a\x00")
        while True:
            message = session.recv(timeout=120)
            assert isinstance(message, bytes)
            told += message
            parsed = ForwardMsg.FromString(message)
            # The front page is asked for by a rerun of the first run.
            again = parsed.script_finished == ForwardMsg.FINISHED_EARLY_FOR_RERUN
            if parsed.WhichOneof("type") == "script_finished" and not again:
                return told


def test_what_a_proxy_hands_on_to_a_server_run_by_hand_sees_no_demo_identity(tmp_path: Path) -> None:
    """nginx as it comes asks for the server's own address and says only for whom."""
    with run_by_hand(tmp_path, "127.0.0.1") as port:
        for headers in (
            {"X-Forwarded-For": "192.0.2.7"},
            {"X-Forwarded-Host": "ledger.bank.example"},
            {"Forwarded": "for=192.0.2.7"},
            {"X-Real-IP": "192.0.2.7"},
            {"Via": "1.1 proxy"},
        ):
            told = drawn(port, **headers)
            assert b"This server is shared" in told, headers
            assert b"Acting as" not in told, headers
        told = drawn(port, "ledger.bank.example")
        assert b"This server is shared" in told, "a proxy that hands the name on, or a name made to lead here"
        assert b"Acting as" not in told
        assert b"Acting as" in drawn(port), "who asks from this machine is served, so that the refusals mean something"


@pytest.mark.parametrize(
    ("address", "private"),
    [
        ("127.0.0.1", True),
        ("127.9.9.9", True),
        ("::1", True),
        ("[::1]", True),
        ("localhost", True),
        ("0.0.0.0", False),
        ("", False),
        (None, False),
        ("localhost.evil.example", False),
        ("10.0.0.1", False),
    ],
)
def test_what_counts_as_this_machine_alone(address: str | None, private: bool) -> None:
    assert is_loopback(address) is private
