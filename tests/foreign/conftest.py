"""The test workspace behind a real `mlflow server`: built once in a session, only read by the tests."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.contract.mlflow_server import mlflow_server
from tests.foreign.workspace_tables import Expected


@pytest.fixture(scope="session")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Expected]:
    """The right answers of the workspace, as its script printed them, while its MLflow is served."""
    folder = tmp_path_factory.mktemp("foreign")
    with mlflow_server(folder / "server") as uri:
        made = subprocess.run(
            [sys.executable, "-m", "tests.foreign.workspace", str(folder / "made"), "--tracking-uri", uri],
            env={**os.environ, "PYTHONWARNINGS": "ignore"},
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert made.returncode == 0, made.stderr[-2000:]
        yield json.loads(made.stdout)


@pytest.fixture
def foreign(workspace: Expected, migrated_home: Path, monkeypatch: pytest.MonkeyPatch) -> Expected:
    """The workspace as the settings of a ModelLedger that has just been set up, with a home of its own."""
    # Where a claim is followed all the same, it ends on this machine.
    beyond = {"AWS_ENDPOINT_URL": "http://127.0.0.1:9", "AWS_EC2_METADATA_DISABLED": "true", "AWS_REGION": "nowhere"}
    for name, value in (workspace["settings"] | beyond).items():
        monkeypatch.setenv(name, value)
    return workspace
