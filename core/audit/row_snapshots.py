"""Row snapshots: the copy of a request with its approvals, or of a finding, that an event of the log holds.

The tables of requests, approvals and findings can be changed by anybody who can write to the database; the log cannot
be changed unnoticed. So each event about a row holds the fields that its action changed: names and short values as they
are, long texts as SHA-256. core.audit.row_integrity compares the rows with these snapshots.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from core.audit.canonical_json import canonical
from core.audit.findings import absences
from core.database.tables import approvals, findings, requests

# The key of the snapshot in an event's *after*.
SNAPSHOT = "binds"

# Held by their hash: they are long. A reason is the reason of its event.
_HASHED = ("gates", "evidence", "decision_gates", "decision_evidence", "request_reason", "reason")
_OBJECTS = ("intended", "stages")
# The time of the last inspection changes with each inspection and decides nothing.
_LEFT_OUT = ("last_seen",)
# Set by the request itself; the other fields of its row change with the decision.
REQUESTED_FIELDS = (
    *("id", "kind", "model", "version", "to_stage", "requested_by", "requested_at", "request_reason", "evidence"),
)

Rows = Mapping[str, Mapping[str, Any] | None]


@dataclass(frozen=True)
class RowSnapshot:
    """Which rows an event holds. *read* returns them by table as they are in a transaction, None for a missing row.

    *always* names the fields that the event holds even where the action did not change them.
    """

    read: Callable[[Connection], Rows]
    always: Callable[[str], bool] = lambda name: False

    def changes(self, rows_before: Rows | None, connection: Connection) -> dict[str, Any]:
        """Return the fields that differ from *rows_before*, the rows when the action began, and those of *always*.

        Nothing else: an action must not confirm fields that somebody altered by hand before the action began.
        Where *rows_before* is None, no field is known to differ.
        """
        snapshot: dict[str, Any] = {}
        rows = self.read(connection)
        for table, row in rows.items():
            before = (rows if rows_before is None else rows_before).get(table)
            if row is None:
                snapshot[table] = None
            elif before is None:
                snapshot[table] = dict(row)
            else:
                snapshot[table] = {
                    name: value for name, value in row.items() if before.get(name) != value or self.always(name)
                }
        return snapshot


def snapshot_row(after: Mapping[str, Any], table: str) -> Mapping[str, Any]:
    """Return the fields of "request" or "finding" in an event's *after*, empty where the event holds no such row."""
    snapshot = after.get(SNAPSHOT)
    return (snapshot.get(table) or {}) if isinstance(snapshot, Mapping) else {}


def request_snapshot(request_id: str, *, always: Callable[[str], bool] = lambda name: False) -> RowSnapshot:
    """Return the snapshot of a request, its approvals, and the finding about its review."""

    def read(connection: Connection) -> Rows:
        return {
            "request": dict(request_rows(connection, requests.c.id == request_id)).get(request_id),
            "approvals": approval_rows(connection, approvals.c.request_id == request_id).get(request_id, {}),
            "finding": dict(finding_rows(connection, findings.c.id == request_id)).get(request_id),
        }

    return RowSnapshot(read, always)


def finding_snapshot(finding_id: str, *, always: Callable[[str], bool] = lambda name: False) -> RowSnapshot:
    """Return the snapshot of a finding."""

    def read(connection: Connection) -> Rows:
        return {"finding": dict(finding_rows(connection, findings.c.id == finding_id)).get(finding_id)}

    return RowSnapshot(read, always)


def is_decision_field(name: str) -> bool:
    """Return whether an unfinished action may have changed the field *name* of a request (for *always*)."""
    return name not in REQUESTED_FIELDS


def is_any_field(_: str) -> bool:
    """For *always*: the whole row."""
    return True


def is_absence_field(name: str) -> bool:
    """For *always*: the field that an inspection changes when a fact disappears or returns."""
    return name == "gone"


def request_rows(connection: Connection, condition: sa.ColumnElement[bool]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the id and the snapshot form of each request."""
    for row in _raw_rows(connection, requests, condition):
        yield str(row["id"]), {name: _snapshot_form(name, value) for name, value in row.items()}


def approval_rows(connection: Connection, condition: sa.ColumnElement[bool]) -> dict[str, dict[str, str]]:
    """Return, by request id and approver, a text with the time of the approval and the hash of its reason."""
    rows: dict[str, dict[str, str]] = {}
    for row in _raw_rows(connection, approvals, condition):
        rows.setdefault(row["request_id"], {})[row["by"]] = f"at {row['at']}, reason {_sha256(row['reason'])}"
    return rows


def finding_rows(connection: Connection, condition: sa.ColumnElement[bool]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the id and the snapshot form of each finding; *gone* is the time since when its fact is absent."""
    gone_since = {row["finding_id"]: row["since"] for row in _raw_rows(connection, absences, sa.true())}
    for row in _raw_rows(connection, findings, condition):
        form = {name: value for name, value in row.items() if name not in _LEFT_OUT}
        yield str(row["id"]), form | {"gone": gone_since.get(row["id"])}


def _raw_rows(connection: Connection, table: sa.Table, condition: sa.ColumnElement[bool]) -> list[dict[str, Any]]:
    """Return rows as the database holds them: a tampered value may not be a valid time or valid JSON."""
    columns = [
        column if isinstance(column.type, sa.Integer) else sa.type_coerce(column, sa.Text).label(column.name)
        for column in table.c
    ]
    return [dict(row) for row in connection.execute(sa.select(*columns).where(condition)).mappings()]


def _snapshot_form(name: str, value: Any) -> Any:
    if value is None:
        return None
    if name in _HASHED:
        return _sha256(value)
    if name in _OBJECTS:
        try:
            return json.loads(value)
        except ValueError:
            return value
    return value


def hash_of(value: Mapping[str, Any]) -> str:
    """Return what an event holds of the evidence *value*."""
    return _sha256(canonical(value))


def _sha256(text: str) -> str:
    return f"SHA-256 {hashlib.sha256(text.encode()).hexdigest()}"
