"""Made-up loans for trainings on Spark, recipes that learn from them, and somebody who watches a training."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import numpy as np
import pyarrow as pa

from core.entities import Recipe, Task
from core.errors import JobCancelled
from core.jobs.progress import Silent

TABLE = "loans"
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
