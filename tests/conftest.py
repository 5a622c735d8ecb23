"""Fixtures that every test may use: a home of its own, opened stores, the demo identities."""

from __future__ import annotations

import os
import shutil
import sqlite3
from pathlib import Path

import pytest

from core.bootstrap import open_stores
from core.entities import Actor, Role
from core.services.sample import build_sample
from core.services.stores import Stores
from core.settings import Settings, load_settings
from tests.chromium import chromium  # noqa: F401 -- fixture, for whoever needs it


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty MODELLEDGER_HOME; no setting of the developer's own machine leaks in."""
    for name in list(os.environ):
        if name.startswith(("MODELLEDGER_", "MLFLOW_")):
            monkeypatch.delenv(name)
    folder = tmp_path / "home"
    monkeypatch.setenv("MODELLEDGER_HOME", str(folder))
    return folder


@pytest.fixture
def settings(home: Path) -> Settings:
    return load_settings(home=home)


@pytest.fixture
def stores(settings: Settings) -> Stores:
    """The embedded default, opened on an empty home."""
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
    """The sample workspace, built once. Copy it before changing it: `sample_stores` does."""
    home = tmp_path_factory.mktemp("sample") / "home"
    build_sample(open_stores(load_settings(home=home)))
    return home


@pytest.fixture
def sample_stores(home: Path, sample_home: Path) -> Stores:
    """Stores on a copy of the sample workspace of the test's own, its artifacts included."""
    shutil.copytree(sample_home, home, dirs_exist_ok=True)
    _rebase(home / "mlflow.db", str(sample_home), str(home))
    return open_stores(load_settings(home=home))


def _rebase(database: Path, old: str, new: str) -> None:
    """MLflow keeps absolute paths: without this a copy would read, and a test would break, the original's artifacts."""
    connection = sqlite3.connect(database)
    with connection:
        for table, column in (
            ("runs", "artifact_uri"),
            ("experiments", "artifact_location"),
            ("model_versions", "source"),
            ("model_versions", "storage_location"),
        ):
            connection.execute(f"UPDATE {table} SET {column} = replace({column}, ?, ?)", (old, new))
    connection.close()
