"""McNemar's test: whether two classifiers that answered the same rows are right equally often."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class McNemar:
    """*only_first* and *only_second* count the rows that only one classifier answered rightly."""

    only_first: int
    only_second: int
    p_value: float


def mcnemar(only_first: int, only_second: int) -> McNemar:
    """Return the exact two-sided test. The p-value is 1 if no row differs.

    Source: McNemar, Psychometrika 12, 1947; the exact test is the binomial test of the rows that differ.
    """
    from scipy.stats import binomtest

    differing = only_first + only_second
    p_value = float(binomtest(only_first, differing, 0.5).pvalue) if differing else 1.0
    return McNemar(only_first=only_first, only_second=only_second, p_value=p_value)
