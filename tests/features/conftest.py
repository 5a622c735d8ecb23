"""Services' tests start on an empty MLflow store that is already migrated: MLflow takes a second to make one."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from core.registry.runs import Runs


@pytest.fixture(scope="session")
def empty_mlflow(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty SQLite store with MLflow's tables."""
    file = tmp_path_factory.mktemp("mlflow") / "mlflow.db"
    Runs(f"sqlite:///{file}").experiments()
    return file


@pytest.fixture(autouse=True)
def _migrated(home: Path, empty_mlflow: Path) -> None:
    """Each test has its own copy."""
    home.mkdir(parents=True, exist_ok=True)
    shutil.copy(empty_mlflow, home / "mlflow.db")
