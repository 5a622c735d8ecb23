"""The KPIs of each version of a model against those of its version in Production, and whether they compare."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

from core.features.runs.models import ModelSummary, VersionSummary
from core.learning.kpis import is_kpi


class TestedOn(str, Enum):
    """Whether a version was tested on the rows on which the version in Production was tested."""

    __test__ = False  # the name is that of a test class for pytest

    SAME = "same rows"
    OTHER = "other rows"
    UNKNOWN = "unknown rows"


@dataclass(frozen=True, kw_only=True)
class VersionDelta:
    """A version against Production: by KPI the value minus Production's, where both are finite."""

    deltas: Mapping[str, float]
    tested_on: TestedOn


def deltas_to_production(model: ModelSummary) -> dict[int, VersionDelta]:
    """Return the differences of each other version, by number; empty where no version is in Production."""
    production = next((version for version in model.versions if version.version == model.production), None)
    if production is None:
        return {}
    return {
        version.version: VersionDelta(deltas=_deltas(version, production), tested_on=_tested_on(version, production))
        for version in model.versions
        if version is not production
    }


def _deltas(version: VersionSummary, production: VersionSummary) -> dict[str, float]:
    return {
        name: value - production.metrics[name]
        for name, value in version.metrics.items()
        if is_kpi(name)
        if math.isfinite(value) and math.isfinite(production.metrics.get(name, math.nan))
    }


def _tested_on(version: VersionSummary, production: VersionSummary) -> TestedOn:
    """Test rows are a part of the training data, so the data version and the number of rows tell them apart."""
    rows, theirs = _test_rows(version), _test_rows(production)
    if rows is None or theirs is None:
        return TestedOn.UNKNOWN
    return TestedOn.SAME if rows == theirs else TestedOn.OTHER


def _test_rows(version: VersionSummary) -> tuple[frozenset[tuple[str | None, int | None]], float] | None:
    data = frozenset((source.table, source.version) for source in version.data)
    if not data or any(number is None for _, number in data) or "TestRows" not in version.metrics:
        return None
    return data, version.metrics["TestRows"]
