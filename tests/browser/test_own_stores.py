"""An MLflow server and tables that are there already: served as they are, and nothing is written there unasked."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import deltalake
import pyarrow as pa
import pytest
from mlflow import MlflowClient
from playwright.sync_api import Page, expect

from tests.browser.conftest import Served, serving, settled
from tests.contract.mlflow_server import mlflow_server

pytestmark = [pytest.mark.browser, pytest.mark.slow]


@pytest.fixture(scope="module")
def mlflow_uri(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with mlflow_server(tmp_path_factory.mktemp("mlflow")) as uri:
        yield uri


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that holds one table, of two versions."""
    folder = tmp_path_factory.mktemp("lake")
    for balance in ([10.0, 20.0], [30.0]):
        deltalake.write_deltalake(str(folder / "churn"), pa.table({"balance": balance}), mode="append")
    return folder


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, mlflow_uri: str, lake: Path) -> Iterator[Served]:
    home = tmp_path_factory.mktemp("own") / "home"
    home.mkdir()
    with serving(home, MLFLOW_TRACKING_URI=mlflow_uri, MODELLEDGER_TABLES=str(lake)) as served:
        yield served


def test_the_tables_that_are_there_are_shown_and_no_sample_beside_them(page: Page, served: Served, lake: Path) -> None:
    page.goto(f"{served.url}/tables?as=scientist&tables_table=churn&tables_version=1")
    settled(page)
    expect(page.get_by_role("heading", name="Tables")).to_be_visible()
    expect(page.get_by_text("3 of 3 rows are shown.")).to_be_visible()
    assert [one["name"] for one in json.loads(served.command("tables", "--json").stdout)] == ["churn"]
    assert [place.name for place in lake.iterdir()] == ["churn"]
    assert deltalake.DeltaTable(str(lake / "churn")).version() == 1


def test_the_registry_that_is_there_is_shown_and_nothing_was_written_into_it(
    page: Page, served: Served, mlflow_uri: str
) -> None:
    page.goto(f"{served.url}/models?as=auditor")
    settled(page)
    expect(page.get_by_text("No models yet.")).to_be_visible()
    client = MlflowClient(mlflow_uri)
    assert [one.name for one in client.search_experiments()] == ["Default"]
    assert list(client.search_registered_models()) == []
    client.create_registered_model("theirs")
    assert [one["name"] for one in json.loads(served.command("models", "--json").stdout)] == ["theirs"]


def test_what_is_asked_for_is_written_there(served: Served, lake: Path, tmp_path: Path) -> None:
    more = tmp_path / "more.csv"
    more.write_text("balance\n40.5\n")
    assert served.command("ingest", "churn", str(more), "--as", "scientist").returncode == 0
    assert deltalake.DeltaTable(str(lake / "churn")).to_pyarrow_table().num_rows == 4


def test_doctor_says_where_it_all_is(served: Served, mlflow_uri: str) -> None:
    told = served.command("doctor").stdout
    assert mlflow_uri in told
    assert "churn" in told
