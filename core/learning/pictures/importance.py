"""Permutation importance: how much the leading KPI worsens when the values of one column are shuffled."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd

from core.entities import Task
from core.learning.pictures.pictures import Importance

_ROWS = 1_000
_REPEATS = 5
_SEED = 20_261_129


def permutation_importance(
    rows: pd.DataFrame, actual: np.ndarray, predict: Callable[[pd.DataFrame], np.ndarray], task: Task
) -> tuple[Importance, ...]:
    """Return the importance of each column for f1 or rmse, the largest first.

    *predict* is called once, with all shuffled copies below each other. At most 1,000 rows are shuffled, five times.

    Source: Breiman, Random Forests, Machine Learning 45, 2001; mean and standard deviation over the shuffles as in
    sklearn.inspection.permutation_importance.
    """
    random = np.random.default_rng(_SEED)
    if len(rows) > _ROWS:
        chosen = np.sort(random.choice(len(rows), _ROWS, replace=False))
        rows, actual = rows.iloc[chosen], actual[chosen]
    shuffled = (_shuffled(rows, column, random) for column in rows.columns for _ in range(_REPEATS))
    copies = [rows, *shuffled]
    parts = np.split(predict(pd.concat(copies, ignore_index=True)), len(copies))
    errors = np.array([_error(actual, predicted, task) for predicted in parts])
    worsening = (errors[1:] - errors[0]).reshape(len(rows.columns), _REPEATS)
    columns = [
        Importance(column=str(name), mean=float(values.mean()), deviation=float(values.std()))
        for name, values in zip(rows.columns, worsening, strict=True)
    ]
    return tuple(sorted(columns, key=lambda entry: -entry.mean))


def _shuffled(rows: pd.DataFrame, column: str, random: np.random.Generator) -> pd.DataFrame:
    copy = rows.copy()
    copy[column] = rows[column].to_numpy()[random.permutation(len(rows))]
    return copy


def _error(actual: np.ndarray, predicted: np.ndarray, task: Task) -> float:
    """Return the leading KPI of the task, turned so that larger is worse."""
    from sklearn import metrics as sk

    if task is Task.REGRESSION:
        return float(sk.root_mean_squared_error(np.asarray(actual, dtype=float), predicted))
    return -float(sk.f1_score(actual, predicted, average="macro", zero_division=0.0))
