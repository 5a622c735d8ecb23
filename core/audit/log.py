"""The audit log: append-only, each event chained to the one before by SHA-256 over canonical JSON."""

from __future__ import annotations

import hashlib
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
from core.audit.open_operations import OpenIntents
from core.audit.row_snapshots import BINDS, Bind, Rows
from core.database.engine import Database
from core.database.tables import events
from core.entities import Actor, ChainVerdict, Event, Outcome
from core.errors import Forbidden, Refused
from core.logs import bound_contextvars, get_logger
from core.redact import everywhere, redactor

GENESIS = "0" * 64
_LOG = get_logger(__name__)
_CHUNK = 5_000
_HASH_CHUNK = 20_000
# Any number of our own; it serialises appends on PostgreSQL.
_APPEND_LOCK = 7_310_946_222


@dataclass(kw_only=True)
class Recording:
    """What the body of `recording` may still say: *subject*, *before* and *after* go into the outcome."""

    operation: str
    subject: str
    before: dict[str, Any] = field(default_factory=dict)
    after: dict[str, Any] = field(default_factory=dict)


class AuditLog:
    """Events in one database. Reading and appending are safe from any number of processes."""

    def __init__(self, database: Database, *, redact: Callable[[str], str] | None = None) -> None:
        """*redact* takes secrets out of reasons (the words of an error, say) and of what is noted before and after."""
        self._database = database
        self._redact = redact or redactor()
        self._open = OpenIntents(
            head=self.head, scan=self._scan_unfinished, after=lambda number: self.events(after_sequence=number)
        )

    def redacted(self, value: Any) -> Any:
        """*value* as the log keeps it: without secrets in any of its texts."""
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
        binds: Bind | None = None,
        was: Rows | None = None,
    ) -> Event:
        """Adds one event; it is durable when this returns. *binds*: the rows that it holds, as they stand right then.

        *was*: those rows as they stood when the action began; what changed since is held. Raises DatabaseUnavailable.
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
                binds=binds,
                was=was,
            )

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """A writing transaction that holds the log: what else is written in it happens with its events, or neither."""
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
        binds: Bind | None = None,
        was: Rows | None = None,
    ) -> Event:
        """The same within a caller's writing transaction: both happen, or neither."""
        self._hold(connection)
        sequence, previous = _head(connection)
        if binds is not None:
            # Read behind the lock: of two events about a row the later one holds the later state.
            after = {**(after or {}), BINDS: binds.changes(was, connection)}
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
        """permissions.require; a refusal is written as one denied event before Forbidden is raised."""
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
        binds: Bind | None = None,
    ) -> Iterator[Recording]:
        """Requires the permission, writes the intent, and on leaving the outcome: success, denied or failed.

        *binds*: the rows that the outcome holds, however it ends (core/audit/row_snapshots.py).
        A process that dies in between leaves the intent without an outcome: see `unfinished`.
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
            was = binds.read(connection) if binds else None

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
                binds=binds,
                was=was,
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
        """Events that match all that is given, newest first; *text* may stand anywhere in them, *actions*: any of.

        *within*: as a caller's transaction sees them.
        """
        query = sa.select(events).order_by(events.c.sequence.desc())
        exact = {"subject": subject, "actor": actor, "action": action, "outcome": outcome, "operation": operation}
        for name, value in exact.items():
            if value:
                query = query.where(events.c[name] == value)
        if wanted := [one.value for one in actions]:
            query = query.where(events.c.action.in_(wanted))
        if since is not None:
            query = query.where(events.c.time >= since)
        if until is not None:
            query = query.where(events.c.time <= until)
        if before_sequence is not None:
            query = query.where(events.c.sequence < before_sequence)
        if text:
            places = (events.c[name] for name in ("subject", "reason", "before", "after", "actor", "action"))
            query = query.where(sa.or_(*(place.icontains(text, autoescape=True) for place in places)))
        if limit is not None:
            query = query.limit(limit)
        with nullcontext(within) if within is not None else self._database.read() as connection:
            return tuple(_event(row) for row in connection.execute(query).mappings())

    def events(self, *, after_sequence: int = 0, limit: int | None = None) -> Iterator[Event]:
        """Events oldest first, in chunks, so that any number fits."""
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
        """Sequence number and hash of the newest event; (0, zeros) for an empty log."""
        with self._database.read() as connection:
            return _head(connection)

    def hashes(self, *, after_sequence: int, until_sequence: int) -> Iterator[str]:
        """Hashes alone, oldest first, as the database holds them: what Merkle proofs are made of."""
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
            yield from [found for _, found in rows]
            after_sequence = rows[-1][0]

    def verify(
        self,
        *,
        on_progress: Callable[[int, int], None] | None = None,
        on_event: Callable[[int, str], None] | None = None,
        start: tuple[int, str] = (0, GENESIS),
    ) -> ChainVerdict:
        """Recomputes the chain and names the first event that does not hold.

        *on_event* is told number and hash of each event that holds. *start* is the number and hash of an event up to
        which the chain was verified before; events up to it are not read again.
        What is appended meanwhile is left to the next time. Memory does not grow with the log.
        Found: an event altered, removed, inserted or moved. Not found by the chain alone: a tail cut off, or a chain
        rewritten from the start; that takes a head kept elsewhere.
        """
        last, head = self.head()
        sequence, previous = start
        strays = self._count(events.c.sequence < 1)
        if strays:
            return _broken(last, 1, f"{strays} events lie before number 1, outside the chain", previous)
        while sequence < last and (rows := self._raw_chunk(sequence, min(_CHUNK, last - sequence))):
            for row in rows:
                fault = _fault(row, sequence + 1, previous)
                if fault:
                    return _broken(last, sequence + 1, fault, previous)
                sequence, previous = row["sequence"], row["hash"]
                if on_event is not None:
                    on_event(sequence, previous)
            if on_progress is not None:
                on_progress(sequence, last)
        if previous != head:
            return _broken(last, sequence + 1, "the log was changed while it was being verified", previous)
        return ChainVerdict(ok=True, events=last, first_broken=None, detail=f"All {last} events hold.", head=previous)

    def unfinished(self) -> tuple[Event, ...]:
        """Intents without an outcome, oldest first: going on now, or dead before they could say how they ended."""
        return self._open.find()

    def _scan_unfinished(self) -> tuple[Event, ...]:
        outcome = events.alias()
        ended = sa.exists().where(outcome.c.operation == events.c.operation, outcome.c.outcome != Outcome.INTENT.value)
        query = sa.select(events).where(events.c.outcome == Outcome.INTENT.value, ~ended).order_by(events.c.sequence)
        with self._database.read() as connection:
            return tuple(_event(row) for row in connection.execute(query).mappings())

    def _hold(self, connection: Connection) -> None:
        """One appends at a time: SQLite has one writer anyway."""
        if self._database.is_postgres:
            connection.execute(sa.text("SELECT pg_advisory_xact_lock(:key)"), {"key": _APPEND_LOCK})

    def _count(self, condition: sa.ColumnElement[bool]) -> int:
        query = sa.select(sa.func.count()).select_from(events).where(condition)
        with self._database.read() as connection:
            return int(connection.execute(query).scalar_one())

    def _raw_chunk(self, after: int, size: int) -> list[RowMapping]:
        """Rows as the database holds them: a time that was tampered with must not be read as a time first."""
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


def event_hash(values: Mapping[str, Any]) -> str:
    """SHA-256, in hex, over the canonical JSON of an event's columns but its hash; before and after as stored text."""
    return hashlib.sha256(event_text(values).encode()).hexdigest()


def event_text(values: Mapping[str, Any]) -> str:
    """The canonical JSON that an event's hash is taken over."""
    return canonical({name: value for name, value in values.items() if name != "hash"})


def _head(connection: Connection) -> tuple[int, str]:
    query = sa.select(events.c.sequence, events.c.hash).order_by(events.c.sequence.desc()).limit(1)
    row = connection.execute(query).first()
    return (0, GENESIS) if row is None else (int(row.sequence), str(row.hash))


def _fault(row: Mapping[Any, Any], expected: int, previous: str) -> str | None:
    if row["sequence"] != expected:
        return f"event {expected} is missing; the next one here is {row['sequence']}"
    if row["previous"] != previous:
        return (
            f"event {expected} does not follow the one before it: an event was removed, inserted or moved here, or "
            "the one before was rewritten with its hash"
        )
    try:
        found = event_hash(row)
    except TypeError:
        found = ""
    return None if row["hash"] == found else f"event {expected} was altered: its content does not give its hash"


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
