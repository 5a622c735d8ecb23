"""Real Spark servers for tests, from pyspark's own classes, on loopback; each is stopped by its process id."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import psutil
from pyspark.find_spark_home import _find_spark_home

from core.delta.spark import java

START_S = 90.0
WORKERS = 2


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def listens(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1.0)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def environment() -> dict[str, str]:
    """What a server gets: our Python for its executors, loopback, nothing of the session's own variables."""
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith(("SPARK_", "PYSPARK_", "MODELLEDGER_"))
    }
    return {
        **kept,
        "SPARK_HOME": _find_spark_home(),
        "SPARK_LOCAL_IP": "127.0.0.1",
        "PYSPARK_PYTHON": sys.executable,
        "PYTHONPATH": "",
    }


@dataclass
class Server:
    """One process; *log* is what it wrote."""

    process: subprocess.Popen[bytes]
    log: Path

    def wait(self, is_up: Callable[[], bool]) -> None:
        end = time.monotonic() + START_S
        while time.monotonic() < end:
            if self.process.poll() is not None:
                raise AssertionError(f"ended with {self.process.returncode}: {self.log.read_text()[-2000:]}")
            if is_up():
                return
            time.sleep(0.3)
        raise AssertionError(f"not up after {START_S:g} s: {self.log.read_text()[-2000:]}")

    def kill(self) -> None:
        """SIGKILL to the process and what it started: an executor outlives its worker otherwise."""
        family = psutil.Process(self.process.pid).children(recursive=True)
        self.process.kill()
        for child in family:
            with contextlib.suppress(psutil.NoSuchProcess):
                child.kill()
        self.process.wait(timeout=20)

    def stop(self) -> None:
        if self.process.poll() is not None:
            return
        family = psutil.Process(self.process.pid).children(recursive=True)
        self.process.terminate()
        try:
            self.process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(timeout=20)
        _, alive = psutil.wait_procs(family, timeout=10)
        for child in alive:
            with contextlib.suppress(psutil.NoSuchProcess):
                child.kill()


def _commands_below(pid: int) -> list[list[str]]:
    """The command lines of all processes below *pid*; a process that has just ended has none."""
    commands = []
    for child in psutil.Process(pid).children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):  # also raised for a zombie
            commands.append(child.cmdline())
    return commands


def start(name: str, command: list[str], folder: Path, **extra: str) -> Server:
    log = folder / f"{name}.log"
    env = {**environment(), **extra}
    with log.open("wb") as out:
        process = subprocess.Popen(
            command, cwd=folder, env=env, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT
        )
    return Server(process=process, log=log)


def spark_bin(name: str) -> str:
    return str(Path(_find_spark_home()) / "bin" / name)


@dataclass
class Cluster:
    """A standalone cluster: a master and two workers of one core each."""

    master: Server
    workers: list[Server]
    url: str
    folder: Path
    _count: int = field(default=0)

    def add_worker(self) -> Server:
        self._count += 1
        folder = self.folder / f"worker-{self._count}"
        folder.mkdir()
        worker = start(
            f"worker-{self._count}",
            [
                spark_bin("spark-class"),
                "org.apache.spark.deploy.worker.Worker",
                *("--host", "127.0.0.1", "--cores", "1", "--memory", "1g"),
                *("--webui-port", str(free_port()), "--work-dir", str(folder)),
                self.url,
            ],
            self.folder,
            SPARK_DAEMON_MEMORY="256m",
        )
        worker.wait(lambda: "Successfully registered with master" in worker.log.read_text())
        self.workers.append(worker)
        return worker

    def refill(self) -> None:
        """Two workers again, where some were killed."""
        self.workers = [worker for worker in self.workers if worker.process.poll() is None]
        while len(self.workers) < WORKERS:
            self.add_worker()

    def worker_of(self, executor: str) -> Server:
        """The worker whose process started that executor."""
        told = ["--executor-id", executor]
        for worker in self.workers:
            for command in _commands_below(worker.process.pid):
                if any(command[place : place + 2] == told for place in range(len(command))):
                    return worker
        raise AssertionError(f"no worker runs executor {executor}")

    def stop(self) -> None:
        for server in [*self.workers, self.master]:
            server.stop()


def start_cluster(folder: Path) -> Cluster:
    port = free_port()
    master = start(
        "master",
        [
            spark_bin("spark-class"),
            "org.apache.spark.deploy.master.Master",
            *("--host", "127.0.0.1", "--port", str(port), "--webui-port", str(free_port())),
        ],
        folder,
        SPARK_DAEMON_MEMORY="256m",
    )
    cluster = Cluster(master=master, workers=[], url=f"spark://127.0.0.1:{port}", folder=folder)
    try:
        master.wait(lambda: listens(port))
        cluster.refill()
    except BaseException:
        cluster.stop()
        raise
    return cluster


def start_connect(folder: Path) -> tuple[Server, str]:
    """A Spark Connect server with Delta; returns it and its sc:// address."""
    import importlib.metadata

    port = free_port()
    delta = importlib.metadata.version("delta_spark")
    spark = ".".join(importlib.metadata.version("pyspark").split(".")[:2])
    conf = {
        "spark.connect.grpc.binding.port": str(port),
        "spark.connect.grpc.binding.address": "127.0.0.1",
        "spark.driver.host": "127.0.0.1",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.driver.memory": "1g",
        "spark.ui.enabled": "false",
        "spark.sql.shuffle.partitions": "2",
        "spark.databricks.delta.snapshotPartitions": "2",
        "spark.sql.extensions": "io.delta.sql.DeltaSparkSessionExtension",
        "spark.sql.catalog.spark_catalog": "org.apache.spark.sql.delta.catalog.DeltaCatalog",
        "spark.sql.warehouse.dir": str(folder / "warehouse"),
        "spark.jars.ivy": str(java.cache_folder()),
        "spark.jars.excludes": ",".join(java.SHIPPED_WITH_PYSPARK),
    }
    command = [spark_bin("spark-submit"), "--master", "local[2]", "--class"]
    command += ["org.apache.spark.sql.connect.service.SparkConnectServer"]
    command += ["--packages", f"io.delta:delta-spark_{spark}_2.13:{delta}"]
    for name, value in conf.items():
        command += ["--conf", f"{name}={value}"]
    server = start("connect", [*command, "spark-internal"], folder)
    try:
        server.wait(lambda: listens(port))
    except BaseException:
        server.stop()
        raise
    return server, f"sc://127.0.0.1:{port}"
