"""Promotion policy: small gates combined by AllOf. A gate says what it saw in numbers; what it cannot see fails."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, get_type_hints

from core.entities import GateResult, ReadVerdict, Stage, TableVersion, Task
from core.errors import BadSettings
from core.learning.kpis import is_kpi, is_lower_better, primary_metric

# MLflow gives an infinity back as the largest float (±1.797e308): neither is a measurement.
_LARGEST = 1e308
# 0.90 - 0.88 is a hair more than 0.02 in floating point; nobody means that hair.
_ROUNDING = 1e-12


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """What gates see. *production* is the version it would replace, None where nothing serves yet.

    *findings* are the open ones of high severity about the candidate itself, in words.
    """

    candidate: str
    stage: Stage
    to: Stage
    metrics: Mapping[str, float]
    production: str | None = None
    production_metrics: Mapping[str, float] = field(default_factory=dict)
    data: TableVersion | None = None
    verdict: ReadVerdict | None = None
    artifact_format: str = "unknown"
    is_artifact_safe: bool = False
    run_problem: str | None = None
    findings: tuple[str, ...] = ()


class Gate(ABC):
    """One condition of a promotion."""

    @property
    @abstractmethod
    def name(self) -> str:
        """What is asked, in a few words."""

    @abstractmethod
    def judge(self, evidence: Evidence) -> tuple[bool, str]:
        """Whether it holds, and the numbers in one sentence."""

    def check(self, evidence: Evidence) -> GateResult:
        passed, detail = self.judge(evidence)
        return GateResult(name=self.name, passed=passed, detail=detail)


@dataclass(frozen=True)
class AllOf:
    """Every gate must hold; a policy without gates lets nothing through."""

    gates: Sequence[Gate]

    def check(self, evidence: Evidence) -> tuple[GateResult, ...]:
        if not self.gates:
            return (GateResult(name="policy", passed=False, detail="The policy has no gates, so nothing can pass it."),)
        return tuple(gate.check(evidence) for gate in self.gates)


def passes(results: Sequence[GateResult]) -> bool:
    """Whether all gates hold; none at all is no pass."""
    return bool(results) and all(result.passed for result in results)


@dataclass(frozen=True)
class StageChanges(Gate):
    @property
    def name(self) -> str:
        return "stage changes"

    def judge(self, evidence: Evidence) -> tuple[bool, str]:
        if evidence.stage is evidence.to:
            return False, f"{evidence.candidate} is in {evidence.to.value} already."
        return True, f"{evidence.candidate}: {evidence.stage.value} to {evidence.to.value}."


@dataclass(frozen=True)
class NotBelowProduction(Gate):
    """The metric is not worse than Production's, in the direction that is better for it."""

    metric: str
    tolerance: float = 0.0

    @property
    def name(self) -> str:
        return f"{self.metric} not worse than Production"

    def judge(self, evidence: Evidence) -> tuple[bool, str]:
        found = _number(evidence.metrics, self.metric)
        if found is None:
            return False, f"{evidence.candidate} has no {self.metric}, or it is not a number."
        if evidence.production is None:
            return True, f"{self.metric} {found:.6g}; nothing is in Production to compare with."
        bound = _number(evidence.production_metrics, self.metric)
        if bound is None:
            return False, f"{evidence.production} in Production has no {self.metric}, so nothing can be compared."
        worse_by = found - bound if is_lower_better(self.metric) else bound - found
        within = f" (tolerance {self.tolerance:g})" if self.tolerance else ""
        word = "lower is better" if is_lower_better(self.metric) else "higher is better"
        detail = f"{self.metric} {found:.6g} against {bound:.6g} of {evidence.production}, {word}{within}."
        return worse_by <= self.tolerance + _ROUNDING, detail


@dataclass(frozen=True)
class BetterThanProduction(Gate):
    """The metric is better than Production's by at least *by*; equal is not enough."""

    metric: str
    by: float = 0.0

    @property
    def name(self) -> str:
        return f"{self.metric} better than Production"

    def judge(self, evidence: Evidence) -> tuple[bool, str]:
        comparable, detail = NotBelowProduction(self.metric).judge(evidence)
        if not comparable or evidence.production is None:
            return comparable, detail
        gain = evidence.metrics[self.metric] - evidence.production_metrics[self.metric]
        gain = -gain if is_lower_better(self.metric) else gain
        return gain > 0 and gain >= self.by - _ROUNDING, f"{detail} Better by {gain:.6g}, {self.by:g} is asked."


