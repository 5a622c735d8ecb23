"""p95 of a rerun with 100 open browser sessions, as websocket clients on loopback, beside a bare Streamlit script."""

from __future__ import annotations

import asyncio
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from websockets.asyncio.client import ClientConnection, connect

from benchmarks.measure import Measurement

SESSIONS = int(os.environ.get("BENCH_SESSIONS", "100"))
RERUNS = 5
_ROOT = Path(__file__).resolve().parent.parent
_GOAL = 10.0

# The cost of any Streamlit page: a title and a small table, with the libraries of ModelLedger imported and frozen.
_BARE = """
import gc
import pandas as pd
import streamlit as st
import mlflow, deltalake, plotly  # the same imports, so that the garbage collector has the same heap
gc.freeze()
st.title("bare")
st.dataframe(pd.DataFrame({"a": [1, 2, 3]}))
"""


def run() -> list[Measurement]:
    """Measure reruns of the Overview page in all sessions at once. A rerun ends with script_finished."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder, "home")
        environment = os.environ | {"MODELLEDGER_HOME": str(home)}
        subprocess.run(
            [sys.executable, "-m", "core", "demo"], cwd=_ROOT, env=environment, check=True, capture_output=True
        )
        bare = Path(folder, "bare.py")
        bare.write_text(_BARE)
        with _serving("pages/_server/server.py", environment) as port:
            ours = asyncio.run(_reruns(port))
        with _serving(str(bare), environment) as port:
            baseline = asyncio.run(_reruns(port))
    return [
        Measurement(
            name=f"p95 of a rerun, {SESSIONS} sessions rerunning at once",
            ratio=_p95(ours) / _p95(baseline),
            goal=_GOAL,
            ours_s=_p95(ours),
            baseline_s=_p95(baseline),
            note=f"Overview on the sample workspace against a bare script; median {statistics.median(ours):.2f} s",
        )
    ]


async def _reruns(port: int) -> list[float]:
    """Return the seconds of each rerun of all sessions, after one warm-up rerun per session."""
    headers = {"Origin": f"http://127.0.0.1:{port}"}
    sessions = [
        await connect(
            f"ws://127.0.0.1:{port}/_stcore/stream",
            subprotocols=["streamlit"],  # type: ignore[list-item]
            additional_headers=headers,
            max_size=None,
        )
        for _ in range(SESSIONS)
    ]
    try:
        await asyncio.gather(*(_rerun(session) for session in sessions))
        seconds: list[float] = []
        for _ in range(RERUNS):
            seconds += await asyncio.gather(*(_rerun(session) for session in sessions))
        return seconds
    finally:
        for session in sessions:
            await session.close()


async def _rerun(session: ClientConnection) -> float:
    message = BackMsg()
    message.rerun_script.query_string = ""
    started = time.perf_counter()
    await session.send(message.SerializeToString())
    async for frame in session:
        forward = ForwardMsg()
        forward.ParseFromString(frame if isinstance(frame, bytes) else frame.encode())
        if forward.WhichOneof("type") == "script_finished":
            return time.perf_counter() - started
    raise ConnectionError("the server closed the session before the rerun was finished")


@contextmanager
def _serving(script: str, environment: dict[str, str]) -> Iterator[int]:
    """Run a Streamlit server for *script* on a free loopback port and stop it by its process id."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [
        *(sys.executable, "-m", "streamlit", "run", script, "--server.port", str(port)),
        *("--server.address", "127.0.0.1", "--server.headless", "true", "--server.fileWatcherType", "none"),
    ]
    server = subprocess.Popen(command, cwd=_ROOT, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        _wait_until_healthy(port)
        yield port
    finally:
        server.terminate()
        server.wait(20)


def _wait_until_healthy(port: int) -> None:
    for _ in range(240):
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/_stcore/health", timeout=2):
                return
        except OSError:
            time.sleep(0.25)
    raise TimeoutError("Streamlit did not start within a minute")


def _p95(seconds: list[float]) -> float:
    return statistics.quantiles(seconds, n=20)[-1]
