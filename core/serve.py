"""Server: runs Streamlit and one worker as child processes and ends both together."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from types import FrameType

from websockets.exceptions import WebSocketException
from websockets.sync.client import connect
from websockets.typing import Subprotocol

from core.access.identity import is_loopback
from core.errors import BadSettings

_CHECKOUT = Path(__file__).resolve().parent.parent
_RESTART_AFTER_S = 2.0
_GRACE_S = 10.0
_FIRST_VISIT_S = 30.0
# The message of Streamlit's protocol that asks for a run of the script: field 11, an empty client state.
_RERUN = b"\x5a\x00"


def serve(
    *,
    port: int,
    address: str = "127.0.0.1",
    with_worker: bool = True,
    secrets: Path | None = None,
    hosts: Sequence[str] = (),
    upload_limit_mb: int = 200,
) -> int:
    """Run until interrupted or until Streamlit ends, and return Streamlit's exit code.

    *secrets* is the file that names a sign-in provider, None where there is none; *hosts* are further names under
    which the app is reached. The worker is started again when it dies.
    Raises BadSettings where the port is taken, and where others could reach an app at which nobody signs in: by its
    address, or by one of *hosts*, which a reverse proxy hands on.
    """
    if secrets is None and not is_loopback(address):
        raise BadSettings(
            "Others can reach {address}, and no sign-in provider is configured. Add an [auth] section to "
            ".streamlit/secrets.toml (docs/security.md), or serve on 127.0.0.1.",
            address=address,
        )
    if secrets is None and hosts:
        raise BadSettings(
            "MODELLEDGER_HOSTS states that others reach this server as {hosts}, and no sign-in provider is configured. "
            "Add an [auth] section to .streamlit/secrets.toml (docs/security.md), or remove the setting.",
            hosts=", ".join(hosts),
            setting="MODELLEDGER_HOSTS",
        )
    _require_free(address, port)
    web = subprocess.Popen(_web_command(port, address, secrets, hosts, upload_limit_mb), cwd=_CHECKOUT)
    threading.Thread(target=_visit_first, args=(address, port, web), daemon=True).start()
    worker: subprocess.Popen[bytes] | None = None
    stopping = False

    def stop(signum: int, frame: FrameType | None) -> None:
        nonlocal stopping
        stopping = True

    for name in (signal.SIGINT, signal.SIGTERM):
        signal.signal(name, stop)
    try:
        while not stopping and web.poll() is None:
            if with_worker and (worker is None or worker.poll() is not None):
                if worker is not None:
                    print(f"The worker ended with {worker.returncode}; starting it again.", file=sys.stderr)
                    time.sleep(_RESTART_AFTER_S)
                worker = subprocess.Popen([sys.executable, "-m", "core", "worker"], cwd=_CHECKOUT)
            time.sleep(0.3)
    finally:
        for child in filter(None, (web, worker)):
            _end(child)
    return 0 if stopping else web.returncode


def _web_command(port: int, address: str, secrets: Path | None, hosts: Sequence[str], upload_mb: int) -> list[str]:
    """Return Streamlit's command. Options on the command line win over a person's config.toml."""
    known = dict.fromkeys(("localhost", "127.0.0.1", "[::1]", "::1", *hosts, *_named(address)))
    options = {
        "port": port,
        "address": address,
        "headless": "true",
        "enableXsrfProtection": "true",
        "enableCORS": "true",
        "enableAgentApi": "false",
        "trustedUserHeaders": "{}",
        "maxUploadSize": upload_mb,
    }
    return [
        *(sys.executable, "-m", "streamlit", "run", str(Path("pages", "_server", "server.py"))),
        *(part for name, value in options.items() for part in (f"--server.{name}", str(value))),
        *(part for host in known for part in ("--server.allowedHosts", host)),
        *("--client.showErrorDetails", "none", "--client.showErrorLinks", "false"),
        *("--client.toolbarMode", "viewer"),
        *("--browser.gatherUsageStats", "false"),
        *(("--secrets.files", str(secrets)) if secrets else ()),
    ]


def _named(address: str) -> tuple[str, ...]:
    """Return the address as a host name, unless it means every address."""
    return () if address in ("", "0.0.0.0", "::") else (address,)  # noqa: S104 — compared with, not bound to


def _visit_first(address: str, port: int, web: subprocess.Popen[bytes]) -> None:
    """Open the front page once, as a browser would.

    Until app.py has run, Streamlit shows a page that is visited by its own address with a navigation made from file
    names. The pages guard themselves all the same; this only spares the first visitor that sight.
    """
    host = next(iter(_named(address)), "127.0.0.1")
    host = f"[{host}]" if ":" in host else host
    while web.poll() is None:
        try:
            with connect(f"ws://{host}:{port}/_stcore/stream", subprotocols=[Subprotocol("streamlit")]) as session:
                session.send(_RERUN)
                # The imports of the first run take seconds. A session that leaves earlier would stop the run.
                until = time.monotonic() + _FIRST_VISIT_S
                while (left := until - time.monotonic()) > 0 and web.poll() is None:
                    with suppress(TimeoutError):
                        session.recv(timeout=min(left, 1.0))
            return
        except (OSError, WebSocketException, TimeoutError):
            time.sleep(0.3)


def _require_free(address: str, port: int) -> None:
    with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
        except OSError as error:
            raise BadSettings(
                "Port {port} on {address} cannot be used ({cause}). Stop the program that uses it, or "
                "choose another port: "
                "make run PORT={next_port}.",
                port=port,
                address=address,
                cause=os.strerror(error.errno or 0),
                next_port=port + 1,
            ) from error


def _end(child: subprocess.Popen[bytes]) -> None:
    if child.poll() is not None:
        return
    child.terminate()
    try:
        child.wait(_GRACE_S)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()
