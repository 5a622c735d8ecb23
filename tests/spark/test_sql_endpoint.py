"""The SQL endpoint as a BI tool meets it: started from the command line, read through PyHive."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from core.bootstrap import open_stores
from core.entities import Actor, Role
from core.features.scoring.score import score
from core.settings import load_settings
from tests.browser.conftest import ROOT, clean_environment, free_port
from tests.conftest import copy_sample

pytestmark = [
    pytest.mark.spark,
    pytest.mark.spark_servers,
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # PyHive's own imports
]

SCIENTIST = Actor(name="scientist", roles=frozenset({Role.SCIENTIST}), channel="test")


@pytest.fixture(scope="module")
def endpoint(java: None, sample_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """`python -m core sql-endpoint` over the sample's tables and one batch of predictions; ended by its process id."""
    folder = tmp_path_factory.mktemp("endpoint")
    copy_sample(sample_home, folder / "home")
    stores = open_stores(load_settings(home=folder / "home"))
    what = {"model": "iris_classifier", "model_version": 1, "table": "iris_training_data", "version": 1}
    score(stores, SCIENTIST, **what, into="predictions", batch_id="first-batch")
    port = free_port()
    server = subprocess.Popen(
        [sys.executable, "-m", "core", "sql-endpoint", "--port", str(port)],
        cwd=folder,
        env=clean_environment(folder / "home") | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert server.stderr is not None
    said: list[str] = []
    ready = threading.Event()

    def listen() -> None:
        for line in server.stderr or ():
            said.append(line)
            if line.startswith("SQL on"):
                ready.set()

    listener = threading.Thread(target=listen, daemon=True)
    listener.start()
    try:
        if not ready.wait(180):
            pytest.fail("the endpoint did not start:\n" + "".join(said[-20:]))
        yield port
    finally:
        server.terminate()
        try:
            server.wait(30)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()
        listener.join(30)
        server.stderr.close()


def asked(port: int, query: str) -> list[tuple[object, ...]]:
    from pyhive import hive

    connection = hive.connect(host="127.0.0.1", port=port, auth="NOSASL", username="bi")
    try:
        cursor = connection.cursor()
        cursor.execute(query)
        return list(cursor.fetchall())
    finally:
        connection.close()


def test_tables_are_served_by_their_registered_names(endpoint: int) -> None:
    names = {row[1] for row in asked(endpoint, "SHOW TABLES")}
    assert {"iris_training_data", "diabetes_training_data"} <= names


def test_latest_and_older_versions_are_read(endpoint: int) -> None:
    assert asked(endpoint, "SELECT count(*) FROM iris_training_data") == [(150,)]
    assert asked(endpoint, "SELECT count(*) FROM iris_training_data VERSION AS OF 0") == [(50,)]
    assert asked(endpoint, "SELECT count(DISTINCT species) FROM iris_training_data VERSION AS OF 0") == [(3,)]


def test_predictions_are_read_beside_the_version_that_the_model_was_trained_on(endpoint: int) -> None:
    """iris_classifier/1 was trained on version 0 (50 rows); the batch scored version 1, which holds 50 rows more."""
    columns = "model, model_version, source_table, source_version, batch_id, count(*)"
    rows = asked(endpoint, f"SELECT {columns} FROM predictions GROUP BY ALL")
    assert rows == [("iris_classifier", 1, "iris_training_data", 1, "first-batch", 100)]
    known = asked(
        endpoint,
        """SELECT count(*), count_if(p.prediction = t.species) / count(*) > 0.8
           FROM (SELECT DISTINCT * FROM predictions VERSION AS OF 0) p
           JOIN (SELECT DISTINCT * FROM iris_training_data VERSION AS OF 0) t
           USING (sepal_length_cm, sepal_width_cm, petal_length_cm, petal_width_cm)""",
    )
    distinct = asked(endpoint, "SELECT count(*) FROM (SELECT DISTINCT * FROM iris_training_data VERSION AS OF 0)")
    assert known == [(distinct[0][0], True)]


def test_history_is_there_for_whoever_asks(endpoint: int) -> None:
    assert [row[0] for row in asked(endpoint, "DESCRIBE HISTORY iris_training_data")] == [2, 1, 0]


def test_a_taken_port_is_told_in_one_line(java: None, tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = subprocess.run(
            [sys.executable, "-m", "core", "sql-endpoint", "--port", str(port)],
            cwd=ROOT,
            env=os.environ | {"MODELLEDGER_HOME": str(tmp_path)},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert done.returncode == 1
    assert str(port) in done.stderr
    assert "Traceback" not in done.stderr
