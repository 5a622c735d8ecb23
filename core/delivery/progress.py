"""Progress of the notification channels: one row per channel, with a lease, so that only one worker sends for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from core.database.engine import Database
from core.database.tables import notification_channels as rows
from core.errors import LeaseLost

# Longer than one delivery, including a slow name server.
LEASE = timedelta(seconds=90)


@dataclass(frozen=True, kw_only=True)
class ChannelProgress:
    """How far a channel has come. *cursor* is the number of the last event that needs nothing more.

    *attempts* failed since the last success; *given_up* messages were never delivered. A channel is *stopped* when its
    receiver answered that it no longer exists.
    """

    name: str
    cursor: int
    attempts: int
    next_try: datetime | None
    last_sent: datetime | None
    last_error: str | None
    last_error_at: datetime | None
    given_up: int
    stopped: bool


class NotificationProgress:
    """The rows of all channels in one database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def find(self, name: str) -> ChannelProgress | None:
        """Return a channel's row, or None where no worker has seen the channel yet."""
        with self._database.read() as connection:
            row = connection.execute(sa.select(rows).where(rows.c.name == name)).mappings().first()
        return None if row is None else _progress(row)

    def begin(self, name: str, *, cursor: int) -> ChannelProgress:
        """Return a channel's row. A new channel starts after event *cursor*."""
        known = self.find(name)
        if known is not None:
            return known
        make = postgresql.insert if self._database.is_postgres else sqlite.insert
        values = {"name": name, "cursor": cursor, "attempts": 0, "given_up": 0, "stopped": False}
        with self._database.write() as connection:
            connection.execute(make(rows).values(values).on_conflict_do_nothing())
            row = connection.execute(sa.select(rows).where(rows.c.name == name)).mappings().one()
        return _progress(row)

    def claim(self, name: str, owner: str) -> ChannelProgress | None:
        """Lease a channel to *owner* and return its row; None where another worker holds the lease."""
        now = datetime.now(UTC)
        is_free = sa.or_(rows.c.lease_expires.is_(None), rows.c.lease_expires < now, rows.c.owner == owner)
        with self._database.write() as connection:
            claimed = connection.execute(
                sa.update(rows).where(rows.c.name == name, is_free).values(owner=owner, lease_expires=now + LEASE)
            )
            if claimed.rowcount != 1:
                return None
            return _progress(connection.execute(sa.select(rows).where(rows.c.name == name)).mappings().one())

    def release(self, name: str, owner: str) -> None:
        """End the lease of *owner*, if *owner* still holds it."""
        self._update(name, owner, {"owner": None, "lease_expires": None})

    def advance(self, name: str, owner: str, **changes: Any) -> None:
        """Store *changes* and renew the lease. Raises LeaseLost where another worker took the channel over."""
        if not self._update(name, owner, {**changes, "lease_expires": datetime.now(UTC) + LEASE}):
            raise LeaseLost("Another worker sends for the channel {name} now.", name=name)

    def resume(self, name: str) -> None:
        """Let a channel be tried at once, also where it was stopped."""
        with self._database.write() as connection:
            connection.execute(
                sa.update(rows).where(rows.c.name == name).values(stopped=False, attempts=0, next_try=None)
            )

    def _update(self, name: str, owner: str, values: Mapping[str, Any]) -> bool:
        with self._database.write() as connection:
            changed = connection.execute(
                sa.update(rows).where(rows.c.name == name, rows.c.owner == owner).values(values)
            )
        return changed.rowcount == 1


def _progress(row: Mapping[Any, Any]) -> ChannelProgress:
    return ChannelProgress(**{name: row[name] for name in row if name not in ("owner", "lease_expires")})
