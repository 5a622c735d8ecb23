"""Head to head on 1 million rows: the bootstrap of all KPIs beside a plain numpy bootstrap of one."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np

from benchmarks.measure import Measurement
from core.learning.comparison.answers import Answers
from core.learning.comparison.bootstrap import RESAMPLES
from core.learning.comparison.compare_models import compare_classifiers, compare_regressions

_ROWS = 1_000_000
_SAMPLED = 50  # resamples that the plain bootstrap is measured on; its time is proportional to their number
_GOAL_S = 10.0


def run() -> list[Measurement]:
    """Measure against a goal in seconds; the baseline resamples 1 million rows 10,000 times with numpy alone."""
    random = np.random.default_rng(0)
    return [_regression(random), _classification(random)]


def _regression(random: np.random.Generator) -> Measurement:
    actual = random.normal(size=_ROWS)
    first, second = (actual + random.normal(scale=scale, size=_ROWS) for scale in (0.50, 0.49))
    answers = (Answers(predicted=first), Answers(predicted=second))
    errors = [(predicted - actual) ** 2 for predicted in (first, second)]

    def statistic(drawn: np.ndarray) -> float:
        return float(np.sqrt(errors[1][drawn].mean()) - np.sqrt(errors[0][drawn].mean()))

    ours_s = _seconds(lambda: compare_regressions(actual, *answers))
    return _measurement("4 KPIs of a regression", ours_s, _plain(statistic, random))


def _classification(random: np.random.Generator) -> Measurement:
    actual = random.integers(0, 3, size=_ROWS)
    answers = [_classifier(actual, share, random) for share in (0.80, 0.81)]
    hits = [entry.predicted == actual for entry in answers]

    def statistic(drawn: np.ndarray) -> float:
        return float(hits[1][drawn].mean() - hits[0][drawn].mean())

    ours_s = _seconds(lambda: compare_classifiers(actual, *answers))
    return _measurement("6 KPIs, McNemar and DeLong of a classifier", ours_s, _plain(statistic, random))


def _classifier(actual: np.ndarray, share: float, random: np.random.Generator) -> Answers:
    """Return answers that are right on *share* of the rows, with probabilities that fit them."""
    is_right = random.random(len(actual)) < share
    predicted = np.where(is_right, actual, random.integers(0, 3, size=len(actual)))
    probabilities = random.random((len(actual), 3)) * 0.2
    probabilities[np.arange(len(actual)), predicted] += 0.6
    return Answers(
        predicted=predicted, probabilities=probabilities / probabilities.sum(axis=1, keepdims=True), classes=(0, 1, 2)
    )


def _plain(statistic: Callable[[np.ndarray], float], random: np.random.Generator) -> float:
    """Return the seconds of 10,000 resamples of all rows, one after the other."""

    def resample() -> None:
        for _ in range(_SAMPLED):
            statistic(random.integers(0, _ROWS, size=_ROWS))

    return _seconds(resample) * RESAMPLES / _SAMPLED


def _measurement(what: str, ours_s: float, baseline_s: float) -> Measurement:
    return Measurement(
        name=f"head to head on {_ROWS:,} rows, {what}, {RESAMPLES:,} resamples, against {_GOAL_S:g} s",
        ratio=ours_s / _GOAL_S,
        goal=1.0,
        ours_s=ours_s,
        baseline_s=baseline_s,
        note=f"baseline: a plain numpy bootstrap of one KPI, measured on {_SAMPLED} resamples and multiplied by "
        f"{RESAMPLES // _SAMPLED}; it takes {baseline_s / ours_s:.0f} times as long",
    )


def _seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started
