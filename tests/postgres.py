"""A PostgreSQL server of the tests' own: private folder, private port, ended by its process id."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from uuid import uuid4

import psycopg2
import pytest
import sqlalchemy as sa

from core.database.engine import Database
from core.database.tables import metadata
from core.registry.runs import Runs

PASSWORD = "not-for-logs"
# Where MLflow's store keeps absolute paths.
PATHS = (
    ("runs", "artifact_uri"),
    ("experiments", "artifact_location"),
    ("model_versions", "source"),
    ("model_versions", "storage_location"),
)
_MLFLOW = "mlflow"
_MISSING = "PostgreSQL is not installed; on Debian: apt-get install postgresql"


@dataclass
class PostgresServer:
    """A running server; *templates* are databases that others are copied from, which takes a tenth of a second."""

    port: int
    templates: dict[str, str] = field(default_factory=dict)

    def new_database(self, *, template: str | None = None) -> str:
        """Makes a database and returns its URL, with user and password as a team would have them."""
        name = f"t{uuid4().hex[:12]}"
        connection = psycopg2.connect(self._address("postgres"))
        connection.autocommit = True
        with connection.cursor() as cursor:
            # A database that somebody is connected to is no template, and MLflow keeps its connections.
            cursor.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", (template,))
            cursor.execute(f"CREATE DATABASE {name}" + (f" TEMPLATE {template}" if template else ""))
        connection.close()
        return f"postgresql+psycopg2://ledger:{PASSWORD}@127.0.0.1:{self.port}/{name}"

    @property
    def migrated(self) -> str:
        """A template with ModelLedger's schema and no row."""
        if "" not in self.templates:
            url = self.new_database()
            Database(url).close()
            self.templates[""] = url.rsplit("/", 1)[1]
        return self.templates[""]

    def filled(self, source: Path) -> str:
        """A template that holds what the SQLite database *source* holds."""
        if str(source) not in self.templates:
            url = self.new_database(template=self.migrated)
            copy_rows(Database(f"sqlite:///{source}"), Database(url))
            self.templates[str(source)] = url.rsplit("/", 1)[1]
        return self.templates[str(source)]

    @property
    def mlflow(self) -> str:
        """A template with MLflow's own tables, made by MLflow; no run and no model."""
        if _MLFLOW not in self.templates:
            url = self.new_database()
            Runs(url).experiments()
            self.templates[_MLFLOW] = url.rsplit("/", 1)[1]
        return self.templates[_MLFLOW]

    def mlflow_filled(self, source: Path) -> str:
        """A template that holds what MLflow's SQLite store *source* holds."""
        if str(source) not in self.templates:
            url = self.new_database(template=self.mlflow)
            copy_store(f"sqlite:///{source}", url)
            self.templates[str(source)] = url.rsplit("/", 1)[1]
        return self.templates[str(source)]

    def rebase(self, url: str, old: str, new: str) -> None:
        """MLflow keeps absolute paths: those below *old* become paths below *new*."""
        for table, column in PATHS:
            self.run(url, f"UPDATE {table} SET {column} = replace({column}, '{old}', '{new}')")

    def drop(self, url: str) -> None:
        """Takes a database away, whoever is still connected."""
        connection = psycopg2.connect(self._address("postgres"))
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute(f"DROP DATABASE {url.rsplit('/', 1)[1]} WITH (FORCE)")
        connection.close()

    def run(self, url: str, sql: str) -> None:
        """Statements as the database's owner, past the application: what somebody does by hand."""
        connection = psycopg2.connect(self._address(url.rsplit("/", 1)[1]))
        with connection, connection.cursor() as cursor:
            cursor.execute(sql)
        connection.close()

    def _address(self, database: str) -> str:
        return f"host=127.0.0.1 port={self.port} user=ledger password={PASSWORD} dbname={database} connect_timeout=5"


