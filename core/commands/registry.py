"""Commands for the registry: accept it as found, its timeline, compare two versions, edit texts and tags."""

from __future__ import annotations

import sys
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from core.commands.options import (
    As,
    AsOf,
    Decider,
    Json,
    Reason,
    get_actor,
    get_stores,
    parse_as_of,
    parse_model,
    parse_model_version,
    write_answer,
)
from core.escaping import line as escaped
from core.features.history.stage_timeline import (
    ModelTimeline,
    PeriodEnd,
    PeriodSource,
    StagePeriod,
    VersionTimeline,
    stage_timeline,
    stage_timelines,
)
from core.features.runs import compare_versions as comparing
from core.features.runs import edit_model as editing
from core.features.takeover.accept_registry import accept_registry
from core.jobs.progress import Silent

# A tag can hold the JSON of a whole model; a table for people shows its beginning.
_LONGEST_SHOWN = 120
_Target = Annotated[str, typer.Argument(metavar="MODEL[/N]", help="Model, or model version: MODEL/N or MODEL@ALIAS.")]
_Name = Annotated[str, typer.Argument(metavar="NAME", help="Name of the tag.")]
_Seen = Annotated[
    str | None, typer.Option(metavar="TEXT", help="Text that you saw; refuse if another text is there now.")
]


def add_to(app: typer.Typer) -> None:
    app.command("accept-registry")(accept)
    app.command("compare-versions")(compare_versions)
    for command in (timeline, describe, tag, untag):
        app.command()(command)


class _Lines(Silent):
    """Progress as lines on stderr."""

    def report(self, fraction: float, step: str) -> None:
        print(f"{fraction:4.0%}  {escaped(step)}", file=sys.stderr)


def accept(
    as_: Decider,
    reason: Reason,
    models: Annotated[
        list[str] | None,
        typer.Argument(metavar="[MODEL]...", help="Models to accept. Default: all that are not taken over yet."),
    ] = None,
    all_files: Annotated[
        bool,
        typer.Option("--all-files", help="Hash the files of every version, not only of Production and Staging."),
    ] = False,
    as_json: Json = False,
) -> None:
    """Accept the present state of models as found. Their later changes are findings."""
    accepted = accept_registry(
        get_stores(), get_actor(as_), models=models or (), reason=reason, all_files=all_files, progress=_Lines()
    )
    documents = [{**asdict(model), "production": list(model.production)} for model in accepted]
    if not as_json:  # of many models, one line each
        shown = ("model", "versions", "production", "files_missing")
        documents = [{name: document[name] for name in shown} for document in documents]
    write_answer(documents, as_json=as_json)


def timeline(
    model: Annotated[
        str | None, typer.Argument(metavar="[MODEL]", help="Registered model. Default: all, the last changed first.")
    ] = None,
    as_of: AsOf = None,
    as_: As = None,
    as_json: Json = False,
) -> None:
    """Show the stages of each version over time, with who decided and why.

    Versions that never had a stage are left out.
    """
    stores, actor, until = get_stores(), get_actor(as_), parse_as_of(as_of)
    problem = None
    if model is not None:
        shown: tuple[ModelTimeline, ...] = (stage_timeline(stores, actor, model, until=until),)
    else:
        timelines = stage_timelines(stores, actor, until=until)
        shown, problem = timelines.models, timelines.registry_problem
    if problem is not None:
        print(escaped(problem), file=sys.stderr)
    if as_json:
        documents = [_timeline_document(each) for each in shown]
        write_answer(documents if model is None else documents[0], as_json=True)
        return
    write_answer(
        [_line(version, period) for each in shown for version in each.versions for period in version.periods[::-1]],
        as_json=False,
    )


def _timeline_document(timeline: ModelTimeline) -> dict[str, Any]:
    return {
        "model": timeline.model,
        "until": timeline.moment,
        "without_stage": timeline.without_stage,
        "unknown": timeline.unknown,
        "versions": [
            {
                "version": version.version,
                "registered": version.registered,
                "stage": version.stage,
                "periods": [_period_document(period) for period in version.periods],
            }
            for version in timeline.versions
        ],
    }


def _period_document(period: StagePeriod) -> dict[str, Any]:
    decision = period.decision
    return {
        "stage": period.stage,
        "from": period.start,
        "from_is_exact": period.is_start_exact,
        "not_before": period.not_before,
        "to": period.end,
        "ended_by": period.ended_by,
        "source": period.source,
        "decided_by": list(decision.decided_by) if decision else [],
        "requested_by": decision.requested_by if decision else None,
        "reason": decision.reason if decision else None,
        "request": decision.request if decision else None,
        "event": period.sequence,
        "end_event": period.end_sequence,
        "finding": period.finding,
    }


def _line(version: VersionTimeline, period: StagePeriod) -> dict[str, Any]:
    """One line for people: times to the minute, in UTC; the newest period of a version first."""
    decision = period.decision
    return {
        "version": str(version.key),
        "stage": period.stage,
        "from": f"{'' if period.is_start_exact else '≤ '}{_minute(period.start)}",
        "to": _end(period),
        "by": ", ".join(decision.decided_by) if decision else PeriodSource.REGISTRY.value,
        "reason": decision.reason if decision else None,
    }


def _end(period: StagePeriod) -> str:
    if period.end is None or period.ended_by is None:
        return "now"
    how = "" if period.ended_by is PeriodEnd.DECISION else f", {period.ended_by.value}"
    return f"{_minute(period.end)}{how}"


def _minute(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M}"


