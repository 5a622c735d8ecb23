"""The latest change: the newest event that made or changed a request, a decision or a finding."""

from __future__ import annotations

import threading

import sqlalchemy as sa

from core.access.permissions import Action
from core.database.engine import Database
from core.database.tables import events
from core.entities import Outcome

# Refused and failed actions change none of these, and neither do sign-ins, reads, ingests and scorings.
CHANGES = (
    Action.PROMOTION_REQUEST,
    Action.PROMOTION_DECIDE,
    Action.PROMOTION_ROLLBACK,
    Action.RECONCILE_RESOLVE,
    Action.REGISTRY_ACCEPT,
    Action.FINDING_OPEN,
)
_IS_CHANGE = sa.and_(
    events.c.action.in_([action.value for action in CHANGES]), events.c.outcome == Outcome.SUCCESS.value
)


class LatestChange:
    """The number of the latest change in one log. Each read is one query for the events since the read before."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._lock = threading.Lock()
        self._last_read: int | None = None
        self._number = 0

    def number(self) -> int:
        """Return a number that differs from an earlier one exactly where a change was logged in between.

        It is the number of the newest event at the first read, and later that of the latest change. Raises
        DatabaseUnavailable.
        """
        newest = sa.func.max(events.c.sequence)
        if self._last_read is None:
            query = sa.select(newest, newest)
        else:
            query = sa.select(newest, sa.func.max(sa.case((_IS_CHANGE, events.c.sequence))))
            query = query.where(events.c.sequence > self._last_read)
        with self._database.read() as connection:
            last_read, change = connection.execute(query).one()
        with self._lock:
            self._last_read = max(last_read or 0, self._last_read or 0)
            self._number = max(change or 0, self._number)
            return self._number
