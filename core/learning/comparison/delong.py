"""DeLong's test: the difference of the areas under two ROC curves of the same rows, with its interval."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from core.learning.comparison.bootstrap import LEVEL


@dataclass(frozen=True, kw_only=True)
class AreaDifference:
    """The areas of both models, the second minus the first, with standard error, interval and two-sided p-value.

    Every number is NaN if the rows lack a class.
    """

    first: float
    second: float
    difference: float
    standard_error: float
    low: float
    high: float
    p_value: float


def compare_areas(
    actual: np.ndarray, first: np.ndarray, second: np.ndarray, classes: np.ndarray, *, level: float = LEVEL
) -> AreaDifference:
    """Return the difference of the macro-averaged areas of two models.

    *first* and *second* are probabilities (rows, classes) in the order of *classes*. With more than two classes the
    area is the mean over the classes, each against the rest; the terms of a row are summed over the classes before
    their variance is taken, so the dependence between the classes counts.

    Source: DeLong, DeLong and Clarke-Pearson, Biometrics 44, 1988; computed by midranks as Sun and Xu, IEEE Signal
    Processing Letters 21, 2014.
    """
    from scipy.stats import norm

    members = [actual == label for label in classes]
    if any(member.all() or not member.any() for member in members):
        nan = math.nan
        return AreaDifference(first=nan, second=nan, difference=nan, standard_error=nan, low=nan, high=nan, p_value=nan)
    # With two classes both areas are equal, and one of them is DeLong's.
    columns = [1] if len(classes) == 2 else range(len(classes))
    areas, terms = np.zeros(2), np.zeros(len(actual))
    for column in columns:
        member = members[column]
        area_first, terms_first = area_terms(member, first[:, column])
        area_second, terms_second = area_terms(member, second[:, column])
        areas += np.array([area_first, area_second]) / len(columns)
        terms += (terms_second - terms_first) / len(columns)
    error = math.sqrt(_variance(terms, members[1]) if len(classes) == 2 else float(np.sum(terms**2)))
    difference = float(areas[1] - areas[0])
    margin = float(norm.ppf(0.5 + level / 2.0)) * error
    return AreaDifference(
        first=float(areas[0]),
        second=float(areas[1]),
        difference=difference,
        standard_error=error,
        low=difference - margin,
        high=difference + margin,
        p_value=1.0 if not error else float(2.0 * norm.sf(abs(difference) / error)),
    )


def area_terms(member: np.ndarray, scores: np.ndarray) -> tuple[float, np.ndarray]:
    """Return the area and, for each row, its deviation from the area divided by the number of rows of its kind.

    *member* (rows,) says which rows are of the class that *scores* (rows,) predicts.
    """
    from scipy.stats import rankdata

    positive, negative = scores[member], scores[~member]
    ranks = rankdata(scores)
    among_positives = ranks[member] - rankdata(positive)
    among_negatives = ranks[~member] - rankdata(negative)
    components = np.empty(len(scores))
    components[member] = among_positives / len(negative)
    components[~member] = 1.0 - among_negatives / len(positive)
    area = float(components[member].mean())
    sizes = np.where(member, len(positive), len(negative))
    return area, (components - area) / sizes


def _variance(terms: np.ndarray, member: np.ndarray) -> float:
    """Return DeLong's variance: the sample variances of both kinds of rows, each divided by its number of rows."""
    total = 0.0
    for rows in (terms[member], terms[~member]):
        if len(rows) > 1:
            total += float(np.sum(rows**2)) * len(rows) / (len(rows) - 1)
    return total
