"""Commands for the registry as a whole: accept-registry, timeline."""

from __future__ import annotations

import sys
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from core.commands.options import As, AsOf, Decider, Json, Reason, get_actor, get_stores, write_answer
from core.escaping import line as escaped
from core.features.history.as_of import parse_moment
from core.features.history.stage_timeline import (
    ModelTimeline,
    PeriodEnd,
    PeriodSource,
    StagePeriod,
    VersionTimeline,
    stage_timeline,
    stage_timelines,
)
from core.features.takeover.accept_registry import accept_registry
from core.jobs.progress import Silent


def add_to(app: typer.Typer) -> None:
    app.command("accept-registry")(accept)
    app.command()(timeline)


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
    stores, actor, until = get_stores(), get_actor(as_), None if as_of is None else parse_moment(as_of)
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