@dataclass(frozen=True)
class AtLeast(Gate):
    metric: str
    bound: float

    @property
    def name(self) -> str:
        return f"{self.metric} at least {self.bound:g}"

    def judge(self, evidence: Evidence) -> tuple[bool, str]:
        found = _number(evidence.metrics, self.metric)
        if found is None:
            return False, f"{evidence.candidate} has no {self.metric}, or it is not a number."
        return found >= self.bound, f"{self.metric} is {found:g}, at least {self.bound:g} is asked."


@dataclass(frozen=True)
class AtMost(Gate):
    metric: str
    bound: float

    @property
    def name(self) -> str:
        return f"{self.metric} at most {self.bound:g}"

    def judge(self, evidence: Evidence) -> tuple[bool, str]:
        found = _number(evidence.metrics, self.metric)
        if found is None:
            return False, f"{evidence.candidate} has no {self.metric}, or it is not a number."
        return found <= self.bound, f"{self.metric} is {found:g}, at most {self.bound:g} is asked."


@dataclass(frozen=True)
class KpisLogged(Gate):
    """At least one KPI was measured: a model that nobody measured cannot be compared with anything."""

    @property
    def name(self) -> str:
        return "KPIs logged"

    def judge(self, evidence: Evidence) -> tuple[bool, str]:
        found = [name for name in evidence.metrics if is_kpi(name) and _number(evidence.metrics, name) is not None]
        if not found:
            return False, f"{evidence.candidate} has no KPI with a value, so nothing says how good it is."
        return True, f"{evidence.candidate} has {', '.join(sorted(found))}."


@dataclass(frozen=True)
class EnoughTestRows(Gate):
    """It was measured on at least *rows* rows."""

    rows: int

    @property
    def name(self) -> str:
        return f"at least {self.rows} test rows"

    def judge(self, evidence: Evidence) -> tuple[bool, str]:
        found = _number(evidence.metrics, "TestRows")
        if found is None:
            return False, f"{evidence.candidate} has no TestRows, so nobody knows on how many rows it was measured."
        return found >= self.rows, f"Measured on {found:.0f} rows, at least {self.rows} are asked."


@dataclass(frozen=True)
class RowsNotShrunk(Gate):
    """Trained and tested on no fewer rows than Production, less at most the part *by* (0.1 is a tenth)."""

    by: float = 0.0

    @property
    def name(self) -> str:
        return "rows not fewer than Production's"

    def judge(self, evidence: Evidence) -> tuple[bool, str]:
        found = _rows(evidence.metrics)
        if found is None:
            return False, f"{evidence.candidate} has no TrainRows or no TestRows."
        if evidence.production is None:
            return True, f"{found:.0f} rows; nothing is in Production to compare with."
        before = _rows(evidence.production_metrics)
        if before is None:
            return False, f"{evidence.production} in Production has no TrainRows or no TestRows to compare with."
        detail = f"{found:.0f} rows against {before:.0f} of {evidence.production}"
        return found >= before * (
            1 - self.by
        ), f"{detail}; {self.by:.0%} fewer are allowed." if self.by else f"{detail}."


@dataclass(frozen=True)
class DataRecorded(Gate):
    @property
    def name(self) -> str:
        return "data version recorded"

    def judge(self, evidence: Evidence) -> tuple[bool, str]:
        if evidence.run_problem:
            return False, evidence.run_problem
        if evidence.data is None:
            return False, "The run names no data version, so nobody can say what it was trained on."
        return True, f"Trained on {evidence.data}."


@dataclass(frozen=True)
class DataReadable(Gate):
    @property
    def name(self) -> str:
        return "data still readable"

    def judge(self, evidence: Evidence) -> tuple[bool, str]:
        if evidence.data is None or evidence.verdict is None:
            return False, "There is no data version to read."
        return evidence.verdict.is_readable, f"{evidence.data}: {evidence.verdict.reason}"


@dataclass(frozen=True)
class ArtifactSafe(Gate):
    """The artifact runs no code when loaded; *allow* names formats that policy accepts all the same."""

    allow: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        return "artifact runs no code on load"

    def judge(self, evidence: Evidence) -> tuple[bool, str]:
        if evidence.is_artifact_safe:
            return True, f"Saved as {evidence.artifact_format}."
        if evidence.artifact_format in self.allow:
            return True, f"Saved as {evidence.artifact_format}, which this policy allows by name."
        return False, f"Saved as {evidence.artifact_format}, which may run its author's code when it is loaded."


