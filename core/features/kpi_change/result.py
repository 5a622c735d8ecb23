"""The result of "Why did the KPI move?", its form in the audit log, in a job and on the command line, and in words."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any

from core.entities import ModelVersionKey, TableVersion
from core.features.kpi_change.what_differs import Differing
from core.learning.comparison.bootstrap import LEVEL, SEED
from core.learning.comparison.compare_models import Difference, Verdict
from core.learning.comparison.kpi_change import KpiChange, Part
from core.texts import text

RESAMPLES = 2_000
_ROUNDING = 1e-12


@dataclass(frozen=True, kw_only=True)
class WhyMoved:
    """The changes of all KPIs from *first* to *second*, on *rows* rows of *data* that no training used.

    *first_logged* and *second_logged* are the KPIs as logged, each on its own test rows. *artifacts* holds the SHA-256
    of each model's files.
    """

    first: ModelVersionKey
    second: ModelVersionKey
    data: TableVersion
    target: str
    rows: int
    left_out: int
    factors: tuple[Differing, ...]
    inseparable: tuple[Differing, ...]
    changes: Mapping[str, KpiChange]
    first_logged: Mapping[str, float]
    second_logged: Mapping[str, float]
    repeats: int
    notes: tuple[str, ...]
    artifacts: Mapping[str, str]


def serialize(result: WhyMoved) -> dict[str, Any]:
    """Return *result* as the audit log, a job and the command line store it."""
    return {
        "first": str(result.first),
        "second": str(result.second),
        "data": str(result.data),
        "target": result.target,
        "rows": result.rows,
        "left_out": result.left_out,
        "factors": [_difference(factor) for factor in result.factors],
        "inseparable": [_difference(difference) for difference in result.inseparable],
        "metrics": {name: _change(name, change, result) for name, change in result.changes.items()},
        "coalitions": [
            {
                "second": [factor.name for place, factor in enumerate(result.factors) if coalition & (1 << place)],
                "metrics": {name: change.coalitions[coalition] for name, change in result.changes.items()},
            }
            for coalition in range(2 ** len(result.factors))
        ],
        "notes": list(result.notes),
        "method": {"level": LEVEL, "resamples": RESAMPLES, "repeats": result.repeats, "seed": SEED},
        "artifacts": dict(result.artifacts),
    }


def answer(document: Mapping[str, Any], metric: str) -> str:
    """Return the sentence that answers the question for one KPI of a serialized result."""
    values = document["metrics"][metric]
    labels = [label(factor) for factor in document["factors"]]
    parts = [
        text("{part} comes from {factor}", part=interval(part), factor=name)
        for name, part in zip(labels, values["parts"], strict=True)
    ]
    if values["not_explained"]["difference"] != 0.0:
        parts.append(text("{part} is not explained by these", part=interval(values["not_explained"])))
    if not is_number(values["test_rows"]):
        return text(
            "Of {total} {kpi} on the same rows, {parts}.",
            total=interval(values["total"]),
            kpi=metric,
            parts=_listed(parts),
        )
    if values["test_rows"] != 0.0:
        parts.append(text("{part:+.3g} comes from different test rows", part=values["test_rows"]))
    total = values["logged_difference"]
    return text("Of {total:+.3g} {kpi}, {parts}.", total=total, kpi=metric, parts=_listed(parts))


@dataclass(frozen=True, kw_only=True)
class Step:
    """One bar of the waterfall. *low* and *high* are None where a step has no interval.

    *label* is the name with the values of the factor. *is_level*: the value is a KPI, not a change of it.
    """

    name: str
    label: str
    value: Any
    low: Any = None
    high: Any = None
    is_level: bool = False

    @property
    def interval(self) -> str:
        return "–" if self.low is None else f"[{number(self.low)}, {number(self.high)}]"

    def verdict(self, metric: str) -> Verdict:
        """Return what the interval says of a change of *metric*; undefined without an interval."""
        ends = [float(end) if is_number(end) else math.nan for end in (self.low, self.high)]
        return Difference(metric=metric, first=0.0, second=0.0, low=ends[0], high=ends[1]).verdict


def steps(document: Mapping[str, Any], metric: str) -> list[Step]:
    """Return the steps from the first version's KPI to the second's: as logged, or on the same rows if not logged."""
    values = document["metrics"][metric]
    is_logged = is_number(values["test_rows"])
    ends = [values[f"{side}_logged" if is_logged else side] for side in ("first", "second")]
    rest, other_rows = text("not explained"), text("different test rows")
    changes = [
        *(
            (factor["name"], label(factor), part)
            for factor, part in zip(document["factors"], values["parts"], strict=True)
        ),
        (rest, rest, values["not_explained"]),
    ]
    return [
        Step(name=document["first"], label=document["first"], value=ends[0], is_level=True),
        *(
            Step(name=name, label=words, value=part["difference"], low=part["low"], high=part["high"])
            for name, words, part in changes
        ),
        *([Step(name=other_rows, label=other_rows, value=values["test_rows"])] if is_logged else []),
        Step(name=document["second"], label=document["second"], value=ends[1], is_level=True),
    ]


def label(difference: Mapping[str, Any]) -> str:
    """Return a factor of a serialized result with both values; the second names its table only if it is another."""
    before, after = difference["before"], difference["after"]
    table, _, version = str(after).rpartition("@")
    if difference["name"].startswith("data") and table and str(before).startswith(f"{table}@"):
        after = version
    return f"{difference['name']} {before} → {after}"


def interval(part: Mapping[str, Any]) -> str:
    """Return a part of a serialized result with its interval, such as "+0.08 [+0.05, +0.11]"."""
    return f"{number(part['difference'])} [{number(part['low'])}, {number(part['high'])}]"


def number(value: Any) -> str:
    """Return a signed number, or "undefined"."""
    if not is_number(value):
        return text("undefined")
    return f"{value:+.3g}" if value else "0"


def is_number(value: Any) -> bool:
    """Whether *value* is defined. The audit log holds NaN as a string."""
    return isinstance(value, int | float) and math.isfinite(value)


def _listed(parts: Sequence[str]) -> str:
    """Return *parts*, at least one, as one text in which each can still be translated."""
    return reduce(lambda before, after: text("{before}; {after}", before=before, after=after), parts)


def _difference(difference: Differing) -> dict[str, str]:
    return {"name": difference.name, "before": difference.before, "after": difference.after}


def _change(name: str, change: KpiChange, result: WhyMoved) -> dict[str, Any]:
    first, second = result.first_logged.get(name), result.second_logged.get(name)
    logged = None if first is None or second is None else second - first
    rest = None if logged is None else logged - change.total.difference
    return {
        "first_logged": first,
        "second_logged": second,
        "logged_difference": logged,
        "first": change.first,
        "second": change.second,
        "parts": [
            {"name": factor.name, **_part(part)} for factor, part in zip(result.factors, change.parts, strict=True)
        ],
        "not_explained": _part(change.not_explained),
        "total": _part(change.total),
        "test_rows": 0.0 if rest is not None and abs(rest) < _ROUNDING else rest,
    }


def _part(part: Part) -> dict[str, float]:
    return {"difference": part.difference, "low": part.low, "high": part.high}
