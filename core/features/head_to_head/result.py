"""The result of a head-to-head comparison, and its form in the audit log, in a job and on the command line."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from core.entities import ModelVersionKey, TableVersion
from core.learning.comparison.bootstrap import LEVEL, RESAMPLES, SEED
from core.learning.comparison.compare_models import Comparison, Difference, Part
from core.learning.comparison.slices import SLICE_RESAMPLES, Slice


@dataclass(frozen=True, kw_only=True)
class Compared:
    """The comparison on all rows and on the slices. *left_out* rows were not compared, for the reasons in *notes*."""

    comparison: Comparison
    slices: tuple[Slice, ...]
    left_out: int
    notes: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class HeadToHead:
    """Two versions on the same rows of *data*. A difference is *second* minus *first*.

    *left_out* counts the rows on which one of both was trained. *artifacts* holds the SHA-256 of each model's files.
    """

    first: ModelVersionKey
    second: ModelVersionKey
    data: TableVersion
    target: str
    left_out: int
    comparison: Comparison
    slices: tuple[Slice, ...]
    notes: tuple[str, ...]
    artifacts: Mapping[str, str]


def serialize(result: HeadToHead) -> dict[str, Any]:
    """Return *result* as the audit log, a job and the command line store it."""
    mcnemar = result.comparison.mcnemar
    return {
        "first": str(result.first),
        "second": str(result.second),
        "data": str(result.data),
        "target": result.target,
        "rows": result.comparison.rows,
        "left_out": result.left_out,
        "metrics": _metrics(result.comparison.differences),
        "classes": [_part(part) for part in result.comparison.classes],
        "slices": [{"column": entry.column, **_part(entry.part)} for entry in result.slices],
        "mcnemar": None
        if mcnemar is None
        else {
            "only_first": mcnemar.only_first,
            "only_second": mcnemar.only_second,
            "p_value": mcnemar.p_value,
        },
        "notes": list(result.notes),
        "method": {
            "level": LEVEL,
            "resamples": RESAMPLES,
            "slice_resamples": SLICE_RESAMPLES,
            "seed": SEED,
        },
        "artifacts": dict(result.artifacts),
    }


def _part(part: Part) -> dict[str, Any]:
    return {"name": part.name, "rows": part.rows, "metrics": _metrics(part.differences)}


def _metrics(differences: tuple[Difference, ...]) -> dict[str, dict[str, Any]]:
    return {
        difference.metric: {
            "first": difference.first,
            "second": difference.second,
            "difference": difference.difference,
            "low": difference.low,
            "high": difference.high,
            "verdict": difference.verdict.value,
        }
        for difference in differences
    }
