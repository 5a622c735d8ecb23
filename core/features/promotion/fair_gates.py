"""Gates on a fair comparison with Production: on the same test rows, or head to head on pinned rows."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from core.entities import GateNumbers
from core.features.promotion.gate_evidence import Evidence
from core.features.promotion.gates import Gate, direction_unknown
from core.learning.comparison.compare_models import Verdict
from core.learning.kpis import is_lower_better
from core.texts import text

_ROUNDING = 1e-12


@dataclass(frozen=True)
class HeadToHeadGate(Gate):
    """A gate that needs a recorded comparison on the rows of *data*, written TABLE@N."""

    metric: str
    data: str

    def judge(self, evidence: Evidence) -> tuple[bool, str]:
        if evidence.production is None:
            return True, text("No version is in Production to compare with.")
        comparison = self._comparison(evidence)
        if comparison is None:
            return False, text(
                "{candidate} and {production} were not compared on {data} with the present model files. Compare them "
                "on the page Models, or with `head-to-head {production_key} {candidate} --table {data}`.",
                candidate=evidence.candidate,
                production=evidence.production,
                production_key=evidence.production_key,
                data=self.data,
            )
        if self.metric not in comparison["metrics"]:
            return False, text(
                "The comparison on {data} has no {metric}; it has {metrics}.",
                data=self.data,
                metric=self.metric,
                metrics=", ".join(comparison["metrics"]),
            )
        return self.judge_comparison(comparison)

    def numbers(self, evidence: Evidence) -> GateNumbers | None:
        comparison = self._comparison(evidence)
        if evidence.production is None or comparison is None or self.metric not in comparison["metrics"]:
            return None
        values = comparison["metrics"][self.metric]
        difference, low, high = (
            values[name] if isinstance(values[name], int | float) else None for name in ("difference", "low", "high")
        )
        return GateNumbers(kpi=self.metric, data=self.data, difference=difference, low=low, high=high)

    def _comparison(self, evidence: Evidence) -> Mapping[str, Any] | None:
        return next((c for c in evidence.comparisons if c["data"] == self.data), None)

    @abstractmethod
    def judge_comparison(self, comparison: Mapping[str, Any]) -> tuple[bool, str]:
        """Return the same for a comparison that has the metric."""


@dataclass(frozen=True)
class BetterHeadToHead(HeadToHeadGate):
    """The whole interval of the difference is on the better side of 0."""

    @property
    def name(self) -> str:
        return text("{metric} better than Production's on {data}", metric=self.metric, data=self.data)

    def judge_comparison(self, comparison: Mapping[str, Any]) -> tuple[bool, str]:
        return comparison["metrics"][self.metric]["verdict"] == Verdict.BETTER.value, _difference(
            self.metric, comparison
        )


@dataclass(frozen=True)
class NotWorseHeadToHead(HeadToHeadGate):
    """The interval of the difference is not wholly on the worse side of 0."""

    @property
    def name(self) -> str:
        return text("{metric} not worse than Production's on {data}", metric=self.metric, data=self.data)

    def judge_comparison(self, comparison: Mapping[str, Any]) -> tuple[bool, str]:
        verdict = comparison["metrics"][self.metric]["verdict"]
        return verdict in (Verdict.BETTER.value, Verdict.NO_DIFFERENCE.value), _difference(self.metric, comparison)


@dataclass(frozen=True)
class NoSliceWorse(HeadToHeadGate):
    """No slice of more than *rows* rows is worse by more than *by*."""

    by: float = 0.0
    rows: int = 30

    @property
    def name(self) -> str:
        return text("no slice of {data} with a worse {metric}", metric=self.metric, data=self.data)

    def judge_comparison(self, comparison: Mapping[str, Any]) -> tuple[bool, str]:
        lower = is_lower_better(self.metric)
        if lower is None:
            return False, direction_unknown(self.metric)
        judged = list(self._judged(comparison))
        if not judged:
            return False, text(
                "The comparison on {data} has no slice of more than {rows} rows with a {metric}.",
                data=self.data,
                rows=self.rows,
                metric=self.metric,
            )
        name, rows, difference = max(judged, key=lambda part: part[2] if lower else -part[2])
        worse_by = difference if lower else -difference
        detail = text(
            "{slices} slices of more than {rows} rows. The worst is {name} with {count} rows: {metric} "
            "{difference:+.4g}; at most {by:g} worse is allowed.",
            slices=len(judged),
            rows=self.rows,
            name=name,
            count=rows,
            metric=self.metric,
            difference=difference,
            by=self.by,
        )
        return worse_by <= self.by + _ROUNDING, detail

    def numbers(self, evidence: Evidence) -> GateNumbers | None:
        return None  # the gate is about slices, not about the KPI of all rows

    def _judged(self, comparison: Mapping[str, Any]) -> Iterator[tuple[str, int, float]]:
        for part in comparison["slices"]:
            difference = part["metrics"].get(self.metric, {}).get("difference")
            if part["rows"] > self.rows and isinstance(difference, int | float):
                yield f"{part['column']} {part['name']}", part["rows"], difference


def _difference(metric: str, comparison: Mapping[str, Any]) -> str:
    values = comparison["metrics"][metric]
    if not all(isinstance(values[name], int | float) for name in ("difference", "low", "high")):
        return text("{metric} is undefined on the rows of {data}.", metric=metric, data=comparison["data"])
    return text(
        "On {rows} rows of {data}, {metric} is {second:.4g}, and {first:.4g} for {production}: difference "
        "{difference:+.4g}, 95 % interval [{low:+.4g}, {high:+.4g}].",
        rows=comparison["rows"],
        data=comparison["data"],
        metric=metric,
        second=values["second"],
        first=values["first"],
        production=comparison["first"],
        difference=values["difference"],
        low=values["low"],
        high=values["high"],
    )


@dataclass(frozen=True)
class SameTestRows(Gate):
    """The KPIs of candidate and Production were measured on the same rows."""

    @property
    def name(self) -> str:
        return text("same test rows as Production")

    def judge(self, evidence: Evidence) -> tuple[bool, str]:
        if evidence.production is None:
            return True, text("No version is in Production to compare with.")
        values = {
            "candidate": evidence.candidate,
            "rows": evidence.test_rows or text("unknown rows"),
            "production": evidence.production,
            "production_rows": evidence.production_test_rows or text("unknown rows"),
        }
        if evidence.test_rows is None or evidence.test_rows != evidence.production_test_rows:
            return False, text(
                "{candidate} was tested on {rows}, {production} on {production_rows}: their KPIs do not compare. "
                "Compare them head to head on the same rows.",
                **values,
            )
        return True, text("{candidate} and {production} were tested on {rows}.", **values)


FAIR_GATES: dict[str, type[Gate]] = {
    "same_test_rows": SameTestRows,
    "better_head_to_head": BetterHeadToHead,
    "not_worse_head_to_head": NotWorseHeadToHead,
    "no_slice_worse": NoSliceWorse,
}
