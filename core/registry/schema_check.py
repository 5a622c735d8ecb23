"""Schema check: refuses a store that MLflow would create, migrate or misread, before MLflow opens it.

MLflow creates a database that does not exist, with its folders, and upgrades the schema of an older one without asking;
the MLflow that the database belongs to then refuses it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import sqlalchemy as sa
from sqlalchemy.exc import ArgumentError, DBAPIError

from core.errors import StoreUnusable
from core.redact import masked
from core.texts import text

_DATABASES = frozenset({"sqlite", "postgresql", "mysql", "mssql"})
# Parts of what drivers say where the server has no such database (PostgreSQL, MySQL, SQL Server).
_NO_DATABASE = ("does not exist", "Unknown database", "Cannot open database")
_CONNECT_S = 5
# Bytes 18 and 19 of a SQLite file in WAL mode. Source: sqlite.org/fileformat.html, "File format version numbers".
_WAL = b"\x02\x02"
_MLFLOW_TABLES = frozenset({"experiments", "runs"})
# The first release of MLflow with each schema revision that was a release's newest; read from the published packages.
_RELEASES = {
    "a8c4a736bde6": "1.14",
    "39d1c3be5f05": "1.15",
    "c48cb773bb87": "1.16",
    "bd07f7e963c5": "1.25",
    "cc1f77228345": "1.28",
    "97727af70f4d": "1.29",
    "3500859a5d39": "2.3",
    "7f2a7d5fae7d": "2.4",
    "acf3f17fdcc7": "2.8",
    "867495a8f9d4": "2.13",
    "5b0e9adcef9c": "2.14",
    "4465047574b1": "2.15",
    "f5a4f2784254": "2.17",
    "0584bdc529eb": "2.18",
    "6953534de441": "3.0",
    "770bee3ae1dd": "3.2",
    "1a0cddfcaa16": "3.3",
    "71994744cf8e": "3.4",
    "bf29a5ff90ea": "3.5",
    "1bd49d398cd23": "3.8",
    "d3e4f5a6b7c8": "3.9",
    "1b5f0d9ad7c1": "3.10",
    "c3d6457b6d8a": "3.11",
    "7d34483879f0": "3.12",
    "da6fb0208061": "3.13",
    "b7e4c1a90f23": "3.14",
    "6f8d9c3b2a1e": "3.15",
    "b7e2c1a4d9f3": "3.16",
    "dc11669786a5": "3.17",
}
# The last release with the same schema, where several have it.
_LAST_RELEASES = {
    "1.16": "1.24",
    "1.25": "1.27",
    "1.29": "2.2",
    "2.4": "2.7",
    "2.8": "2.12",
    "2.15": "2.16",
    "2.18": "2.22",
    "3.0": "3.1",
    "3.5": "3.7",
}


@dataclass(frozen=True)
class _Schema:
    """The tables of a database and its Alembic revision; None if it has none."""

    tables: frozenset[str]
    revision: str | None

    @property
    def is_empty(self) -> bool:
        # A failed upgrade leaves Alembic's own table behind.
        return all(table.startswith("alembic_") for table in self.tables)


def check_store(uri: str, *, setting: str, own: Path | None = None) -> None:
    """Check that MLflow may open the store at *uri*, which *setting* names, as it is. Creates and changes nothing.

    Only the SQLite file *own* belongs to ModelLedger: it may be missing, empty or older.

    Raises:
        StoreUnusable: the store does not exist, is empty, has another schema than the installed MLflow, or is not
            MLflow's.
        ImportError: the database's driver is not installed.
        OSError, SQLAlchemyError: the database does not answer.
    """
    scheme = urlsplit(uri).scheme.partition("+")[0]
    if scheme in _DATABASES:
        _check_database(uri, setting, is_own=is_own(uri, own))
    elif scheme in ("", "file"):
        _check_folder(uri, setting)


def is_own(uri: str, own: Path | None) -> bool:
    """Whether *uri* leads to the SQLite file *own*."""
    path = sqlite_path(uri)
    return own is not None and path is not None and path.resolve() == own.resolve()


def sqlite_path(uri: str) -> Path | None:
    """Return the file of a SQLite store; None for another kind of store and for a SQLite database without a file."""
    if not uri.startswith("sqlite"):
        return None
    try:
        name = sa.make_url(uri).database or ""
    except ArgumentError:
        return None
    name = urlsplit(name).path if name.startswith("file:") else name
    return None if name in ("", ":memory:") else Path(name)


def back_up_older(own: Path) -> Path | None:
    """Copy the SQLite store *own* where MLflow is about to upgrade it. Return the copy; None if the schema is current.

    The caller holds the store's lock.
    """
    if not own.exists():
        return None
    schema = _read(f"sqlite:///{own}")
    if schema.is_empty or schema.revision == _newest_revision():
        return None
    backup = own.with_name(f"{own.name}.{schema.revision or 'no-revision'}.backup")
    unfinished = backup.with_name(f"{backup.name}.part")
    with closing(sqlite3.connect(own)) as source, closing(sqlite3.connect(unfinished)) as target:
        source.backup(target)
    unfinished.replace(backup)
    return backup


# ------------------------------------------------------------------------------------------ databases


def _check_database(uri: str, setting: str, *, is_own: bool) -> None:
    values = {"uri": masked(uri), "setting": setting}
    if uri.startswith("sqlite"):
        _check_file(sqlite_path(uri), values, is_own=is_own)
    schema = _read_translated(uri, values)
    if schema is None or schema.is_empty:
        if is_own:
            return
        raise StoreUnusable(
            "The database at {uri} is empty, and ModelLedger does not create MLflow's tables in it. Correct {setting}, "
            "or create the tables: mlflow db upgrade {uri}",
            **values,
        )
    if not schema.tables >= _MLFLOW_TABLES:
        raise StoreUnusable(
            "The database at {uri} is not MLflow's: it has other tables, for example {table}. Correct {setting}.",
            table=min(table for table in schema.tables if not table.startswith("alembic_")),
            **values,
        )
    _check_revision(schema.revision, values, is_own=is_own)
    missing = _expected_tables() - schema.tables
    if missing and schema.revision == _newest_revision():
        raise StoreUnusable(
            "The database at {uri} has the schema of MLflow {here} but not its table {table}, which MLflow would "
            "create again, empty. Restore the database from a backup.",
            table=min(missing),
            here=_installed(),
            **values,
        )


def _check_file(path: Path | None, values: dict[str, Any], *, is_own: bool) -> None:
    if path is None:
        raise StoreUnusable(
            "{setting} is {uri}, which names no database file. Write sqlite:////absolute/path/of/mlflow.db.", **values
        )
    if path.is_dir():
        raise StoreUnusable("{path} is a folder, not a database. Correct {setting}.", path=path.absolute(), **values)
    if not path.exists() and not is_own:
        raise StoreUnusable(
            "There is no MLflow database {path}, and ModelLedger does not create one. Correct {setting}, or create the "
            "database: mlflow db upgrade {uri}",
            path=path.absolute(),
            **values,
        )


def _check_revision(revision: str | None, values: dict[str, Any], *, is_own: bool) -> None:
    newest, here = _newest_revision(), _installed()
    if revision == newest:
        return
    if revision is not None and revision not in _revisions():
        if is_own:
            raise StoreUnusable(
                "A newer MLflow than {here}, which is installed here, upgraded the database at {uri} to schema "
                "{revision} (here {newest}). Start the newer ModelLedger again, or restore the database's backup.",
                here=here,
                revision=revision,
                newest=newest,
                **values,
            )
        raise StoreUnusable(
            "The database at {uri} belongs to a newer MLflow (schema {revision}) than MLflow {here}, which is "
            "installed here (schema {newest}). Set {setting} to the address of an MLflow server of the newer version, "
            "or install that version of MLflow here.",
            here=here,
            revision=revision,
            newest=newest,
            **values,
        )
    if not is_own:
        raise StoreUnusable(
            "The database at {uri} belongs to MLflow {found} (schema {revision}). MLflow {here}, which is installed "
            "here, would upgrade it to schema {newest}, and the older MLflow could not use it any more. Set {setting} "
            "to the address of an MLflow server of the older version, or back up the database and run: "
            "mlflow db upgrade {uri}",
            found=_release(revision),
            revision=revision or "-",
            here=here,
            newest=newest,
            **values,
        )


def _read_translated(uri: str, values: dict[str, Any]) -> _Schema | None:
    """Read the schema; None if there is no database file."""
    path = sqlite_path(uri)
    if path is not None and not path.exists():
        return None
    try:
        return _read(uri)
    except ArgumentError as error:
        raise StoreUnusable("{setting} is {uri}, which is not the address of a database.", **values) from error
    except DBAPIError as error:
        if "file is not a database" in str(error):
            raise StoreUnusable("The file at {uri} is not a SQLite database. Correct {setting}.", **values) from error
        if path is None and any(sign in str(error.orig) for sign in _NO_DATABASE):
            raise StoreUnusable(
                "There is no database {uri}, and ModelLedger does not create one. Correct {setting}, or create the "
                "database and then its tables: mlflow db upgrade {uri}",
                **values,
            ) from error
        raise


def _read(uri: str) -> _Schema:
    """Read a database's tables and revision through a read-only connection."""
    path = sqlite_path(uri)
    if path is not None:
        engine = sa.create_engine("sqlite://", creator=_read_only(path), poolclass=sa.pool.NullPool)
    else:
        dialect = sa.make_url(uri).get_backend_name()
        timeout = {"connect_timeout": _CONNECT_S} if dialect in ("postgresql", "mysql") else {}
        read_only = {"postgresql_readonly": True} if dialect == "postgresql" else {}
        engine = sa.create_engine(uri, poolclass=sa.pool.NullPool, connect_args=timeout, execution_options=read_only)
    with engine.connect() as connection:
        tables = frozenset(sa.inspect(connection).get_table_names())
        if "alembic_version" not in tables:
            return _Schema(tables, None)
        revisions = connection.execute(sa.text("SELECT version_num FROM alembic_version")).scalars()
        return _Schema(tables, ", ".join(sorted(revisions)) or None)


