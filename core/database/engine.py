"""The database: SQLite by default, PostgreSQL for a team. Opens connections and translates the drivers' errors."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.exc import ArgumentError, DatabaseError, InterfaceError, NoSuchModuleError, OperationalError

from core.database.migrate import is_current, upgrade
from core.errors import BadSettings, DatabaseUnavailable, first_line
from core.redact import masked

_BUSY_TIMEOUT_S = 30.0
# An arbitrary number, the same in every process.
_MIGRATION_LOCK = 7_310_946_221
_WRITES = "modelledger_writes"


class Database:
    """One database, opened and with its schema up to date. Raises DatabaseUnavailable, BadSettings."""

    def __init__(self, url: str) -> None:
        self._shown = _shown(url)
        try:
            self._engine = _engine(url)
        except (ArgumentError, NoSuchModuleError, ModuleNotFoundError) as error:
            raise BadSettings(
                "MODELLEDGER_DATABASE_URL cannot be used ({database}). Write sqlite:///FILE or "
                "postgresql+psycopg2://USER:PASSWORD@HOST/DATABASE.",
                database=self._shown,
                setting="MODELLEDGER_DATABASE_URL",
            ) from error
        self._migrate()

    @property
    def is_postgres(self) -> bool:
        return self._engine.dialect.name == "postgresql"

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """Open a read-only transaction on one snapshot."""
        options = {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True} if self.is_postgres else {}
        with (
            self._translated(),
            self._engine.connect().execution_options(**options) as connection,
            connection.begin(),
        ):
            yield connection

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """Open a writing transaction, durable when the block ends without an error. SQLite has one writer at a time."""
        with (
            self._translated(),
            self._engine.connect().execution_options(**{_WRITES: True}) as connection,
            connection.begin(),
        ):
            yield connection

    def close(self) -> None:
        self._engine.dispose()

    def _migrate(self) -> None:
        """Bring the schema up to date, in one transaction that other instances wait for.

        Raises BadSettings where a newer ModelLedger made the schema.
        """
        with self.read() as connection:
            if is_current(connection, self._shown):
                return
        with self.write() as connection:
            if self.is_postgres:
                connection.execute(sa.text("SELECT pg_advisory_xact_lock(:key)"), {"key": _MIGRATION_LOCK})
            # Asked again behind the lock: another instance may have been newer.
            if not is_current(connection, self._shown):
                upgrade(connection)

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except (OperationalError, InterfaceError) as error:
            raise DatabaseUnavailable(
                "The database {database} does not answer ({cause}). Check that it runs and is writable; try again.",
                database=self._shown,
                cause=first_line(error.orig or error),
            ) from error
        except DatabaseError as error:
            if "malformed" in str(error) or "not a database" in str(error):
                raise DatabaseUnavailable(
                    "The file of {database} is damaged or is not a database. Restore a backup.", database=self._shown
                ) from error
            raise


def _engine(url: str) -> Engine:
    parsed = sa.engine.make_url(url)
    if parsed.drivername in ("postgresql", "postgres"):
        # SQLAlchemy 2.1 defaults to psycopg 3, with which MLflow's archiving fails (mlflow#9151): one driver for both.
        parsed = parsed.set(drivername="postgresql+psycopg2")
    if parsed.get_backend_name() != "sqlite":
        return sa.create_engine(parsed, pool_pre_ping=True, connect_args={"connect_timeout": 5})
    if parsed.database and parsed.database != ":memory:":
        try:
            Path(parsed.database).parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise BadSettings(
                "The folder of the database {database} cannot be created ({cause}).",
                database=parsed.database,
                cause=error.strerror,
            ) from error
    engine = sa.create_engine(parsed, connect_args={"timeout": _BUSY_TIMEOUT_S})
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _prepare_sqlite(connection: Any, record: Any) -> None:
    connection.isolation_level = None  # transactions are begun by _begin_sqlite, not by the driver
    cursor = connection.cursor()
    cursor.execute(f"PRAGMA busy_timeout = {int(_BUSY_TIMEOUT_S * 1000)}")
    cursor.execute("PRAGMA journal_mode = WAL")
    cursor.execute("PRAGMA synchronous = FULL")
    cursor.execute("PRAGMA foreign_keys = ON")
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    writes = connection.get_execution_options().get(_WRITES, False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _shown(url: str) -> str:
    return masked(url) if "://" in url else "the value is not a URL"
