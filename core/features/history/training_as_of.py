"""Jobs, schedules and recipes as they were at an earlier moment."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from core.access.permissions import Action
from core.entities import Actor, Event, Job, JobStatus, Outcome
from core.features.history.moment import Moment
from core.features.jobs.schedules import TURNED_OFF
from core.features.stores import Stores

_SCHEDULE, _RECIPE = "schedule of ", "recipe "


@dataclass(frozen=True, kw_only=True)
class ScheduleAsOf:
    """A schedule that existed at a given time. *sequence* is the number of the event that saved it.

    *turned_off* is the reason why it was turned off by then; None while it was on.
    """

    id: str
    recipe: str
    cron: str | None
    table: str | None
    by: str
    saved: datetime
    sequence: int
    turned_off: str | None = None


@dataclass(frozen=True, kw_only=True)
class RecipeAsOf:
    """A recipe that a person had saved by a given time. *sequence* is the number of the event that saved it."""

    name: str
    model: str
    task: str
    table: str
    target: str
    estimator: str
    by: str
    saved: datetime
    sequence: int


def jobs_at(stores: Stores, actor: Actor, moment: Moment, *, kind: str, limit: int = 100) -> tuple[Job, ...]:
    """Return at most *limit* jobs of a *kind* that were submitted by *moment*, newest first, with their status then.

    The times are those of the job table. It does not record earlier steps, progress and attempts: a job that was not
    over has none.
    """
    stores.audit.require(actor, Action.JOB_READ)
    return tuple(_job_at(job, moment) for job in stores.jobs.list(kind=kind, until=moment.time, limit=limit))


def schedules_at(stores: Stores, actor: Actor, moment: Moment) -> tuple[ScheduleAsOf, ...]:
    """Return the schedules that the events until *moment* leave behind, oldest first."""
    stores.audit.require(actor, Action.JOB_READ)
    schedules: dict[str, ScheduleAsOf] = {}
    for event in _events(stores, Action.TRIGGER_WRITE, moment):
        recipe = event.subject.removeprefix(_SCHEDULE)
        if event.outcome is Outcome.SUCCESS and event.after.get("trigger"):
            schedule = _schedule(event, recipe)
            schedules[schedule.id] = schedule
        elif event.outcome is Outcome.SUCCESS:
            schedules.pop(str(event.before.get("trigger")), None)
        elif event.outcome is Outcome.FAILED and event.reason.startswith(TURNED_OFF):
            # Older events name no schedule, but its recipe and its owner.
            named = event.before.get("trigger")
            for schedule in tuple(schedules.values()):
                if schedule.id == named or (not named and (schedule.recipe, schedule.by) == (recipe, event.actor)):
                    schedules[schedule.id] = replace(schedule, turned_off=event.reason.removeprefix(TURNED_OFF))
    return tuple(schedules.values())


def recipes_at(stores: Stores, actor: Actor, moment: Moment) -> tuple[RecipeAsOf, ...]:
    """Return the recipes that people had saved by *moment*, by name. The built-in recipes are not in the log."""
    stores.audit.require(actor, Action.RUN_READ)
    recipes = {
        event.subject.removeprefix(_RECIPE): event
        for event in _events(stores, Action.RECIPE_WRITE, moment)
        if event.outcome is Outcome.SUCCESS
    }
    return tuple(_recipe(name, event) for name, event in sorted(recipes.items()))


def _events(stores: Stores, action: Action, moment: Moment) -> tuple[Event, ...]:
    """Return the events of *action* until *moment*, oldest first."""
    found = stores.audit.search(action=action.value, before_sequence=moment.before_sequence, limit=None)
    return tuple(reversed(found))


def _job_at(job: Job, moment: Moment) -> Job:
    if job.ended is not None and job.ended <= moment.time:
        return job
    has_started = job.started is not None and job.started <= moment.time
    return replace(
        job,
        status=JobStatus.RUNNING if has_started else JobStatus.SCHEDULED,
        started=job.started if has_started else None,
        ended=None,
        heartbeat=None,
        progress=0.0,
        step="",
        result={},
        error=None,
    )


def _schedule(event: Event, recipe: str) -> ScheduleAsOf:
    return ScheduleAsOf(
        id=str(event.after["trigger"]),
        recipe=recipe,
        cron=event.after.get("cron"),
        table=event.after.get("table"),
        by=str(event.after.get("by") or event.actor),
        saved=event.time,
        sequence=event.sequence,
    )


def _recipe(name: str, event: Event) -> RecipeAsOf:
    facts = {key: str(event.after.get(key) or "") for key in ("model", "task", "table", "target", "estimator")}
    return RecipeAsOf(name=name, by=event.actor, saved=event.time, sequence=event.sequence, **facts)
