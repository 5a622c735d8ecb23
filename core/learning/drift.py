"""Drift: measure how far the values of a column moved from those of a reference."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from core.texts import text

_BINS = 10
_FLOOR = 1e-4


@dataclass(frozen=True, kw_only=True)
class Drift:
    """*psi* is the population stability index. *p_value* belongs to the test that both samples have one distribution.

    By convention a PSI below 0.1 is stable, a PSI from 0.1 to 0.25 is a shift, and a greater PSI is a large shift.
    """

    psi: float
    test: str
    p_value: float

    @property
    def word(self) -> str:
        if self.psi < 0.1:
            return text("stable")
        return text("shifted") if self.psi < 0.25 else text("large shift")


def measure_drift(reference: pd.Series, current: pd.Series) -> Drift:
    """Return the drift of *current* from *reference*. Missing values are left out; both series must hold values.

    Numbers: PSI over the reference's deciles and the two-sample Kolmogorov-Smirnov test. Other values: PSI over the
    classes and the chi-squared test of independence.

    Source: Siddiqi, Credit Risk Scorecards (2006), for the index; scipy.stats for the tests.
    """
    from scipy.stats import chi2_contingency, ks_2samp  # takes half a second; only the drift page needs it

    reference, current = reference.dropna(), current.dropna()
    if pd.api.types.is_numeric_dtype(reference) and not pd.api.types.is_bool_dtype(reference):
        inner = np.unique(np.quantile(reference, np.linspace(0, 1, _BINS + 1)[1:-1]))
        edges = np.concatenate(([-np.inf], inner, [np.inf]))
        expected, actual = np.histogram(reference, edges)[0], np.histogram(current, edges)[0]
        return Drift(
            psi=_psi(expected, actual), test="Kolmogorov-Smirnov", p_value=float(ks_2samp(reference, current).pvalue)
        )
    classes = sorted({*reference.astype(str), *current.astype(str)})
    expected = reference.astype(str).value_counts().reindex(classes, fill_value=0).to_numpy()
    actual = current.astype(str).value_counts().reindex(classes, fill_value=0).to_numpy()
    p_value = 1.0 if len(classes) == 1 else float(chi2_contingency(np.array([expected, actual])).pvalue)
    return Drift(psi=_psi(expected, actual), test="chi-squared", p_value=p_value)


def _psi(expected: np.ndarray, actual: np.ndarray) -> float:
    before = np.clip(expected / expected.sum(), _FLOOR, None)
    after = np.clip(actual / actual.sum(), _FLOOR, None)
    return float(np.sum((after - before) * np.log(after / before)))
