"""The database: SQLite by default, PostgreSQL for a team. Opens it, brings its schema up to date, holds its tables."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import event
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.exc import ArgumentError, DatabaseError, InterfaceError, NoSuchModuleError, OperationalError

from core.errors import BadSettings, DatabaseUnavailable, first_line
from core.redact import masked

_MIGRATIONS = Path(__file__).resolve().parent / "migrations"
_BUSY_TIMEOUT_S = 30.0
# Any number of our own; it only has to be the same in every process.
_MIGRATION_LOCK = 7_310_946_221
_WRITES = "modelledger_writes"


class Database:
    """One database, opened and migrated. Raises DatabaseUnavailable, BadSettings."""

    def __init__(self, url: str) -> None:
        self._shown = _shown(url)
        try:
            self._engine = _engine(url)
        except (ArgumentError, NoSuchModuleError, ModuleNotFoundError) as error:
            raise BadSettings(
                f"MODELLEDGER_DATABASE_URL cannot be used ({self._shown}): write sqlite:///FILE or "
                "postgresql+psycopg2://USER:PASSWORD@HOST/DATABASE."
            ) from error
        self._migrate()

    @property
    def is_postgres(self) -> bool:
        return self._engine.dialect.name == "postgresql"

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A transaction that only reads, on one snapshot."""
        options = {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True} if self.is_postgres else {}
        with (
            self._translated(),
            self._engine.connect().execution_options(**options) as connection,
            connection.begin(),
        ):
            yield connection

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """A transaction that writes; durable when it is left without an error. On SQLite it is the only writer."""
        with (
            self._translated(),
            self._engine.connect().execution_options(**{_WRITES: True}) as connection,
            connection.begin(),
        ):
            yield connection

    def close(self) -> None:
        self._engine.dispose()

    def _migrate(self) -> None:
        """Brings the schema up to date, in one transaction that other instances wait for.

        Raises BadSettings where a newer ModelLedger made it.
        """
        config = Config()
        config.set_main_option("script_location", str(_MIGRATIONS))
        scripts = ScriptDirectory.from_config(config)
        newest = set(scripts.get_heads())
        with self.read() as connection:
            if self._revisions(connection, scripts) == newest:
                return
        with self.write() as connection:
            if self.is_postgres:
                connection.execute(sa.text("SELECT pg_advisory_xact_lock(:key)"), {"key": _MIGRATION_LOCK})
            self._revisions(connection, scripts)
            config.attributes["connection"] = connection
            command.upgrade(config, "heads")

    def _revisions(self, connection: Connection, scripts: ScriptDirectory) -> set[str]:
        """Where the schema is. Raises BadSettings for a revision that is not known here."""
        found = set(MigrationContext.configure(connection).get_current_heads())
        known = {script.revision for script in scripts.walk_revisions()}
        if found - known:
            raise BadSettings(
                f"The database {self._shown} was made by a newer ModelLedger or by another program (revision "
                f"{', '.join(sorted(found - known))} is not known here); run that version, put back a backup, or name "
                "a database of ModelLedger's own in MODELLEDGER_DATABASE_URL.",
                setting="MODELLEDGER_DATABASE_URL",
            )
        return found

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except (OperationalError, InterfaceError) as error:
            cause = first_line(error.orig or error)
            raise DatabaseUnavailable(
                f"The database {self._shown} does not answer ({cause}); check that it runs and is writable, try again."
            ) from error
        except DatabaseError as error:
            if "malformed" in str(error) or "not a database" in str(error):
                raise DatabaseUnavailable(
                    f"The file of {self._shown} is damaged or no database; put back a backup."
                ) from error
            raise


def _engine(url: str) -> Engine:
    parsed = sa.engine.make_url(url)
    if parsed.drivername in ("postgresql", "postgres"):
        # SQLAlchemy 2.1 would take psycopg 3, with which MLflow's archiving fails (mlflow#9151); one driver for both.
        parsed = parsed.set(drivername="postgresql+psycopg2")
    if parsed.get_backend_name() != "sqlite":
        return sa.create_engine(parsed, pool_pre_ping=True, connect_args={"connect_timeout": 5})
    if parsed.database and parsed.database != ":memory:":
        try:
            Path(parsed.database).parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise BadSettings(f"The folder of {parsed.database} cannot be made ({error.strerror}).") from error
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
    return masked(url) if "://" in url else "it is no URL"
