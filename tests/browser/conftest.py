"""A real server (app and worker), and a window of the real Chromium that looks at it."""

from __future__ import annotations

import io
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import patch
from urllib.parse import urlencode

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from core.cli import main
from core.commands import options

ROOT = Path(__file__).resolve().parents[2]
SCREENSHOTS = ROOT / "test-results" / "screenshots"

expect.set_options(timeout=30_000)


@dataclass(frozen=True)
class Served:
    """A running ModelLedger on a home of its own; *stop* ends app and worker, once."""

    url: str
    home: Path
    environment: dict[str, str]
    stop: Callable[[], None]

    def command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Runs the command line on the same home, in this process: a process of its own costs 2 s for its imports."""
        out, err = io.StringIO(), io.StringIO()
        with patch.dict(os.environ, self.environment, clear=True), redirect_stdout(out), redirect_stderr(err):
            options.get_stores.cache_clear()
            try:
                code = main(arguments)
            finally:
                options.get_stores.cache_clear()
        return subprocess.CompletedProcess(arguments, code, out.getvalue(), err.getvalue())


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def clean_environment(home: Path) -> dict[str, str]:
    """The environment without any setting of the developer's own machine."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("MODELLEDGER_", "MLFLOW_"))}
    return kept | {"MODELLEDGER_HOME": str(home)}


def start_server(environment: dict[str, str], port: int) -> subprocess.Popen[bytes]:
    """`python -m core serve`, waited for until Streamlit is healthy (a first start builds the sample)."""
    log = Path(environment["MODELLEDGER_HOME"]).parent / f"server-{port}.log"
    with log.open("ab") as out:
        server = subprocess.Popen(
            [sys.executable, "-m", "core", "serve", "--port", str(port)],
            cwd=ROOT,
            env=environment,
            stdout=out,
            stderr=subprocess.STDOUT,
        )
    try:
        await_health(server, port, log)
    except BaseException:
        stop_server(server)
        raise
    return server


def await_health(server: subprocess.Popen[bytes], port: int, log: Path) -> None:
    """Waits until Streamlit answers on *port*; fails with the end of *log* where it ends or takes three minutes."""
    for _ in range(720):
        if server.poll() is not None:
            pytest.fail(f"the server ended with {server.returncode}:\n{log.read_text()[-3000:]}")
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/_stcore/health", timeout=2):
                return
        except OSError:
            time.sleep(0.25)
    pytest.fail(f"the app did not start:\n{log.read_text()[-3000:]}")


def stop_server(server: subprocess.Popen[bytes]) -> None:
    if server.poll() is None:
        server.send_signal(signal.SIGTERM)
        try:
            server.wait(30)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()


@contextmanager
def serving(home: Path, **settings: str) -> Iterator[Served]:
    """ModelLedger on *home* with these environment variables, served as a user serves it."""
    environment = clean_environment(home) | settings
    port = free_port()
    server = start_server(environment, port)
    try:
        yield Served(
            url=f"http://127.0.0.1:{port}", home=home, environment=environment, stop=lambda: stop_server(server)
        )
    finally:
        stop_server(server)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """The app with the sample workspace."""
    with serving(tmp_path_factory.mktemp("served") / "home") as served:
        yield served


@pytest.fixture
def context(chromium: Browser) -> Iterator[BrowserContext]:
    context = chromium.new_context(viewport={"width": 1280, "height": 900}, timezone_id="Europe/Berlin")
    yield context
    context.close()


@pytest.fixture
def page(context: BrowserContext) -> Page:
    return context.new_page()


def settled(page: Page) -> None:
    """Waits until the script has run and everything that it drew is there."""
    page.wait_for_selector("[data-testid='stApp'][data-test-script-state='notRunning']", timeout=60_000)
    page.wait_for_function("!document.querySelector('[data-testid=stSkeleton]')", timeout=60_000)


def go(page: Page, served: Served, name: str, identity: str = "auditor", **address: str) -> None:
    """Opens a page by its address, as that demo identity."""
    page.goto(f"{served.url}/{name}?{urlencode({'as': identity, **address})}")
    settled(page)
    expect(page.get_by_text("Demo identities.")).to_be_visible()


# Fulfilled once the browser has laid out and painted the page at its present size.
DRAWN = "() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))"


def press(page: Page, name: str) -> None:
    """Clicks the first button of that name. While a page is being drawn its buttons move, and a click would miss."""
    settled(page)
    page.get_by_role("button", name=name, exact=True).first.click()


def picture(page: Page, name: str) -> None:
    """The whole page as a file: Streamlit scrolls inside, so the window is made as high as what it holds."""
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    settled(page)
    before = page.viewport_size
    assert before is not None
    height = page.evaluate("document.querySelector('[data-testid=stMain]').scrollHeight")
    page.set_viewport_size({"width": before["width"], "height": max(before["height"], min(int(height) + 8, 4_000))})
    page.evaluate(DRAWN)
    page.screenshot(path=SCREENSHOTS / f"{name}.png")
    page.set_viewport_size(before)
