"""Commands for models: models, train, compare, lineage, impact, score, reproduce."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer

from core.commands.options import (
    As,
    AsOf,
    Json,
    OptionalReason,
    Params,
    get_actor,
    get_stores,
    parse_as_of,
    parse_model,
    parse_model_version,
    parse_parameters,
    write_answer,
)
from core.commands.runs import data_document, run_document
from core.delta.catalog import split_version
from core.entities import DataUse, Identity, Lineage, Node, NodeKind, Reproduced, Run
from core.errors import BadParameter
from core.escaping import line
from core.features.history import as_of as asof
from core.features.history import lineage_as_of
from core.features.lineage import origin
from core.features.lineage.impact import impact_of_version
from core.features.runs import compare as comparing
from core.features.runs import models as registered
from core.features.scoring.score import score as score_rows
from core.features.training import reproduce as reproducing
from core.features.training.train import train as train_model
from core.texts import plural


def add_to(app: typer.Typer) -> None:
    for command in (models, train, compare, lineage, impact, score, reproduce):
        app.command()(command)


def models(
    as_of: AsOf = None,
    as_: As = None,
    as_json: Json = False,
) -> None:
    """List registered models with their versions."""
    if (moment := parse_as_of(as_of)) is not None:
        state = asof.state_at(get_stores(), get_actor(as_), moment)
        write_answer([_model_as_of_document(model) for model in state.models], as_json=as_json)
        return
    listed = registered.list_models(get_stores(), get_actor(as_))
    write_answer(
        [
            {
                "name": model.name,
                "versions": [
                    {
                        "version": v.version,
                        "stage": v.stage,
                        "aliases": list(v.aliases),
                        "run_id": v.run_id,
                        "logged_model": v.model_id,
                        "metrics": dict(v.metrics),
                        "notes": list(v.notes),
                        "data": [{"table": d.table, "version": d.version} for d in v.data],
                    }
                    for v in model.versions
                ],
            }
            for model in listed
        ],
        as_json=as_json,
    )


def train(
    recipe: Annotated[str, typer.Argument(metavar="RECIPE", help="Recipe to train.")],
    table: Annotated[
        str | None,
        typer.Option(metavar="TABLE[@N]", help="Training data. Default: latest version of the recipe's table."),
    ] = None,
    param: Params = None,
    reason: OptionalReason = "",
    as_: As = None,
    as_json: Json = False,
) -> None:
    """Train a recipe and register the model."""
    name, version = (None, None) if table is None else split_version(table)
    result = train_model(
        get_stores(),
        get_actor(as_, "scientist"),
        recipe=recipe,
        table=name,
        version=version,
        params=parse_parameters(param),
        reason=reason,
    )
    write_answer(
        {
            "run_id": result.run_id,
            "model": result.model.model,
            "version": result.model.version,
            "model_version": str(result.model),
            "data": {"table": result.data.table, "version": result.data.version},
            "metrics": dict(result.metrics),
            "params": dict(result.params),
        },
        as_json=as_json,
    )


def compare(
    run_ids: Annotated[list[str], typer.Argument(metavar="RUN RUN…", help="Run ids or MODEL/N.")],
    baseline: Annotated[
        str | None, typer.Option(metavar="RUN", help="Run or MODEL/N to compare with. Default: the one in Production.")
    ] = None,
    as_: As = None,
    as_json: Json = False,
) -> None:
    """Compare runs or model versions and show what differs."""
    comparison = comparing.compare_runs(get_stores(), get_actor(as_), run_ids, baseline=baseline)
    write_answer(
        {
            "runs": [_compared(run, comparison) for run in comparison.runs],
            "baseline": comparison.baseline.run_id if comparison.baseline else None,
            "deltas": {run_id: dict(values) for run_id, values in comparison.deltas.items()},
            "differing_params": list(comparison.differing_params),
            "differing_metrics": list(comparison.differing_metrics),
        },
        as_json=as_json,
    )


def _compared(run: Run, comparison: comparing.Comparison) -> dict[str, Any]:
    """A compared run; a model version also has its key, and the id of its run."""
    document = run_document(run)
    if comparing.is_version(run.run_id):
        document |= {"run_id": comparison.versions[run.run_id][0].run_id, "model_version": run.run_id}
    return {**document, "notes": list(comparison.notes[run.run_id])}


def lineage(
    model: Annotated[str, typer.Argument(metavar="MODEL/N", help="Model version, or MODEL@ALIAS.")],
    check_content: Annotated[
        bool,
        typer.Option("--check-content", help="Read every row and compare the content SHA-256 with the training's."),
    ] = False,
    as_of: AsOf = None,
    as_: As = None,
    as_json: Json = False,
) -> None:
    """Trace a model version back to its data and forward to its predictions.

    With --check-content the exit code is 1 if the rows of a data version are not those of the training.
    """
    if (moment := parse_as_of(as_of)) is not None:
        then = lineage_as_of.lineage_at(get_stores(), get_actor(as_), parse_model_version(model), moment)
        write_answer(_lineage_as_of_document(*then), as_json=as_json)
        return
    key = parse_model_version(model)
    current = origin.origin_of_model(get_stores(), get_actor(as_), key, with_content=check_content)
    write_answer(
        {
            "model": {
                "name": current.version.model,
                "version": current.version.version,
                "stage": current.version.stage,
                "aliases": list(current.version.aliases),
            },
            "run": None if current.run is None else run_document(current.run),
            "data": [
                {
                    **data_document(d),
                    "claimed": d.claimed,
                    "use": d.context,
                    "source_of_truth": d.source_of_truth,
                    "findings": list(d.findings),
                    "identity": None if identity is None else _identity(identity),
                }
                for d, identity in zip(current.data, current.identities, strict=True)
            ],
            "code": dict(current.code),
            "decisions": [_node(n) for n in current.graph.nodes if n.kind is NodeKind.DECISION],
            "predictions": [_node(n) for n in current.graph.nodes if n.kind is NodeKind.BATCH],
        },
        as_json=as_json,
    )
    contradictions = [why for identity in current.identities if identity for why in identity.contradictions]
    if check_content and contradictions:
        print(line(f"{key} was not trained on this data: {' '.join(contradictions)}"), file=sys.stderr)
        raise typer.Exit(1)


def impact(
    table: Annotated[str, typer.Argument(metavar="TABLE@N", help="Table and version.")],
    as_: As = None,
    as_json: Json = False,
) -> None:
    """List models and predictions that depend on a data version, and models whose data is unknown."""
    name, version = split_version(table)
    if version is None:
        raise BadParameter("Name the version of {table}: {table}@N.", table=name, name="TABLE@N")
    answer = impact_of_version(get_stores(), get_actor(as_), name, version)
    evaluated = {str(key) for key in answer.evaluated}
    nodes = answer.graph.nodes
    write_answer(
        {
            "models": [
                {**_node(n), "use": DataUse.EVALUATION if n.subject in evaluated else DataUse.TRAINING}
                for n in nodes
                if n.kind is NodeKind.MODEL
            ],
            "predictions": [_node(n) for n in nodes if n.kind is NodeKind.BATCH],
            "unresolved": {
                "count": len(answer.unresolved),
                "of": answer.versions,
                "models": [{"model": str(u.key), "stage": u.stage, "why": u.why} for u in answer.unresolved],
            },
            "replaced": [{"kind": r.kind, "subject": r.subject, "why": r.why} for r in answer.replaced],
        },
        as_json=as_json,
    )
    if answer.unresolved:
        count = len(answer.unresolved)
        print(
            plural(
                "The data of {n} of {total} model versions is unknown, so it may depend on {data} too.",
                "The data of {n} of {total} model versions is unknown, so they may depend on {data} too.",
                count,
                total=answer.versions,
                data=line(table),
            ),
            file=sys.stderr,
        )


def score(
    model: Annotated[
        str, typer.Argument(metavar="MODEL", help="Model in Production; MODEL/N or MODEL@ALIAS for a version.")
    ],
    table: Annotated[str, typer.Argument(metavar="TABLE[@N]", help="Table, and version if not the latest.")],
    into: Annotated[str, typer.Option("--into", metavar="TABLE", help="Table for the predictions.")] = "predictions",
    reason: OptionalReason = "",
    as_: As = None,
    as_json: Json = False,
) -> None:
    """Score a version of a table and save the predictions."""
    name, version = split_version(table)
    model_name, model_number = parse_model(model)
    batch = score_rows(
        get_stores(),
        get_actor(as_, "scientist"),
        model=model_name,
        model_version=model_number,
        table=name,
        version=version,
        into=into,
        reason=reason,
    )
    write_answer(
        {
            "batch_id": batch.batch_id,
            "model": batch.model,
            "model_version": str(batch.key),
            "run_id": batch.run_id,
            "table": batch.source.table,
            "version": batch.source.version,
            "into": {"table": batch.into.table, "version": batch.into.version},
            "rows": batch.rows,
        },
        as_json=as_json,
    )


def _model_as_of_document(model: asof.ModelAsOf) -> dict[str, Any]:
    return {
        "name": model.name,
        "versions": [
            {
                "version": v.version,
                "stage": v.stage,
                "run_id": v.run_id,
                "metrics": dict(v.metrics),
                "data": [{"table": v.data.table, "version": v.data.version}] if v.data else [],
                "decided_by": list(v.decision.decided_by) if v.decision else [],
                "decided_at": v.decision.time if v.decision else None,
                "reason": v.decision.reason if v.decision else None,
                "requested_by": v.decision.requested_by if v.decision else None,
                "event": v.decision.sequence if v.decision else None,
            }
            for v in model.versions
        ],
    }


def reproduce(
    version: Annotated[str, typer.Argument(metavar="MODEL/N", help="Model version, or MODEL@ALIAS.")],
    tolerance: Annotated[
        float, typer.Option(help="Largest accepted difference of a KPI, relative or absolute.")
    ] = reproducing.TOLERANCE,
    reason: OptionalReason = "",
    as_: As = None,
    as_json: Json = False,
) -> None:
    """Train a version again and compare. Exit code 1 if it differs."""
    key = parse_model_version(version)
    reproduction = reproducing.reproduce(get_stores(), get_actor(as_), key, tolerance=tolerance, reason=reason)
    write_answer(reproducing.serialize(reproduction), as_json=as_json)
    if reproduction.verdict not in (Reproduced.REPRODUCED, Reproduced.WITHIN_TOLERANCE):
        print(f"{key} is not reproduced: {reproduction.why}", file=sys.stderr)
        raise typer.Exit(1)


def _lineage_as_of_document(version: asof.VersionAsOf, graph: Lineage) -> dict[str, Any]:
    """The lineage with the same keys as the present one. Facts that the log does not hold are empty."""
    run = {"run_id": version.run_id, "user": version.trained_by, "metrics": dict(version.metrics)}
    data = version.data
    provenance = {"source_of_truth": "audit log", "findings": []}
    return {
        "model": {"name": version.model, "version": version.version, "stage": version.stage},
        "run": run if version.run_id else None,
        "data": [{"table": data.table, "version": data.version, **provenance}] if data else [],
        "code": {},
        "decisions": [_node(n) for n in graph.nodes if n.kind is NodeKind.DECISION],
        "predictions": [_node(n) for n in graph.nodes if n.kind is NodeKind.BATCH],
    }


def _identity(identity: Identity) -> dict[str, Any]:
    return {
        "verdict": identity.verdict.value.replace(" ", "_"),
        "contradictions": list(identity.contradictions),
        "notes": list(identity.notes),
        "facts": {
            c.fact.value: {
                "recorded": c.recorded,
                "now": c.now,
                "comparison": c.agreement.value.replace(" ", "_"),
            }
            for c in identity.comparisons
        },
    }


def _node(node: Node) -> dict[str, Any]:
    return {"subject": node.subject, "label": node.label, "problem": node.problem, **node.detail}
