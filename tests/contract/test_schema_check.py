"""MLflow's own databases are neither created nor migrated: a store of another schema is refused, in words."""

from __future__ import annotations

import multiprocessing
import shutil
import sqlite3
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing
from hashlib import sha256
from pathlib import Path
from urllib.parse import quote

import mlflow
import pytest
import sqlalchemy as sa
from alembic.script import ScriptDirectory
from mlflow.store.db.utils import _get_alembic_config, _get_latest_schema_revision

from core.bootstrap import open_stores
from core.errors import CoreError, ServerLacksCall, StoreUnusable
from core.features.admin.doctor import check_stores
from core.registry.connection import Connection
from core.registry.runs import Runs
from core.registry.schema_check import _RELEASES, _release
from core.registry.stages import StageRegistry
from core.settings import load_settings
from tests.contract.test_mlflow_outage import answering_server
from tests.mlflow_store import MLFLOW_1_30, make_store
from tests.postgres import PostgresServer

NEWEST = _get_latest_schema_revision()


@pytest.fixture(scope="module")
def old_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with the schema of MLflow 1.30 and one experiment."""
    file = tmp_path_factory.mktemp("old") / "mlflow.db"
    make_store(f"sqlite:///{file}", MLFLOW_1_30)
    with closing(sqlite3.connect(file)) as database, database:
        database.execute("INSERT INTO experiments (experiment_id, name, lifecycle_stage) VALUES (7, 'fraud', 'active')")
    return file


@pytest.fixture
def old(old_store: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(old_store, tmp_path / "old.db"))


def refusal(uri: str, **options: object) -> str:
    """The one sentence with which runs and registry refuse the store at *uri*."""
    with pytest.raises(StoreUnusable) as of_runs:
        Runs(uri, connection=Connection(uri, **options)).experiments()  # type: ignore[arg-type]
    with pytest.raises(StoreUnusable) as of_registry:
        StageRegistry(uri, connection=Connection(uri, **options)).models()  # type: ignore[arg-type]
    assert str(of_runs.value) == str(of_registry.value)
    return str(of_runs.value)


def content(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): sha256(path.read_bytes()).hexdigest() if path.is_file() else "folder"
        for path in folder.rglob("*")
    }


def set_revision(file: Path, revision: str) -> None:
    with closing(sqlite3.connect(file)) as database, database:
        database.execute("UPDATE alembic_version SET version_num = ?", (revision,))


def revision(file: Path) -> str:
    with closing(sqlite3.connect(file)) as database:
        return str(database.execute("SELECT version_num FROM alembic_version").fetchone()[0])


def test_database_of_an_older_mlflow_is_refused_and_stays_as_it_is(old: Path, tmp_path: Path) -> None:
    before = content(tmp_path)
    message = refusal(f"sqlite:///{old}")
    assert "belongs to MLflow 1.29 to 2.2 (schema 97727af70f4d)" in message
    assert f"MLflow {mlflow.__version__}" in message
    assert NEWEST in message
    assert "MLFLOW_TRACKING_URI" in message
    assert message.endswith(f"mlflow db upgrade sqlite:///{old}")
    assert content(tmp_path) == before


def test_database_of_a_newer_mlflow_is_refused_with_both_schemas(old: Path, tmp_path: Path) -> None:
    set_revision(old, "ffffffffffff")
    before = content(tmp_path)
    message = refusal(f"sqlite:///{old}")
    assert "newer MLflow (schema ffffffffffff)" in message
    assert (mlflow.__version__ in message, NEWEST in message) == (True, True)
    assert "db upgrade" not in message
    assert content(tmp_path) == before


def test_sqlite_path_that_does_not_exist_is_refused_and_nothing_is_created(tmp_path: Path) -> None:
    uri = f"sqlite:///{tmp_path}/mistyped/folder/mlflow.db"
    assert f"no MLflow database {tmp_path}/mistyped/folder/mlflow.db" in refusal(uri)
    assert list(tmp_path.iterdir()) == []


def test_relative_path_is_reported_as_an_absolute_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert str(tmp_path / "mlflow.db") in refusal("sqlite:///mlflow.db")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("uri", ["sqlite://", "sqlite:///:memory:", "sqlite:/mlflow.db"])
def test_sqlite_address_without_a_file_is_refused(uri: str) -> None:
    assert "Write sqlite:////absolute/path/of/mlflow.db" in refusal(uri)


def test_empty_database_is_refused_with_the_command_that_creates_its_tables(tmp_path: Path) -> None:
    file = tmp_path / "mlflow.db"
    file.touch()
    message = refusal(f"sqlite:///{file}")
    assert "is empty" in message
    assert f"mlflow db upgrade sqlite:///{file}" in message
    assert file.stat().st_size == 0
    make_store(f"sqlite:///{file}")
    assert Runs(f"sqlite:///{file}").experiments() == ("Default",)


def test_database_of_another_program_is_refused(tmp_path: Path, migrated_file: Path) -> None:
    ours = shutil.copy(migrated_file, tmp_path / "modelledger.db")
    assert "is not MLflow's: it has other tables" in refusal(f"sqlite:///{ours}")


def test_database_without_some_of_mlflows_tables_is_refused(tmp_path: Path, empty_mlflow: Path) -> None:
    file = Path(shutil.copy(empty_mlflow, tmp_path))
    with closing(sqlite3.connect(file)) as database, database:
        database.execute("DROP TABLE registered_model_aliases")
    before = content(tmp_path)
    assert "not its table registered_model_aliases" in refusal(f"sqlite:///{file}")
    assert content(tmp_path) == before


def test_text_file_and_folder_are_refused(tmp_path: Path) -> None:
    (tmp_path / "text.db").write_text("this is no database, and it is long enough to be read as a header " * 20)
    assert "is not a SQLite database" in refusal(f"sqlite:///{tmp_path / 'text.db'}")
    assert "is a folder, not a database" in refusal(f"sqlite:///{tmp_path}")


def test_refused_database_in_wal_mode_gets_no_file_beside_it(old: Path, tmp_path: Path) -> None:
    with closing(sqlite3.connect(old)) as database:
        database.execute("PRAGMA journal_mode = WAL")
    before = content(tmp_path)
    assert "1.29 to 2.2" in refusal(f"sqlite:///{old}")
    assert content(tmp_path) == before


def test_wal_database_that_another_program_writes_is_read_with_its_log(old: Path) -> None:
    with closing(sqlite3.connect(old)) as writer:
        writer.execute("PRAGMA journal_mode = WAL")
        writer.execute("UPDATE alembic_version SET version_num = 'eeeeeeeeeeee'")
        writer.commit()
        assert "eeeeeeeeeeee" in refusal(f"sqlite:///{old}")


def test_address_with_options_and_a_file_uri_is_the_same_file(old: Path, tmp_path: Path) -> None:
    for uri in (
        f"sqlite:///{old}?timeout=3",
        f"sqlite+pysqlite:///{old}",
        f"sqlite:///file:{quote(str(old))}?uri=true",
    ):
        assert "1.29 to 2.2" in refusal(uri)
    assert "no MLflow database" in refusal(f"sqlite:///file:{tmp_path}/absent.db?uri=true")
    assert [path.name for path in tmp_path.iterdir()] == ["old.db"]


def test_registry_elsewhere_is_checked_by_its_own_setting(old: Path, tmp_path: Path, empty_mlflow: Path) -> None:
    current = shutil.copy(empty_mlflow, tmp_path / "current.db")
    registry = StageRegistry(f"sqlite:///{current}", connection=Connection(f"sqlite:///{current}", f"sqlite:///{old}"))
    with pytest.raises(StoreUnusable, match=r"1\.29 to 2\.2.*Set MLFLOW_REGISTRY_URI"):
        registry.models()
    assert Runs(f"sqlite:///{current}").experiments() == ("Default",)
    assert revision(old) == MLFLOW_1_30


# ------------------------------------------------------------------------------------------- PostgreSQL


@pytest.fixture
def empty_postgres(postgres: PostgresServer) -> Iterator[str]:
    with postgres.pristine() as url:
        yield url


@pytest.mark.postgres
def test_postgresql_database_is_neither_created_nor_migrated(empty_postgres: str) -> None:
    password = sa.make_url(empty_postgres).password
    assert "is empty" in refusal(empty_postgres)
    absent = f"{empty_postgres}_absent"
    assert "There is no database" in refusal(absent)
    make_store(empty_postgres, MLFLOW_1_30)
    engine = sa.create_engine(empty_postgres, poolclass=sa.pool.NullPool)
    before = sorted(sa.inspect(engine).get_table_names())
    message = refusal(empty_postgres)
    assert "belongs to MLflow 1.29 to 2.2 (schema 97727af70f4d)" in message
    assert password is not None
    assert str(password) not in message
    assert sorted(sa.inspect(engine).get_table_names()) == before
    with engine.begin() as connection:
        assert connection.execute(sa.text("SELECT version_num FROM alembic_version")).scalar() == MLFLOW_1_30
        connection.execute(sa.text("UPDATE alembic_version SET version_num = 'ffffffffffff'"))
    assert "newer MLflow (schema ffffffffffff)" in refusal(empty_postgres)


# -------------------------------------------------------------------------------------------- file stores


def test_folder_that_does_not_exist_is_refused_and_not_created(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    monkeypatch.chdir(tmp_path)
    for uri in ("./mlruns", f"{tmp_path}/mlruns", f"file://{tmp_path}/mlruns", f"file:{tmp_path}/mlruns"):
        assert f"no folder {tmp_path}/mlruns" in refusal(uri)
    (tmp_path / "home").mkdir()
    assert "holds no experiment of MLflow" in refusal(str(tmp_path / "home"))
    (tmp_path / "mlflow.db").touch()
    assert f"Write a database's address as sqlite:///{tmp_path}/mlflow.db" in refusal("mlflow.db")
    assert content(tmp_path).keys() == {"home", "mlflow.db"}


def test_file_store_opens_where_mlflow_allows_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "mlruns" / "0"
    folder.mkdir(parents=True)
    (folder / "meta.yaml").write_text(
        f"artifact_location: {folder}\nexperiment_id: '0'\nlifecycle_stage: active\nname: Default\n"
    )
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "false")
    assert "MLFLOW_ALLOW_FILE_STORE=true" in refusal(str(tmp_path / "mlruns"))
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    assert Runs(str(tmp_path / "mlruns")).experiments() == ("Default",)


# -------------------------------------------------------------------------------------- ModelLedger's own store


def test_own_store_is_upgraded_after_a_copy_was_made(home: Path, old: Path, caplog: pytest.LogCaptureFixture) -> None:
    home.mkdir()
    shutil.copy(old, home / "mlflow.db")
    stores = open_stores(load_settings(home=home))
    assert stores.runs.experiments() == ("Default", "fraud")
    assert revision(home / "mlflow.db") == NEWEST
    backup = home / f"mlflow.db.{MLFLOW_1_30}.backup"
    assert revision(backup) == MLFLOW_1_30
    assert str(backup) in caplog.text
    assert [check.ok for check in check_stores(stores) if check.name.startswith("mlflow")] == [True, True]


def test_own_store_of_a_newer_mlflow_is_refused(home: Path, old: Path, tmp_path: Path) -> None:
    home.mkdir()
    shutil.copy(old, home / "mlflow.db")
    set_revision(home / "mlflow.db", "ffffffffffff")
    message = refusal(f"sqlite:///{home / 'mlflow.db'}", own_store=home / "mlflow.db")
    assert "Start the newer ModelLedger again" in message
    assert not list(home.glob("*.backup"))


def _open(home: str) -> tuple[str, ...]:
    uri = f"sqlite:///{home}/mlflow.db"
    return Runs(uri, connection=Connection(uri, own_store=Path(home) / "mlflow.db")).experiments()


@pytest.mark.slow
def test_processes_that_open_the_own_store_at_once_upgrade_it_once(home: Path, old: Path) -> None:
    home.mkdir()
    shutil.copy(old, home / "mlflow.db")
    with ProcessPoolExecutor(4, mp_context=multiprocessing.get_context("spawn")) as pool:
        assert list(pool.map(_open, [str(home)] * 4)) == [("Default", "fraud")] * 4
    assert revision(home / "mlflow.db") == NEWEST
    assert [path.name for path in home.glob("*.backup*")] == [f"mlflow.db.{MLFLOW_1_30}.backup"]
    assert revision(home / f"mlflow.db.{MLFLOW_1_30}.backup") == MLFLOW_1_30


# ---------------------------------------------------------------------------------------------- in words


def test_doctor_says_what_to_do(home: Path, old: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for uri, words in (
        (f"sqlite:///{old}", "belongs to MLflow 1.29 to 2.2"),
        (f"sqlite:///{tmp_path}/typo/mlflow.db", "There is no MLflow database"),
    ):
        monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
        stores = open_stores(load_settings(home=home))
        checks = [check for check in check_stores(stores) if check.name.startswith("mlflow")]
        assert [(check.ok, check.detail) for check in checks] == [(False, "cannot be used")] * 2
        assert all(words in check.advice for check in checks)
    assert not (tmp_path / "typo").exists()


def test_every_release_in_the_table_is_a_revision_of_the_installed_mlflow() -> None:
    scripts = ScriptDirectory.from_config(_get_alembic_config(""))
    order = [script.revision for script in scripts.walk_revisions()][::-1]
    assert [revision for revision in order if revision in _RELEASES] == list(_RELEASES)
    assert _RELEASES[NEWEST] == ".".join(mlflow.__version__.split(".")[:2]), "add the new release to the table"
    assert (_release("2d6e25af4d3e"), _release(None)) == ("before 2.8", "before 1.0")


def test_call_that_a_server_lacks_is_reported_with_its_version() -> None:
    page = b"<!doctype html><title>404 Not Found</title>"
    without_version = pytest.raises(ServerLacksCall, match=r"does not know a call of MLflow \(/api/2.0/mlflow/")
    with answering_server(404, page) as uri, without_version:
        Runs(uri, 1.0).page()
    with_version = pytest.raises(ServerLacksCall, match=r"has version 1\.30\.0 and lacks a call .*registered-models")
    with answering_server(404, page, version="1.30.0") as uri, with_version:
        StageRegistry(uri, timeout_s=1.0).models()


def test_missing_model_stays_a_missing_model_on_a_server_that_knows_the_call() -> None:
    body = b'{"error_code": "RESOURCE_DOES_NOT_EXIST", "message": "no such model"}'
    with answering_server(404, body) as uri, pytest.raises(CoreError, match="no registered model 'm'"):
        StageRegistry(uri, timeout_s=1.0).versions("m")
