"""Schedules: retrain by a cron expression or when a table has new data, and start the jobs that are due."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from core.access.permissions import Action
from core.entities import Actor, Commit, Job, Outcome, Role, Trigger
from core.errors import BadParameter, CoreError, NotFound, Unavailable
from core.features.admin.tokens import require_valid_token, token_owner
from core.features.stores import Stores
from core.features.training.recipes import find_recipe
from core.jobs.triggers import next_due

CRON = "cron"
NEW_DATA = "new data"
# How the reason of the event begins that turns a schedule off.
TURNED_OFF = "turned off: "

# Operations that write a version without changing rows, though some of them write files.
_MAINTENANCE = frozenset(
    {
        *("OPTIMIZE", "VACUUM START", "VACUUM END", "REORG", "COMPUTE STATS", "ANALYZE"),
        *("SET TBLPROPERTIES", "UNSET TBLPROPERTIES", "ADD CONSTRAINT", "DROP CONSTRAINT", "CLUSTER BY"),
        *("CHANGE COLUMN", "RENAME COLUMN", "ADD COLUMNS", "UPGRADE PROTOCOL", "ADD FEATURE", "DROP FEATURE"),
    }
)


def list_triggers(stores: Stores, actor: Actor) -> tuple[Trigger, ...]:
    """Return all schedules, oldest first."""
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
    token: str = "",
    reason: str = "",
) -> Trigger:
    """Schedule *recipe* by *cron* (five fields, UTC) or for each version of its table with new rows; not both.

    The schedule acts by *token*, whose text is not kept, or by the token of *actor*. If people sign in, it needs one.

    Raises:
        BadParameter, RecipeNotFound, TableNotFound, NotSignedIn
    """
    with stores.audit.recording(actor, Action.TRIGGER_WRITE, f"schedule of {recipe}", reason=reason) as record:
        if (cron is None) == (not on_new_data):
            raise BadParameter("Choose either a cron expression or new data.")
        owner = token_owner(stores, actor, token, Action.RUN_TRAIN)
        table, latest = stores.pin(find_recipe(stores, recipe).table)
        trigger = stores.jobs.triggers.save(
            Trigger(
                id=uuid4().hex[:12],
                kind=CRON if cron else NEW_DATA,
                job_kind="train",
                arguments={"recipe": recipe, "params": dict(params or {})},
                actor=owner.name,
                role=",".join(sorted(role.value for role in owner.roles)),
                token=owner.token,
                created=datetime.now(UTC),
                cron=cron,
                table=table.name,
                last_seen_version=latest.version if on_new_data else None,
            )
        )
        record.after = {
            "trigger": trigger.id,
            "cron": cron,
            "table": table.name if on_new_data else None,
            "by": owner.name,
            "token": owner.token,
        }
    return trigger


def delete_trigger(stores: Stores, actor: Actor, trigger_id: str, *, reason: str = "") -> None:
    """Delete a schedule. Raises NotFound, but Forbidden to an actor who may not delete schedules."""
    try:
        trigger = stores.jobs.triggers.get(trigger_id)
    except NotFound:
        stores.audit.require(actor, Action.TRIGGER_WRITE, f"schedule {trigger_id}")
        raise
    subject = f"schedule of {trigger.arguments.get('recipe')}"
    with stores.audit.recording(actor, Action.TRIGGER_WRITE, subject, reason=reason, before={"trigger": trigger.id}):
        stores.jobs.triggers.delete(trigger_id)


def fire_due(stores: Stores, now: datetime | None = None) -> tuple[Job, ...]:
    """Submit a training for every schedule that is due, and return the jobs. Of several workers only one submits.

    Times that passed while no worker ran lead to one training. While a training of a schedule waits or runs, its next
    training waits too. A schedule whose table or recipe is gone is turned off, and the audit log records it.
    """
    time = now or datetime.now(UTC)
    enabled = [trigger for trigger in stores.jobs.triggers.list() if trigger.enabled]
    busy = {job.trigger_id for job in stores.jobs.list(live_only=True)} if enabled else set()
    jobs = []
    for trigger in enabled:
        try:
            due = None if trigger.id in busy else _due(stores, trigger, time)
            if due is not None:
                # First the job, with an id that a second worker would use too, then the schedule: if this process is
                # killed in between, the next round finds the job.
                job = _submit(stores, trigger, due) if due.version is not None else None
                if stores.jobs.triggers.advance(trigger, **due.changes) and job is not None:
                    jobs.append(job)
        except CoreError as error:
            _turn_off(stores, trigger, error)
    return tuple(jobs)


@dataclass(frozen=True, kw_only=True)
class _Due:
    """The *changes* to a schedule that is due, and the data *version* to train on; None if no row changed."""

    changes: dict[str, Any]
    version: int | None


def _due(stores: Stores, trigger: Trigger, now: datetime) -> _Due | None:
    if trigger.cron is not None:
        if trigger.next_due is None or trigger.next_due > now:
            return None
        _, pinned = stores.pin(trigger.table or "")
        return _Due(changes={"last_fired": now, "next_due": next_due(trigger.cron, now)}, version=pinned.version)
    table = stores.catalog.resolve(trigger.table or "")
    latest, last_seen = stores.engine.latest_version(table), trigger.last_seen_version
    if last_seen is not None and latest <= last_seen:
        return None
    commits = stores.engine.history(table, limit=latest - last_seen if last_seen is not None else None)
    newest = max((commit.version for commit in commits if _changes_rows(commit)), default=None)
    return _Due(
        changes={"last_seen_version": latest} | ({"last_fired": now} if newest is not None else {}), version=newest
    )


def _changes_rows(commit: Commit) -> bool:
    return commit.operation not in _MAINTENANCE and (commit.files_added > 0 or commit.files_removed > 0)


def _submit(stores: Stores, trigger: Trigger, due: _Due) -> Job:
    owner, recipe = _owner(trigger), str(trigger.arguments["recipe"])
    require_valid_token(stores, owner, Action.RUN_TRAIN, recipe, scheduled=True)
    stores.audit.require(owner, Action.RUN_TRAIN, recipe)
    find_recipe(stores, recipe)
    suffix = trigger.next_due.strftime("%Y%m%dT%H%M") if trigger.next_due else f"v{due.version}"
    cause = f"cron {trigger.cron}" if trigger.cron else f"new data in {trigger.table}"
    arguments = {
        **trigger.arguments,
        "table": trigger.table,
        "version": due.version,
        "reason": f"schedule {trigger.id}: {cause}",
    }
    return stores.jobs.submit("train", arguments, owner, trigger_id=trigger.id, job_id=f"{trigger.id}-{suffix}")


def _turn_off(stores: Stores, trigger: Trigger, error: CoreError) -> None:
    if isinstance(error, Unavailable):
        return  # the next round tries again
    stores.jobs.triggers.advance(stores.jobs.triggers.get(trigger.id), enabled=False)
    subject = f"schedule of {trigger.arguments.get('recipe')}"
    stores.audit.append(
        _owner(trigger),
        Action.TRIGGER_WRITE.value,
        subject,
        Outcome.FAILED,
        reason=f"{TURNED_OFF}{error}",
        before={"trigger": trigger.id},
    )


def _owner(trigger: Trigger) -> Actor:
    roles = frozenset(Role(role) for role in trigger.role.split(",") if role)
    return Actor(name=trigger.actor, roles=roles, channel="schedule", token=trigger.token)
