"""Fixtures for tests on real Spark. Without Java they are skipped with what to install, except under CI=true."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from core.bootstrap import open_stores
from core.delta import spark_java
from core.entities import Actor, Role
from core.errors import EngineUnavailable
from core.services.stores import Stores
from core.settings import load_settings

Opener = Callable[..., Stores]


@pytest.fixture(scope="session")
def java() -> None:
    try:
        spark_java.require_java()
    except EngineUnavailable as error:
        if os.environ.get("CI") == "true":
            raise
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def local(java: None) -> Iterator[object]:
    """The Spark engine in this process; the session is ended with the module, so that modules do not share memory."""
    from core.delta import spark_session
    from core.delta.spark import SparkEngine

    yield SparkEngine("local[2]")
    spark_session.close()


@pytest.fixture(scope="module")
def cluster(java: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[object]:
    """A standalone cluster: a master and two workers."""
    from core.delta import spark_session
    from tests.spark.servers import start_cluster

    running = start_cluster(tmp_path_factory.mktemp("cluster"))
    yield running
    spark_session.close()
    running.stop()


@pytest.fixture(scope="module")
def connect_url(java: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a Spark Connect server."""
    from core.delta import spark_session
    from tests.spark.servers import start_connect

    server, url = start_connect(tmp_path_factory.mktemp("connect"))
    yield url
    spark_session.close()
    server.stop()


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
def person() -> Actor:
    """Somebody who may train and score."""
    return Actor(name="scientist", roles=frozenset({Role.SCIENTIST}), channel="test")


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder for tables."""
    folder = tmp_path / "tables"
    folder.mkdir()
    return folder
