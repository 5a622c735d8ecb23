"""The command runs: search runs, order them and show a page of them."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer

from core.commands.options import As, AsOf, Json, get_actor, get_stores, parse_as_of, write_answer
from core.delta.catalog import split_version
from core.entities import DataSource, Run, RunStatus
from core.errors import BadParameter
from core.features.history.moment import parse_moment
from core.features.history.runs_as_of import run_at
from core.features.runs.search import RunQuery, RunResults, search_runs
from core.registry.search.order import RunOrder, parse_order

# How long the runs are counted that are not shown. A run costs MLflow about 1 ms.
_COUNT_S = 2.0

_Experiments = Annotated[
    list[str] | None, typer.Option("--experiment", help="Show only runs of this experiment. May be repeated.")
]
_Filter = Annotated[
    str,
    typer.Option(
        "--filter", metavar="FILTER", help="MLflow's search syntax: \"metrics.rmse < 0.3 AND params.depth = '3'\"."
    ),
]
_Metrics = Annotated[
    list[str] | None, typer.Option("--metric", metavar="'NAME < VALUE'", help="Compare a metric. May be repeated.")
]
_Params = Annotated[
    list[str] | None, typer.Option("--param", metavar="NAME=VALUE", help="Compare a parameter. May be repeated.")
]
_Tags = Annotated[list[str] | None, typer.Option("--tag", metavar="NAME=VALUE", help="Compare a tag. May be repeated.")]
_Data = Annotated[str | None, typer.Option("--data", metavar="TABLE[@N]", help="Show only runs trained on this data.")]
_Order = Annotated[
    str | None,
    typer.Option(
        "--order",
        metavar="FIELD [ASC|DESC]",
        help="Order all runs by metrics.NAME, params.NAME, start_time, duration, name, … Default: start_time DESC.",
    ),
]
_MOMENT = "A day (2027-03-31, UTC) or an ISO 8601 time."


def add_to(app: typer.Typer) -> None:
    app.command()(runs)


def runs(
    experiment: _Experiments = None,
    condition: _Filter = "",
    metric: _Metrics = None,
    param: _Params = None,
    tag: _Tags = None,
    name: Annotated[str, typer.Option(help="Part of the run's name.")] = "",
    user: Annotated[str, typer.Option(help="User who started the run.")] = "",
    status: Annotated[RunStatus | None, typer.Option(help="Status of the run.")] = None,
    since: Annotated[str | None, typer.Option(metavar="DATE", help=f"Started at or after. {_MOMENT}")] = None,
    until: Annotated[str | None, typer.Option(metavar="DATE", help=f"Started at or before. {_MOMENT}")] = None,
    model: Annotated[str | None, typer.Option(help="Show only runs of this registered model's versions.")] = None,
    trained_on: _Data = None,
    order: _Order = None,
    limit: Annotated[int, typer.Option(min=1, help="Show at most this many runs.")] = 100,
    page: Annotated[int, typer.Option(min=1, help="Show this page of --limit runs.")] = 1,
    as_of: AsOf = None,
    count: Annotated[bool, typer.Option("--count", help="Count all runs that match, however long it takes.")] = False,
    as_: As = None,
    as_json: Json = False,
) -> None:
    """Search runs, newest first. The number of runs that match is printed on stderr."""
    moment = parse_as_of(as_of)
    if moment is not None and status is not None:
        raise BadParameter("--status compares the present status of a run. Do not combine it with --as-of.")
    table, version = split_version(trained_on) if trained_on else (None, None)
    limits = [parse_moment(until)] if until else []
    query = RunQuery(
        filter=condition,
        metrics=tuple(metric or ()),
        params=tuple(param or ()),
        tags=tuple(tag or ()),
        name=name,
        user=user,
        experiments=tuple(experiment or ()),
        status=status,
        since=parse_moment(since, is_start=True) if since else None,
        until=min([*limits, *([moment.time] if moment else [])], default=None),
        table=table,
        version=version,
        model=model,
        order=parse_order(order) if order else RunOrder(),
    )
    found = search_runs(
        get_stores(),
        get_actor(as_),
        query,
        number=page,
        size=limit,
        count_s=None if count else _COUNT_S,
        progress=_show_progress,
    )
    shown = found.runs if moment is None else [run_at(run, moment) for run in found.runs]
    write_answer([run_document(run) for run in shown], as_json=as_json)
    if not (found.is_complete and found.total == len(found.runs)):
        print(_number_of(found), file=sys.stderr)


def run_document(run: Run) -> dict[str, Any]:
    """Return a run as the command line shows it. *table* and *version* are its first training data."""
    training = [source for source in run.data if source.is_training]
    return {
        "run_id": run.run_id,
        "name": run.name,
        "experiment": run.experiment,
        "status": run.status,
        "started": run.started,
        "ended": run.ended,
        "user": run.user,
        "table": next((source.table for source in training), None),
        "version": next((source.version for source in training), None),
        "data": [{**data_document(s), "use": s.context} for s in run.data if s.claimed is not None],
        "params": dict(run.params),
        "metrics": dict(run.metrics),
        "is_deleted": run.is_deleted,
    }


def data_document(source: DataSource) -> dict[str, Any]:
    """Return claimed data as the command line shows it. *weak* is the reason why the claim may be wrong."""
    return {
        "table": source.table,
        "version": source.version,
        "registered": source.resolved is not None,
        "weak": source.weak,
    }


def _number_of(found: RunResults) -> str:
    more = "" if found.is_complete and not found.is_capped else "more than "
    counting = "" if found.is_complete else "; --count counts all of them"
    page = f", page {found.number}" if found.number > 1 else ""
    return f"{len(found.runs):,} of {more}{found.total:,} runs{page}{counting}."


def _show_progress(read: int) -> None:
    if sys.stderr.isatty():
        print(f"\rReading runs: {read:,}", end="\r", file=sys.stderr, flush=True)
