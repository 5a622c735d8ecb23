"""The verdict on a reproduction: compare the metrics and predictions of both models."""

from __future__ import annotations

import math
from collections.abc import Mapping

from core.entities import Reproduced
from core.learning.kpis import is_kpi, metric_text
from core.texts import text

# Logged by the original run, and measured after the training of today; None if one of both is missing.
MetricPair = tuple[float | None, float | None]


def pair_metrics(logged: Mapping[str, float], again: Mapping[str, float]) -> dict[str, MetricPair]:
    """Return the pair of each metric: the KPIs of the original run first, then all others of the new training."""
    names = [name for name in logged if is_kpi(name)] + [
        name for name in again if name not in logged or not is_kpi(name)
    ]
    return {name: (logged.get(name), again.get(name)) for name in dict.fromkeys(names)}


def judge(
    metrics: Mapping[str, MetricPair], answers: tuple[int, int] | None, problem: str, tolerance: float
) -> tuple[Reproduced, str]:
    """Return the verdict and its reason.

    *answers* is the number of test rows that both models predict alike, and of all test rows; it is None, with a
    *problem*, if the stored model does not predict.
    """
    outside = [name for name, pair in metrics.items() if not _is_close(pair, tolerance)]
    if outside:
        why = text("These metrics differ from those of the run: {metrics}.", metrics=_listed(outside, metrics))
        return Reproduced.DIVERGED, why
    if answers is None:
        why = text("The metrics are reproduced, but the stored model does not predict: {reason}", reason=problem)
        return Reproduced.DIVERGED, why
    same, total = answers
    inexact = [name for name, pair in metrics.items() if not _is_close(pair, 0.0)]
    if inexact:
        why = text(
            "These metrics differ by at most {tolerance:g}: {metrics}. Both models predict the same for {same} of "
            "{total} test rows.",
            tolerance=tolerance,
            metrics=_listed(inexact, metrics),
            same=same,
            total=total,
        )
        return Reproduced.WITHIN_TOLERANCE, why
    if same < total:
        why = text(
            "The metrics are reproduced, but the stored model predicts otherwise for {different} of {total} test rows.",
            different=total - same,
            total=total,
        )
        return Reproduced.DIVERGED, why
    why = text(
        "All {count} metrics are equal to the last digit, and both models predict the same for all {total} test rows.",
        count=len(metrics),
        total=total,
    )
    return Reproduced.REPRODUCED, why


def _is_close(pair: MetricPair, tolerance: float) -> bool:
    logged, again = pair
    if logged is None or again is None:
        return False
    if math.isnan(logged) or math.isnan(again):
        return math.isnan(logged) and math.isnan(again)
    return math.isclose(logged, again, rel_tol=tolerance, abs_tol=tolerance)


def _listed(names: list[str], metrics: Mapping[str, MetricPair]) -> str:
    def number(value: float | None) -> str:
        return "–" if value is None else metric_text(value, 6)

    return ", ".join(
        text("{name} ({before} then, {after} now)", name=name, before=number(logged), after=number(again))
        for name, (logged, again) in ((name, metrics[name]) for name in names)
    )
