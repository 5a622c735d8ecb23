"""Pictures of a regression: predicted against actual, and the distribution of the residuals."""

from __future__ import annotations

import numpy as np

from core.entities import Task
from core.learning.pictures.pictures import Curve, Histogram, Pictures

RESIDUALS = "residuals"
_BINS = 20
_MOST_SAMPLED = 500


def regression_pictures(actual: np.ndarray, predicted: np.ndarray) -> Pictures:
    """Return the pictures for rows with the numbers *actual* (rows,); at most 500 of them, evenly spaced, are kept."""
    actual, predicted = np.asarray(actual, dtype=np.float64), np.asarray(predicted, dtype=np.float64)
    counts, edges = np.histogram(predicted - actual, bins=_BINS)
    order = np.argsort(actual, kind="stable")
    sampled = order[np.unique(np.linspace(0, len(order) - 1, min(len(order), _MOST_SAMPLED)).astype(int))]
    return Pictures(
        task=Task.REGRESSION,
        rows=len(actual),
        predicted_actual=Curve(
            label=RESIDUALS, x=tuple(actual[sampled].tolist()), y=tuple(predicted[sampled].tolist())
        ),
        residuals=Histogram(edges=tuple(edges.tolist()), counts={RESIDUALS: tuple(counts.tolist())}),
    )