def compare_versions(
    first: Annotated[str, typer.Argument(metavar="MODEL/A", help="Version to compare with, for example Production's.")],
    second: Annotated[str, typer.Argument(metavar="MODEL/B", help="Version that is compared with it.")],
    as_: As = None,
    as_json: Json = False,
) -> None:
    """Compare two model versions: KPIs, params, tags, signature, requirements, data, code. Show what differs."""
    comparison = comparing.compare_versions(
        get_stores(), get_actor(as_), parse_model_version(first), parse_model_version(second)
    )
    document = _comparison(comparison)
    write_answer(document if as_json else _differences(document), as_json=as_json)


def describe(
    model: _Target,
    as_: Decider,
    reason: Reason,
    text: Annotated[str, typer.Option("--text", metavar="TEXT", help="New description; empty to remove it.")],
    seen: _Seen = None,
    as_json: Json = False,
) -> None:
    """Change the description of a model or of a model version."""
    name, version = parse_model(model)
    changed = editing.describe(
        get_stores(), get_actor(as_), name, version=version, description=text, seen=seen, reason=reason
    )
    write_answer(_texts(changed), as_json=as_json)


def tag(
    model: _Target,
    name: _Name,
    value: Annotated[str, typer.Argument(metavar="VALUE", help="New value.")],
    as_: Decider,
    reason: Reason,
    seen: _Seen = None,
    as_json: Json = False,
) -> None:
    """Set a tag of a model or of a model version."""
    of, version = parse_model(model)
    changed = editing.set_tag(
        get_stores(), get_actor(as_), of, name, value, version=version, seen=_seen_tags(name, seen), reason=reason
    )
    write_answer(_texts(changed), as_json=as_json)


def untag(model: _Target, name: _Name, as_: Decider, reason: Reason, seen: _Seen = None, as_json: Json = False) -> None:
    """Remove a tag of a model or of a model version."""
    of, version = parse_model(model)
    changed = editing.remove_tag(
        get_stores(), get_actor(as_), of, name, version=version, seen=_seen_tags(name, seen), reason=reason
    )
    write_answer(_texts(changed), as_json=as_json)


def _seen_tags(name: str, seen: str | None) -> dict[str, str] | None:
    return None if seen is None else {name: seen}


def _texts(texts: editing.Texts) -> dict[str, Any]:
    return {
        "model": texts.model,
        "version": texts.version,
        "description": texts.description,
        "tags": dict(texts.tags),
    }


def _comparison(found: comparing.VersionComparison) -> dict[str, Any]:
    return {
        "first": str(found.first.version.key),
        "second": str(found.second.version.key),
        "metrics": {
            metric.name: {
                "first": metric.first,
                "second": metric.second,
                "difference": metric.delta,
                "verdict": metric.direction,
            }
            for metric in found.metrics
        },
        "signature": {
            "verdict": found.signature.verdict,
            "problems": list(found.signature.problems),
            "unknown": list(found.signature.unknown),
            "columns": [
                {
                    "role": column.role,
                    "name": column.name,
                    "first": asdict(column.first) if column.first else None,
                    "second": asdict(column.second) if column.second else None,
                    "problem": column.problem,
                }
                for column in found.signature.columns
            ],
        },
        "data": [
            {
                "table": pair.table,
                "use": pair.use,
                "first": _data_side(pair.first),
                "second": _data_side(pair.second),
                "comparison": pair.comparison,
            }
            for pair in found.data
        ],
        **{
            part.value: [
                {"name": pair.name, "first": pair.first, "second": pair.second, "differs": pair.differs}
                for pair in pairs
            ]
            for part, pairs in found.facts.items()
        },
        "notes": list(found.notes),
        "unknown": list(found.unknown),
    }


def _data_side(side: comparing.DataSide | None) -> dict[str, Any] | None:
    if side is None:
        return None
    view = side.view
    return {
        "version": view.source.version,
        "rows": side.rows,
        "readable": view.verdict.verdict if view.verdict else None,
        "identity": view.identity.verdict if view.identity else None,
        "doubts": list(view.doubts),
    }


def _differences(document: dict[str, Any]) -> dict[str, Any]:
    """Return the document for people: only what differs, with long values cut."""
    signature = document["signature"]
    shown: dict[str, Any] = {
        "first": document["first"],
        "second": document["second"],
        "metrics": [{"name": name, **values} for name, values in document["metrics"].items()],
        "signature": signature["verdict"],
        **{f"signature {number}": why for number, why in enumerate(signature["problems"] + signature["unknown"], 1)},
        "data": [
            {
                "table": row["table"],
                "use": row["use"],
                "first": _data_cell(row["first"]),
                "second": _data_cell(row["second"]),
            }
            for row in document["data"]
        ],
    }
    for part in comparing.Part:
        shown[part.value] = [
            {name: _cut(row[name]) for name in ("name", "first", "second")}
            for row in document[part.value]
            if row["differs"]
        ]
    notes = enumerate(document["notes"] + document["unknown"], start=1)
    return shown | {f"note {number}": note for number, note in notes}


def _data_cell(side: dict[str, Any] | None) -> str | None:
    if side is None:
        return None
    parts = (
        f"@{'?' if side['version'] is None else side['version']}",
        side["rows"],
        side["readable"],
        side["identity"],
    )
    return ", ".join(str(getattr(part, "value", part)) for part in parts if part is not None)


def _cut(value: str | None) -> str | None:
    if value is None or len(value) <= _LONGEST_SHOWN:
        return value
    return f"{value[:_LONGEST_SHOWN]}… ({len(value):,} characters)"
