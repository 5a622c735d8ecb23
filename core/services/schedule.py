"""Schedules: retraining by a cron line or on a table's new data version, and firing what is due."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from core.entities import Actor, Job, Outcome, Role, Trigger
from core.errors import BadParameter, CoreError, Unavailable
from core.jobs.triggers import next_due
from core.permissions import Action
from core.services.stores import Stores
from core.services.train import find_recipe, submit_training

CRON = "cron"
NEW_DATA = "new data"

# Commits that write a version and change no row.
_NO_DATA = frozenset({"OPTIMIZE", "VACUUM START", "VACUUM END", "SET TBLPROPERTIES", "ADD CONSTRAINT", "REORG"})


def list_triggers(stores: Stores, actor: Actor) -> tuple[Trigger, ...]:
    """All schedules, oldest first."""
    stores.audit.require(actor, Action.JOB_READ)
    return stores.jobs.triggers.list()


def save_trigger(
    stores: Stores,
    actor: Actor,
    *,
    recipe: str,
    cron: str | None = None,
    on_new_data: bool = False,
    params: Mapping[str, Any] | None = None,
    reason: str = "",
) -> Trigger:
    """Retrains *recipe* by *cron* (five fields, UTC) or whenever its table gets a version with new rows; not both.

    Raises BadParameter, RecipeNotFound, TableNotFound.
    """
    with stores.audit.recording(actor, Action.TRIGGER_WRITE, f"schedule of {recipe}", reason=reason) as record:
        if (cron is None) == (not on_new_data):
            raise BadParameter("Choose one: a cron line, or on new data.")
        chosen = find_recipe(stores, recipe)
        table, latest = stores.pin(chosen.table)
        trigger = stores.jobs.triggers.save(
            Trigger(
                id=uuid4().hex[:12],
                kind=CRON if cron else NEW_DATA,
                job_kind="train",
                arguments={"recipe": recipe, "params": dict(params or {})},
                actor=actor.name,
                role=",".join(sorted(role.value for role in actor.roles)),
                created=datetime.now(UTC),
                cron=cron,
                table=table.name,
                last_seen_version=latest.version if on_new_data else None,
            )
        )
        record.after = {"trigger": trigger.id, "cron": cron, "table": table.name if on_new_data else None}
    return trigger


def delete_trigger(stores: Stores, actor: Actor, trigger_id: str, *, reason: str = "") -> None:
    """Raises NotFound."""
    trigger = stores.jobs.triggers.get(trigger_id)
    subject = f"schedule of {trigger.arguments.get('recipe')}"
    with stores.audit.recording(actor, Action.TRIGGER_WRITE, subject, reason=reason, before={"trigger": trigger.id}):
        stores.jobs.triggers.delete(trigger_id)


def fire_due(stores: Stores, now: datetime | None = None) -> tuple[Job, ...]:
    """Submits a training for every schedule that is due; of several workers one does. What was missed runs once.

    A schedule whose table or recipe is gone is turned off, which is recorded; the others go on.
    """
    moment = now or datetime.now(UTC)
    fired = []
    for trigger in stores.jobs.triggers.list():
        if not trigger.enabled:
            continue
        try:
            changes = _due(stores, trigger, moment)
            if changes and stores.jobs.triggers.advance(trigger, **changes) and "last_fired" in changes:
                fired.append(_submit(stores, trigger))
        except CoreError as error:
            _turn_off(stores, trigger, error)
    return tuple(fired)


def _due(stores: Stores, trigger: Trigger, now: datetime) -> dict[str, Any]:
    """What to set on the trigger; with last_fired where it fires, empty where it is not due."""
    if trigger.cron is not None:
        if trigger.next_due is None or trigger.next_due > now:
            return {}
        return {"last_fired": now, "next_due": next_due(trigger.cron, now)}
    table = stores.catalog.resolve(trigger.table or "")
    latest, seen = stores.engine.latest_version(table), trigger.last_seen_version
    if seen is not None and latest <= seen:
        return {}
    since = stores.engine.history(table, limit=latest - seen if seen is not None else None)
    has_rows = any(commit.operation not in _NO_DATA for commit in since)
    return {"last_seen_version": latest} | ({"last_fired": now} if has_rows else {})


def _submit(stores: Stores, trigger: Trigger) -> Job:
    who = trigger.cron or f"new data in {trigger.table}"
    return submit_training(stores, _owner(trigger), reason=f"schedule {trigger.id}: {who}", **trigger.arguments)


def _turn_off(stores: Stores, trigger: Trigger, error: CoreError) -> None:
    if isinstance(error, Unavailable):
        return  # tried again at the next round
    stores.jobs.triggers.advance(stores.jobs.triggers.get(trigger.id), enabled=False)
    subject = f"schedule of {trigger.arguments.get('recipe')}"
    stores.audit.append(
        _owner(trigger), Action.TRIGGER_WRITE.value, subject, Outcome.FAILED, reason=f"turned off: {error}"
    )


def _owner(trigger: Trigger) -> Actor:
    roles = frozenset(Role(role) for role in trigger.role.split(",") if role)
    return Actor(name=trigger.actor, roles=roles, channel="schedule")
