"""The Spark session: one per process, opened on first use, shared, and opened again after it was lost."""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from core.delta.spark import java as spark_java
from core.errors import BadSettings, CoreError, EngineUnavailable, first_line
from core.texts import text

_REACH_TIMEOUT_S = 5.0
_LOOPBACK = "127.0.0.1"
_PACKAGES = "spark.jars.packages"


@dataclass(frozen=True, kw_only=True)
class SparkSettings:
    """The settings of a session. *conf* are Spark's own settings and override ModelLedger's."""

    master: str
    jars: str | None = None
    conf: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_connect(self) -> bool:
        """Whether the driver is a Spark Connect server, whose disk this process does not share."""
        return self.master.startswith("sc://")

    @property
    def shown(self) -> str:
        """The master without the token that a Connect address may contain."""
        return self.master.split(";")[0]


_lock = threading.RLock()
_open: tuple[SparkSettings, Any] | None = None


def session(settings: SparkSettings) -> Any:
    """Return the process's session for *settings*; opening a new one takes about ten seconds.

    Raises:
        EngineUnavailable: there is no Java, no jars, or no cluster at the master's address.
    """
    global _open
    with _lock:
        if _open is not None and _open[0] == settings:
            return _open[1]
        close()
        opened = _connect(settings) if settings.is_connect else _start(settings)
        _open = (settings, opened)
        return opened


def check(settings: SparkSettings) -> str:
    """Return where Spark runs, after checking Java, the jars and that the master answers. No session is opened.

    Raises EngineUnavailable or BadSettings.
    """
    if settings.is_connect:
        _reach(settings, default_port=_connect_port(settings))
        return text("Spark Connect at {master}", master=settings.shown)
    _check_master(settings)
    java = spark_java.require_java()
    if settings.jars is not None:
        spark_java.jars_in(settings.jars)
    if settings.master.startswith("spark://"):
        _reach(settings, default_port=7077)
    if settings.jars is not None or spark_java.are_jars_cached():
        return text("Spark {master}, {java}", master=settings.shown, java=java)
    return text(
        "Spark {master}, {java}; Delta's jars are not fetched yet: the first use needs a package registry, or a folder "
        "with the jars in MODELLEDGER_SPARK_JARS",
        master=settings.shown,
        java=java,
    )


def close(*, is_lost: bool = False) -> None:
    """End the session and, unless it is a Connect session, its Java process. The next use opens a new one.

    A Connect server that *is_lost* is not called any more: Spark would repeat the call for minutes.
    """
    global _open
    with _lock:
        if _open is None:
            return
        settings, opened = _open
        _open = None
        if is_lost and settings.is_connect:
            opened.release_session_on_close = False
        # A lost session cannot be stopped cleanly; its Java process is ended below.
        with contextlib.suppress(Exception):
            opened.stop()
        if not settings.is_connect:
            _end_java()


def _check_master(settings: SparkSettings) -> None:
    if not settings.master.startswith(("local", "spark://", "yarn", "k8s://")):
        raise BadSettings(
            "MODELLEDGER_SPARK_MASTER: {master!r} is not a valid master. Use local[*], spark://host:port or "
            "sc://host:port.",
            setting="MODELLEDGER_SPARK_MASTER",
            master=settings.shown,
        )


def _start(settings: SparkSettings) -> Any:
    _check_master(settings)
    spark_java.require_java()
    if settings.master.startswith("spark://"):
        _reach(settings, default_port=7077)
    from delta import configure_spark_with_delta_pip
    from pyspark.errors import PySparkException
    from pyspark.sql import SparkSession

    _unset_connect_mode()
    _silence_lost_java()
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    builder = SparkSession.builder.master(settings.master).appName("ModelLedger")
    for name, value in _conf(settings).items():
        builder = builder.config(name, value)
    if settings.jars is not None:
        builder = builder.config("spark.jars", spark_java.jars_in(settings.jars))
    else:
        packages = [name for name in settings.conf.get(_PACKAGES, "").split(",") if name.strip()]
        builder = configure_spark_with_delta_pip(builder, packages)
    try:
        return builder.getOrCreate()
    except CoreError:
        # A signal requested this process to stop: this is not a failure of Spark.
        _end_java()
        raise
    except PySparkException as error:
        _end_java()
        raise _not_started(settings, error) from error
    except Exception as error:
        # py4j raises Java's errors; their classes depend on how far the JVM had started.
        _end_java()
        raise EngineUnavailable(
            "Spark did not start on {master}: {cause}.", master=settings.shown, cause=first_line(error)
        ) from error


