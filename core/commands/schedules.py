"""Commands on schedules: schedule, schedules, unschedule."""

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
    recipe: Annotated[str, typer.Argument(metavar="RECIPE")],
    cron: Annotated[
        str | None, typer.Option(metavar="LINE", help="Minute, hour, day, month, weekday; in UTC: '30 2 * * 1'.")
    ] = None,
    on_new_data: Annotated[bool, typer.Option("--on-new-data", help="Whenever its table gets new rows.")] = False,
    param: Params = None,
    reason: OptionalReason = "",
    as_: As = None,
    as_json: Json = False,
) -> None:
    """Retrains a recipe without a person; it acts by the token in MODELLEDGER_TOKEN and ends with it."""
    trigger = save_trigger(
        get_stores(),
        get_actor(as_, "scientist"),
        recipe=recipe,
        cron=cron,
        on_new_data=on_new_data,
        params=parse_parameters(param),
        reason=reason,
    )
    write_answer(_answer(trigger), as_json=as_json)


def schedules(as_: As = None, as_json: Json = False) -> None:
    """All schedules, and whether each is on."""
    write_answer([_answer(trigger) for trigger in list_triggers(get_stores(), get_actor(as_))], as_json=as_json)


def unschedule(
    schedule_id: Annotated[str, typer.Argument(metavar="ID")],
    reason: OptionalReason = "",
    as_: As = None,
    as_json: Json = False,
) -> None:
    """Deletes a schedule; what it has started goes on."""
    delete_trigger(get_stores(), get_actor(as_, "scientist"), schedule_id, reason=reason)
    write_answer({"id": schedule_id, "deleted": True}, as_json=as_json)


def _answer(trigger: Trigger) -> dict[str, Any]:
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
