"""Promotion policies: which gates a model version must pass for a stage, from the settings or by default."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, get_type_hints

from core.entities import GateResult, Stage, Task
from core.errors import BadSettings
from core.features.promotion.fair_gates import FAIR_GATES
from core.features.promotion.gate_evidence import Evidence
from core.features.promotion.gates import (
    GATES,
    LARGEST,
    ArtifactSafe,
    DataReadable,
    DataRecorded,
    Gate,
    KpisLogged,
    NoHighFinding,
    NotBelowProduction,
    StageChanges,
)
from core.learning.kpis import Better, primary_metric
from core.texts import text

_GATES = {**GATES, **FAIR_GATES}


@dataclass(frozen=True)
class AllOf:
    """A policy: every gate must pass. A policy without gates fails."""

    gates: Sequence[Gate]

    def check(self, evidence: Evidence) -> tuple[GateResult, ...]:
        if not self.gates:
            detail = text("The policy has no gates, so no version can pass it.")
            return (GateResult(name=text("policy"), passed=False, detail=detail),)
        return tuple(gate.check(evidence) for gate in self.gates)


def policy_for(model: str, to: Stage, task: Task | None, policies: Mapping[str, Any]) -> AllOf:
    """Return the policy of *model*: its own from the settings, else that of '*', else the default of its task.

    Gates guard Production. For any other stage the only gate is that the stage changes. A policy from the settings
    without a gate on artifacts gets the strict one: formats that may run code must be allowed by name.

    Raises:
        BadSettings: the policy is not valid.
    """
    if to is not Stage.PRODUCTION:
        return AllOf((StageChanges(),))
    lines = policies.get(model, policies.get("*"))
    if lines is None:
        return AllOf(
            (StageChanges(), DataRecorded(), DataReadable(), ArtifactSafe(), NoHighFinding(), *_comparisons(task))
        )
    return _parse_policy(model, lines)


def rollback_policy(policy: AllOf, *, is_approved: bool) -> AllOf:
    """Return the gates of a rollback, where *policy* guards Production.

    KPIs are not compared: a rollback returns to a version that may have measured worse. A version that was never
    approved for Production must have no high finding open. A version that was approved needs no such gate.
    """
    artifact_gate = next((gate for gate in policy.gates if isinstance(gate, ArtifactSafe)), ArtifactSafe())
    data_gate = next((gate for gate in policy.gates if isinstance(gate, DataReadable)), DataReadable())
    gates = (DataRecorded(), data_gate, artifact_gate)
    return AllOf(gates if is_approved else (*gates, NoHighFinding()))


def check_policies(policies: Mapping[str, Any]) -> None:
    """Raise BadSettings for the first policy that is not valid."""
    for model, lines in policies.items():
        _parse_policy(model, lines)


def _parse_policy(model: str, lines: Any) -> AllOf:
    if not isinstance(lines, list):
        raise BadSettings(
            "MODELLEDGER_POLICIES: the policy of {model!r} must be a list of gates, "
            'for example [{{"gate": "data_readable"}}].',
            model=model,
        )
    gates = tuple(_parse_gate(model, line) for line in lines)
    if gates and not any(isinstance(gate, ArtifactSafe) for gate in gates):
        gates = (*gates, ArtifactSafe())
    return AllOf(gates)


def _comparisons(task: Task | None) -> tuple[Gate, ...]:
    if task is Task.CLASSIFICATION:
        return (NotBelowProduction("precision"), NotBelowProduction(primary_metric(task)))
    return (NotBelowProduction(primary_metric(task)),) if task else (KpisLogged(),)


def _parse_gate(model: str, line: Any) -> Gate:
    if not isinstance(line, dict) or line.get("gate") not in _GATES:
        raise BadSettings(
            'MODELLEDGER_POLICIES: {line!r} is not a valid gate. Write {{"gate": NAME}} with one of {names}.',
            line=line,
            names=", ".join(_GATES),
        )
    kind = _GATES[line["gate"]]
    values = {name: tuple(v) if isinstance(v, list) else v for name, v in line.items() if name != "gate"}
    try:
        gate = kind(**values)
    except TypeError as error:
        parameters = ", ".join(f.name for f in fields(kind)) or "nothing"  # type: ignore[arg-type]
        raise BadSettings(
            "MODELLEDGER_POLICIES: gate {gate!r} of {model!r} takes {parameters}.",
            gate=line["gate"],
            model=model,
            parameters=parameters,
        ) from error
    for name, hint in get_type_hints(kind).items():
        if not _is_valid(values.get(name, getattr(gate, name)), hint):
            raise BadSettings(
                "MODELLEDGER_POLICIES: {parameter} of gate {gate!r} of {model!r} must be {expected}, not {value!r}.",
                parameter=name,
                gate=line["gate"],
                model=model,
                expected=_TYPE_NAMES[hint],
                value=line[name],
            )
    return gate


_TYPE_NAMES: dict[Any, str] = {
    str: "a name",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    tuple[str, ...]: "a list of names",
    Better | None: '"lower" or "higher"',
}


def _is_valid(value: Any, hint: Any) -> bool:
    if hint is str:
        return isinstance(value, str) and bool(value)
    if hint == Better | None:
        return value in (None, "lower", "higher")
    if hint is bool:
        return isinstance(value, bool)
    if hint is int:
        return isinstance(value, int) and not isinstance(value, bool)
    if hint is float:
        return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < LARGEST
    return isinstance(value, tuple) and all(isinstance(item, str) for item in value)
