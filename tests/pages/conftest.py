"""Pages through AppTest, opened cold: the page's own file, before app.py ever ran."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from core.access.identity import demo_actor
from core.bootstrap import open_stores
from core.entities import Stage
from core.features.promotion.decide import approve
from core.features.promotion.request_promotion import request_promotion
from core.features.scoring.score import score
from core.features.stores import Stores
from core.settings import load_settings
from tests.apptest import components_are_looked_for_once  # noqa: F401 -- for every page here
from tests.conftest import copy_sample

ROOT = Path(__file__).resolve().parents[2]

Opened = Callable[..., AppTest]

MODEL, IRIS = "iris_classifier", "iris_training_data"
# The batches of `used`, by the version of the data that each scored.
BATCHES = {0: "a" * 16, 2: "c" * 16}


@pytest.fixture(autouse=True)
def migrated(home: Path, empty_mlflow: Path) -> None:
    """Each test starts with a copy of an empty MLflow store: MLflow takes 2 s to make one."""
    home.mkdir(parents=True, exist_ok=True)
    shutil.copy(empty_mlflow, home / "mlflow.db")


@pytest.fixture
def opened(home: Path) -> Iterator[Opened]:
    """opened("tables", "manager", tables_table="…"): the page as that demo identity, with that address."""
    st.cache_resource.clear()
    st.cache_data.clear()

    def page(name: str, identity: str = "auditor", **address: str) -> AppTest:
        test = AppTest.from_file(str(ROOT / "pages" / f"{name}.py"), default_timeout=90)
        test.query_params["as"] = identity
        for key, value in address.items():
            test.query_params[key] = value
        return test.run()

    yield page
    st.cache_resource.clear()
    st.cache_data.clear()


@pytest.fixture(scope="session")
def used_home(sample_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Version 1 in Production by a decision, two batches of it on versions 0 and 2, an open request for version 3."""
    home = tmp_path_factory.mktemp("used") / "home"
    copy_sample(sample_home, home)
    stores = open_stores(load_settings(home=home, database_url=None))
    scientist = demo_actor("scientist", channel="test")
    asked = request_promotion(stores, scientist, model=MODEL, version=1, to=Stage.PRODUCTION, reason="the first")
    approve(stores, demo_actor("manager", channel="test"), asked.id, reason="a start")
    for version, batch in BATCHES.items():
        score(stores, scientist, model=MODEL, table=IRIS, version=version, into="predictions", batch_id=batch)
    request_promotion(stores, scientist, model=MODEL, version=3, to=Stage.PRODUCTION, reason="more rows")
    return home


@pytest.fixture
def used(home: Path, used_home: Path) -> Stores:
    """Stores on a copy of it."""
    copy_sample(used_home, home)
    return open_stores(load_settings(home=home))


def links(test: AppTest) -> dict[str, str]:
    """Where each link of the page leads, by its words."""
    shown = {one.proto.label: one.proto.url for one in test.get("link_button")}
    return {label.replace("\\", "").replace("\u2060", ""): url for label, url in shown.items()}


def said(test: AppTest) -> str:
    """Everything that the page tells in words: messages, captions, texts, titles."""
    kinds = ("title", "header", "subheader", "markdown", "caption", "info", "warning", "error", "success", "text")
    return "\n".join(str(element.value) for kind in kinds for element in getattr(test, kind))