def _conf(settings: SparkSettings) -> dict[str, str]:
    conf = {
        "spark.sql.extensions": "io.delta.sql.DeltaSparkSessionExtension",
        "spark.sql.catalog.spark_catalog": "org.apache.spark.sql.delta.catalog.DeltaCatalog",
        "spark.sql.session.timeZone": "UTC",
        "spark.sql.warehouse.dir": str(Path(tempfile.gettempdir()) / f"modelledger-warehouse-{os.getuid()}"),
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        "spark.log.level": "ERROR",
        "spark.driver.memory": "1g",
        "spark.jars.ivy": str(spark_java.cache_folder()),
        "spark.jars.excludes": ",".join(spark_java.SHIPPED_WITH_PYSPARK),
    }
    if _is_on_this_machine(settings.master):
        # For small tables 200 shuffle partitions and 50 snapshot partitions would take nearly all of the time.
        conf |= {
            "spark.driver.host": _LOOPBACK,
            "spark.driver.bindAddress": _LOOPBACK,
            "spark.sql.shuffle.partitions": "2",
            "spark.databricks.delta.snapshotPartitions": "2",
        }
        os.environ.setdefault("SPARK_LOCAL_IP", _LOOPBACK)
    return conf | dict(settings.conf)


def _connect(settings: SparkSettings) -> Any:
    _reach(settings, default_port=_connect_port(settings))
    try:
        from pyspark.errors import PySparkException
        from pyspark.sql.connect.client.retries import DefaultPolicy
        from pyspark.sql.connect.session import SparkSession
    except ImportError as error:
        raise EngineUnavailable(
            "Spark Connect needs grpcio, grpcio-status, googleapis-common-protos and zstandard: {cause}.",
            cause=str(error),
        ) from error

    os.environ["SPARK_CONNECT_MODE_ENABLED"] = "1"
    try:
        opened = SparkSession.builder.remote(settings.master).create()
        # Spark's own retries for a server that is gone take ten minutes; these take half a minute.
        opened.client.set_retry_policies([DefaultPolicy(max_retries=7, max_backoff=10_000)])
        opened.conf.set("spark.sql.session.timeZone", "UTC")
        for name, value in settings.conf.items():
            opened.conf.set(name, value)
    except CoreError:
        raise
    except PySparkException as error:
        raise EngineUnavailable(
            "Spark Connect at {master} refused: {cause}.", master=settings.shown, cause=first_line(error)
        ) from error
    except Exception as error:
        # grpc creates its error classes at run time, so they cannot be listed.
        raise EngineUnavailable(
            "Spark Connect at {master} does not answer: {cause}.", master=settings.shown, cause=first_line(error)
        ) from error
    return opened


def _connect_port(settings: SparkSettings) -> int:
    return 443 if "use_ssl=true" in settings.master else 15002


def _silence_lost_java() -> None:
    """Suppress the tracebacks that py4j and pyspark's accumulator server print when Java ends: the error reports it."""
    logging.getLogger("py4j").setLevel(logging.CRITICAL)
    from pyspark.accumulators import AccumulatorTCPServer, AccumulatorUnixServer

    for kind in (AccumulatorTCPServer, AccumulatorUnixServer):
        kind.handle_error = lambda *arguments: None


def _unset_connect_mode() -> None:
    os.environ.pop("SPARK_CONNECT_MODE_ENABLED", None)


def _reach(settings: SparkSettings, *, default_port: int) -> None:
    """Check once that the master's port is open: Spark itself would try for minutes."""
    first = settings.shown.split(",")[0]
    parts = urlsplit(first if "://" in first else f"spark://{first}")
    try:
        host, port = parts.hostname or "", parts.port or default_port
        with socket.create_connection((host, port), timeout=_REACH_TIMEOUT_S):
            return
    except (OSError, ValueError) as error:
        raise EngineUnavailable(
            "No Spark answers at {master} ({cause}). Start it, or change MODELLEDGER_SPARK_MASTER.",
            master=settings.shown,
            cause=str(error),
        ) from error


def _not_started(settings: SparkSettings, error: Exception) -> EngineUnavailable:
    if "JAVA_GATEWAY_EXITED" not in str(error):
        return EngineUnavailable(
            "Spark did not start on {master}: {cause}.", master=settings.shown, cause=first_line(error)
        )
    if settings.jars is None and not spark_java.are_jars_cached():
        return EngineUnavailable(
            "Spark could not fetch Delta's jars from the package registry. Connect this machine to a registry, or set "
            "MODELLEDGER_SPARK_JARS to a folder with the jars."
        )
    return EngineUnavailable(
        "Spark did not start on {master}: its Java process ended at once. The log contains its output. Possible causes "
        "are a package of spark.jars.packages that cannot be fetched, or an unknown Java setting.",
        master=settings.shown,
    )


def _is_on_this_machine(master: str) -> bool:
    return master.startswith("local") or urlsplit(master.split(",")[0]).hostname in ("localhost", _LOOPBACK, "::1")


def _end_java() -> None:
    """End the Java process that pyspark started, so that a new session can have other jars and memory."""
    from pyspark import SparkContext
    from pyspark.sql import SparkSession

    gateway = SparkContext._gateway
    SparkContext._gateway = None
    SparkContext._jvm = None
    # After Java died stop() does not reset these, and pyspark would return the dead context again.
    SparkContext._active_spark_context = None
    SparkSession._instantiatedSession = None
    if gateway is None:
        return
    with contextlib.suppress(Exception):
        gateway.shutdown()
    process = getattr(gateway, "proc", None)
    if process is None:
        return
    if process.stdin is not None:
        with contextlib.suppress(OSError):
            process.stdin.close()
    try:
        process.wait(timeout=20)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(timeout=20)
