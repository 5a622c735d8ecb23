"""Fixtures for tests on real Spark: stores in an empty home, and a scoring that takes its time."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from core.bootstrap import open_stores
from core.delta.spark import java as spark_java
from core.delta.spark.engine import SparkEngine
from core.entities import Actor, Role
from core.features.stores import Stores
from core.settings import load_settings
from tests.conftest import copy_sample
from tests.spark.slow import slow_scoring

Opener = Callable[..., Stores]


@pytest.fixture(scope="module")
def opened(java: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Opener]:
    """Opens stores on the Spark engine in an empty home; no setting of the developer's own machine leaks in."""
    with pytest.MonkeyPatch.context() as environment:
        for name in list(os.environ):
            if name.startswith(("MODELLEDGER_", "MLFLOW_")):
                environment.delenv(name)

        def get(master: str, **settings: object) -> Stores:
            home = tmp_path_factory.mktemp("home")
            return open_stores(load_settings(home=home, engine="spark", spark_master=master, **settings))

        yield get


@pytest.fixture(scope="session")
def jars(java: None) -> str:
    """A folder that holds Delta's jars: those that a session fetched which was told of no folder."""
    if not spark_java.are_jars_cached():
        assert SparkEngine("local[2]").session
    return str(spark_java.cache_folder() / "jars")


@pytest.fixture(scope="session")
def person() -> Actor:
    """Somebody who may train and score."""
    return Actor(name="scientist", roles=frozenset({Role.SCIENTIST}), channel="test")


@pytest.fixture(scope="session")
def slow_home(sample_home: Path, person: Actor, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sample, and a slow scoring: made once."""
    folder = tmp_path_factory.mktemp("slow") / "home"
    copy_sample(sample_home, folder)
    slow_scoring(open_stores(load_settings(home=folder)), person)
    return folder


@pytest.fixture(scope="session")
def embedded(slow_home: Path) -> Stores:
    """Looks at what was written there, without Spark."""
    return open_stores(load_settings(home=slow_home))
