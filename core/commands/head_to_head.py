"""The commands head-to-head and evaluate: model versions on rows with known answers."""

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
from core.features.head_to_head import evaluate as evaluation
from core.features.head_to_head import head_to_head as service
from core.features.head_to_head.result import serialize
from core.learning.kpis import primary_metric


def add_to(app: typer.Typer) -> None:
    app.command("head-to-head")(head_to_head)
    app.command("evaluate")(evaluate)


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
