"""Types that a model file may hold: our own list, never the list that the file brings along."""

from __future__ import annotations

from collections.abc import Iterable

# Types of the estimators of learning/estimators.py that skops does not trust by itself. Each holds plain numbers;
# building one runs no code that the file could choose.
_ALLOWED = frozenset(
    {
        "numpy.dtype",
        "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
        "sklearn.metrics._dist_metrics.EuclideanDistance64",
        "sklearn.neighbors._kd_tree.KDTree",
        "sklearn.neighbors._ball_tree.BallTree",
        "sklearn.tree._tree.Tree",
    }
)


def split_trusted(types: Iterable[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Split *types* into allowed types and foreign types, each sorted by name."""
    names = sorted(set(types))
    return tuple(name for name in names if name in _ALLOWED), tuple(name for name in names if name not in _ALLOWED)
