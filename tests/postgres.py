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
from dataclasses import dataclass, field, replace
from io import BytesIO
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg2
import pytest
import sqlalchemy as sa

from core.database.engine import Database
from core.database.tables import metadata
from core.registry.runs import Runs
from tests.mlflow_store import make_store

PASSWORD = "not-for-logs"
# Where MLflow's store keeps absolute paths.
PATHS = (
    ("runs", "artifact_uri"),
    ("experiments", "artifact_location"),
    ("model_versions", "source"),
    ("model_versions", "storage_location"),
)
_LEDGER, _MLFLOW = "ledger", "mlflow"
_MISSING = "PostgreSQL is not installed; on Debian: apt-get install postgresql"


@dataclass(frozen=True)
class Content:
    """What a database holds: each table's rows as COPY writes them, and where each sequence stands."""

    rows: dict[str, bytes]
    sequences: dict[str, tuple[int, bool]]

    def moved(self, old: str, new: str) -> Content:
        """The same where MLflow's absolute paths below *old* are paths below *new*."""
        texts = {table: rows.replace(old.encode(), new.encode()) for table, rows in self.rows.items()}
        return replace(self, rows=texts)


@dataclass
class PostgresServer:
    """A running server. A test borrows a database; the next test gets the same database with other rows in it.

    *contents* are read once; *spare* are the databases that nobody has borrowed, by the schema that they have.
    """

    port: int
    contents: dict[str, Content] = field(default_factory=dict)
    spare: dict[str, list[str]] = field(default_factory=lambda: {_LEDGER: [], _MLFLOW: []})
    schemas: dict[str, str] = field(default_factory=dict)

    @contextmanager
    def ledger(self, filled_from: Path | None = None) -> Iterator[str]:
        """ModelLedger's schema; empty, or with the rows of the SQLite database *filled_from*."""
        content = self._content(_LEDGER, None)
        if filled_from is not None:
            content = self._content(_LEDGER, filled_from)
        with self._borrowed(_LEDGER, content) as url:
            yield url

    @contextmanager
    def mlflow(self, filled_from: Path | None = None, *, moved: tuple[str, str] = ("", "")) -> Iterator[str]:
        """MLflow's tables, made by MLflow; no run and no model, or what the SQLite store *filled_from* holds.

        MLflow keeps absolute paths: *moved* replaces the first by the second.
        """
        content = self._content(_MLFLOW, filled_from)
        with self._borrowed(_MLFLOW, content.moved(*moved) if filled_from else content) as url:
            yield url

    @contextmanager
    def pristine(self) -> Iterator[str]:
        """A database that was just made, without any table: for a first start and for migrations."""
        url = self._create()
        try:
            yield url
        finally:
            self._drop(url)

    def run(self, url: str, sql: str) -> None:
        """Statements as the database's owner, past the application: what somebody does by hand."""
        with self._cursor(_name(url)) as cursor:
            cursor.execute(sql)

    # ------------------------------------------------------------------------------------------ helpers

    @contextmanager
    def _borrowed(self, kind: str, content: Content) -> Iterator[str]:
        url = self.spare[kind].pop() if self.spare[kind] else self._create(template=self._template(kind))
        with self._cursor(_name(url)) as cursor:
            _fill(cursor, content)
        yield url
        # What a test left open would hold its locks. MLflow's pool notices and connects again.
        with self._cursor("postgres") as cursor:
            cursor.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [_name(url)])
        with self._cursor(_name(url)) as cursor:
            is_whole = _schema(cursor) == self.schemas[kind]
        if is_whole:
            self.spare[kind].append(url)
        else:
            self._drop(url)

    def _template(self, kind: str) -> str:
        """The database of that schema from which others are copied; nobody is connected to it."""
        name = f"template_{kind}"
        if kind not in self.schemas:
            url = self._create(name)
            if kind == _LEDGER:
                Database(url).close()
            else:
                Runs(make_store(url)).experiments()
            with self._cursor(name) as cursor:
                self.contents[kind] = _content(cursor)
                self.schemas[kind] = _schema(cursor)
            with self._cursor("postgres") as cursor:
                cursor.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [name])
        return name

    def _content(self, kind: str, source: Path | None) -> Content:
        template = self._template(kind)
        if source is None:
            return self.contents[kind]
        if str(source) not in self.contents:
            url = self._create(template=template)
            if kind == _LEDGER:
                copy_rows(Database(f"sqlite:///{source}"), Database(url))
            else:
                copy_store(f"sqlite:///{source}", url)
            with self._cursor(_name(url)) as cursor:
                self.contents[str(source)] = _content(cursor)
            self._drop(url)
        return self.contents[str(source)]

    def _create(self, name: str = "", *, template: str | None = None) -> str:
        """Makes a database and returns its URL, with user and password as a team would have them."""
        name = name or f"t{uuid4().hex[:12]}"
        with self._cursor("postgres") as cursor:
            cursor.execute(f"CREATE DATABASE {name}" + (f" TEMPLATE {template}" if template else ""))
        return f"postgresql+psycopg2://ledger:{PASSWORD}@127.0.0.1:{self.port}/{name}"

    def _drop(self, url: str) -> None:
        """Takes a database away, whoever is still connected."""
        with self._cursor("postgres") as cursor:
            cursor.execute(f"DROP DATABASE {_name(url)} WITH (FORCE)")

    @contextmanager
    def _cursor(self, database: str) -> Iterator[Any]:
        connection = psycopg2.connect(
            f"host=127.0.0.1 port={self.port} user=ledger password={PASSWORD} dbname={database} connect_timeout=5"
        )
        # CREATE DATABASE is refused within a transaction; several statements of one execute are one all the same.
        connection.autocommit = True
        try:
            with connection.cursor() as cursor:
                yield cursor
        finally:
            connection.close()


