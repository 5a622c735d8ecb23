"""Drift: how far one column's values have moved from those of a reference."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

_BINS = 10
_FLOOR = 1e-4


@dataclass(frozen=True, kw_only=True)
class Drift:
    """*psi* is the population stability index; *p_value* of a test that both come from one distribution.

    By convention a PSI below 0.1 is stable, 0.1 to 0.25 a shift to look at, above 0.25 a large one.
    """

    psi: float
    test: str
    p_value: float

    @property
    def word(self) -> str:
        return "stable" if self.psi < 0.1 else "shifted" if self.psi < 0.25 else "large shift"


def measure_drift(reference: pd.Series, current: pd.Series) -> Drift:
    """Numbers: PSI over the reference's deciles, and the two-sample Kolmogorov-Smirnov test. Else PSI over classes and
    the chi-squared test of independence. Missing values are left out. Both series must hold values.

    Source: Siddiqi, Credit Risk Scorecards (2006), for the index; scipy.stats for the tests.
    """
    from scipy.stats import chi2_contingency, ks_2samp  # half a second that only this page needs

    reference, current = reference.dropna(), current.dropna()
    if pd.api.types.is_numeric_dtype(reference) and not pd.api.types.is_bool_dtype(reference):
        inner = np.unique(np.quantile(reference, np.linspace(0, 1, _BINS + 1)[1:-1]))
        edges = np.concatenate(([-np.inf], inner, [np.inf]))
        expected, found = np.histogram(reference, edges)[0], np.histogram(current, edges)[0]
        return Drift(
            psi=_psi(expected, found), test="Kolmogorov-Smirnov", p_value=float(ks_2samp(reference, current).pvalue)
        )
    classes = sorted({*reference.astype(str), *current.astype(str)})
    expected = reference.astype(str).value_counts().reindex(classes, fill_value=0).to_numpy()
    found = current.astype(str).value_counts().reindex(classes, fill_value=0).to_numpy()
    p_value = 1.0 if len(classes) == 1 else float(chi2_contingency(np.array([expected, found])).pvalue)
    return Drift(psi=_psi(expected, found), test="chi-squared", p_value=p_value)


def _psi(expected: np.ndarray, found: np.ndarray) -> float:
    a = np.clip(expected / expected.sum(), _FLOOR, None)
    b = np.clip(found / found.sum(), _FLOOR, None)
    return float(np.sum((b - a) * np.log(b / a)))
