"""Scoring that takes Spark some seconds, in many tasks, so that a test can come in its middle; and who watches it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path

import pyarrow as pa

from core.bootstrap import open_stores
from core.entities import Actor, Recipe, Task
from core.errors import JobCancelled
from core.features.admin.sample import iris_data
from core.features.scoring.batches import list_batches
from core.features.stores import Stores
from core.features.training.recipes import save_recipe
from core.features.training.train import train
from core.settings import load_settings

# Each file is a task of its own.
SLOW_CONF = {"spark.sql.files.openCostInBytes": str(128 * 1024 * 1024)}
FILES, ROWS_PER_FILE = 12, 2_000
ROWS = FILES * ROWS_PER_FILE
SLOW = {"model": "slow", "model_version": 1, "table": "many"}
_TASK = re.compile(r"^scoring \d+ rows: stage \d+ of \d+, task (\d+) of (\d+)$")


def slow_scoring(stores: Stores, actor: Actor) -> None:
    """A model with very many trees and a table for it, of FILES files with an `id`: what SLOW names."""
    recipe = Recipe(
        name="slow",
        model="slow",
        task=Task.CLASSIFICATION,
        table="iris_training_data",
        target="species",
        estimator="random_forest",
        params={"n_estimators": 1000},
    )
    save_recipe(stores, actor, recipe)
    train(stores, actor, recipe="slow", version=0)
    table, iris = stores.catalog.place("many"), iris_data()
    for number in range(FILES):
        ids = pa.array(range(number * ROWS_PER_FILE, (number + 1) * ROWS_PER_FILE), pa.int64())
        part = iris.take(pa.array([i % 150 for i in range(ROWS_PER_FILE)])).append_column("id", ids)
        stores.engine.write(table, part, mode="append")


def on_spark(home: Path, master: str, *, conf: Mapping[str, str] | None = None, jars: str | None = None) -> Stores:
    """The workspace in *home* through Spark."""
    given = {"spark_master": master, "spark_conf": dict(conf or {}), "spark_jars": jars}
    return open_stores(load_settings(home=home, engine="spark", **given))


def assert_written_once(stores: Stores, actor: Actor, table: str) -> None:
    """One commit, one batch, every row of `many` once."""
    place = stores.catalog.resolve(table)
    (batch,) = list_batches(stores, actor, into=table)
    assert [commit.rows_added for commit in stores.engine.history(place)] == [ROWS]
    assert batch.rows == ROWS
    assert sorted(stores.engine.read(place, columns=["id"]).column("id").to_pylist()) == list(range(ROWS))


class Watching:
    """Progress that keeps what it hears, and acts or asks to stop in the middle: after so many reports of tasks done.

    Counted are reports with tasks left to do: how many tasks belong to Delta's own work differs between the masters.
    """

    def __init__(self, *, stop_at: int | None = None, act: tuple[int, Callable[[], None]] | None = None) -> None:
        self.steps: list[str] = []
        self.fractions: list[float] = []
        self._stop_at, self._act, self._stops, self._middle = stop_at, act, False, 0

    def report(self, fraction: float, step: str) -> None:
        self.steps.append(step)
        self.fractions.append(fraction)
        found = _TASK.match(step)
        if found is None or int(found[1]) >= int(found[2]):
            return
        self._middle += 1
        self._stops = self._stop_at is not None and self._middle > self._stop_at
        if self._act is not None and self._middle > self._act[0]:
            act, self._act = self._act[1], None
            act()

    def line(self, text: str) -> None:
        self.steps.append(text)

    def remember(self, **facts: str) -> None:
        """Nobody tidies up in a test."""

    def checkpoint(self) -> None:
        if self._stops:
            raise JobCancelled("cancelled on request")

    def saw(self, pattern: str) -> bool:
        """Whether some step was just that."""
        return any(re.fullmatch(pattern, step) for step in self.steps)