def _name(url: str) -> str:
    return url.rsplit("/", 1)[1]


_TABLES = "SELECT tablename FROM pg_tables WHERE schemaname = 'public' AND tablename <> 'alembic_version' ORDER BY 1"
_SEQUENCES = "SELECT sequencename FROM pg_sequences WHERE schemaname = 'public' ORDER BY 1"
# Everything that a test can change beside rows: columns with their defaults, indexes, constraints, triggers, revisions.
_SCHEMA = """
SELECT md5(string_agg(line, chr(10) ORDER BY line)) FROM (
    SELECT format('%s %s %s %s %s', table_name, column_name, data_type, is_nullable, column_default) AS line
        FROM information_schema.columns WHERE table_schema = 'public'
    UNION ALL SELECT indexdef FROM pg_indexes WHERE schemaname = 'public'
    UNION ALL SELECT format('%s %s', conrelid::regclass, pg_get_constraintdef(oid)) FROM pg_constraint
        WHERE connamespace = 'public'::regnamespace
    UNION ALL SELECT format('%s %s', tgenabled, pg_get_triggerdef(oid)) FROM pg_trigger WHERE NOT tgisinternal
    UNION ALL SELECT version_num FROM alembic_version
) AS found
"""


def _schema(cursor: Any) -> str:
    cursor.execute("SELECT to_regclass('alembic_version') IS NOT NULL")
    if not cursor.fetchone()[0]:
        return "none"
    cursor.execute(_SCHEMA)
    return str(cursor.fetchone()[0])


def _content(cursor: Any) -> Content:
    rows, sequences = {}, {}
    cursor.execute(_TABLES)
    for (table,) in cursor.fetchall():
        kept = BytesIO()
        cursor.copy_expert(f'COPY "{table}" TO STDOUT', kept)
        if kept.getvalue():
            rows[table] = kept.getvalue()
    cursor.execute(_SEQUENCES)
    for (sequence,) in cursor.fetchall():
        cursor.execute(f'SELECT last_value, is_called FROM "{sequence}"')
        sequences[sequence] = cursor.fetchone()
    return Content(rows=rows, sequences=sequences)


def _fill(cursor: Any, content: Content) -> None:
    """Empties every table and puts *content* in. Neither the log's triggers nor foreign keys speak meanwhile."""
    cursor.execute("SET session_replication_role = replica")
    cursor.execute(
        "DO $$ DECLARE name text; filled boolean; BEGIN "
        f"FOR name IN {_TABLES} LOOP "
        "EXECUTE format('SELECT EXISTS (SELECT FROM %I)', name) INTO filled; "
        "IF filled THEN EXECUTE format('DELETE FROM %I', name); END IF; END LOOP; END $$"
    )
    for table, rows in content.rows.items():
        cursor.copy_expert(f'COPY "{table}" FROM STDIN', BytesIO(rows))
    for sequence, (value, is_called) in content.sequences.items():
        cursor.execute("SELECT setval(%s, %s, %s)", (f'"{sequence}"', value, is_called))


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


_KINDS = ["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)]


@pytest.fixture(params=_KINDS)
def database_url(request: pytest.FixtureRequest, tmp_path: Path, migrated_file: Path) -> Iterator[str]:
    """A database of either kind that was brought up to date and holds no row."""
    if request.param == "sqlite":
        shutil.copy(migrated_file, tmp_path / "modelledger.db")
        yield f"sqlite:///{tmp_path / 'modelledger.db'}"
        return
    server: PostgresServer = request.getfixturevalue("postgres")
    with server.ledger() as url:
        yield url


@pytest.fixture(params=_KINDS)
def pristine_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A database of either kind in which there is nothing yet."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'modelledger.db'}"
        return
    server: PostgresServer = request.getfixturevalue("postgres")
    with server.pristine() as url:
        yield url


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
            # Nothing has to survive this server: no wait for the disk, no page written twice.
            "fsync": "off",
            "synchronous_commit": "off",
            "full_page_writes": "off",
            "autovacuum_naptime": "10s",
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
