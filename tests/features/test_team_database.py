"""A team's databases, PostgreSQL for ModelLedger's and for MLflow's own: the whole flow, and two that start at once."""

from __future__ import annotations

import csv
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alembic.migration import MigrationContext

from core.bootstrap import open_stores
from core.database.tables import metadata
from core.entities import Actor, ModelVersionKey
from core.errors import BadSettings
from core.features.admin.sample import iris_data
from core.features.scoring.batches import find_batch
from core.learning.safety.check_loads import check_loads
from core.settings import load_settings
from tests.batches import rows_of_batch
from tests.cli.conftest import Command, command  # noqa: F401 - a fixture, under its own name
from tests.mlflow_store import make_store
from tests.postgres import PostgresServer

ROOT = Path(__file__).resolve().parent.parent.parent
MODEL = "iris_classifier"


@pytest.mark.both_databases(every_run=True)
def test_the_whole_flow_from_a_file_to_a_prediction(
    home: Path,
    database_kind: str,
    command: Command,  # noqa: F811
    tmp_path: Path,
    auditor: Actor,
) -> None:
    file = tmp_path / "iris.csv"
    rows = iris_data().to_pylist()
    with file.open("w", newline="") as out:
        writer = csv.DictWriter(out, rows[0].keys())
        writer.writeheader()
        writer.writerows(rows)

    def done(who: str, *arguments: str) -> Any:
        answer = command(*arguments, "--as", who, "--json")
        assert answer.code == 0, answer.err
        return answer.json

    assert done("scientist", "ingest", "iris_training_data", str(file))["rows_added"] == 150
    trained = done("scientist", "train", MODEL)
    assert (trained["params"]["DataV"], trained["params"]["ModelV"]) == ("0", "1")
    asked = done("scientist", "request", f"{MODEL}/1", "--to", "Production", "--reason", "ready")
    decided = done("manager", "approve", asked["id"], "--reason", "the numbers hold")
    assert (decided["status"], decided["stages"]) == ("approved", {"1": "Production"})
    scored = done("scientist", "score", MODEL, "iris_training_data@0", "--into", "answers")
    assert (scored["model_version"], scored["rows"]) == (f"{MODEL}/1", 150)
    assert done("auditor", "audit", "verify")["ok"]
    assert done("auditor", "reconcile") == []

    stores = open_stores(load_settings(home=home))
    assert stores.settings.tracking_uri.startswith("postgresql" if database_kind == "postgresql" else "sqlite")
    key = ModelVersionKey(model=MODEL, version=1)
    folder = stores.models.download(key, tmp_path)
    assert {path.name for path in folder.iterdir()} >= {"MLmodel", "model.skops", "requirements.txt"}
    assert [path for path in home.rglob("model.skops") if path.is_relative_to(home / "artifacts")]
    assert check_loads(folder).format == "skops"
    batch = find_batch(stores, auditor, scored["batch_id"])
    assert rows_of_batch(stores, batch).num_rows == 150
    assert not list(ROOT.glob("mlruns")), "nothing lies where it was started"


@pytest.fixture
def empty_team(postgres: PostgresServer) -> Iterator[dict[str, str]]:
    """ModelLedger's database, without a table yet, and MLflow's, in which there is no run, as settings name them."""
    with postgres.pristine() as ours, postgres.pristine() as mlflows:
        plain = make_store(mlflows).replace("postgresql+psycopg2", "postgresql")
        yield {"MODELLEDGER_DATABASE_URL": ours, "MLFLOW_TRACKING_URI": plain}


def schema(url: str) -> tuple[set[str], tuple[str, ...]]:
    """Names of the tables, and the revisions that Alembic says they are at."""
    engine = sa.create_engine(url.replace("postgresql://", "postgresql+psycopg2://"), poolclass=sa.pool.NullPool)
    with engine.connect() as connection:
        revisions = MigrationContext.configure(connection).get_current_heads()
    tables = set(sa.inspect(engine).get_table_names())
    engine.dispose()
    return tables, revisions


@pytest.mark.slow
@pytest.mark.postgres
def test_two_instances_that_start_at_once_on_an_empty_database_both_serve(
    home: Path, empty_team: dict[str, str], monkeypatch: pytest.MonkeyPatch, postgres: PostgresServer
) -> None:
    start = [sys.executable, "-m", "tests.features.starting", str(home)]
    instances = [
        subprocess.Popen(
            [*start, name],
            cwd=ROOT,
            env={**os.environ, **empty_team},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for name in ("one", "two")
    ]
    for instance in instances:
        assert instance.stdout is not None
        assert instance.stdout.readline() == "ready\n"
    for instance in instances:
        assert instance.stdin is not None
        instance.stdin.write("go\n")
        instance.stdin.flush()
    told = [instance.communicate(timeout=200) for instance in instances]
    assert [instance.returncode for instance in instances] == [0, 0], told
    made = sorted(out.strip() for out, _ in told)
    assert made == [f"{MODEL}/1", f"{MODEL}/2"]

    with postgres.pristine() as alone:
        of_one_start = schema(make_store(alone))
    tables, revisions = schema(empty_team["MODELLEDGER_DATABASE_URL"])
    assert tables == {table.name for table in metadata.sorted_tables} | {"alembic_version"}
    assert len(revisions) == len(set(revisions))
    assert schema(empty_team["MLFLOW_TRACKING_URI"]) == of_one_start
    for name, value in empty_team.items():
        monkeypatch.setenv(name, value)
    stores = open_stores(load_settings(home=home))
    assert {f"{v.model}/{v.version}" for v in stores.models.versions()} == set(made)
    assert stores.audit.verify().ok
    assert {event.actor for event in stores.audit.events()} == {"one", "two"}
    assert stores.audit.unfinished() == ()


@pytest.mark.postgres
def test_two_addresses_of_one_store_open_it(
    home: Path, empty_team: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MODELLEDGER_DATABASE_URL", empty_team["MODELLEDGER_DATABASE_URL"])
    monkeypatch.setenv("MLFLOW_TRACKING_URI", empty_team["MLFLOW_TRACKING_URI"])
    monkeypatch.setenv("MLFLOW_REGISTRY_URI", f"{empty_team['MLFLOW_TRACKING_URI']}?application_name=registry")
    stores = open_stores(load_settings(home=home))
    assert stores.models.models() == ()
    assert stores.runs.page().runs == ()


def test_a_store_whose_package_is_missing_is_a_setting_to_correct(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = listener.getsockname()[1]
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"mssql+pymssql://me:s3cret@127.0.0.1:{port}/mlflow")
        stores = open_stores(load_settings(home=home))
        with pytest.raises(BadSettings, match=r"pymssql.*not installed here; check MLFLOW_TRACKING_URI") as caught:
            stores.runs.experiments()
    assert "s3cret" not in str(caught.value)
