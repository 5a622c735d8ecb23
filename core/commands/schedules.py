"""Commands for schedules: schedule, schedules, unschedule."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from core.commands.options import (
    As,
    Json,
    OptionalReason,
    Params,
    get_actor,
    get_stores,
    parse_parameters,
    write_answer,
)
from core.entities import Trigger
from core.features.jobs.schedules import delete_trigger, list_triggers, save_trigger


def add_to(app: typer.Typer) -> None:
    for command in (schedule, schedules, unschedule):
        app.command()(command)


def schedule(
    recipe: Annotated[str, typer.Argument(metavar="RECIPE", help="Recipe to train.")],
    cron: Annotated[
        str | None, typer.Option(metavar="LINE", help="Train at these times (cron, UTC), for example '30 2 * * 1'.")
    ] = None,
    on_new_data: Annotated[
        bool, typer.Option("--on-new-data", help="Train whenever the table has a new version.")
    ] = False,
    param: Params = None,
    reason: OptionalReason = "",
    as_: As = None,
    as_json: Json = False,
) -> None:
    """Train a recipe on a schedule, acting by MODELLEDGER_TOKEN."""
    trigger = save_trigger(
        get_stores(),
        get_actor(as_, "scientist"),
        recipe=recipe,
        cron=cron,
        on_new_data=on_new_data,
        params=parse_parameters(param),
        reason=reason,
    )
    write_answer(_document(trigger), as_json=as_json)


def schedules(as_: As = None, as_json: Json = False) -> None:
    """List schedules."""
    write_answer([_document(trigger) for trigger in list_triggers(get_stores(), get_actor(as_))], as_json=as_json)


def unschedule(
    schedule_id: Annotated[str, typer.Argument(metavar="ID", help="Schedule id.")],
    reason: OptionalReason = "",
    as_: As = None,
    as_json: Json = False,
) -> None:
    """Delete a schedule. Jobs that it started continue."""
    delete_trigger(get_stores(), get_actor(as_, "scientist"), schedule_id, reason=reason)
    write_answer({"id": schedule_id, "deleted": True}, as_json=as_json)


def _document(trigger: Trigger) -> dict[str, Any]:
    return {
        "id": trigger.id,
        "recipe": trigger.arguments.get("recipe"),
        "cron": trigger.cron,
        "on_new_data": trigger.cron is None,
        "table": trigger.table,
        "enabled": trigger.enabled,
        "by": trigger.actor,
        "token": trigger.token,
        "next_due": trigger.next_due,
        "last_fired": trigger.last_fired,
    }
