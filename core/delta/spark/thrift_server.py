"""Spark's Thrift server in this process's session: registered tables by name, for whoever speaks Hive's protocol."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from core.delta.spark import data_types, describe, java
from core.delta.spark import session as spark_session
from core.delta.spark.errors import root_cause, translated
from core.delta.spark.session import SparkSettings
from core.entities import Table
from core.errors import BadSettings, EngineUnavailable
from core.identifiers import quote_spark, quote_spark_text


class ThriftServer:
    """Serves SQL on host:port until stop(). Tables are made in the session's own catalog, in memory."""

    def __init__(self, settings: SparkSettings, *, host: str, port: int) -> None:
        if settings.is_connect:
            raise BadSettings(
                "The SQL endpoint starts a driver of its own, which Spark Connect has elsewhere; use that server's own "
                "endpoint (on Databricks: a SQL warehouse), or set MODELLEDGER_SPARK_MASTER to local[*] or spark://….",
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
        # Those of them that were made here; a table of the catalog's own is never dropped.
        self._made: set[str] = set()
        self._server: Any = None

    def start(self) -> None:
        """Listens. Raises EngineUnavailable: no Java, no jars, the port is taken."""
        if self._settings.jars is None and not java.are_jars_cached():
            # The class path is read when Java starts: the jars have to be there by then.
            spark_session.session(self._settings)
            spark_session.close()
        # Hive closes the class loader of each connection that ends, and Delta's classes with it unless the driver has
        # them on its own class path.
        own = {"spark.driver.extraClassPath": os.pathsep.join(java.delta_jars(self._settings.jars))}
        self._settings = replace(self._settings, conf={**own, **dict(self._settings.conf)})
        session = spark_session.session(self._settings)
        try:
            hive = session._jvm.org.apache.spark.sql.hive.thriftserver.HiveThriftServer2
            self._server = hive.startWithSparkSession(session._jsparkSession, False)
        except Exception as error:
            spark_session.close()
            raise EngineUnavailable(f"The SQL endpoint does not start: {root_cause(error)}.") from error

    def serve(self, tables: Iterable[Table]) -> tuple[tuple[str, ...], dict[str, str]]:
        """Makes exactly *tables* known. Returns the names served, and why others are not.

        Spark's names have no "-" and no capitals: such a table is served with "_" and in small letters.
        """
        session = spark_session.session(self._settings)
        wanted: dict[str, Table] = {}
        refused: dict[str, str] = {}
        for table in tables:
            name = table.name.replace("-", "_").lower()
            if name in wanted:
                refused[table.name] = f"{wanted[name].name} is already served under the name {name}."
            else:
                wanted[name] = Table(name=name, uri=table.uri)
        for name in [name for name, uri in self._served.items() if name not in wanted or wanted[name].uri != uri]:
            if name in self._made:
                with translated():
                    session.sql(f"DROP TABLE IF EXISTS {quote_spark(name)}")
                self._made.remove(name)
            del self._served[name]
        for name, table in wanted.items():
            if name in self._served:
                continue
            try:
                with translated(table):
                    is_made = _make(session, table)
            except EngineUnavailable:
                raise
            except Exception as error:  # noqa: BLE001 - one table that Spark will not have must not hide the others
                refused[name] = str(error)
            else:
                self._served[name] = table.uri
                if is_made:
                    self._made.add(name)
        return tuple(sorted(self._served)), refused

    def stop(self) -> None:
        """Ends the server and its Java process."""
        spark_session.close()


def _make(session: Any, table: Table) -> bool:
    """Makes *table* known under its name; False where the catalog knows it under that very name.

    A table of a catalog is made once more over its files, as no view: a view has no VERSION AS OF.
    """
    name, place = quote_spark(table.name), data_types.address(table)
    if data_types.is_catalog_name(table.uri):
        if _is_called(session, table):
            return False
        place = describe.location(session, table)
    session.sql(f"CREATE TABLE {name} USING delta LOCATION {quote_spark_text(place)}")
    return True


def _is_called(session: Any, table: Table) -> bool:
    """Whether a client that asks for the table's name alone gets what its URI names."""
    *above, name = (part.lower() for part in table.uri.split("."))
    here = [str(session.catalog.currentCatalog()).lower(), str(session.catalog.currentDatabase()).lower()]
    return name == table.name and here[len(here) - len(above) :] == above
