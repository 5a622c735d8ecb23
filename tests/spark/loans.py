"""Made-up loans for trainings on Spark, recipes that learn from them, who watches a training, and how it must end."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import numpy as np
import pyarrow as pa

from core.delta.delta_rs.engine import DeltaRsEngine
from core.entities import Recipe, RunStatus, Task
from core.errors import JobCancelled
from core.features.stores import Stores
from core.jobs.progress import Silent
from core.learning.safety.check_loads import check_loads

TABLE = "loans"
FILES = 6
KPIS = {"precision", "recall", "f1", "accuracy", "roc_auc", "log_loss"}
GRADES = ("good", "it's <b>bad</b>", "unknown `x`")
GRADE = Recipe(
    name="grades",
    model="grades",
    task=Task.CLASSIFICATION,
    table=TABLE,
    target="grade",
    estimator="pyspark.ml.classification.LogisticRegression",
    features=("age", "income", "city`s", "since", "active", "rate"),
    params={"maxIter": 4, "regParam": 0.01},
    test_fraction=0.4,
)
AMOUNT = Recipe(
    name="amounts",
    model="amounts",
    task=Task.REGRESSION,
    table=TABLE,
    target="amount",
    estimator="pyspark.ml.regression.DecisionTreeRegressor",
    features=("age", "income", "city`s"),
    params={"maxDepth": 3},
)


def loans(rows: int = 600) -> pa.Table:
    """Numbers, text, times, truth values and decimals, some missing; grade and amount depend on them and on chance."""
    rng = np.random.default_rng(11)
    age, income = rng.integers(18, 80, rows), rng.normal(50_000, 15_000, rows)
    noise = rng.normal(0, 12_000, rows)
    start = datetime(2020, 1, 1, tzinfo=UTC)
    return pa.table(
        {
            "age": pa.array(age, pa.int32()),
            "income": [None if number % 11 == 0 else float(value) for number, value in enumerate(income)],
            "city`s": [("Köln", "O'Hara", None)[number % 3] for number in range(rows)],
            "since": pa.array([start + timedelta(hours=int(n)) for n in rng.integers(0, 9_999, rows)]).cast(
                pa.timestamp("us", "UTC")
            ),
            "active": [bool(number % 2) for number in range(rows)],
            "rate": pa.array([Decimal(int(n)) / 100 for n in rng.integers(0, 900, rows)], pa.decimal128(5, 2)),
            "tags": [["a"], []] * (rows // 2),
            "grade": [GRADES[0] if v > 55_000 else GRADES[1] if v > 42_000 else GRADES[2] for v in income + noise],
            "amount": [float(value) for value in income * 2 + noise],
        }
    )


def write_loans(stores: Stores) -> None:
    """In FILES files, by the embedded engine: the masters share this machine's disk."""
    data = loans()
    for number in range(FILES):
        part = data.slice(number * data.num_rows // FILES, data.num_rows // FILES)
        DeltaRsEngine().write(stores.catalog.place(TABLE), part, mode="append")


def check_trained(stores: Stores, run_id: str, folder: Path) -> None:
    """One finished run, one registered version, whole; *folder* is for the model."""
    run = stores.runs.get(run_id)
    assert run.status is RunStatus.FINISHED
    assert set(run.metrics) == {"TrainRows", "TestRows"} | KPIS
    assert run.metrics["TrainRows"] + run.metrics["TestRows"] == 600
    assert all(math.isfinite(value) for value in run.metrics.values())
    (version,) = stores.models.versions("grades")
    assert version.run_id == run_id
    assert check_loads(stores.models.download(version.key, folder / "model")).format == "spark ml"
    assert run.tags["delta.content_sha256"] == DeltaRsEngine().content(stores.catalog.resolve(TABLE)).sha256


class Watched(Silent):
    """Keeps what it is told; cancels once a step holds *cancel_at*."""

    def __init__(self, cancel_at: str | None = None) -> None:
        self.steps: list[tuple[float, str]] = []
        self.lines: list[str] = []
        self.facts: dict[str, str] = {}
        self._cancel_at = cancel_at

    def report(self, fraction: float, step: str) -> None:
        self.steps.append((fraction, step))

    def line(self, text: str) -> None:
        self.lines.append(text)

    def remember(self, **facts: str) -> None:
        self.facts |= facts

    def checkpoint(self) -> None:
        if self._cancel_at and any(self._cancel_at in step for _, step in self.steps):
            raise JobCancelled("cancelled on request")
