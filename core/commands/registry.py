"""The command accept-registry: accept the present state of models that were there before ModelLedger."""

from __future__ import annotations

import sys
from dataclasses import asdict
from typing import Annotated

import typer

from core.commands.options import Decider, Json, Reason, get_actor, get_stores, write_answer
from core.escaping import line as escaped
from core.features.takeover.accept_registry import accept_registry
from core.jobs.progress import Silent


def add_to(app: typer.Typer) -> None:
    app.command("accept-registry")(accept)


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