def _read_only(path: Path) -> Callable[[], sqlite3.Connection]:
    """Return a function that opens a SQLite file so that no file appears beside it."""
    with path.open("rb") as file:
        # A database in WAL mode that nobody has open is read as it is: a reader of its own would create two files.
        is_at_rest = file.read(20)[18:] == _WAL and not Path(f"{path}-wal").exists()
    address = f"file:{quote(str(path.absolute()))}?mode=ro{'&immutable=1' if is_at_rest else ''}"
    return lambda: sqlite3.connect(address, uri=True, timeout=_CONNECT_S)


# -------------------------------------------------------------------------------------- MLflow's versions


def _installed() -> str:
    import mlflow

    return str(mlflow.__version__)


@cache
def _revisions() -> tuple[str, ...]:
    """Return the schema revisions that the installed MLflow knows, oldest first."""
    from mlflow.store.db import utils

    scripts = utils.ScriptDirectory.from_config(utils._get_alembic_config(""))
    return tuple(script.revision for script in scripts.walk_revisions())[::-1]


def _newest_revision() -> str:
    return _revisions()[-1]


def _expected_tables() -> frozenset[str]:
    """Return the tables whose absence makes MLflow create its tables."""
    from mlflow.store.db import utils

    return frozenset(utils.Base.metadata.tables)


