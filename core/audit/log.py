"""The audit log: append-only events, each chained to the previous event by SHA-256 over canonical JSON."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row, RowMapping

from core.access.permissions import Action
from core.access.permissions import require as require_permission
from core.audit.canonical_json import canonical, storable
from core.audit.hash_chain import GENESIS, chain_fault, event_hash
from core.audit.latest_change import LatestChange
from core.audit.open_operations import OpenIntents
from core.audit.row_snapshots import SNAPSHOT, Rows, RowSnapshot
from core.database.engine import Database
from core.database.tables import events
from core.entities import Actor, ChainVerdict, Event, Outcome
from core.errors import Forbidden, Refused
from core.logs import bound_contextvars, get_logger
from core.redact import everywhere, redactor
from core.texts import text

_LOG = get_logger(__name__)
_CHUNK = 5_000
_HASH_CHUNK = 20_000
# An arbitrary number: the advisory lock that serializes appends on PostgreSQL.
_APPEND_LOCK = 7_310_946_222


@dataclass(kw_only=True)
class Recording:
    """The part of an outcome that the body of `recording` may still set: *subject*, *before* and *after*."""

    operation: str
    subject: str
    before: dict[str, Any] = field(default_factory=dict)
    after: dict[str, Any] = field(default_factory=dict)


class AuditLog:
    """Events in one database. Reading and appending are safe from any number of processes."""

    def __init__(self, database: Database, *, redact: Callable[[str], str] | None = None) -> None:
        """*redact* masks secrets in subjects, in reasons (which may be error messages), in *before* and *after*."""
        self._database = database
        self._redact = redact or redactor()
        self.latest_change = LatestChange(database)
        self._open = OpenIntents(
            head=self.head, scan=self._scan_unfinished, after=lambda number: self.events(after_sequence=number)
        )

    def redacted(self, value: Any) -> Any:
        """Return *value* as the log holds it: with the secrets in its texts masked."""
        return everywhere(value, self._redact)

    def append(
        self,
        actor: Actor,
        action: str,
        subject: str,
        outcome: Outcome,
        *,
        reason: str = "",
        operation: str | None = None,
        before: Mapping[str, Any] | None = None,
        after: Mapping[str, Any] | None = None,
        snapshot: RowSnapshot | None = None,
        rows_before: Rows | None = None,
    ) -> Event:
        """Append one event, durable when the call returns.

        *snapshot* names the rows that the event holds, *rows_before* is their state when the action began: the event
        holds the fields that changed since. Raises DatabaseUnavailable.
        """
        with self._database.write() as connection:
            return self.append_within(
                connection,
                actor,
                action,
                subject,
                outcome,
                reason=reason,
                operation=operation,
                before=before,
                after=after,
                snapshot=snapshot,
                rows_before=rows_before,
            )

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """Open a writing transaction that locks the log: its other writes and its events are committed together."""
        with self._database.write() as connection:
            self._hold(connection)
            yield connection

    def append_within(
        self,
        connection: Connection,
        actor: Actor,
        action: str,
        subject: str,
        outcome: Outcome,
        *,
        reason: str = "",
        operation: str | None = None,
        before: Mapping[str, Any] | None = None,
        after: Mapping[str, Any] | None = None,
        snapshot: RowSnapshot | None = None,
        rows_before: Rows | None = None,
    ) -> Event:
        """Append one event within the caller's writing transaction: both are committed, or neither."""
        self._hold(connection)
        sequence, previous = _head(connection)
        if snapshot is not None:
            # Read behind the lock: of two events about a row, the later event holds the later state.
            after = {**(after or {}), SNAPSHOT: snapshot.changes(rows_before, connection)}
        values: dict[str, Any] = {
            "sequence": sequence + 1,
            "time": datetime.now(UTC),
            "actor": storable(actor.name),
            "role": ",".join(sorted(role.value for role in actor.roles)),
            "channel": actor.channel,
            "action": str(getattr(action, "value", action)),
            "subject": storable(self._redact(subject)),
            "outcome": outcome.value,
            "reason": storable(self._redact(reason)),
            "operation": operation or uuid4().hex,
            "before": canonical(self.redacted(before or {})),
            "after": canonical(self.redacted(after or {})),
            "previous": previous,
        }
        values["hash"] = event_hash(values)
        connection.execute(sa.insert(events).values(values))
        return _event(values)

    def require(self, actor: Actor, action: Action, subject: str = "") -> None:
        """Require the permission. A refusal is recorded as one denied event before Forbidden is raised."""
        try:
            require_permission(actor, action)
        except Forbidden as error:
            self.append(actor, action.value, subject, Outcome.DENIED, reason=str(error))
            _LOG.info("action denied", actor=actor.name, action=action.value, subject=subject)
            raise

    @contextmanager
    def recording(
        self,
        actor: Actor,
        action: Action,
        subject: str,
        *,
        reason: str = "",
        before: Mapping[str, Any] | None = None,
        snapshot: RowSnapshot | None = None,
    ) -> Iterator[Recording]:
        """Require the permission, write the intent and, at the end of the block, the outcome.

        The outcome is success, denied (the block raised Refused) or failed (any other exception). *snapshot* names the
        rows that the outcome holds in each case. A process that dies within the block leaves an intent without an
        outcome: see `unfinished`.
        """
        self.require(actor, action, subject)
        record = Recording(operation=uuid4().hex, subject=subject, before=dict(before or {}))
        with self._database.write() as connection:
            self.append_within(
                connection,
                actor,
                action.value,
                subject,
                Outcome.INTENT,
                reason=reason,
                operation=record.operation,
                before=before,
            )
            rows_before = snapshot.read(connection) if snapshot else None

        def close(outcome: Outcome, why: str) -> None:
            self.append(
                actor,
                action.value,
                record.subject,
                outcome,
                reason=why,
                operation=record.operation,
                before=record.before,
                after=record.after,
                snapshot=snapshot,
                rows_before=rows_before,
            )
            _LOG.info("action ended", outcome=outcome.value)

        with bound_contextvars(actor=actor.name, action=action.value, subject=subject, operation=record.operation):
            try:
                yield record
            except Refused as error:
                close(Outcome.DENIED, str(error))
                raise
            except BaseException as error:
                # Interrupts included: the action is over, and the log states how it ended.
                close(Outcome.FAILED, str(error) or type(error).__name__)
                raise
            close(Outcome.SUCCESS, reason)

    def search(
        self,
        *,
        subject: str | None = None,
        actor: str | None = None,
        action: str | None = None,
        actions: Iterable[Action] = (),
        outcome: str | None = None,
        operation: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        text: str | None = None,
        limit: int | None = 100,
        before_sequence: int | None = None,
        within: Connection | None = None,
    ) -> tuple[Event, ...]:
        """Return the events that match every given condition, newest first, at most *limit*.

        *text* may be anywhere in an event. An event matches *actions* if it has any of them. *within* is a caller's
        transaction to read in.
        """
        query = sa.select(events).order_by(events.c.sequence.desc())
        exact = {"subject": subject, "actor": actor, "action": action, "outcome": outcome, "operation": operation}
        for name, value in exact.items():
            if value:
                query = query.where(events.c[name] == value)
        if codes := [action.value for action in actions]:
            query = query.where(events.c.action.in_(codes))
        if since is not None:
            query = query.where(events.c.time >= since)
        if until is not None:
            query = query.where(events.c.time <= until)
        if before_sequence is not None:
            query = query.where(events.c.sequence < before_sequence)
        if text:
            columns = (events.c[name] for name in ("subject", "reason", "before", "after", "actor", "action"))
            query = query.where(sa.or_(*(column.icontains(text, autoescape=True) for column in columns)))
        if limit is not None:
            query = query.limit(limit)
        with nullcontext(within) if within is not None else self._database.read() as connection:
            return tuple(_event(row) for row in connection.execute(query).mappings())

    def events(self, *, after_sequence: int = 0, limit: int | None = None) -> Iterator[Event]:
        """Yield events, oldest first; read in chunks, so that memory does not grow with the log."""
        left = limit
        while left is None or left > 0:
            rows = self._chunk(after_sequence, _CHUNK if left is None else min(left, _CHUNK))
            if not rows:
                return
            yield from (_event(row._mapping) for row in rows)
            after_sequence = rows[-1].sequence
            left = None if left is None else left - len(rows)

    def count(self) -> int:
        return self._count(sa.true())

    def head(self) -> tuple[int, str]:
        """Return the sequence number and the hash of the newest event; (0, zeros) for an empty log."""
        with self._database.read() as connection:
            return _head(connection)

    def sequence_at(self, time: datetime) -> int:
        """Return the number of the last event before the first one that is later than *time*; 0 for none."""
        # Plus 0: SQLite would look for the smallest number row by row instead of using the index of the times.
        query = sa.select(sa.func.min(events.c.sequence + 0)).where(events.c.time > time)
        with self._database.read() as connection:
            later = connection.execute(query).scalar_one()
            return _head(connection)[0] if later is None else int(later) - 1

    def hashes(self, *, after_sequence: int, until_sequence: int) -> Iterator[str]:
        """Yield the hashes of events, oldest first, as the database holds them: the leaves of Merkle proofs."""
        while after_sequence < until_sequence:
            query = (
                sa.select(events.c.sequence, events.c.hash)
                .where(events.c.sequence > after_sequence, events.c.sequence <= until_sequence)
                .order_by(events.c.sequence)
                .limit(_HASH_CHUNK)
            )
            with self._database.read() as connection:
                rows = connection.execute(query).all()
            if not rows:
                return
            yield from [event_hash for _, event_hash in rows]
            after_sequence = rows[-1][0]

    def verify(
        self,
        *,
        on_progress: Callable[[int, int], None] | None = None,
        on_event: Callable[[int, str], None] | None = None,
        start: tuple[int, str] = (0, GENESIS),
    ) -> ChainVerdict:
        """Recompute the chain and name the first event that breaks it.

        *on_event* receives the number and the hash of each valid event, *on_progress* the number of verified events and
        of all events. *start* is the number and the hash of the event up to which the chain was verified before; the
        events up to it are not read again. Events appended meanwhile are left to the next verification.

        The chain reveals an event that was altered, removed, inserted or moved. It does not reveal a tail that was cut
        off or a chain that was rewritten from the start: only a signed head that is kept elsewhere does.
        """
        last, head = self.head()
        sequence, previous = start
        strays = self._count(events.c.sequence < 1)
        if strays:
            return _broken(
                last, 1, text("{count} events have numbers below 1, outside the chain", count=strays), previous
            )
        while sequence < last and (rows := self._raw_chunk(sequence, min(_CHUNK, last - sequence))):
            for row in rows:
                fault = chain_fault(row, sequence + 1, previous)
                if fault:
                    return _broken(last, sequence + 1, fault, previous)
                sequence, previous = row["sequence"], row["hash"]
                if on_event is not None:
                    on_event(sequence, previous)
            if on_progress is not None:
                on_progress(sequence, last)
        if previous != head:
            return _broken(last, sequence + 1, text("the log was changed during the verification"), previous)
        return ChainVerdict(
            ok=True,
            events=last,
            first_broken=None,
            detail=text("All {count} events are intact.", count=last),
            head=previous,
        )

    def unfinished(self) -> tuple[Event, ...]:
        """Return the intents without an outcome, oldest first: actions that still run, or whose process died."""
        return self._open.find()

    def _scan_unfinished(self) -> tuple[Event, ...]:
        outcome = events.alias()
        ended = sa.exists().where(outcome.c.operation == events.c.operation, outcome.c.outcome != Outcome.INTENT.value)
        query = sa.select(events).where(events.c.outcome == Outcome.INTENT.value, ~ended).order_by(events.c.sequence)
        with self._database.read() as connection:
            return tuple(_event(row) for row in connection.execute(query).mappings())

    def _hold(self, connection: Connection) -> None:
        """Let one transaction append at a time. SQLite has one writer anyway."""
        if self._database.is_postgres:
            connection.execute(sa.text("SELECT pg_advisory_xact_lock(:key)"), {"key": _APPEND_LOCK})

    def _count(self, condition: sa.ColumnElement[bool]) -> int:
        query = sa.select(sa.func.count()).select_from(events).where(condition)
        with self._database.read() as connection:
            return int(connection.execute(query).scalar_one())

    def _raw_chunk(self, after: int, size: int) -> list[RowMapping]:
        """Return rows as the database holds them: a tampered value may not be a valid time."""
        columns = [
            sa.type_coerce(column, sa.Text).label(column.name) for column in events.c if column.name != "sequence"
        ]
        query = sa.select(events.c.sequence, *columns).where(events.c.sequence > after)
        with self._database.read() as connection:
            return list(connection.execute(query.order_by(events.c.sequence).limit(size)).mappings())

    def _chunk(self, after: int, size: int) -> list[Row[Any]]:
        query = sa.select(events).where(events.c.sequence > after).order_by(events.c.sequence).limit(size)
        with self._database.read() as connection:
            return list(connection.execute(query))


def _head(connection: Connection) -> tuple[int, str]:
    query = sa.select(events.c.sequence, events.c.hash).order_by(events.c.sequence.desc()).limit(1)
    row = connection.execute(query).first()
    return (0, GENESIS) if row is None else (int(row.sequence), str(row.hash))


def _broken(events_in_all: int, position: int, detail: str, head: str) -> ChainVerdict:
    return ChainVerdict(ok=False, events=events_in_all, first_broken=position, detail=detail, head=head)


def _event(row: Mapping[Any, Any]) -> Event:
    values = dict(row)
    return Event(
        **{name: values[name] for name in values if name not in ("outcome", "before", "after")},
        outcome=Outcome(values["outcome"]),
        before=json.loads(values["before"]),
        after=json.loads(values["after"]),
    )
