"""The change of a KPI between two models, split into the parts of the factors that differ, with intervals."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from core.learning.comparison.bootstrap import LEVEL, SEED
from core.learning.comparison.resampled_kpis import ResampledKpi
from core.learning.comparison.shapley import shapley_values

_ROUNDING = 1e-12


@dataclass(frozen=True, kw_only=True)
class Part:
    """A part of a change, with its 95 % interval; NaN where a value is undefined."""

    difference: float
    low: float
    high: float


@dataclass(frozen=True, kw_only=True)
class KpiChange:
    """The change of one KPI from a first to a second model on the same rows.

    *first* and *second* are the values of the stored models. *coalitions* (2**factors,) are the values of the models
    that were trained again; the first and the last have all settings of one version. *parts* has one entry per factor.
    *not_explained* is the rest: what a training with the recorded settings does not reproduce of the stored models.
    *parts* and *not_explained* sum to *total*, on all rows and on every resample.
    """

    first: float
    second: float
    coalitions: tuple[float, ...]
    parts: tuple[Part, ...]
    not_explained: Part
    total: Part


def split_change(kpi: ResampledKpi, repeats: np.ndarray) -> KpiChange:
    """Split the change of *kpi*, whose models are all coalitions and then the first and the second stored model.

    *repeats* (repeats, 2**factors) are the values of the same coalitions, each trained on other draws of its training
    rows. The intervals add the deviation of a repeat from the mean of the repeats to each resample of the test rows,
    so they cover the chance in both. Without repeats they cover the chance in the test rows alone.
    """
    observed, resampled = _changes(kpi.observed), _changes(kpi.resamples)
    if len(repeats) > 1:
        values = shapley_values(repeats)
        # The mean of few repeats follows them: their deviations are too small by this factor.
        noise = (values - values.mean(axis=0)) * math.sqrt(len(repeats) / (len(repeats) - 1))
        drawn = np.random.default_rng(SEED).integers(0, len(repeats), len(resampled))
        resampled[:, :-1] += noise[drawn]
    *parts, not_explained = (_part(observed[place], resampled[:, place]) for place in range(len(observed)))
    return KpiChange(
        first=float(kpi.observed[-2]),
        second=float(kpi.observed[-1]),
        coalitions=tuple(kpi.observed[:-2].tolist()),
        parts=tuple(parts),
        not_explained=not_explained,
        total=_part(observed.sum(), resampled.sum(axis=1)),
    )


def _changes(values: np.ndarray) -> np.ndarray:
    """Return the parts of all factors and the part that is not explained (…, factors + 1)."""
    coalitions, stored = values[..., :-2], values[..., -2:]
    explained = coalitions[..., -1] - coalitions[..., 0]
    rest = stored[..., 1] - stored[..., 0] - explained
    return np.concatenate([shapley_values(coalitions), rest[..., None]], axis=-1)


def _part(observed: float, resampled: np.ndarray) -> Part:
    if not (math.isfinite(observed) and np.isfinite(resampled).all()):
        return Part(difference=float(observed), low=math.nan, high=math.nan)
    tail = (1.0 - LEVEL) / 2.0
    values = np.array([observed, *np.quantile(resampled, [tail, 1.0 - tail])])
    # Sums in other orders differ in the last digits; a factor without an effect has the part 0.
    difference, low, high = np.where(np.abs(values) < _ROUNDING, 0.0, values).tolist()
    return Part(difference=difference, low=low, high=high)
