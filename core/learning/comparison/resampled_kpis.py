"""KPIs of several models on the same rows, and on the same resamples of these rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from core.learning.comparison.answers import Answers
from core.learning.comparison.bootstrap import Resampled, Statistic, resample_cells, resample_rows
from core.learning.comparison.compare_models import log_losses
from core.learning.comparison.delong import area_terms

# The value on all rows, and on each resample (resamples,).
_Values = tuple[float, np.ndarray]


@dataclass(frozen=True, kw_only=True)
class ResampledKpi:
    """One KPI of several models: on all rows (models,), and on each resample (resamples, models).

    Row b of *resamples* is one resample for every model, so differences between models are paired.
    """

    observed: np.ndarray
    resamples: np.ndarray


def resample_kpis(
    actual: np.ndarray, models: Sequence[Answers], *, is_classification: bool, resamples: int
) -> dict[str, ResampledKpi]:
    """Return the KPIs of learning/evaluation.py on the rows with the targets *actual* (rows,), by name.

    A classifier must have probabilities. roc_auc is resampled by the terms of DeLong's variance. A KPI that is
    undefined on all rows is NaN on every resample. The models are resampled one by one with one seed: the draws depend
    on the seed and the number of rows alone, so they are the same for all.
    """
    if is_classification:
        counted = _Counted.of(actual, [model.predicted for model in models])
        values = [
            {**counted.kpis(place, resamples), **_class_kpis(actual, model, resamples)}
            for place, model in enumerate(models)
        ]
    else:
        values = [_number_kpis(actual, model.predicted, resamples) for model in models]
    return {
        name: ResampledKpi(
            observed=np.array([kpis[name][0] for kpis in values]),
            resamples=np.stack([kpis[name][1] for kpis in values], axis=-1),
        )
        for name in values[0]
    }


@dataclass(frozen=True, kw_only=True)
class _Counted:
    """The rows by their class and every model's prediction: *codes* (cells, 1 + models), *counts* (cells,)."""

    classes: int
    codes: np.ndarray
    counts: np.ndarray

    @classmethod
    def of(cls, actual: np.ndarray, predictions: Sequence[np.ndarray]) -> _Counted:
        labels, codes = np.unique(np.concatenate([actual, *predictions]), return_inverse=True)
        cells, counts = np.unique(codes.reshape(1 + len(predictions), -1).T, axis=0, return_counts=True)
        return cls(classes=len(labels), codes=cells, counts=counts)

    def kpis(self, model: int, resamples: int) -> dict[str, _Values]:
        """Return the KPIs of one model that are functions of its confusion matrix."""
        every, size = np.arange(self.classes), self.classes
        is_actual, is_predicted = (self.codes[:, [place]] == every for place in (0, 1 + model))
        columns = np.concatenate([is_actual, is_predicted, is_actual & is_predicted], axis=1).astype(np.float64)
        sums = resample_cells(columns, self.counts, resamples=resamples)
        concerned = np.unique(self.codes[:, [0, 1 + model]])

        def macro(weights: tuple[float, float]) -> Statistic:
            def value(sums: np.ndarray) -> np.ndarray:
                below = weights[0] * sums[..., :size] + weights[1] * sums[..., size : 2 * size]
                right = sums[..., 2 * size :]
                per_class = np.divide(right, below, out=np.zeros(np.shape(right)), where=below > 0)
                return np.asarray(per_class[..., concerned].mean(axis=-1))

            return value

        return {
            "precision": _values(sums, macro((0.0, 1.0))),
            "recall": _values(sums, macro((1.0, 0.0))),
            "f1": _values(sums, macro((0.5, 0.5))),
            "accuracy": _values(sums, lambda sums: sums[..., 2 * size :].sum(axis=-1) / sums[..., :size].sum(axis=-1)),
        }


def _class_kpis(actual: np.ndarray, model: Answers, resamples: int) -> dict[str, _Values]:
    """Return the KPIs of one classifier that need its probabilities."""
    assert model.probabilities is not None
    rows, nan = len(actual), (float("nan"), np.full(resamples, np.nan))
    labels = np.array(model.classes, dtype=object if actual.dtype == object else None)
    kpis = {"roc_auc": nan, "log_loss": nan}
    members = [actual == label for label in labels]
    if not any(member.all() or not member.any() for member in members):
        areas = [area_terms(member, model.probabilities[:, place]) for place, member in enumerate(members)]
        area = float(np.mean([value for value, _ in areas]))
        # The terms of all rows sum to 0.
        terms = np.mean([terms for _, terms in areas], axis=0)
        sums = resample_rows(terms[:, None], resamples=resamples)
        kpis["roc_auc"] = _values(sums, lambda sums: area + sums[..., 0])
    losses = log_losses(actual, [model.probabilities], labels)
    if losses is not None:
        kpis["log_loss"] = _values(resample_rows(losses, resamples=resamples), lambda sums: sums[..., 0] / rows)
    return kpis


def _number_kpis(actual: np.ndarray, predicted: np.ndarray, resamples: int) -> dict[str, _Values]:
    """Return the KPIs of one regression."""
    actual, rows = np.asarray(actual, dtype=np.float64), len(actual)
    error, centred = np.asarray(predicted, dtype=np.float64) - actual, actual - actual.mean()
    with np.errstate(divide="ignore", invalid="ignore"):
        relative = np.abs(error / actual) if actual.all() else np.full(rows, np.nan)
    columns = np.column_stack([error**2, np.abs(error), relative, centred, centred**2])
    sums = resample_rows(columns, resamples=resamples)
    return {
        "rmse": _values(sums, lambda sums: np.sqrt(sums[..., 0] / rows)),
        "mae": _values(sums, lambda sums: sums[..., 1] / rows),
        "mape": _values(sums, lambda sums: sums[..., 2] / rows),
        "r2": _values(sums, lambda sums: 1.0 - sums[..., 0] / (sums[..., 4] - sums[..., 3] ** 2 / rows)),
    }


def _values(sums: Resampled, statistic: Statistic) -> _Values:
    with np.errstate(divide="ignore", invalid="ignore"):
        observed, values = float(statistic(sums.observed)), statistic(sums.resamples)
        return observed, observed + sums.scale * (values - observed)
