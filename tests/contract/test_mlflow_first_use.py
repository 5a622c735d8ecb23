"""MLflow is imported when it is first used: by many threads at once, as the first visitors of a server are."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import mlflow
import pytest

from core.bootstrap import open_stores
from core.errors import RegistryUnavailable
from core.features.stores import Stores
from core.settings import load_settings
from tests.browser.conftest import ROOT, clean_environment
from tests.contract.mlflow_server import free_port

_THREADS = """
import sys, threading, time
from pathlib import Path
from core.registry.connection import Connection
failures = []
ready = threading.Barrier(12)
def use(number):
    connection = Connection(sys.argv[1], own_store=Path(sys.argv[1].removeprefix("sqlite:///")))
    ready.wait()
    time.sleep(number * 0.25)  # while the import is going on: what is half imported looks imported
    try:
        with connection.client() as client:
            client.search_experiments(max_results=1)
    except BaseException as error:
        failures.append(f"{type(error).__name__}: {error}")
threads = [threading.Thread(target=use, args=(number,)) for number in range(12)]
for thread in threads: thread.start()
for thread in threads: thread.join()
print("\\n".join(failures))
"""


def test_threads_that_use_mlflow_first_all_find_it_whole(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _THREADS, f"sqlite:///{tmp_path / 'mlflow.db'}"],
        cwd=ROOT,
        env=clean_environment(tmp_path),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert (done.returncode, done.stdout.strip()) == (0, ""), done.stderr[-2000:]


def test_runs_and_registry_at_one_address_share_a_client(stores: Stores, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []

    class Counted(mlflow.MlflowClient):
        def __init__(self, *arguments: Any, **options: Any) -> None:
            opened.append(options["tracking_uri"])
            super().__init__(*arguments, **options)

    monkeypatch.setattr(mlflow, "MlflowClient", Counted)
    assert stores.runs.page().runs == ()
    assert stores.models.models() == ()
    assert opened == [stores.settings.tracking_uri]


def test_runs_stay_readable_where_a_registry_elsewhere_is_down(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_REGISTRY_URI", f"http://127.0.0.1:{free_port()}")
    stores = open_stores(load_settings(home=home))
    with pytest.raises(RegistryUnavailable):
        stores.models.models()
    assert stores.runs.page().runs == ()
