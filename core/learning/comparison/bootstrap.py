"""Bootstrap: sums over resampled rows, from which the interval of a KPI's difference follows.

Every KPI except roc_auc is a function of sums over rows (of squared errors, of the cells of a confusion matrix, …), so
one resampling of the sums serves all KPIs of both models. The rows stay paired: a resampled row counts for both.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

RESAMPLES = 10_000
SEED = 20_261_129
LEVEL = 0.95

# Up to this number every row can be drawn as often as there are rows.
_MOST_ROWS = 20_000
_ROWS_PER_RESAMPLE = 10_000
_NUMBERS_PER_STEP = 4_000_000

# Maps sums (…, columns) to values (…).
Statistic = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True, kw_only=True)
class Resampled:
    """Sums over all rows (columns,) and over each resample (resamples, columns).

    A deviation of a resample from the observed value is multiplied by *scale*.
    """

    observed: np.ndarray
    resamples: np.ndarray
    scale: float = 1.0

    def interval(self, statistic: Statistic, *, level: float = LEVEL) -> tuple[float, float]:
        """Return the percentile interval of *statistic*; NaN for both ends if a resample has no value."""
        with np.errstate(divide="ignore", invalid="ignore"):
            observed, values = float(statistic(self.observed)), statistic(self.resamples)
        if not np.isfinite(observed) or not np.isfinite(values).all():
            return float("nan"), float("nan")
        tail = (1.0 - level) / 2.0
        low, high = np.quantile(values, [tail, 1.0 - tail])
        return observed + self.scale * (float(low) - observed), observed + self.scale * (float(high) - observed)


def resample_rows(rows: np.ndarray, *, resamples: int = RESAMPLES, seed: int = SEED) -> Resampled:
    """Return the sums of *rows* (rows, columns) over *resamples* resamples with replacement.

    More than 20,000 rows are resampled with 10,000 rows each, and the deviations are multiplied by the square root of
    10,000 / rows.

    Source: Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13 (percentile interval); Bickel,
    Götze and van Zwet, Resampling fewer than n observations, Statistica Sinica 7, 1997.
    """
    columns = [np.ascontiguousarray(column, dtype=np.float64) for column in rows.T]
    count = len(rows)
    size = count if count <= _MOST_ROWS else _ROWS_PER_RESAMPLE
    random = np.random.default_rng(seed)
    sums = np.empty((resamples, len(columns)))
    for start, stop in _steps(resamples, size):
        drawn = random.integers(0, count, size=(stop - start, size), dtype=np.int32)
        for number, column in enumerate(columns):
            sums[start:stop, number] = column.take(drawn).sum(axis=1)
    observed = np.array([column.sum() for column in columns])
    return Resampled(observed=observed, resamples=sums * (count / size), scale=float(np.sqrt(size / count)))


def resample_cells(cells: np.ndarray, counts: np.ndarray, *, resamples: int = RESAMPLES, seed: int = SEED) -> Resampled:
    """Return the same for rows of few kinds: *cells* (kinds, columns), each of which occurs in *counts* (kinds,) rows.

    The counts of a resample are multinomial, so every number of rows is resampled exactly.
    """
    count = int(counts.sum())
    random = np.random.default_rng(seed)
    sums = np.empty((resamples, cells.shape[1]))
    for start, stop in _steps(resamples, len(counts)):
        sums[start:stop] = random.multinomial(count, counts / count, size=stop - start) @ cells
    return Resampled(observed=counts @ cells, resamples=sums)


def poisson_counts(keys: np.ndarray, *, seed: int) -> np.ndarray:
    """Return how often each row is drawn (rows,): counts with the Poisson distribution of mean 1.

    *keys* (rows,) are the rows' 64-bit hashes. A count depends on the key and on *seed* alone, so a row that two tables
    share is drawn equally often from both.

    Source: Hanley and MacGibbon, Creating non-parametric bootstrap samples using Poisson frequencies, Computer Methods
    and Programs in Biomedicine 83, 2006. The mixing is the output function of SplitMix64 (Steele, Lea and Flood, 2014).
    """
    with np.errstate(over="ignore"):
        mixed = keys.astype(np.uint64) + np.uint64(0x9E3779B97F4A7C15) * np.uint64(seed)
        mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    uniform = ((mixed ^ (mixed >> np.uint64(31))) >> np.uint64(11)).astype(np.float64) * 2.0**-53
    chances = [math.exp(-1.0) / math.factorial(count) for count in range(18)]
    return np.searchsorted(np.cumsum(chances), uniform, side="right")


def resample_moments(
    means: np.ndarray, covariance: np.ndarray, rows: int, *, resamples: int = RESAMPLES, seed: int = SEED
) -> Resampled:
    """Return the same for rows of which only aggregates are known: *means* (columns,) and *covariance* (columns,
    columns).

    The sums of many rows are normally distributed (central limit theorem), so this is for large tables.
    """
    drawn = np.random.default_rng(seed).multivariate_normal(means, covariance / rows, size=resamples, method="eigh")
    return Resampled(observed=means * rows, resamples=drawn * rows)


def _steps(resamples: int, size: int) -> list[tuple[int, int]]:
    step = max(1, _NUMBERS_PER_STEP // max(size, 1))
    return [(start, min(start + step, resamples)) for start in range(0, resamples, step)]
