"""Gates: single checks of a promotion policy. A gate states the numbers that it compared; missing numbers fail it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from core.entities import GateNumbers, GateResult
from core.features.promotion.gate_evidence import Evidence
from core.learning.kpis import Better, is_kpi, is_lower_better
from core.texts import joined, text

# MLflow returns an infinity as the largest float (±1.797e308). Neither is a measurement.
LARGEST = 1e308
# In floating point 0.90 - 0.88 is slightly more than 0.02.
_ROUNDING = 1e-12


class Gate(ABC):
    """One check of a promotion policy."""

    @property
    @abstractmethod
    def name(self) -> str:
        """The requirement, in a few words."""

    @abstractmethod
    def judge(self, evidence: Evidence) -> tuple[bool, str]:
        """Return whether the requirement is met, and one sentence with the numbers."""

    def numbers(self, evidence: Evidence) -> GateNumbers | None:
        """Return what the gate compared of a KPI, for a picture; None where it compared none."""
        return None

    def check(self, evidence: Evidence) -> GateResult:
        passed, detail = self.judge(evidence)
        return GateResult(name=self.name, passed=passed, detail=detail, numbers=self.numbers(evidence))


def passes(results: Sequence[GateResult]) -> bool:
    """Return whether all gates passed. An empty sequence does not pass."""
    return bool(results) and all(result.passed for result in results)


def direction_unknown(metric: str) -> str:
    """Return why a gate cannot judge *metric*, whose name says nothing about its direction."""
    return text(
        "It is not known whether a lower or a higher {metric} is better. Name the metric in "
        "MODELLEDGER_METRIC_DIRECTIONS.",
        metric=metric,
    )


@dataclass(frozen=True)
class StageChanges(Gate):
    @property
    def name(self) -> str:
        return text("stage changes")

    def judge(self, evidence: Evidence) -> tuple[bool, str]:
        if evidence.stage is evidence.to:
            return False, text("{version} is already in {stage}.", version=evidence.candidate, stage=evidence.to.value)
        return True, text(
            "{version} moves from {before} to {after}.",
            version=evidence.candidate,
            before=evidence.stage.value,
            after=evidence.to.value,
        )


@dataclass(frozen=True)
class NotBelowProduction(Gate):
    """The metric is not worse than in Production. Lower or higher is better, depending on the metric."""

    metric: str
    tolerance: float = 0.0
    better: Better | None = None

    @property
    def name(self) -> str:
        return text("{metric} not worse than Production", metric=self.metric)

    def judge(self, evidence: Evidence) -> tuple[bool, str]:
        value = _number(evidence.metrics, self.metric)
        if value is None:
            return False, _no_metric(evidence, self.metric)
        if evidence.production is None:
            return True, text(
                "{metric} is {value:.6g}. No version is in Production to compare with.", metric=self.metric, value=value
            )
        baseline = _number(evidence.production_metrics, self.metric)
        if baseline is None:
            return False, text(
                "{baseline_version} in Production has no {metric}, so the two cannot be compared.",
                baseline_version=evidence.production,
                metric=self.metric,
            )
        lower = _is_lower_better(self.metric, self.better)
        if lower is None:
            return False, joined(
                (direction_unknown(self.metric), text('Or add "better": "lower" or "higher" to the gate.'))
            )
        worse_by = value - baseline if lower else baseline - value
        detail = text(
            "{metric} is {value:.6g}, and {baseline:.6g} for {baseline_version}; {direction}{tolerance}.",
            metric=self.metric,
            value=value,
            baseline=baseline,
            baseline_version=evidence.production,
            direction=text("lower is better") if lower else text("higher is better"),
            tolerance=text(" (tolerance {tolerance:g})", tolerance=self.tolerance) if self.tolerance else "",
        )
        return worse_by <= self.tolerance + _ROUNDING, detail

    def numbers(self, evidence: Evidence) -> GateNumbers | None:
        return _relative_bound(evidence, self.metric, self.better, -self.tolerance)


@dataclass(frozen=True)
class BetterThanProduction(Gate):
    """The metric is better than in Production by at least *by*. An equal value does not pass."""

    metric: str
    by: float = 0.0
    better: Better | None = None

    @property
    def name(self) -> str:
        return text("{metric} better than Production", metric=self.metric)

    def judge(self, evidence: Evidence) -> tuple[bool, str]:
        comparable, detail = NotBelowProduction(self.metric, better=self.better).judge(evidence)
        if not comparable or evidence.production is None:
            return comparable, detail
        gain = evidence.metrics[self.metric] - evidence.production_metrics[self.metric]
        gain = -gain if _is_lower_better(self.metric, self.better) else gain
        return gain > 0 and gain >= self.by - _ROUNDING, text(
            "{comparison} Better by {gain:.6g}; at least {required:g} is required.",
            comparison=detail,
            gain=gain,
            required=self.by,
        )

    def numbers(self, evidence: Evidence) -> GateNumbers | None:
        return _relative_bound(evidence, self.metric, self.better, self.by)


@dataclass(frozen=True)
class AtLeast(Gate):
    metric: str
    bound: float

    @property
    def name(self) -> str:
        return text("{metric} at least {bound:g}", metric=self.metric, bound=self.bound)

    def judge(self, evidence: Evidence) -> tuple[bool, str]:
        value = _number(evidence.metrics, self.metric)
        if value is None:
            return False, _no_metric(evidence, self.metric)
        return value >= self.bound, text(
            "{metric} is {value:g}; at least {bound:g} is required.", metric=self.metric, value=value, bound=self.bound
        )

    def numbers(self, evidence: Evidence) -> GateNumbers | None:
        return GateNumbers(kpi=self.metric, bound=self.bound)


@dataclass(frozen=True)
class AtMost(Gate):
    metric: str
    bound: float

    @property
    def name(self) -> str:
        return text("{metric} at most {bound:g}", metric=self.metric, bound=self.bound)

    def judge(self, evidence: Evidence) -> tuple[bool, str]:
        value = _number(evidence.metrics, self.metric)
        if value is None:
            return False, _no_metric(evidence, self.metric)
        return value <= self.bound, text(
            "{metric} is {value:g}; at most {bound:g} is allowed.", metric=self.metric, value=value, bound=self.bound
        )

    def numbers(self, evidence: Evidence) -> GateNumbers | None:
        return GateNumbers(kpi=self.metric, bound=self.bound, is_most=True)


@dataclass(frozen=True)
class KpisLogged(Gate):
    """At least one KPI was logged. A model without KPIs cannot be compared with any other."""

    @property
    def name(self) -> str:
        return text("KPIs logged")

    def judge(self, evidence: Evidence) -> tuple[bool, str]:
        kpis = [name for name in evidence.metrics if is_kpi(name) and _number(evidence.metrics, name) is not None]
        if not kpis:
            missing = text("{version} has no KPI with a value.", version=evidence.candidate)
            return False, _no_metric(evidence, min(evidence.run_only)) if evidence.run_only else missing
        return True, text("{version} has {kpis}.", version=evidence.candidate, kpis=", ".join(sorted(kpis)))


@dataclass(frozen=True)
class EnoughTestRows(Gate):
    """The KPIs were measured on at least *rows* rows."""

    rows: int

    @property
    def name(self) -> str:
        return text("at least {rows} test rows", rows=self.rows)

    def judge(self, evidence: Evidence) -> tuple[bool, str]:
        test_rows = _number(evidence.metrics, "TestRows")
        if test_rows is None:
            return False, text(
                "{version} has no TestRows, so the number of test rows is unknown.", version=evidence.candidate
            )
        return test_rows >= self.rows, text(
            "Measured on {test_rows:.0f} rows; at least {required} are required.",
            test_rows=test_rows,
            required=self.rows,
        )


@dataclass(frozen=True)
class RowsNotShrunk(Gate):
    """Trained and tested on no fewer rows than Production, minus at most the fraction *by* (0.1 is a tenth)."""

    by: float = 0.0

    @property
    def name(self) -> str:
        return text("rows not fewer than Production's")

    def judge(self, evidence: Evidence) -> tuple[bool, str]:
        rows = _rows(evidence.metrics)
        if rows is None:
            return False, text("{version} has no TrainRows or no TestRows.", version=evidence.candidate)
        if evidence.production is None:
            return True, text("{rows:.0f} rows. No version is in Production to compare with.", rows=rows)
        baseline = _rows(evidence.production_metrics)
        if baseline is None:
            return False, text(
                "{baseline_version} in Production has no TrainRows or no TestRows to compare with.",
                baseline_version=evidence.production,
            )
        detail = text(
            "{rows:.0f} rows, and {baseline:.0f} for {baseline_version}{allowance}.",
            rows=rows,
            baseline=baseline,
            baseline_version=evidence.production,
            allowance=text("; {fraction:.0%} fewer are allowed", fraction=self.by) if self.by else "",
        )
        return rows >= baseline * (1 - self.by), detail


@dataclass(frozen=True)
class DataRecorded(Gate):
    @property
    def name(self) -> str:
        return text("data version recorded")

    def judge(self, evidence: Evidence) -> tuple[bool, str]:
        if evidence.run_problem:
            return False, evidence.run_problem
        if evidence.data_problem:
            return False, evidence.data_problem
        if evidence.data is None:
            return False, text("The run records no data version, so its training data is unknown.")
        return True, text("Trained on {data}.", data=str(evidence.data))


@dataclass(frozen=True)
class DataReadable(Gate):
    """The rows can be read, and they are those of the training, not of another table with the same name.

    With *check_content* the rows must have the content SHA-256 that the training logged. Then a copy or clone with
    equal rows passes too.
    """

    check_content: bool = False

    @property
    def name(self) -> str:
        return text("data still readable")

    def judge(self, evidence: Evidence) -> tuple[bool, str]:
        if evidence.data is None or evidence.verdict is None:
            return False, evidence.data_problem or text("No data version is recorded, so there is nothing to read.")
        if contradictions := [why for identity in evidence.identities for why in identity.contradictions]:
            return False, joined(contradictions)
        detail = text("{data}: {reason}", data=str(evidence.data), reason=evidence.verdict.reason)
        if not evidence.verdict.is_readable:
            return False, detail
        if evidence.unreadable:
            return False, evidence.unreadable
        if self.check_content and not evidence.are_rows_equal:
            return False, text(
                "{data}: the training logged no content SHA-256 to compare with.", data=str(evidence.data)
            )
        return True, joined((detail, *(note for identity in evidence.identities for note in identity.notes)))


@dataclass(frozen=True)
class ArtifactSafe(Gate):
    """Loading the artifact runs no code. *allow* names formats that the policy accepts although they may run code."""

    allow: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        return text("artifact runs no code on load")

    def judge(self, evidence: Evidence) -> tuple[bool, str]:
        if evidence.is_artifact_safe:
            return True, text("Saved as {format}.", format=evidence.artifact_format)
        if evidence.artifact_format in self.allow:
            return True, text("Saved as {format}, which this policy allows.", format=evidence.artifact_format)
        return False, text(
            "Saved as {format}, which may run its author's code when the model is loaded.",
            format=evidence.artifact_format,
        )


@dataclass(frozen=True)
class NoHighFinding(Gate):
    """No finding of high severity about the candidate is open, whether an inspection or an auditor opened it."""

    @property
    def name(self) -> str:
        return text("no high finding open")

    def judge(self, evidence: Evidence) -> tuple[bool, str]:
        if evidence.findings:
            return False, text(
                "Open: {findings}. Repair the cause or close the finding with a reason first.",
                findings="; ".join(evidence.findings),
            )
        return True, text("No such finding is open about {version}.", version=evidence.candidate)


GATES: dict[str, type[Gate]] = {
    "stage_changes": StageChanges,
    "not_below_production": NotBelowProduction,
    "better_than_production": BetterThanProduction,
    "at_least": AtLeast,
    "at_most": AtMost,
    "kpis_logged": KpisLogged,
    "enough_test_rows": EnoughTestRows,
    "rows_not_shrunk": RowsNotShrunk,
    "data_recorded": DataRecorded,
    "data_readable": DataReadable,
    "artifact_safe": ArtifactSafe,
    "no_high_finding": NoHighFinding,
}


def _rows(metrics: Mapping[str, float]) -> float | None:
    train, test = _number(metrics, "TrainRows"), _number(metrics, "TestRows")
    return None if train is None or test is None else train + test


def _no_metric(evidence: Evidence, metric: str) -> str:
    if metric in evidence.run_only:
        return text(
            "{version} has no {metric} of its own: {value:.6g} is the value of its run, which logged several models.",
            version=evidence.candidate,
            metric=metric,
            value=evidence.run_only[metric],
        )
    return text("{version} has no {metric}, or its value is not a number.", version=evidence.candidate, metric=metric)


def _relative_bound(evidence: Evidence, metric: str, better: Better | None, by: float) -> GateNumbers | None:
    """Return the bound of a gate that requires *metric* to be better than in Production by *by*."""
    baseline, lower = _number(evidence.production_metrics, metric), _is_lower_better(metric, better)
    if evidence.production is None or baseline is None or lower is None:
        return None
    return GateNumbers(kpi=metric, bound=baseline - by if lower else baseline + by, is_most=lower)


def _is_lower_better(metric: str, better: Better | None) -> bool | None:
    """The policy's word, else what the metric's name says; None if neither tells."""
    return is_lower_better(metric) if better is None else better == "lower"


def _number(metrics: Mapping[str, float], name: str) -> float | None:
    """Return the value of a metric, or None where it is missing, NaN or infinite."""
    value = metrics.get(name)
    return value if value is not None and abs(value) < LARGEST else None
