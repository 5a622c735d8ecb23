"""Shapley values: split the change of a value into the parts of the factors that changed."""

from __future__ import annotations

from math import factorial

import numpy as np


def shapley_values(values: np.ndarray) -> np.ndarray:
    """Return the part of each factor (…, factors) in `values[…, -1] - values[…, 0]`.

    *values* (…, 2**factors) has one value per coalition; bit i of a coalition's position says whether factor i has
    changed. The part of a factor is its effect, averaged over all orders in which the factors can change. So the parts
    sum to the whole change, and factors that act only together share their joint effect equally.

    Source: Shapley, A value for n-person games, Contributions to the Theory of Games II, 1953.
    """
    factors = values.shape[-1].bit_length() - 1
    return np.asarray(values @ _weights(factors).T)


def _weights(factors: int) -> np.ndarray:
    """Return the weight of each coalition in the part of each factor (factors, 2**factors)."""
    weights = np.zeros((factors, 2**factors))
    for factor in range(factors):
        for coalition in range(2**factors):
            others = (coalition & ~(1 << factor)).bit_count()
            weight = factorial(others) * factorial(factors - others - 1) / factorial(factors)
            weights[factor, coalition] = weight if coalition & (1 << factor) else -weight
    return weights
