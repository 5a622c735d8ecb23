"""The Spark session: one in a process, opened when it is first needed, shared, reopened after it was lost."""

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

_REACH_TIMEOUT_S = 5.0
_LOOPBACK = "127.0.0.1"
_NOT_FETCHED = (
    "Delta's jars are not fetched yet: the first use needs a package registry, or name a folder that holds them in "
    "MODELLEDGER_SPARK_JARS"
)
_PACKAGES = "spark.jars.packages"


@dataclass(frozen=True, kw_only=True)
class SparkSettings:
    """What a session is opened with. *conf* are Spark's own settings and win over ours."""

    master: str
    jars: str | None = None
    conf: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_connect(self) -> bool:
        """Whether the driver is a server elsewhere (Spark Connect), so that its disk is not ours."""
        return self.master.startswith("sc://")

    @property
    def shown(self) -> str:
        """The master without the token that a Connect address may carry."""
        return self.master.split(";")[0]


_lock = threading.RLock()
_open: tuple[SparkSettings, Any] | None = None


def session(settings: SparkSettings) -> Any:
    """The process's session for *settings*: the open one, or a new one (about ten seconds).

    Raises EngineUnavailable in one sentence: no Java, no jars, no cluster at the master's address.
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
    """What a session would need, looked at without opening one: Java, jars, and that the master answers.

    Raises EngineUnavailable or BadSettings in one sentence.
    """
    if settings.is_connect:
        _reach(settings, default_port=_connect_port(settings))
        return f"Spark Connect at {settings.shown}"
    _check_master(settings)
    java = spark_java.require_java()
    if settings.jars is not None:
        spark_java.jars_in(settings.jars)
    if settings.master.startswith("spark://"):
        _reach(settings, default_port=7077)
    fetched = settings.jars is not None or spark_java.are_jars_cached()
    return f"Spark {settings.shown}, {java}" + ("" if fetched else f"; {_NOT_FETCHED}")


def close(*, is_lost: bool = False) -> None:
    """Ends the session and, where it was ours, its Java process. The next use opens a new one.

    Of a server that *is_lost* nothing is asked any more: nobody would answer, and Spark would go on asking.
    """
    global _open
    with _lock:
        if _open is None:
            return
        settings, opened = _open
        _open = None
        if is_lost and settings.is_connect:
            opened.release_session_on_close = False
        # A session that was lost cannot be stopped in an orderly way; what is left of it is ended below.
        with contextlib.suppress(Exception):
            opened.stop()
        if not settings.is_connect:
            _end_java()


def _check_master(settings: SparkSettings) -> None:
    if not settings.master.startswith(("local", "spark://", "yarn", "k8s://")):
        raise BadSettings(
            f"MODELLEDGER_SPARK_MASTER cannot be used: {settings.shown!r} is none of local[*], spark://host:port "
            "and sc://host:port.",
            setting="MODELLEDGER_SPARK_MASTER",
        )


def _start(settings: SparkSettings) -> Any:
    _check_master(settings)
    spark_java.require_java()
    if settings.master.startswith("spark://"):
        _reach(settings, default_port=7077)
    from delta import configure_spark_with_delta_pip
    from pyspark.errors import PySparkException
    from pyspark.sql import SparkSession

    _forget_connect()
    _quiet_losses()
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    builder = SparkSession.builder.master(settings.master).appName("ModelLedger")
    for name, value in _conf(settings).items():
        builder = builder.config(name, value)
    if settings.jars is not None:
        builder = builder.config("spark.jars", spark_java.jars_in(settings.jars))
    else:
        further = [name for name in settings.conf.get(_PACKAGES, "").split(",") if name.strip()]
        builder = configure_spark_with_delta_pip(builder, further)
    try:
        return builder.getOrCreate()
    except CoreError:
        # A signal that asks this process to stop came meanwhile: that is no failure of Spark's.
        _end_java()
        raise
    except PySparkException as error:
        _end_java()
        raise EngineUnavailable(_why_not(settings, error)) from error
    except Exception as error:
        # py4j raises what Java raised; which classes depends on how far the JVM came.
        _end_java()
        raise EngineUnavailable(f"Spark did not start on {settings.shown}: {first_line(error)}.") from error


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
        # Small tables: 200 shuffle partitions and 50 snapshot partitions would be nearly all the time.
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
            f"Spark Connect needs grpcio, grpcio-status, googleapis-common-protos and zstandard: {error}."
        ) from error

    os.environ["SPARK_CONNECT_MODE_ENABLED"] = "1"
    try:
        opened = SparkSession.builder.remote(settings.master).create()
        # Spark's own patience with a server that is gone is ten minutes; this is half of one.
        opened.client.set_retry_policies([DefaultPolicy(max_retries=7, max_backoff=10_000)])
        opened.conf.set("spark.sql.session.timeZone", "UTC")
        for name, value in settings.conf.items():
            opened.conf.set(name, value)
    except CoreError:
        raise
    except PySparkException as error:
        raise EngineUnavailable(f"Spark Connect at {settings.shown} refused: {first_line(error)}.") from error
    except Exception as error:
        # grpc raises classes of its own making; without an open session nothing else can be said about them.
        raise EngineUnavailable(f"Spark Connect at {settings.shown} does not answer: {first_line(error)}.") from error
    return opened


def _connect_port(settings: SparkSettings) -> int:
    return 443 if "use_ssl=true" in settings.master else 15002


def _quiet_losses() -> None:
    """Where Java dies, py4j and pyspark's server of counters print tracebacks of their own; we tell it in words."""
    logging.getLogger("py4j").setLevel(logging.CRITICAL)
    from pyspark.accumulators import AccumulatorTCPServer, AccumulatorUnixServer

    for kind in (AccumulatorTCPServer, AccumulatorUnixServer):
        kind.handle_error = lambda *told: None


