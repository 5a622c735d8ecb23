"""Fixtures that every test may use: a home of its own, opened stores, the demo identities."""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from _pytest.nodeid import coerce_node_id

# A worker has about one core to itself: threads of scikit-learn's own would wait for each other. Read at its import.
os.environ.setdefault("OMP_NUM_THREADS", "1")

from core.bootstrap import open_stores
from core.database.engine import Database
from core.entities import Actor, Role
from core.features.admin.sample import build_sample
from core.features.stores import Stores
from core.registry.runs import Runs
from core.settings import Settings, load_settings
from tests.chromium import chromium  # noqa: F401 -- fixture, for whoever needs it
from tests.java import end_java, java  # noqa: F401 -- java is a fixture, for whoever needs it
from tests.mlflow_store import make_store
from tests.postgres import (  # noqa: F401 -- fixtures, for whoever needs them
    PATHS,
    PostgresServer,
    database_url,
    postgres,
    pristine_url,
)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A test that is marked both_databases and opens a workspace runs twice: on SQLite and on PostgreSQL.

    The second run is a slow test, except where the marker says `every_run=True`.
    """
    marked = metafunc.definition.get_closest_marker("both_databases")
    if marked and "database_kind" in metafunc.fixturenames:
        slow = [] if marked.kwargs.get("every_run") else [pytest.mark.slow]
        kinds = ["sqlite", pytest.param("postgresql", marks=[pytest.mark.postgres, *slow])]
        metafunc.parametrize("database_kind", kinds, indirect=True)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest groups of tests begin first, so that no worker is left alone with one at the end.

    Tests on a Spark session in this process are one group, because a Java process takes as long to start as ten tests.
    Every other group is a file, which shares the fixtures of its module.
    """

    def turn(item: pytest.Item) -> int:
        if _is_on_shared_spark(item):
            return 0
        if item.get_closest_marker("spark"):
            return 1
        return 2 if item.get_closest_marker("browser") or item.get_closest_marker("both_databases") else 3

    for item in items:
        if item.config.getoption("loadgroup", default=False):
            group = "spark" if _is_on_shared_spark(item) else str(item.path.relative_to(item.config.rootpath))
            # pytest-xdist 3.8 writes the group of `xdist_group` to an attribute that pytest 9 does not read.
            item._id = coerce_node_id(f"{item.nodeid}@{group}")
            assert item.nodeid.endswith(f"@{group}")
    items.sort(key=turn)


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> None:
    """Ends Java where no test on Spark follows: the rest of the tests is spared its memory."""
    if _is_on_shared_spark(item) and (nextitem is None or not _is_on_shared_spark(nextitem)):
        end_java()


def _is_on_shared_spark(item: pytest.Item) -> bool:
    return bool(item.get_closest_marker("spark") and not item.get_closest_marker("spark_servers"))


@pytest.fixture
def database_kind(request: pytest.FixtureRequest) -> str:
    """Which database holds a workspace's log, decisions and jobs, and MLflow's store; SQLite unless a test asks."""
    return str(getattr(request, "param", "sqlite"))


@pytest.fixture
def home(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, database_kind: str, request: pytest.FixtureRequest
) -> Iterator[Path]:
    """An empty MODELLEDGER_HOME; no setting of the developer's own machine leaks in."""
    for name in list(os.environ):
        if name.startswith(("MODELLEDGER_", "MLFLOW_")):
            monkeypatch.delenv(name)
    folder = tmp_path / "home"
    monkeypatch.setenv("MODELLEDGER_HOME", str(folder))
    if database_kind == "sqlite":
        yield folder
        return
    server: PostgresServer = request.getfixturevalue("postgres")
    filled: Path | None = request.getfixturevalue("sample_home") if "sample" in request.fixturenames else None
    with (
        server.ledger(filled / "modelledger.db" if filled else None) as ledger,
        server.mlflow(filled / "mlflow.db" if filled else None, moved=(str(filled), str(folder))) as mlflow,
    ):
        monkeypatch.setenv("MODELLEDGER_DATABASE_URL", ledger)
        monkeypatch.setenv("MLFLOW_TRACKING_URI", mlflow)
        yield folder