def copy_rows(source: Database, target: Database) -> None:
    """Every row of every table."""
    with source.read() as read, target.write() as write:
        for table in metadata.sorted_tables:
            rows = [dict(row) for row in read.execute(sa.select(table)).mappings()]
            if rows:
                write.execute(sa.insert(table), rows)
        write.execute(
            sa.text("SELECT setval('heads_number_seq', (SELECT coalesce(max(number), 0) + 1 FROM heads), false)")
        )
    source.close()
    target.close()


def copy_store(source: str, target: str) -> None:
    """Every row of MLflow's store *source* into the store *target*, which has MLflow's tables."""
    read, write = sa.create_engine(source), sa.create_engine(target)
    tables = sa.MetaData()
    tables.reflect(write)
    with read.connect() as old, write.begin() as new:
        for table in reversed(tables.sorted_tables):
            new.execute(sa.delete(table))
        for table in tables.sorted_tables:
            rows = [dict(row) for row in old.execute(sa.select(table)).mappings()]
            if rows:
                new.execute(sa.insert(table), rows)
        for table in tables.sorted_tables:
            for column in table.columns:
                if "nextval" in str(getattr(column.server_default, "arg", "")):
                    newest = f"(SELECT coalesce(max({column.name}), 0) + 1 FROM {table.name})"
                    sequence = f"pg_get_serial_sequence('{table.name}', '{column.name}')"
                    new.execute(sa.text(f"SELECT setval({sequence}, {newest}, false)"))
    read.dispose()
    write.dispose()


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """The server, started once. Skipped where PostgreSQL is missing, except under CI=true, where it must run."""
    binaries = _binaries()
    if binaries is None:
        if os.environ.get("CI") == "true":
            pytest.fail(_MISSING)
        pytest.skip(_MISSING)
    with _running(binaries) as server:
        yield server


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """An empty database of either kind."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'modelledger.db'}"
        return
    server: PostgresServer = request.getfixturevalue("postgres")
    url = server.new_database()
    yield url
    server.drop(url)


def _binaries() -> Path | None:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"), key=lambda path: int(path.parts[-3]))
    if found:
        return found[-1].parent
    on_path = shutil.which("postgres")
    return Path(on_path).parent if on_path else None


@contextmanager
def _running(binaries: Path) -> Iterator[PostgresServer]:
    # PostgreSQL refuses to run as root; its own user may not look into pytest's folders.
    who = {"user": "postgres", "group": "postgres", "extra_groups": []} if os.getuid() == 0 else {}
    folder = Path(tempfile.mkdtemp(prefix="modelledger-postgres-"))
    if who:
        shutil.chown(folder, "postgres", "postgres")
    quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "cwd": folder, "env": {"LC_ALL": "C.UTF-8"}}
    data, port = folder / "data", _free_port()
    try:
        subprocess.run(
            [binaries / "initdb", "-D", data, "-U", "ledger", "--auth=trust", "--no-sync", "--encoding=UTF8"],
            check=True,
            **quiet,
            **who,
        )
        options = {
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": str(folder),
            "fsync": "off",
            "max_connections": "200",
        }
        server = subprocess.Popen(
            [binaries / "postgres", "-D", data, "-p", str(port), *(f"--{k}={v}" for k, v in options.items())],
            stderr=subprocess.DEVNULL,
            **quiet,
            **who,
        )
        try:
            _wait(server, port)
            yield PostgresServer(port)
        finally:
            server.send_signal(signal.SIGINT)
            server.wait(30)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _wait(server: subprocess.Popen[bytes], port: int) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        assert server.poll() is None, "PostgreSQL ended while it was starting"
        try:
            psycopg2.connect(f"host=127.0.0.1 port={port} user=ledger dbname=postgres connect_timeout=2").close()
            return
        except psycopg2.OperationalError:
            time.sleep(0.1)
    raise AssertionError("PostgreSQL did not answer within 30 s")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
