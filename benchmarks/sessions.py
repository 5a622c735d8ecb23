"""Reruns and ticks of live pages with 100 open browser sessions, as websocket clients on loopback."""

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
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import psutil
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from websockets.asyncio.client import ClientConnection, connect

from benchmarks.measure import Measurement
from pages._live.live import EVERY_S

SESSIONS = int(os.environ.get("BENCH_SESSIONS", "100"))
RERUNS = 5
_ROOT = Path(__file__).resolve().parent.parent
_GOAL = 10.0
# Live pages of all sessions may take this part of one core.
_LIVE_GOAL = 0.1

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
        with _serving("pages/_server/server.py", environment) as (port, pid):
            ours = asyncio.run(_reruns(port))
            tick_s = asyncio.run(_ticks(port, pid))
        with _serving(str(bare), environment) as (port, _):
            baseline = asyncio.run(_reruns(port))
    return [
        Measurement(
            name=f"p95 of a rerun, {SESSIONS} sessions rerunning at once",
            ratio=_p95(ours) / _p95(baseline),
            goal=_GOAL,
            ours_s=_p95(ours),
            baseline_s=_p95(baseline),
            note=f"Overview on the sample workspace against a bare script; median {statistics.median(ours):.2f} s",
        ),
        Measurement(
            name=f"CPU of live pages, {SESSIONS} sessions, against {_LIVE_GOAL:.0%} of a core",
            ratio=tick_s * SESSIONS / EVERY_S / _LIVE_GOAL,
            goal=1.0,
            ours_s=tick_s,
            baseline_s=_LIVE_GOAL * EVERY_S / SESSIONS,
            note=f"one tick per session in {EVERY_S:g} s; the seconds are those of one tick",
        ),
    ]


async def _reruns(port: int) -> list[float]:
    """Return the seconds of each rerun of all sessions, after one warm-up rerun per session."""
    async with _sessions(port) as sessions:
        await asyncio.gather(*(_rerun(session) for session in sessions))
        seconds: list[float] = []
        for _ in range(RERUNS):
            seconds += await asyncio.gather(*(_rerun(session) for session in sessions))
        return seconds


async def _ticks(port: int, pid: int) -> float:
    """Return the server's CPU seconds per tick: each session ticks in its turn, as pages opened at different times."""
    async with _sessions(port) as sessions:
        fragments = [await _live_fragment(session) for session in sessions]
        before = _cpu_s(pid)
        for _ in range(RERUNS):
            for session, fragment in zip(sessions, fragments, strict=True):
                await _rerun(session, fragment)
        return (_cpu_s(pid) - before) / (RERUNS * len(sessions))


def _cpu_s(pid: int) -> float:
    times = psutil.Process(pid).cpu_times()
    return float(times.user + times.system)


@asynccontextmanager
async def _sessions(port: int) -> AsyncIterator[list[ClientConnection]]:
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
        yield sessions
    finally:
        for session in sessions:
            await session.close()


async def _rerun(session: ClientConnection, fragment: str = "") -> float:
    """Rerun the page, or one fragment of it as the browser's timer does."""
    message = BackMsg()
    message.rerun_script.query_string = ""
    if fragment:
        message.rerun_script.fragment_id, message.rerun_script.is_auto_rerun = fragment, True
    started = time.perf_counter()
    await session.send(message.SerializeToString())
    async for forward in _messages(session):
        if forward.WhichOneof("type") == "script_finished":
            return time.perf_counter() - started
    raise ConnectionError("the server closed the session before the rerun was finished")


async def _live_fragment(session: ClientConnection) -> str:
    """Run the page in a new session and return the id of the fragment that the browser is to rerun by itself."""
    message = BackMsg()
    message.rerun_script.query_string = ""
    await session.send(message.SerializeToString())
    fragment = ""
    async for forward in _messages(session):
        if forward.WhichOneof("type") == "auto_rerun":
            fragment = forward.auto_rerun.fragment_id
        elif fragment and forward.WhichOneof("type") == "script_finished":
            return fragment
    raise ConnectionError("the server closed the session before the page was drawn")


async def _messages(session: ClientConnection) -> AsyncIterator[ForwardMsg]:
    async for frame in session:
        forward = ForwardMsg()
        forward.ParseFromString(frame if isinstance(frame, bytes) else frame.encode())
        yield forward


@contextmanager
def _serving(script: str, environment: dict[str, str]) -> Iterator[tuple[int, int]]:
    """Run a Streamlit server for *script*, yield its loopback port and process id, and stop it by its process id."""
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
        yield port, server.pid
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
