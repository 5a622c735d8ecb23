"""ThriftServer: Spark's SQL endpoint in this process's session, with registered tables under their names."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from core.delta.addresses import is_catalog_name
from core.delta.spark import data_types, describe, java
from core.delta.spark import session as spark_session
from core.delta.spark.errors import root_cause, translated
from core.delta.spark.session import SparkSettings
from core.entities import Table
from core.errors import BadSettings, EngineUnavailable
from core.identifiers import quote_spark, quote_spark_text
from core.texts import text


class ThriftServer:
    """Serves SQL on host:port until stop(), by Hive's protocol. Tables are in the session's in-memory catalog."""

    def __init__(self, settings: SparkSettings, *, host: str, port: int) -> None:
        if settings.is_connect:
            raise BadSettings(
                "The SQL endpoint needs its own driver, and with Spark Connect the driver is on the server. Use "
                "the server's own endpoint (on Databricks: a SQL warehouse), or set MODELLEDGER_SPARK_MASTER to "
                "local[*] or spark://….",
                setting="MODELLEDGER_SPARK_MASTER",
            )
        hive = {
            "spark.hadoop.hive.server2.thrift.bind.host": host,
            "spark.hadoop.hive.server2.thrift.port": str(port),
            "spark.hadoop.hive.server2.authentication": "NOSASL",
            "spark.hadoop.hive.server2.enable.doAs": "false",
        }
        self._settings = SparkSettings(master=settings.master, jars=settings.jars, conf={**hive, **dict(settings.conf)})
        self._served: dict[str, str] = {}
        # The tables that were created here; a table of the catalog itself is never dropped.
        self._created: set[str] = set()
        self._server: Any = None

    def start(self) -> None:
        """Start to listen. Raises EngineUnavailable if there is no Java or no jars, or if the port is in use."""
        if self._settings.jars is None and not java.are_jars_cached():
            # Java reads the class path when it starts, so the jars must be fetched before.
            spark_session.session(self._settings)
            spark_session.close()
        # Hive closes the class loader of each connection that ends. Delta's classes survive only on the driver's own
        # class path.
        own = {"spark.driver.extraClassPath": os.pathsep.join(java.delta_jars(self._settings.jars))}
        self._settings = replace(self._settings, conf={**own, **dict(self._settings.conf)})
        session = spark_session.session(self._settings)
        try:
            hive = session._jvm.org.apache.spark.sql.hive.thriftserver.HiveThriftServer2
            self._server = hive.startWithSparkSession(session._jsparkSession, False)
        except Exception as error:
            spark_session.close()
            raise EngineUnavailable("The SQL endpoint does not start: {cause}.", cause=root_cause(error)) from error

    def serve(self, tables: Iterable[Table]) -> tuple[tuple[str, ...], dict[str, str]]:
        """Serve exactly *tables*. Return the names that are served, and the reason for each table that is not.

        Spark's names have no "-" and no capitals: such a table is served with "_" and in lower case.
        """
        session = spark_session.session(self._settings)
        requested: dict[str, Table] = {}
        refused: dict[str, str] = {}
        for table in tables:
            name = table.name.replace("-", "_").lower()
            if name in requested:
                refused[table.name] = text("Another table is already served under the name {name}.", name=name)
            else:
                requested[name] = Table(name=name, uri=table.uri)
        for name in [name for name, uri in self._served.items() if name not in requested or requested[name].uri != uri]:
            if name in self._created:
                with translated():
                    session.sql(f"DROP TABLE IF EXISTS {quote_spark(name)}")
                self._created.remove(name)
            del self._served[name]
        for name, table in requested.items():
            if name in self._served:
                continue
            try:
                with translated(table):
                    is_created = _create(session, table)
            except EngineUnavailable:
                raise
            except Exception as error:  # noqa: BLE001 - one table that Spark refuses must not hide the others
                refused[name] = str(error)
            else:
                self._served[name] = table.uri
                if is_created:
                    self._created.add(name)
        return tuple(sorted(self._served)), refused

    def stop(self) -> None:
        """End the server and its Java process."""
        spark_session.close()


def _create(session: Any, table: Table) -> bool:
    """Create *table* under its name; return False if the catalog already has the table under that name.

    A table of a catalog is created again over its files and not as a view: a view has no VERSION AS OF.
    """
    name, address = quote_spark(table.name), data_types.address(table)
    if is_catalog_name(table.uri):
        if _has_catalog_name(session, table):
            return False
        address = describe.location(session, table)
    session.sql(f"CREATE TABLE {name} USING delta LOCATION {quote_spark_text(address)}")
    return True


def _has_catalog_name(session: Any, table: Table) -> bool:
    """Return whether the table's name alone already leads to the table that its URI names."""
    *schema, name = (part.lower() for part in table.uri.split("."))
    current = [str(session.catalog.currentCatalog()).lower(), str(session.catalog.currentDatabase()).lower()]
    return name == table.name and current[len(current) - len(schema) :] == schema
