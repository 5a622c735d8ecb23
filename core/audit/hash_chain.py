"""The hash chain of the audit log: an event's hash covers its content and the hash of the previous event."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from core.audit.canonical_json import canonical
from core.texts import text

# The previous hash of the first event.
GENESIS = "0" * 64


def event_hash(values: Mapping[str, Any]) -> str:
    """Return the hex SHA-256 over an event's columns as canonical JSON; *before* and *after* are the stored texts."""
    return hashlib.sha256(event_text(values).encode()).hexdigest()


def event_text(values: Mapping[str, Any]) -> str:
    """Return the canonical JSON of an event's columns without its hash: the input of the hash."""
    return canonical({name: value for name, value in values.items() if name != "hash"})


def chain_fault(row: Mapping[Any, Any], expected: int, previous: str) -> str | None:
    """Return what is wrong with the row of event number *expected*, after the hash *previous*, or None."""
    if row["sequence"] != expected:
        return text("event {number} is missing; the next event is {next}", number=expected, next=row["sequence"])
    if row["previous"] != previous:
        return text(
            "event {number} does not follow the event before it: an event was removed, inserted or moved here, or the "
            "event before was rewritten together with its hash",
            number=expected,
        )
    try:
        computed = event_hash(row)
    except TypeError:
        computed = ""
    return (
        None
        if row["hash"] == computed
        else text("event {number} was altered: its hash does not match", number=expected)
    )