@pytest.fixture
def settings(home: Path) -> Settings:
    return load_settings(home=home)


@pytest.fixture(scope="session")
def empty_mlflow(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty SQLite store with MLflow's tables, to be copied: MLflow takes a second to make one."""
    file = tmp_path_factory.mktemp("mlflow") / "mlflow.db"
    Runs(make_store(f"sqlite:///{file}")).experiments()
    return file


@pytest.fixture(scope="session")
def migrated_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SQLite database with ModelLedger's schema and no row, to be copied: a migration takes longer than a copy."""
    file = tmp_path_factory.mktemp("migrated") / "modelledger.db"
    url = f"sqlite:///{file}"
    Database(url).close()
    engine = sa.create_engine(url)
    with engine.connect() as connection:
        connection.execute(sa.text("PRAGMA wal_checkpoint(TRUNCATE)"))
    engine.dispose()
    return file


@pytest.fixture
def migrated_home(home: Path, database_kind: str, empty_mlflow: Path, migrated_file: Path) -> Path:
    """`home` with both databases up to date and empty. On PostgreSQL both are so from the beginning."""
    home.mkdir(parents=True, exist_ok=True)
    if database_kind == "sqlite":
        for file in (empty_mlflow, migrated_file):
            if not (home / file.name).exists():  # a `home` that a module fills keeps what it holds
                shutil.copy(file, home)
    return home


@pytest.fixture
def stores(settings: Settings, migrated_home: Path) -> Stores:
    """The embedded default, opened on an empty workspace."""
    return open_stores(settings)


def _actor(name: str, role: Role) -> Actor:
    return Actor(name=name, roles=frozenset({role}), channel="test")


@pytest.fixture
def auditor() -> Actor:
    return _actor("auditor", Role.AUDITOR)


@pytest.fixture
def scientist() -> Actor:
    return _actor("scientist", Role.SCIENTIST)


@pytest.fixture
def manager() -> Actor:
    return _actor("manager", Role.MANAGER)


@pytest.fixture
def manager2() -> Actor:
    return _actor("manager2", Role.MANAGER)


@pytest.fixture
def admin() -> Actor:
    return _actor("admin", Role.ADMIN)


@pytest.fixture(scope="session")
def sample_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sample workspace, built once. Copy it before changing it: `sample` does."""
    home = tmp_path_factory.mktemp("sample") / "home"
    build_sample(open_stores(load_settings(home=home, database_url=None)))
    return home


@pytest.fixture
def sample(home: Path, sample_home: Path, database_kind: str) -> Path:
    """`home`, filled with a copy of the sample workspace of the test's own, its artifacts included."""
    copy_sample(sample_home, home)
    if database_kind == "postgresql":  # there `home` has put the rows
        (home / "modelledger.db").unlink()
        (home / "mlflow.db").unlink()
    return home


@pytest.fixture
def sample_stores(sample: Path) -> Stores:
    """Stores on a copy of the sample workspace."""
    return open_stores(load_settings(home=sample))


def copy_sample(sample_home: Path, home: Path) -> None:
    """Copies the sample workspace to *home*."""
    shutil.copytree(sample_home, home, dirs_exist_ok=True)
    _rebase(home / "mlflow.db", str(sample_home), str(home))


def _rebase(database: Path, old: str, new: str) -> None:
    """MLflow keeps absolute paths: without this a copy would read, and a test would break, the original's artifacts."""
    connection = sqlite3.connect(database)
    with connection:
        for table, column in PATHS:
            connection.execute(f"UPDATE {table} SET {column} = replace({column}, ?, ?)", (old, new))
    connection.close()
