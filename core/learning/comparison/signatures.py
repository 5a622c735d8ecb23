"""Signatures of two models: what differs, and whether a program that calls the first can call the second."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from core.learning.safety.inspect_model import ModelColumn, ModelInfo
from core.texts import text

# MLflow converts these types of an input without loss (mlflow.models.utils._enforce_mlflow_datatype).
_WIDENED = frozenset({("integer", "long"), ("integer", "double"), ("float", "double")})


class ColumnRole(str, Enum):
    """What a part of a signature is for."""

    INPUT = "input"
    OUTPUT = "output"
    PARAMETER = "parameter"


class Compatibility(str, Enum):
    """Whether callers of the first model can call the second one."""

    COMPATIBLE = "compatible"
    INCOMPATIBLE = "incompatible"
    UNKNOWN = "unknown"


@dataclass(frozen=True, kw_only=True)
class ColumnPair:
    """A part of both signatures; None where a signature lacks it. *problem* says why callers of the first one fail."""

    role: ColumnRole
    name: str
    first: ModelColumn | None
    second: ModelColumn | None
    problem: str | None = None


@dataclass(frozen=True, kw_only=True)
class SignatureComparison:
    """The parts of both signatures. *unknown* says what the signatures do not say, so that nothing can be judged."""

    columns: tuple[ColumnPair, ...] = ()
    unknown: tuple[str, ...] = ()

    @property
    def problems(self) -> tuple[str, ...]:
        return tuple(column.problem for column in self.columns if column.problem)

    @property
    def verdict(self) -> Compatibility:
        if self.problems:
            return Compatibility.INCOMPATIBLE
        return Compatibility.UNKNOWN if self.unknown else Compatibility.COMPATIBLE


def compare_signatures(
    first: ModelInfo | None, second: ModelInfo | None, *, names: tuple[str, str]
) -> SignatureComparison:
    """Compare two signatures. *names* are those of the models, for the sentences; None is an artifact not read.

    Callers of the first model fail if an input is new and required, if an input or a parameter was removed or has
    another type, or if an output was removed or has another type. MLflow matches named columns by name and others by
    position. An input whose type MLflow converts without loss (integer to long) is compatible.
    """
    if first is None or second is None:
        missing = ", ".join(name for name, info in zip(names, (first, second), strict=True) if info is None)
        return SignatureComparison(unknown=(text("The files of {models} cannot be read.", models=missing),))
    unknown: list[str] = []
    for label, parts in (
        (text("inputs"), (first.inputs, second.inputs)),
        (text("outputs"), (first.outputs, second.outputs)),
    ):
        without = [name for name, columns in zip(names, parts, strict=True) if not columns]
        if without:
            unknown.append(text("{models} has no signature of its {part}.", models=", ".join(without), part=label))
    columns = (
        *(_pairs(ColumnRole.INPUT, first.inputs, second.inputs) if first.inputs and second.inputs else ()),
        *(_pairs(ColumnRole.OUTPUT, first.outputs, second.outputs) if first.outputs and second.outputs else ()),
        *_pairs(ColumnRole.PARAMETER, first.parameters, second.parameters),
    )
    return SignatureComparison(columns=columns, unknown=tuple(unknown))


def _pairs(role: ColumnRole, first: Sequence[ModelColumn], second: Sequence[ModelColumn]) -> list[ColumnPair]:
    before, after = ({column.name: column for column in columns} for columns in (first, second))
    return [
        ColumnPair(
            role=role,
            name=name,
            first=before.get(name),
            second=after.get(name),
            problem=_problem(role, before.get(name), after.get(name)),
        )
        for name in dict.fromkeys((*before, *after))
    ]


def _problem(role: ColumnRole, first: ModelColumn | None, second: ModelColumn | None) -> str | None:
    """Return why callers of the first model fail at this part of the second one; None if they do not."""
    if first is None and second is not None:
        is_required = role is ColumnRole.INPUT and second.required
        return text("The input {name} is new and required.", name=second.name) if is_required else None
    assert first is not None
    if second is None:
        return {
            ColumnRole.INPUT: text("The input {name} was removed.", name=first.name),
            ColumnRole.OUTPUT: text("The output {name} was removed.", name=first.name),
            ColumnRole.PARAMETER: text("The parameter {name} was removed.", name=first.name),
        }[role]
    if first.type != second.type and not (role is ColumnRole.INPUT and (first.type, second.type) in _WIDENED):
        values = {"name": first.name, "first": first.type, "second": second.type}
        return {
            ColumnRole.INPUT: text("The input {name} was {first} and is {second}.", **values),
            ColumnRole.OUTPUT: text("The output {name} was {first} and is {second}.", **values),
            ColumnRole.PARAMETER: text("The parameter {name} was {first} and is {second}.", **values),
        }[role]
    if role is ColumnRole.INPUT and second.required and not first.required:
        return text("The input {name} was optional and is required.", name=first.name)
    return None
