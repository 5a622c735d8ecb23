"""Builds a large MLflow store by bulk inserts into a fresh SQLite schema: 10,000 runs in seconds, not in an hour."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from core.registry.connection import Connection
from core.registry.runs import Runs

RUNS = 10_000
VERSIONS = 1_000
DATA_VERSIONS = 50
_FIRST_MS = 1_760_000_000_000
_MINUTE_MS = 60_000
KPIS = ("precision", "recall", "f1", "accuracy", "roc_auc", "log_loss", "TrainRows", "TestRows")
PARAMS = ("DataV", "ModelV", "estimator", "target", "test_fraction", "seed", "C", "max_iter", "class_weight", "depth")
TAGS = ("mlflow.user", "mlflow.source.git.commit", "delta.table", "delta.version", "delta.content_sha256", "recipe")


@dataclass(frozen=True, kw_only=True)
class LargeStore:
    """A store of RUNS runs, oldest first in *run_ids*. *model* has VERSIONS versions, one for every tenth run."""

    uri: str
    folder: Path
    model: str
    run_ids: tuple[str, ...]


def build(folder: Path, *, runs: int = RUNS, versions: int = VERSIONS) -> LargeStore:
    """Let MLflow create its schema, then fill the tables that a search reads."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "mlflow.db"
    uri = f"sqlite:///{file}"
    connection = Connection(uri, timeout_s=60.0, artifact_root=folder / "artifacts", own_store=file)
    first = Runs(uri, connection=connection).start("bench", "first", "scientist", {})
    made = tuple(f"{number:032x}" for number in range(1, runs + 1))
    model = "bench_model"
    with sqlite3.connect(file) as database:
        (experiment,) = database.execute("SELECT experiment_id FROM runs WHERE run_uuid = ?", (first,)).fetchone()
        database.execute("DELETE FROM tags WHERE run_uuid = ?", (first,))
        database.execute("DELETE FROM runs WHERE run_uuid = ?", (first,))
        database.executemany(
            "INSERT INTO runs (run_uuid, name, source_type, source_name, entry_point_name, user_id, status, start_time,"
            " end_time, source_version, lifecycle_stage, artifact_uri, experiment_id)"
            " VALUES (?, ?, 'UNKNOWN', '', '', 'scientist', 'FINISHED', ?, ?, '', 'active', ?, ?)",
            _runs(made, experiment, folder),
        )
        database.executemany("INSERT INTO params (run_uuid, key, value) VALUES (?, ?, ?)", _params(made))
        metrics = list(_metrics(made))
        for table in ("metrics", "latest_metrics"):
            database.executemany(
                f"INSERT INTO {table} (run_uuid, key, value, timestamp, step, is_nan) VALUES (?, ?, ?, ?, 0, 0)",
                metrics,
            )
        database.executemany("INSERT INTO tags (run_uuid, key, value) VALUES (?, ?, ?)", _tags(made, model))
        _register(database, model, made, versions)
    database.close()
    return LargeStore(uri=uri, folder=folder, model=model, run_ids=made)


def _register(database: sqlite3.Connection, model: str, made: tuple[str, ...], versions: int) -> None:
    step = max(1, len(made) // versions)
    chosen = list(enumerate(made[::step][:versions], start=1))
    database.execute(
        "INSERT INTO registered_models (name, creation_time, last_updated_time) VALUES (?, ?, ?)",
        (model, _FIRST_MS, _FIRST_MS),
    )
    database.executemany(
        "INSERT INTO model_versions (name, version, creation_time, last_updated_time, description, current_stage,"
        " source, run_id, status, storage_location) VALUES (?, ?, ?, ?, '', ?, ?, ?, 'READY', ?)",
        (
            (
                model,
                number,
                _FIRST_MS + number * _MINUTE_MS,
                _FIRST_MS + number * _MINUTE_MS,
                "Production" if number == versions else "Archived",
                f"s3://bench/{run_id}/model",
                run_id,
                f"s3://bench/{run_id}/model",
            )
            for number, run_id in chosen
        ),
    )
    database.executemany(
        "INSERT INTO model_version_tags (name, version, key, value) VALUES (?, ?, ?, ?)",
        (
            (model, number, key, value)
            for number, run_id in chosen
            for key, value in (
                ("delta.table", "sales"),
                ("delta.version", str(_data_version(int(run_id, 16) - 1))),
                ("recipe", "bench"),
                ("run_id", run_id),
            )
        ),
    )
    database.execute(
        "INSERT INTO registered_model_aliases (name, alias, version) VALUES (?, 'production', ?)", (model, versions)
    )


def _runs(made: tuple[str, ...], experiment: int, folder: Path) -> Iterator[tuple[object, ...]]:
    for number, run_id in enumerate(made):
        start = _FIRST_MS + number * _MINUTE_MS
        yield run_id, f"run {number}", start, start + 30_000, f"{folder.as_uri()}/{run_id}/artifacts", experiment


def _params(made: tuple[str, ...]) -> Iterator[tuple[str, str, str]]:
    for number, run_id in enumerate(made):
        for position, name in enumerate(PARAMS):
            yield run_id, name, str(_data_version(number) if name == "DataV" else number % (7 + position))


def _data_version(number: int) -> int:
    """Return the version of `sales` that trained run *number*; ten consecutive runs share a version."""
    return number // 10 % DATA_VERSIONS


def _metrics(made: tuple[str, ...]) -> Iterator[tuple[str, str, float, int]]:
    draw = random.Random(0)
    for number, run_id in enumerate(made):
        for name in KPIS:
            yield run_id, name, draw.random(), _FIRST_MS + number * _MINUTE_MS


def _tags(made: tuple[str, ...], model: str) -> Iterator[tuple[str, str, str]]:
    for number, run_id in enumerate(made):
        values = ("scientist", f"{number:040x}", "sales", str(_data_version(number)), f"{number:064x}", "bench")
        yield from ((run_id, name, value) for name, value in zip(TAGS, values, strict=True))
        yield run_id, "model.name", model