def _release(revision: str | None) -> str:
    """Return the releases of MLflow with the schema *revision*: `1.29 to 2.2`, or `before 2.8` between two releases."""
    if revision is None:
        return text("before 1.0")
    first = _RELEASES.get(revision)
    if first is not None:
        last = _LAST_RELEASES.get(first)
        return text("{first} to {last}", first=first, last=last) if last else first
    order = _revisions()
    later = order[order.index(revision) :]
    return text("before {version}", version=next(_RELEASES[known] for known in later if known in _RELEASES))


# ------------------------------------------------------------------------------------------ file stores


def _check_folder(uri: str, setting: str) -> None:
    from mlflow.environment_variables import MLFLOW_ALLOW_FILE_STORE
    from mlflow.utils.file_utils import local_file_uri_to_path

    folder = Path(local_file_uri_to_path(uri))
    values = {"path": folder.absolute(), "setting": setting}
    if folder.is_file():
        raise StoreUnusable("{path} is a file. Write a database's address as sqlite:///{path} in {setting}.", **values)
    if not folder.exists():
        raise StoreUnusable(
            "There is no folder {path}, and ModelLedger does not create a store of MLflow. Correct {setting}.", **values
        )
    # A registry without experiments holds the folder `models` only.
    if not any(folder.glob("*/meta.yaml")) and not (folder / "models").is_dir():
        raise StoreUnusable("The folder {path} holds no experiment of MLflow. Correct {setting}.", **values)
    if not MLFLOW_ALLOW_FILE_STORE.get():
        raise StoreUnusable(
            "MLflow {here} does not open a folder as a store ({path}). Move its runs into a database by mlflow "
            "migrate-filestore, or set MLFLOW_ALLOW_FILE_STORE=true.",
            here=_installed(),
            **values,
        )
