"""Drift against numbers worked out by hand and against scipy's published example."""

from __future__ import annotations

from math import log

import numpy as np
import pandas as pd
import pytest

from core.learning.drift import measure_drift


def test_index_of_two_classes_by_hand() -> None:
    # 50/50 against 80/20: (0.8-0.5) ln(0.8/0.5) + (0.2-0.5) ln(0.2/0.5) = 0.41589
    found = measure_drift(pd.Series(["a"] * 50 + ["b"] * 50), pd.Series(["a"] * 80 + ["b"] * 20))
    assert found.psi == pytest.approx(0.3 * log(1.6) - 0.3 * log(0.4))
    assert found.test == "chi-squared"
    assert found.p_value < 0.001
    assert found.word == "large shift"


def test_same_numbers_are_stable() -> None:
    numbers = pd.Series(np.arange(1000.0))
    found = measure_drift(numbers, numbers)
    assert (found.psi, found.p_value, found.word) == (pytest.approx(0.0), 1.0, "stable")


def test_shifted_numbers_are_measured() -> None:
    found = measure_drift(pd.Series(np.arange(1000.0)), pd.Series(np.arange(500.0, 1500.0)))
    assert found.word == "large shift"
    assert found.test == "Kolmogorov-Smirnov"


def test_missing_values_and_a_single_class_do_not_disturb() -> None:
    found = measure_drift(pd.Series(["a", None]), pd.Series(["a", "a"]))
    assert (found.psi, found.p_value) == (pytest.approx(0.0), 1.0)
