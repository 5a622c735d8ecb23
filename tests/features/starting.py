"""An instance that starts when it is told to: `python -m tests.features.starting HOME NAME`, then a line on stdin.

Says "ready" once everything is imported, so that what happens after the line is the start alone.
"""

from __future__ import annotations

import sys
from pathlib import Path

import mlflow  # noqa: F401 -- its import takes seconds and would spread the starts
from mlflow.store.tracking import sqlalchemy_store  # noqa: F401

from core.bootstrap import open_stores
from core.entities import Actor, Role, RunStatus
from core.features.admin.sample import iris_data
from core.features.data.ingest import ingest_data
from core.settings import load_settings

if __name__ == "__main__":
    home, name = sys.argv[1:]
    print("ready", flush=True)
    sys.stdin.readline()
    stores = open_stores(load_settings(home=Path(home)))
    stores.models.models()
    scientist = Actor(name=name, roles=frozenset({Role.SCIENTIST}), channel="test")
    table = f"{name}_data"
    ingest_data(stores, scientist, table=table, data=iris_data(), source="test", mode="append")
    run_id = stores.runs.start("modelledger", name, name, {})
    stores.runs.end(run_id, RunStatus.FINISHED)
    made = stores.models.register("iris_classifier", source=f"runs:/{run_id}/model", run_id=run_id, tags={})
    print(made.key, flush=True)
