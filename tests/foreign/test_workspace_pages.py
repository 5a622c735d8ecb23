"""The pages on tables and models that ModelLedger did not create."""

from __future__ import annotations

import re

import pytest
from streamlit.testing.v1 import AppTest

from tests.foreign.workspace_mlflow import HOSTILE_MODEL
from tests.foreign.workspace_tables import HOSTILE_TABLE, Expected
from tests.pages.conftest import Opened, opened, said  # noqa: F401 - a fixture

pytestmark = pytest.mark.slow

PAGES = (
    "overview",
    "tables",
    "sql",
    "training",
    "runs",
    "models",
    "promotions",
    "predictions",
    "lineage",
    "audit",
    "admin",
)


# HTML, an image or a link of Markdown that is not escaped. Links that pages write themselves stay in the app.
LIVE = re.compile(r"(?<!\\)<(img|b|script)\b|(?<!\\)\]\((javascript|x\))")


@pytest.fixture
def page(foreign: Expected, opened: Opened) -> Opened:  # noqa: F811
    """A page on the workspace; it must end without an error of its own."""

    def shown(name: str, identity: str = "auditor", **address: str) -> AppTest:
        test = opened(name, identity, **address)
        assert not test.exception, test.exception[0].message
        return test

    return shown


def markdown(test: AppTest) -> str:
    """Everything that the page writes as Markdown."""
    kinds = ("title", "header", "subheader", "markdown", "caption", "info", "warning", "error", "success")
    return "\n".join(str(element.value) for kind in kinds for element in getattr(test, kind))


def cells(test: AppTest) -> str:
    """Everything that the tables of the page hold."""
    return "\n".join(table.value.to_string(max_colwidth=None) for table in test.dataframe)


@pytest.mark.parametrize("name", PAGES)
def test_every_page_opens(page: Opened, name: str) -> None:
    identity = {"admin": "admin", "training": "scientist", "promotions": "manager"}.get(name, "auditor")
    test = page(name, identity)
    assert not [error.value for error in test.error]
    assert not LIVE.search(markdown(test))


@pytest.mark.parametrize(
    "name",
    [
        "fraud",
        "calendar",
        "nested",
        "deleted_rows",
        "events_clone",
        "checkpointed",
        "live",
        "cut",
        "variant",
        HOSTILE_TABLE,
    ],
)
def test_table_is_shown_with_its_rows_and_verdict(page: Opened, foreign: Expected, name: str) -> None:
    expected = foreign["tables"][name]
    test = page("tables", tables_table=name)
    written = said(test)
    assert f"version **{expected['version']}** · {expected['rows']:,} row" in written
    for word in expected["words"]:
        assert word in written.replace("\\", "").replace("\u2060", "")


def test_table_that_cannot_be_opened_is_listed_with_the_reason(page: Opened) -> None:
    assert "inCommitTimestamp 'soon'" in cells(page("tables"))
    assert "00000000000000000002.json is missing" in cells(page("tables"))


def test_history_shows_what_the_writer_recorded(page: Opened) -> None:
    test = page("tables", tables_table="merged", tables_version="1", tables_tab="History")
    shown = cells(test) + said(test) + "\n".join(code.value for code in test.code)
    for word in ("MERGE", "ana@bank.example", "s.id = t.id", "nightly load", "4443", "1103-093000-abc"):
        assert word in shown


@pytest.mark.parametrize("way", ["spark", "input_uri", "s3a", "catalog", "params", "dvc"])
def test_model_names_the_registered_table_whatever_the_run_called_it(page: Opened, way: str) -> None:
    assert "fraud@2" in said(page("models", models_model=f"by_{way}"))


@pytest.mark.parametrize("model", ["unregistered_s3", "unregistered_path", "unregistered_spark"])
def test_model_of_a_table_that_is_not_registered_says_so(page: Opened, model: str) -> None:
    test = page("models", models_model=model)
    assert "not registered here" in said(test)
    assert "MODELLEDGER_TABLES" in said(test).replace("\\", "").replace("\u2060", "")


def test_model_of_a_replaced_table_says_so(page: Opened) -> None:
    written = said(page("models", models_model="identity_replaced"))
    assert "another table" in written


@pytest.mark.parametrize(("version", "accuracy"), [("1", "0.81"), ("2", "0.93")])
def test_checkpoints_of_one_run_have_metrics_of_their_own(page: Opened, version: str, accuracy: str) -> None:
    assert accuracy in cells(page("models", models_model="checkpoints", models_version=version))


def test_model_whose_artifacts_are_in_a_store_names_the_missing_package(page: Opened) -> None:
    written = said(page("models", models_model="product_00"))
    assert "boto3" in written
    assert "no data version" not in written


def test_version_without_a_run_is_not_said_to_have_lost_it(page: Opened) -> None:
    written = said(page("models", models_model="no_run"))
    assert "gone" not in written
    assert "erased" not in written


def test_hostile_model_opens(page: Opened) -> None:
    test = page("models", models_model=HOSTILE_MODEL)
    assert not LIVE.search(markdown(test))


def test_run_shows_its_curve_and_sets_system_metrics_apart(page: Opened, foreign: Expected) -> None:
    test = page("runs", runs=foreign["runs"]["curves"], runs_view="One run")
    assert "1 system metric" in [expander.label for expander in test.expander]
    assert "loss" in cells(test)


def test_lineage_of_a_data_version_reaches_every_model(page: Opened) -> None:
    test = page("lineage", lineage_from="Data version", lineage_table="fraud", lineage_data="2")
    shown = cells(test)
    for way in ("name", "path", "spark", "input_uri", "input_path", "id", "dbfs", "s3a", "catalog", "params", "dvc"):
        assert f"by_{way}/1" in shown
