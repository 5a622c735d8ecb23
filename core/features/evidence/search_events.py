"""Searches and exports the events of the audit log."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import IO, Any

from core.access.permissions import Action
from core.audit.canonical_json import canonical, settled
from core.entities import Actor, Event
from core.errors import BadFile
from core.escaping import cell, in_json
from core.features.history.find_event import find_event
from core.features.stores import Stores


@dataclass(frozen=True, kw_only=True)
class ExportedEvents:
    """The number of exported events and the hash of the newest one."""

    events: int
    head: str


def search_audit(
    stores: Stores,
    actor: Actor,
    *,
    subject: str | None = None,
    event_actor: str | None = None,
    event_action: str | None = None,
    outcome: str | None = None,
    operation: str | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    text: str | None = None,
    limit: int | None = 100,
    before_sequence: int | None = None,
) -> tuple[Event, ...]:
    """Return the events that match all given values, newest first."""
    stores.audit.require(actor, Action.AUDIT_READ, subject or "")
    return stores.audit.search(
        subject=subject,
        actor=event_actor,
        action=event_action,
        outcome=outcome,
        operation=operation,
        since=since,
        until=until,
        text=text,
        limit=limit,
        before_sequence=before_sequence,
    )


def show_event(stores: Stores, actor: Actor, sequence: int) -> tuple[Event, tuple[Event, ...]]:
    """Return one event by its number, and the other events of the same operation, oldest first.

    Raises:
        NotFound: there is no event with this number.
    """
    stores.audit.require(actor, Action.AUDIT_READ)
    event = find_event(stores, sequence)
    others = stores.audit.search(operation=event.operation, limit=20)
    return event, tuple(sorted((e for e in others if e.sequence != sequence), key=lambda e: e.sequence))


def export_audit(stores: Stores, actor: Actor, file: Path) -> ExportedEvents:
    """Write every event to *file*, oldest first: as CSV if the name ends in .csv, else as JSON lines.

    A line of JSON is the canonical form that was hashed, plus its hash. The intent of the export is recorded first.

    Raises:
        BadFile: the file cannot be written.
    """
    with stores.audit.recording(actor, Action.AUDIT_EXPORT, "audit log", before={"file": file.name}) as record:
        last, head = stores.audit.head()
        events = stores.audit.events(limit=last)
        try:
            with file.open("w", encoding="utf-8", newline="") as out:
                count = _write_csv(events, out) if file.suffix.lower() == ".csv" else _write_lines(events, out)
        except OSError as error:
            raise BadFile(
                "{file} cannot be written ({reason}). Choose another file.", file=str(file), reason=error.strerror
            ) from error
        record.after = {"events": count, "head": head}
    return ExportedEvents(events=count, head=head)


def event_row(event: Event) -> dict[str, Any]:
    """Return an event as flat text that is safe in a spreadsheet."""
    return {name: cell(_text(value)) for name, value in asdict(event).items()}


def _text(value: Any) -> str:
    plain = settled(value)
    return plain if isinstance(plain, str) else canonical(plain)


def _write_lines(events: Iterator[Event], out: IO[str]) -> int:
    count = 0
    for event in events:
        out.write(in_json(json.dumps(settled(asdict(event)), ensure_ascii=False, sort_keys=True)) + "\n")
        count += 1
    return count


def _write_csv(events: Iterator[Event], out: IO[str]) -> int:
    count, writer = 0, csv.DictWriter(out, list(Event.__dataclass_fields__))
    writer.writeheader()
    for event in events:
        writer.writerow(event_row(event))
        count += 1
    return count
