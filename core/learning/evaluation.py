"""Evaluation: compute the KPIs of a model, under MLflow's names.

precision, recall, f1 and roc_auc are macro averages: one class against the rest, with the same weight for every class.
With two classes the average is over both, so no class has to be declared positive. A KPI that is undefined for the test
rows is NaN, never a substitute number.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence

import numpy as np
from sklearn import metrics as sk


def evaluate_classes(
    actual: Sequence[object] | np.ndarray,
    predicted: Sequence[object] | np.ndarray,
    probabilities: np.ndarray,
    classes: Sequence[object] | np.ndarray,
) -> dict[str, float]:
    """Return the KPIs of a classification. *probabilities* has one column per class, in the order of *classes*."""
    actual, predicted, classes = np.asarray(actual), np.asarray(predicted), np.asarray(classes)
    labels = np.unique(np.concatenate([actual, predicted]))
    averaged = {"average": "macro", "labels": labels, "zero_division": 0.0}
    return {
        "precision": float(sk.precision_score(actual, predicted, **averaged)),
        "recall": float(sk.recall_score(actual, predicted, **averaged)),
        "f1": float(sk.f1_score(actual, predicted, **averaged)),
        "accuracy": float(sk.accuracy_score(actual, predicted)),
        "roc_auc": _roc_auc(actual, probabilities, classes),
        "log_loss": _log_loss(actual, probabilities, classes),
    }


def evaluate_numbers(actual: Sequence[float] | np.ndarray, predicted: Sequence[float] | np.ndarray) -> dict[str, float]:
    """Return the KPIs of a regression. mape is a fraction (0.1 is 10 %), NaN if a value is 0; r2 needs two rows."""
    actual, predicted = np.asarray(actual, dtype=float), np.asarray(predicted, dtype=float)
    return {
        "rmse": float(sk.root_mean_squared_error(actual, predicted)),
        "mae": float(sk.mean_absolute_error(actual, predicted)),
        "mape": math.nan if np.any(actual == 0) else float(sk.mean_absolute_percentage_error(actual, predicted)),
        "r2": math.nan if len(actual) < 2 else float(sk.r2_score(actual, predicted)),
    }


def _roc_auc(actual: np.ndarray, probabilities: np.ndarray, classes: np.ndarray) -> float:
    """Return the mean of the areas of each class against the rest; NaN if the test rows lack a class."""
    areas = []
    for column, label in enumerate(classes):
        is_label = actual == label
        if is_label.all() or not is_label.any():
            return math.nan
        areas.append(sk.roc_auc_score(is_label, probabilities[:, column]))
    return float(np.mean(areas)) if areas else math.nan


def _log_loss(actual: np.ndarray, probabilities: np.ndarray, classes: np.ndarray) -> float:
    """Return the log loss; NaN if the class of a test row is not among *classes*, because it has no probability."""
    if not np.isin(actual, classes).all() or len(classes) < 2:
        return math.nan
    with warnings.catch_warnings():
        # scikit-learn warns about rows that sum to 1 only within rounding, and normalizes them.
        warnings.simplefilter("ignore", UserWarning)
        return float(sk.log_loss(actual, probabilities, labels=classes))
