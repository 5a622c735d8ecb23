"""Settings that name databases: one driver for PostgreSQL, one database for each store, one sentence where not."""

from __future__ import annotations

from pathlib import Path

import pytest

from core.errors import BadSettings
from core.settings import load_settings

PSYCOPG2 = "postgresql+psycopg2://mlflow:s3cret@db.bank.example/mlflow"


@pytest.mark.parametrize("name", ["MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI"])
@pytest.mark.parametrize("scheme", ["postgresql", "postgres", "postgresql+psycopg2"])
def test_postgresql_means_the_driver_that_promotions_work_with(
    home: Path, monkeypatch: pytest.MonkeyPatch, name: str, scheme: str
) -> None:
    monkeypatch.setenv(name, f"{scheme}://mlflow:s3cret@db.bank.example/mlflow")
    settings = load_settings(home=home)
    assert settings.registry_uri == PSYCOPG2
    assert settings.tracking_uri == (PSYCOPG2 if name == "MLFLOW_TRACKING_URI" else f"sqlite:///{home / 'mlflow.db'}")


@pytest.mark.parametrize("name", ["MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI"])
@pytest.mark.parametrize("driver", ["psycopg", "asyncpg", "pg8000"])
def test_a_driver_with_which_promotions_fail_is_refused(
    home: Path, monkeypatch: pytest.MonkeyPatch, name: str, driver: str
) -> None:
    monkeypatch.setenv(name, f"postgresql+{driver}://mlflow:s3cret@db.bank.example/mlflow")
    with pytest.raises(BadSettings, match=rf"{name} .*Write postgresql\+psycopg2://") as caught:
        load_settings(home=home)
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize("uri", ["https://mlflow.bank.example", "databricks", "sqlite:////srv/mlflow.db", "./mlruns"])
def test_any_other_address_stays_as_it_was_written(home: Path, monkeypatch: pytest.MonkeyPatch, uri: str) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    assert load_settings(home=home).tracking_uri == uri


@pytest.mark.parametrize("name", ["MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI"])
@pytest.mark.parametrize(
    ("ours", "mlflows"),
    [
        ("postgresql://ledger:s3cret@db/ledger", "postgresql://mlflow:other@db:5432/ledger"),
        ("postgresql+psycopg2://a@db:5432/ledger?sslmode=require", "postgres://a@db/ledger"),
        ("sqlite:////srv/one.db", "sqlite:////srv/one.db"),
    ],
)
def test_one_database_for_both_stores_is_refused(
    home: Path, monkeypatch: pytest.MonkeyPatch, name: str, ours: str, mlflows: str
) -> None:
    monkeypatch.setenv("MODELLEDGER_DATABASE_URL", ours)
    monkeypatch.setenv(name, mlflows)
    with pytest.raises(BadSettings, match=f"{name} and MODELLEDGER_DATABASE_URL .*Name two databases") as caught:
        load_settings(home=home)
    assert "s3cret" not in str(caught.value)


def test_two_databases_of_one_server_are_two(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODELLEDGER_DATABASE_URL", "postgresql://a@db/ledger")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "postgresql://a@db/mlflow")
    settings = load_settings(home=home)
    assert (settings.database, settings.tracking_uri) == (
        "postgresql://a@db/ledger",
        "postgresql+psycopg2://a@db/mlflow",
    )