@dataclass(frozen=True)
class NoHighFinding(Gate):
    """Nothing of high severity about the candidate waits to be looked into, as the last pass or an auditor found it."""

    @property
    def name(self) -> str:
        return "no high finding open"

    def judge(self, evidence: Evidence) -> tuple[bool, str]:
        if evidence.findings:
            return False, f"{'; '.join(evidence.findings)}. Close it with a reason first, or repair what it is about."
        return True, f"None is open about {evidence.candidate}."


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


def policy_for(model: str, to: Stage, task: Task | None, policies: Mapping[str, Any]) -> AllOf:
    """The policy of *model*: its own in settings, else that of '*', else the default of its task.

    Gates guard Production; any other stage asks only that it changes. An own policy that does not speak of artifacts
    lets none through that runs code on load: that has to be allowed by name. Raises BadSettings.
    """
    if to is not Stage.PRODUCTION:
        return AllOf((StageChanges(),))
    lines = policies.get(model, policies.get("*"))
    if lines is None:
        return AllOf(
            (StageChanges(), DataRecorded(), DataReadable(), ArtifactSafe(), NoHighFinding(), *_comparisons(task))
        )
    return _parsed(model, lines)


def rollback_policy(policy: AllOf, *, is_approved: bool) -> AllOf:
    """What a rollback asks where *policy* guards Production.

    KPIs are not compared: it goes back to a version that was measured as worse, on purpose. A version that was never
    approved for Production must at least have no high finding open; of one that was, the approval speaks.
    """
    safe = next((gate for gate in policy.gates if isinstance(gate, ArtifactSafe)), ArtifactSafe())
    asked = (DataRecorded(), DataReadable(), safe)
    return AllOf(asked if is_approved else (*asked, NoHighFinding()))


def check_policies(policies: Mapping[str, Any]) -> None:
    """Raises BadSettings, in one sentence, for the first policy that cannot be used."""
    for model, lines in policies.items():
        _parsed(model, lines)


def _parsed(model: str, lines: Any) -> AllOf:
    if not isinstance(lines, list):
        raise BadSettings(
            f"MODELLEDGER_POLICIES: the policy of {model!r} must be a list of gates, "
            'for example [{"gate": "data_readable"}].'
        )
    gates = tuple(_gate(model, line) for line in lines)
    if gates and not any(isinstance(gate, ArtifactSafe) for gate in gates):
        gates = (*gates, ArtifactSafe())
    return AllOf(gates)


def _comparisons(task: Task | None) -> tuple[Gate, ...]:
    if task is Task.CLASSIFICATION:
        return (NotBelowProduction("precision"), NotBelowProduction(primary_metric(task)))
    return (NotBelowProduction(primary_metric(task)),) if task else (KpisLogged(),)


def _gate(model: str, line: Any) -> Gate:
    if not isinstance(line, dict) or line.get("gate") not in GATES:
        raise BadSettings(
            f'MODELLEDGER_POLICIES: {line!r} is no gate; write {{"gate": NAME}} with one of {", ".join(GATES)}.'
        )
    kind = GATES[line["gate"]]
    values = {name: tuple(v) if isinstance(v, list) else v for name, v in line.items() if name != "gate"}
    try:
        gate = kind(**values)
    except TypeError as error:
        takes = ", ".join(f.name for f in fields(kind)) or "nothing"  # type: ignore[arg-type]
        raise BadSettings(f"MODELLEDGER_POLICIES: gate {line['gate']!r} of {model!r} takes {takes}.") from error
    for name, hint in get_type_hints(kind).items():
        if not _is_a(values.get(name, getattr(gate, name)), hint):
            raise BadSettings(
                f"MODELLEDGER_POLICIES: {name} of gate {line['gate']!r} of {model!r} must be {_WORDS[hint]}, "
                f"not {line[name]!r}."
            )
    return gate


_WORDS: dict[Any, str] = {str: "a name", int: "a whole number", float: "a number", tuple[str, ...]: "a list of names"}


def _is_a(value: Any, hint: Any) -> bool:
    if hint is str:
        return isinstance(value, str) and bool(value)
    if hint is int:
        return isinstance(value, int) and not isinstance(value, bool)
    if hint is float:
        return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < _LARGEST
    return isinstance(value, tuple) and all(isinstance(item, str) for item in value)


def _rows(metrics: Mapping[str, float]) -> float | None:
    train, test = _number(metrics, "TrainRows"), _number(metrics, "TestRows")
    return None if train is None or test is None else train + test


def _number(metrics: Mapping[str, float], name: str) -> float | None:
    """A measurement, or None: NaN fails this comparison, and so does an infinity."""
    value = metrics.get(name)
    return value if value is not None and abs(value) < _LARGEST else None
