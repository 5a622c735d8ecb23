"""The SQL endpoint: registered tables for BI tools, over Spark's Thrift server, on loopback by default."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable

from core.access.identity import is_loopback
from core.delta.catalog import Catalog
from core.errors import BadSettings, EngineUnavailable
from core.settings import Settings

DEFAULT_HOST, DEFAULT_PORT = "127.0.0.1", 10000
_LOOK_S = 10.0


def serve_sql(
    settings: Settings,
    *,
    host: str = DEFAULT_HOST,
    port: int = DEFAULT_PORT,
    shared: bool = False,
    report: Callable[[str], None] = lambda line: None,
    stop: threading.Event | None = None,
) -> None:
    """Serve until *stop* is set or the process is interrupted. New tables appear within seconds.

    The server has no users and no grants: anyone who reaches the port can read and write whatever the account of this
    process can. So the server listens on loopback only, unless *shared* confirms that the account can only read
    (docs/spark.md). Raises EngineUnavailable and BadSettings.
    """
    if not shared and not is_loopback(host):
        raise BadSettings(
            "Others can reach {host}, and this endpoint has no sign-in: everybody who reaches it can read and write "
            "with the rights of its account. Run it under an account that can only read, let a firewall restrict who "
            "connects (docs/spark.md) and add --shared; or leave --host out.",
            host=host,
        )
    from core.delta.spark.session import SparkSettings
    from core.delta.spark.thrift_server import ThriftServer

    _require_free(host, port)
    catalog = Catalog(settings.tables, settings.home / "tables")
    server = ThriftServer(
        SparkSettings(master=settings.spark_master, jars=settings.spark_jars, conf=settings.spark_conf),
        host=host,
        port=port,
    )
    end = stop or threading.Event()
    server.start()
    try:
        if not is_loopback(host):
            report(f"{host}:{port} is open to the network, and this endpoint has no sign-in.")
        served: tuple[str, ...] = ()
        refused: dict[str, str] = {}
        while True:
            names, failed = server.serve(catalog.tables())
            if names != served:
                report(f"SQL on {host}:{port} (Hive protocol, no SASL): {', '.join(names) or 'no table yet'}")
            for name in failed.keys() - refused.keys():
                report(f"{name} is not served: {failed[name]}")
            served, refused = names, failed
            if end.wait(_LOOK_S):
                return
    except KeyboardInterrupt:
        return
    finally:
        server.stop()


def _require_free(host: str, port: int) -> None:
    """Check the port before Java starts: the server itself reports a used port ten seconds later, as a stack trace."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise EngineUnavailable(
                "The SQL endpoint cannot listen on {host}:{port} ({cause}). Choose another --port.",
                host=host,
                port=port,
                cause=error.strerror,
            ) from error
