"""The Spark servers of these tests are looked at by their processes, which may end meanwhile."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.spark.servers import Cluster, Server

RUNNING = ["--executor-id", "7"]


def _is_zombie(process: psutil.Process) -> bool:
    return bool(process.status() == psutil.STATUS_ZOMBIE)


@pytest.fixture
def worker(tmp_path: Path) -> Iterator[Server]:
    """A process with two children: one that has ended and waits to be reaped, and one that looks like executor 7."""
    # `exec` makes the shell a program that never reaps the first child.
    command = f"true & sh -c 'sleep 60; true' {' '.join(RUNNING)} & exec sleep 60"
    server = Server(process=subprocess.Popen(["sh", "-c", command]), log=tmp_path / "log")
    parent, until = psutil.Process(server.process.pid), time.monotonic() + 10
    # The one that has ended, the shell and its `sleep`.
    while sorted(_is_zombie(child) for child in parent.children(recursive=True)) != [False, False, True]:
        assert time.monotonic() < until
        time.sleep(0.01)
    yield server
    if server.process.poll() is None:
        server.kill()


def test_a_process_that_has_ended_hides_no_executor(worker: Server, tmp_path: Path) -> None:
    cluster = Cluster(master=worker, workers=[worker], url="spark://127.0.0.1:1", folder=tmp_path)
    assert cluster.worker_of("7") is worker
    with pytest.raises(AssertionError, match="no worker runs executor 8"):
        cluster.worker_of("8")


def test_a_killed_server_leaves_no_process_behind(worker: Server) -> None:
    family = psutil.Process(worker.process.pid).children(recursive=True)
    assert len(family) == 3
    worker.kill()
    _, alive = psutil.wait_procs(family, timeout=10)
    assert alive == []
