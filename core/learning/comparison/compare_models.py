"""Compare two models that predicted the same rows: each KPI with its difference, its interval and a verdict."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import Enum

import numpy as np

from core.learning.comparison.answers import Answers
from core.learning.comparison.bootstrap import RESAMPLES, Resampled, Statistic, resample_cells, resample_rows
from core.learning.comparison.delong import compare_areas
from core.learning.comparison.mcnemar import McNemar, mcnemar
from core.learning.evaluation import evaluate_classes, evaluate_numbers
from core.learning.kpis import is_lower_better

_COUNTED = ("precision", "recall", "f1", "accuracy")


class Verdict(str, Enum):
    """What the interval of a difference says of the second model."""

    BETTER = "better"
    WORSE = "worse"
    NO_DIFFERENCE = "no difference shown"
    UNDEFINED = "undefined"


@dataclass(frozen=True, kw_only=True)
class Difference:
    """A KPI of both models and the second minus the first, with its 95 % interval; NaN where a value is undefined."""

    metric: str
    first: float
    second: float
    low: float
    high: float

    @property
    def difference(self) -> float:
        return self.second - self.first

    @property
    def verdict(self) -> Verdict:
        lower = is_lower_better(self.metric)
        if lower is None or not (math.isfinite(self.low) and math.isfinite(self.high)):
            return Verdict.UNDEFINED
        if self.low <= 0.0 <= self.high:
            return Verdict.NO_DIFFERENCE
        return Verdict.BETTER if (self.high < 0.0) == lower else Verdict.WORSE


@dataclass(frozen=True, kw_only=True)
class Part:
    """The comparison on some of the rows: one class, or one slice. *differences* has one entry per KPI."""

    name: str
    rows: int
    differences: tuple[Difference, ...]


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """The comparison on all rows. *mcnemar* and *classes* are for classifiers only."""

    rows: int
    differences: tuple[Difference, ...]
    classes: tuple[Part, ...] = ()
    mcnemar: McNemar | None = None


def compare_classifiers(
    actual: np.ndarray, first: Answers, second: Answers, *, resamples: int = RESAMPLES
) -> Comparison:
    """Compare two classifiers on the rows with the classes *actual* (rows,); both have the same classes in one order.

    The KPIs are those of learning/evaluation.py. The interval of roc_auc is DeLong's, all others are bootstrapped.
    """
    labels = np.array(first.classes, dtype=object if actual.dtype == object else None)
    compared = compare_counts(actual, first.predicted, second.predicted, resamples=resamples)
    values = [class_values(actual, answers, labels) for answers in (first, second)]
    differences = list(compared.differences)
    if first.probabilities is not None and second.probabilities is not None:
        area = compare_areas(actual, first.probabilities, second.probabilities, labels)
        differences.append(make_difference("roc_auc", values, (area.low, area.high)))
        losses = log_losses(actual, (first.probabilities, second.probabilities), labels)
        interval = (
            (math.nan, math.nan)
            if losses is None
            else resample_rows(losses, resamples=resamples).interval(_mean_difference(len(actual)))
        )
        differences.append(make_difference("log_loss", values, interval))
    return replace(compared, differences=tuple(differences))


def compare_counts(
    actual: np.ndarray,
    first: np.ndarray,
    second: np.ndarray,
    counts: np.ndarray | None = None,
    *,
    resamples: int = RESAMPLES,
) -> Comparison:
    """Compare two classifiers by the KPIs that need no probability.

    *actual*, *first* and *second* are the classes of the rows and the predictions. An entry stands for one row, or for
    as many as *counts* says.
    """
    cells = _Cells.of(actual, first, second, counts)
    sums = resample_cells(cells.columns(), cells.counts, resamples=resamples)
    values = [cells.values(sums.observed, model) for model in (1, 2)]
    return Comparison(
        rows=int(cells.counts.sum()),
        differences=tuple(make_difference(name, values, sums.interval(cells.macro(name))) for name in _COUNTED),
        classes=tuple(cells.part(index, sums) for index in range(len(cells.labels)) if cells.actual_rows(index)),
        mcnemar=cells.mcnemar(),
    )


def compare_regressions(
    actual: np.ndarray, first: Answers, second: Answers, *, resamples: int = RESAMPLES
) -> Comparison:
    """Compare two regressions on the rows with the numbers *actual* (rows,)."""
    actual = np.asarray(actual, dtype=np.float64)
    columns = [np.ones(len(actual)), actual, actual**2]
    for answers in (first, second):
        error = np.asarray(answers.predicted, dtype=np.float64) - actual
        with np.errstate(divide="ignore", invalid="ignore"):
            columns += [error**2, np.abs(error), np.abs(error / actual)]
    sums = resample_rows(np.column_stack(columns), resamples=resamples)
    values = [evaluate_numbers(actual, answers.predicted) for answers in (first, second)]
    return compare_sums(sums, values)


def compare_sums(sums: Resampled, values: Sequence[dict[str, float]]) -> Comparison:
    """Compare two regressions by sums of their rows, and their KPIs on all rows.

    The columns of *sums* are 1, the actual value and its square, and for each model the squared error, the absolute
    error, and the absolute error divided by the actual value.
    """
    differences = (make_difference(name, values, sums.interval(statistic)) for name, statistic in _NUMBERS.items())
    return Comparison(rows=int(sums.observed[0]), differences=tuple(differences))


def make_difference(name: str, values: Sequence[dict[str, float]], interval: tuple[float, float]) -> Difference:
    return Difference(metric=name, first=values[0][name], second=values[1][name], low=interval[0], high=interval[1])


def class_values(actual: np.ndarray, answers: Answers, labels: np.ndarray) -> dict[str, float]:
    """Return the KPIs of a classifier; without probabilities, roc_auc and log_loss are NaN."""
    if answers.probabilities is not None:
        return evaluate_classes(actual, answers.predicted, answers.probabilities, labels)
    even = np.full((len(actual), len(labels)), 1 / max(len(labels), 1))
    values = evaluate_classes(actual, answers.predicted, even, labels)
    return {**values, "roc_auc": math.nan, "log_loss": math.nan}


@dataclass(frozen=True, kw_only=True)
class _Cells:
    """The rows by actual class, first and second prediction: *codes* (cells, 3) into *labels*, *counts* (cells,)."""

    labels: np.ndarray
    codes: np.ndarray
    counts: np.ndarray

    @classmethod
    def of(cls, actual: np.ndarray, first: np.ndarray, second: np.ndarray, counts: np.ndarray | None) -> _Cells:
        labels, codes = np.unique(np.concatenate([actual, first, second]), return_inverse=True)
        parts, size = codes.reshape(3, len(actual)), len(labels)
        cells, place = np.unique((parts[0] * size + parts[1]) * size + parts[2], return_inverse=True)
        counts = np.bincount(place, weights=counts).astype(np.int64)
        codes = np.column_stack([cells // size**2, cells // size % size, cells % size])
        return cls(labels=labels, codes=codes, counts=counts)

    def columns(self) -> np.ndarray:
        """Return (cells, 5 * labels): rows of the class, and per model the predictions of it and the right ones."""
        every = np.arange(len(self.labels))
        is_actual = self.codes[:, 0:1] == every
        parts = [is_actual]
        for model in (1, 2):
            is_predicted = self.codes[:, model : model + 1] == every
            parts += [is_predicted, is_actual & is_predicted]
        return np.concatenate(parts, axis=1).astype(np.float64)

    def macro(self, name: str) -> Statistic:
        """Return the statistic "second minus first" of a KPI."""
        return lambda sums: self._macro(name, sums, 2) - self._macro(name, sums, 1)

    def values(self, sums: np.ndarray, model: int) -> dict[str, float]:
        """Return the KPIs of the first (1) or the second (2) model."""
        return {name: float(self._macro(name, sums, model)) for name in _COUNTED}

    def mcnemar(self) -> McNemar:
        is_right = [self.codes[:, 0] == self.codes[:, model] for model in (1, 2)]
        only_first, only_second = is_right[0] & ~is_right[1], ~is_right[0] & is_right[1]
        return mcnemar(int(self.counts[only_first].sum()), int(self.counts[only_second].sum()))

    def _macro(self, name: str, sums: np.ndarray, model: int) -> np.ndarray:
        """Return a KPI (…): a mean over the actual and the predicted classes, or the accuracy."""
        if name == "accuracy":
            actual, _, right = self._sums(sums, model)
            return np.asarray(right.sum(axis=-1) / actual.sum(axis=-1))
        concerned = np.unique(self.codes[:, [0, model]])
        return np.asarray(self._per_class(name, sums, model)[..., concerned].mean(axis=-1))

    def part(self, index: int, sums: Resampled) -> Part:
        """Return the comparison of one class."""
        differences = []
        for name in ("precision", "recall", "f1"):
            values = [float(self._per_class(name, sums.observed, model)[index]) for model in (1, 2)]
            low, high = sums.interval(self._of_class(name, index))
            differences.append(Difference(metric=name, first=values[0], second=values[1], low=low, high=high))
        return Part(name=str(self.labels[index]), rows=self.actual_rows(index), differences=tuple(differences))

    def _of_class(self, name: str, index: int) -> Statistic:
        def difference(sums: np.ndarray) -> np.ndarray:
            first, second = (self._per_class(name, sums, model)[..., index] for model in (1, 2))
            return np.asarray(second - first)

        return difference

    def actual_rows(self, index: int) -> int:
        return int(self.counts[self.codes[:, 0] == index].sum())

    def _sums(self, sums: np.ndarray, model: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        size = len(self.labels)
        start = (2 * model - 1) * size
        return sums[..., :size], sums[..., start : start + size], sums[..., start + size : start + 2 * size]

    def _per_class(self, name: str, sums: np.ndarray, model: int) -> np.ndarray:
        """Return precision, recall or f1 per class; 0 where nothing was predicted or nothing is there."""
        actual, predicted, right = self._sums(sums, model)
        below = {"precision": predicted, "recall": actual, "f1": (actual + predicted) / 2}[name]
        return np.asarray(np.divide(right, below, out=np.zeros(np.shape(right)), where=below > 0))


def log_losses(actual: np.ndarray, probabilities: Sequence[np.ndarray], labels: np.ndarray) -> np.ndarray | None:
    """Return the loss of each row for each model (rows, models); None if a class has no probability.

    *probabilities* has a table (rows, classes) per model, in the order of *labels*.
    """
    order = np.argsort(labels)
    position = order[np.searchsorted(labels, actual, sorter=order).clip(max=len(labels) - 1)]
    if not (labels[position] == actual).all() or len(labels) < 2:
        return None
    smallest = np.finfo(np.float64).eps
    losses = []
    for table in probabilities:
        scaled = table / table.sum(axis=1, keepdims=True)
        losses.append(-np.log(np.clip(scaled[np.arange(len(actual)), position], smallest, 1.0 - smallest)))
    return np.column_stack(losses)


def _mean_difference(rows: int) -> Statistic:
    return lambda sums: (sums[..., 1] - sums[..., 0]) / rows


def _r2(sums: np.ndarray, squared: np.ndarray) -> np.ndarray:
    rows, total, squares = sums[..., 0], sums[..., 1], sums[..., 2]
    return np.asarray(1.0 - squared / (squares - total**2 / rows))


_NUMBERS: dict[str, Statistic] = {
    "rmse": lambda sums: np.sqrt(sums[..., 6] / sums[..., 0]) - np.sqrt(sums[..., 3] / sums[..., 0]),
    "mae": lambda sums: (sums[..., 7] - sums[..., 4]) / sums[..., 0],
    "mape": lambda sums: (sums[..., 8] - sums[..., 5]) / sums[..., 0],
    "r2": lambda sums: _r2(sums, sums[..., 6]) - _r2(sums, sums[..., 3]),
}