def _forget_connect() -> None:
    os.environ.pop("SPARK_CONNECT_MODE_ENABLED", None)


def _reach(settings: SparkSettings, *, default_port: int) -> None:
    """Asks once whether anybody listens: Spark itself would go on asking for minutes."""
    first = settings.shown.split(",")[0]
    parts = urlsplit(first if "://" in first else f"spark://{first}")
    try:
        host, port = parts.hostname or "", parts.port or default_port
        with socket.create_connection((host, port), timeout=_REACH_TIMEOUT_S):
            return
    except (OSError, ValueError) as error:
        raise EngineUnavailable(
            f"No Spark answers at {settings.shown} ({error}); start it, or change MODELLEDGER_SPARK_MASTER."
        ) from error


def _why_not(settings: SparkSettings, error: Exception) -> str:
    if "JAVA_GATEWAY_EXITED" in str(error):
        if settings.jars is None and not spark_java.are_jars_cached():
            return (
                "Spark could not fetch Delta's jars from the package registry; connect this machine to one, or name a "
                "folder that holds them in MODELLEDGER_SPARK_JARS."
            )
        return (
            f"Spark did not start on {settings.shown}: its Java process ended at once; what it wrote stands in the log "
            "(a package of spark.jars.packages that cannot be fetched, a setting of Java's that it does not know)."
        )
    return f"Spark did not start on {settings.shown}: {first_line(error)}."


def _is_on_this_machine(master: str) -> bool:
    return master.startswith("local") or urlsplit(master.split(",")[0]).hostname in ("localhost", _LOOPBACK, "::1")


def _end_java() -> None:
    """Ends the Java process that pyspark started, so that a new session gets new jars and memory."""
    from pyspark import SparkContext
    from pyspark.sql import SparkSession

    gateway = SparkContext._gateway
    SparkContext._gateway = None
    SparkContext._jvm = None
    # Where Java died, stop() never came to forget these, and pyspark would hand out the dead context again.
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
