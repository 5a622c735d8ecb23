"""Triggers: start jobs by a cron expression (UTC) or when a table has a new version."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from croniter import croniter

from core.database.engine import Database
from core.database.tables import triggers
from core.entities import Trigger
from core.errors import BadParameter, NotFound
from core.redact import everywhere, redactor


class Triggers:
    """The triggers in one database. *redact* masks secrets in the arguments of their jobs."""

    def __init__(self, database: Database, *, redact: Callable[[str], str] | None = None) -> None:
        self._database = database
        self._redact = redact or redactor()

    def list(self) -> tuple[Trigger, ...]:
        """Return all triggers, oldest first."""
        with self._database.read() as connection:
            rows = connection.execute(sa.select(triggers).order_by(triggers.c.created, triggers.c.id)).mappings()
            return tuple(_trigger(row) for row in rows)

    def get(self, trigger_id: str) -> Trigger:
        """Return one trigger. Raises NotFound."""
        for trigger in self.list():
            if trigger.id == trigger_id:
                return trigger
        raise NotFound("There is no schedule {trigger_id!r}. It may have been deleted.", trigger_id=trigger_id)

    def save(self, trigger: Trigger) -> Trigger:
        """Add or replace a trigger. Raises BadParameter for an invalid cron expression."""
        trigger = replace(trigger, arguments=everywhere(trigger.arguments, self._redact))
        if trigger.cron is not None:
            trigger = replace(trigger, next_due=next_due(trigger.cron, datetime.now(UTC)))
        with self._database.write() as connection:
            connection.execute(sa.delete(triggers).where(triggers.c.id == trigger.id))
            connection.execute(sa.insert(triggers).values(_columns(trigger)))
        return trigger

    def delete(self, trigger_id: str) -> None:
        with self._database.write() as connection:
            connection.execute(sa.delete(triggers).where(triggers.c.id == trigger_id))

    def advance(self, trigger: Trigger, **changes: Any) -> bool:
        """Apply *changes* if the trigger has not changed since it was read, so that only one worker fires it."""
        with self._database.write() as connection:
            changed = connection.execute(
                sa.update(triggers)
                .where(
                    triggers.c.id == trigger.id,
                    _same(triggers.c.next_due, trigger.next_due),
                    _same(triggers.c.last_seen_version, trigger.last_seen_version),
                )
                .values(**changes)
            )
        return changed.rowcount == 1


def next_due(cron: str, after: datetime) -> datetime:
    """Return the first time after *after* that a five-field cron expression names, in UTC. Raises BadParameter."""
    if len(cron.split()) != 5 or not croniter.is_valid(cron):
        raise BadParameter(
            "{cron!r} is not a valid cron expression. Write minute hour day month weekday, for example '0 6 * * 1' "
            "(Mondays at 06:00 UTC).",
            cron=cron,
        )
    due: datetime = croniter(cron, after.astimezone(UTC)).get_next(datetime)
    return due


def _same(column: sa.Column[Any], value: Any) -> sa.ColumnElement[bool]:
    return column.is_(None) if value is None else column == value


def _columns(trigger: Trigger) -> dict[str, Any]:
    return {
        "id": trigger.id,
        "kind": trigger.kind,
        "job_kind": trigger.job_kind,
        "arguments": json.dumps(dict(trigger.arguments)),
        "actor": trigger.actor,
        "role": trigger.role,
        "created": trigger.created,
        "cron": trigger.cron,
        "table_name": trigger.table,
        "enabled": trigger.enabled,
        "last_fired": trigger.last_fired,
        "last_seen_version": trigger.last_seen_version,
        "next_due": trigger.next_due,
        "token": trigger.token,
    }


def _trigger(row: Mapping[Any, Any]) -> Trigger:
    values = {name: row[name] for name in row if name not in ("arguments", "table_name")}
    return Trigger(**values, arguments=json.loads(row["arguments"]), table=row["table_name"])
