"""The commands head-to-head, evaluate and why-moved: model versions on rows with known answers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from core.commands.options import (
    As,
    Json,
    OptionalReason,
    get_actor,
    get_stores,
    parse_model_version,
    write_answer,
)
from core.delta.catalog import split_version
from core.entities import Task
from core.errors import BadParameter
from core.features.head_to_head import evaluate as evaluation
from core.features.head_to_head import head_to_head as service
from core.features.head_to_head.result import serialize
from core.features.kpi_change.result import answer, steps
from core.features.kpi_change.result import serialize as serialize_why_moved
from core.features.kpi_change.why_moved import REPEATS
from core.features.kpi_change.why_moved import why_moved as service_why_moved
from core.learning.kpis import primary_metric


def add_to(app: typer.Typer) -> None:
    app.command("head-to-head")(head_to_head)
    app.command("evaluate")(evaluate)
    app.command("why-moved")(why_moved)


def head_to_head(
    first: Annotated[str, typer.Argument(metavar="MODEL/A", help="Version to compare with, for example Production's.")],
    second: Annotated[str, typer.Argument(metavar="MODEL/B", help="Version that is judged.")],
    table: Annotated[str, typer.Option(metavar="TABLE@N", help="Rows that both versions score.")],
    target: Annotated[str, typer.Option(help="Column with the true values; default: the runs' target.")] = "",
    slices: Annotated[
        list[str] | None, typer.Option("--slice", help="Column by which to compare parts; may be repeated.")
    ] = None,
    reason: OptionalReason = "",
    as_: As = None,
    as_json: Json = False,
) -> None:
    """Compare two versions on the same rows, with 95 % intervals. Rows that one was trained on are left out."""
    name, version = split_version(table)
    result = service.head_to_head(
        get_stores(),
        get_actor(as_),
        parse_model_version(first),
        parse_model_version(second),
        table=name,
        version=version,
        target=target,
        slices=slices,
        reason=reason,
    )
    document = serialize(result)
    write_answer(document if as_json else _for_people(document), as_json=as_json)


def evaluate(
    model: Annotated[str, typer.Argument(metavar="MODEL/N", help="Version that is evaluated.")],
    table: Annotated[str, typer.Option(metavar="TABLE@N", help="Rows that the version scores.")],
    target: Annotated[str, typer.Option(help="Column with the true values; default: the run's target.")] = "",
    reason: OptionalReason = "",
    as_: As = None,
    as_json: Json = False,
) -> None:
    """Compute KPIs and pictures of a version on a data version. Rows that it was trained on are left out."""
    name, version = split_version(table)
    result = evaluation.evaluate(
        get_stores(),
        get_actor(as_),
        parse_model_version(model),
        table=name,
        version=version,
        target=target,
        reason=reason,
    )
    document = evaluation.serialize(result)
    if not as_json:
        importance = document.pop("pictures")["importance"]
        document["importance"] = {entry["column"]: entry["mean"] for entry in importance}
    write_answer(document, as_json=as_json)


def why_moved(
    first: Annotated[str, typer.Argument(metavar="MODEL/A", help="Version from which the KPI changed.")],
    second: Annotated[str, typer.Argument(metavar="MODEL/B", help="Version to which the KPI changed.")],
    kpi: Annotated[str, typer.Option(help="KPI to explain; default: the leading one of the task.")] = "",
    table: Annotated[
        str, typer.Option(metavar="TABLE@N", help="Rows to test on; default: training data, unused rows only.")
    ] = "",
    repeats: Annotated[int, typer.Option(help="Trainings on other draws of the rows, for intervals.")] = REPEATS,
    reason: OptionalReason = "",
    as_: As = None,
    as_json: Json = False,
) -> None:
    """Split the change of a KPI between two versions into the parts of data and parameters, with 95 % intervals."""
    name, version = split_version(table) if table else ("", None)
    result = service_why_moved(
        get_stores(),
        get_actor(as_),
        parse_model_version(first),
        parse_model_version(second),
        table=name,
        version=version,
        repeats=repeats,
        reason=reason,
    )
    document = serialize_why_moved(result)
    chosen = kpi or primary_metric(Task.CLASSIFICATION if "f1" in document["metrics"] else Task.REGRESSION)
    if chosen not in document["metrics"]:
        raise BadParameter(
            "The versions have no KPI {kpi!r}; their KPIs are {kpis}.", kpi=chosen, kpis=", ".join(document["metrics"])
        )
    document = {"kpi": chosen, "answer": answer(document, chosen), **document}
    write_answer(document if as_json else _parts_for_people(document), as_json=as_json)


def _parts_for_people(document: Mapping[str, Any]) -> dict[str, Any]:
    """The answer, then each step from the first version's logged KPI to the second's."""
    named = ("answer", "first", "second", "kpi", "data", "rows", "left_out")
    return {
        **{name: document[name] for name in named},
        "steps": [
            {"step": step.label, "value": step.value, "interval": step.interval}
            for step in steps(document, document["kpi"])
        ],
        **{f"note {number}": note for number, note in enumerate(document["notes"], start=1)},
    }


def _for_people(document: Mapping[str, Any]) -> dict[str, Any]:
    """The KPIs with their intervals; of each class and slice one line with the leading KPI."""
    named = ("first", "second", "data", "target", "rows", "left_out")
    return {
        **{name: document[name] for name in named},
        "metrics": [_metric(name, values) for name, values in document["metrics"].items()],
        "classes": [_part(part) for part in document["classes"]],
        "slices": [_part(part) for part in document["slices"]],
        "mcnemar": document["mcnemar"],
        **{f"note {number}": note for number, note in enumerate(document["notes"], start=1)},
    }


def _metric(name: str, values: Mapping[str, Any]) -> dict[str, Any]:
    interval = f"{values['difference']:+.4g} [{values['low']:+.4g}, {values['high']:+.4g}]"
    return {
        "kpi": name,
        "first": values["first"],
        "second": values["second"],
        "difference": f"{interval} {values['verdict']}",
    }


def _part(part: Mapping[str, Any]) -> dict[str, Any]:
    task = Task.CLASSIFICATION if "f1" in part["metrics"] else Task.REGRESSION
    leading = primary_metric(task)
    name = f"{part['column']}: {part['name']}" if "column" in part else part["name"]
    values = part["metrics"][leading]
    return {"name": name, "rows": part["rows"], leading: f"{values['difference']:+.4g} {values['verdict']}"}
