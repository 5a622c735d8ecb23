"""What an event binds of the tables beside the log: a request with its approvals, or a finding, as it stood right then.

Requests, approvals and findings lie in tables that whoever holds the database can change; the log cannot be changed
unseen. So each event about one of them holds what it changed of the row: names and short words as they are, long texts
by their SHA-256. `rewritten.py` compares them.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from core.audit.findings import absences
from core.database.tables import approvals, findings, requests

# Where it stands in what an event says of after.
BINDS = "binds"

# By their hash: long, and said elsewhere. A reason is the reason of its event.
_HASHED = ("gates", "evidence", "request_reason", "reason")
_OBJECTS = ("intended", "stages")
# When the pass saw a finding last changes with each pass and decides nothing.
_UNBOUND = ("last_seen",)
# What stays as it was asked; the rest of a request's row changes when it is decided.
AS_ASKED = ("id", "kind", "model", "version", "to_stage", "requested_by", "requested_at", "request_reason", "evidence")

Rows = Mapping[str, Mapping[str, Any] | None]


@dataclass(frozen=True)
class Bind:
    """What an event binds. *read* gives the rows, None for what is not there, as they stand in its transaction.

    *always*: fields that are bound even where the action changed nothing of them.
    """

    read: Callable[[Connection], Rows]
    always: Callable[[str], bool] = lambda name: False

    def changes(self, was: Rows | None, connection: Connection) -> dict[str, Any]:
        """What differs from *was*, as the rows stood when the action began, and what is bound always.

        Only that: an action on a row that was altered by hand before must not vouch for what it did not write.
        Where *was* is None nothing is known to differ.
        """
        found: dict[str, Any] = {}
        rows = self.read(connection)
        for name, now in rows.items():
            before = (rows if was is None else was).get(name)
            if now is None:
                found[name] = None
            elif before is None:
                found[name] = dict(now)
            else:
                found[name] = {key: value for key, value in now.items() if before.get(key) != value or self.always(key)}
        return found


def bound_row(after: Mapping[str, Any], table: str) -> Mapping[str, Any]:
    """What an event that says *after* binds of its "request" or "finding"; empty where it binds none."""
    binds = after.get(BINDS)
    return (binds.get(table) or {}) if isinstance(binds, Mapping) else {}


def of_request(request_id: str, *, always: Callable[[str], bool] = lambda name: False) -> Bind:
    """Binds a request, its approvals, and the finding that waits for its review."""

    def read(connection: Connection) -> Rows:
        return {
            "request": dict(request_rows(connection, requests.c.id == request_id)).get(request_id),
            "approvals": approval_rows(connection, approvals.c.request_id == request_id).get(request_id, {}),
            "finding": dict(finding_rows(connection, findings.c.id == request_id)).get(request_id),
        }

    return Bind(read, always)


def what_was_decided(name: str) -> bool:
    """For *always*: all that an action which died may have changed of a request, whoever ends it."""
    return name not in AS_ASKED


def of_finding(finding_id: str, *, always: Callable[[str], bool] = lambda name: False) -> Bind:
    """Binds a finding."""
    return Bind(lambda c: {"finding": dict(finding_rows(c, findings.c.id == finding_id)).get(finding_id)}, always)


def everything(_: str) -> bool:
    """For *always*: the whole row."""
    return True


def since_when_gone(name: str) -> bool:
    """For *always*: what a pass changes of a finding that it does not see, or sees again."""
    return name == "gone"


def request_rows(connection: Connection, condition: sa.ColumnElement[bool]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Id and bound form of each request."""
    for row in _raw(connection, requests, condition):
        yield str(row["id"]), {name: _form(name, value) for name, value in row.items()}


def approval_rows(connection: Connection, condition: sa.ColumnElement[bool]) -> dict[str, dict[str, str]]:
    """By request, who said yes: one text for each, with the time and the reason's hash."""
    found: dict[str, dict[str, str]] = {}
    for row in _raw(connection, approvals, condition):
        found.setdefault(row["request_id"], {})[row["by"]] = f"at {row['at']}, reason {_sha256(row['reason'])}"
    return found


def finding_rows(connection: Connection, condition: sa.ColumnElement[bool]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Id and bound form of each finding; *gone* is since when the pass sees it no more."""
    since = {row["finding_id"]: row["since"] for row in _raw(connection, absences, sa.true())}
    for row in _raw(connection, findings, condition):
        form = {name: value for name, value in row.items() if name not in _UNBOUND}
        yield str(row["id"]), form | {"gone": since.get(row["id"])}


def _raw(connection: Connection, table: sa.Table, condition: sa.ColumnElement[bool]) -> list[dict[str, Any]]:
    """Rows as the database holds them: what was tampered with must not be read as a time or as JSON first."""
    columns = [
        column if isinstance(column.type, sa.Integer) else sa.type_coerce(column, sa.Text).label(column.name)
        for column in table.c
    ]
    return [dict(row) for row in connection.execute(sa.select(*columns).where(condition)).mappings()]


def _form(name: str, value: Any) -> Any:
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


def _sha256(text: str) -> str:
    return f"SHA-256 {hashlib.sha256(text.encode()).hexdigest()}"
