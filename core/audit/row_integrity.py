"""Row integrity: compares the rows of requests, approvals and findings with their snapshots in the audit log.

An event without a snapshot says nothing about a row, so rows without any snapshot are not compared. While an action is
unfinished, the fields that the action may change are not compared; reconcile reports the action itself.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, RowMapping

from core.access.permissions import Action
from core.audit.canonical_json import canonical, settled
from core.audit.log import AuditLog
from core.audit.row_snapshots import REQUESTED_FIELDS, SNAPSHOT, approval_rows, finding_rows, request_rows
from core.database.engine import Database
from core.database.tables import events
from core.entities import Outcome, TamperedRow
from core.redact import MASK
from core.texts import text

_DECISIONS = (Action.PROMOTION_REQUEST, Action.PROMOTION_DECIDE, Action.PROMOTION_ROLLBACK, Action.RECONCILE_RESOLVE)
_ACTIONS = [action.value for action in (*_DECISIONS, Action.FINDING_OPEN, Action.RECONCILE_READ)]
# Compared even while an action that may change the rest of the row is unfinished.
_STEADY_FIELDS = {"request": REQUESTED_FIELDS, "finding": ("id", "kind", "subject", "opened_by")}


@dataclass
class _LoggedRow:
    """The row as the log holds it. *exists* is None where no snapshot says whether the row exists."""

    values: dict[str, Any] = field(default_factory=dict)
    exists: bool | None = None

    def apply(self, snapshot: Mapping[str, Any] | None) -> None:
        """Take over what one action left: the changed fields, or None for no row."""
        self.exists = snapshot is not None
        self.values = {} if snapshot is None else self.values | dict(snapshot)


@dataclass
class _Replay:
    """The snapshots of the log, replayed up to the event *last* (its number and hash)."""

    last: tuple[int, str] | None = None
    requests: dict[str, _LoggedRow] = field(default_factory=dict)
    approvals: dict[str, dict[str, str] | None] = field(default_factory=dict)
    findings: dict[str, _LoggedRow] = field(default_factory=dict)
    unfinished: dict[str, set[str]] = field(default_factory=dict)


class RowIntegrity:
    """The rows of one database against its log. Each comparison reads only the events since the one before."""

    def __init__(self, database: Database, log: AuditLog) -> None:
        self._database, self._log = database, log
        self._lock = threading.Lock()
        self._replay = _Replay()

    def tampered_rows(self) -> tuple[TamperedRow, ...]:
        """Return the rows that were altered, deleted or inserted bypassing the log: requests, approvals, findings."""
        with self._lock, self._database.read() as connection:
            self._read_new_events(connection)
            replay = self._replay
            pending = set().union(*replay.unfinished.values())
            requests = dict(request_rows(connection, sa.true()))
            approvals = approval_rows(connection, sa.true())
            findings = dict(finding_rows(connection, sa.true()))
            return (
                *self._compare_rows("request", replay.requests, requests, pending),
                *self._compare_approvals(approvals, requests, pending),
                *self._compare_rows("finding", replay.findings, findings, pending),
            )

    def _read_new_events(self, connection: Connection) -> None:
        """Replay the new events; all events where the last replayed event has changed."""
        last = self._replay.last
        if last is not None:
            event_hash = connection.execute(sa.select(events.c.hash).where(events.c.sequence == last[0])).scalar()
            if event_hash != last[1]:
                self._replay, last = _Replay(), None
        head = connection.execute(
            sa.select(events.c.sequence, events.c.hash).order_by(events.c.sequence.desc()).limit(1)
        ).first()
        query = sa.select(events).where(events.c.action.in_(_ACTIONS), events.c.subject != "registry")
        if last is not None:
            query = query.where(events.c.sequence > last[0])
        for event in connection.execute(query.order_by(events.c.sequence)).mappings():
            _replay_event(self._replay, event)
        self._replay.last = None if head is None else (int(head.sequence), str(head.hash))

    def _compare_rows(
        self,
        kind: str,
        logged_rows: Mapping[str, _LoggedRow],
        rows: Mapping[str, Mapping[str, Any]],
        pending: set[str],
    ) -> list[TamperedRow]:
        tampered = []
        for row_id in sorted(logged_rows.keys() | rows.keys()):
            logged, row = logged_rows.get(row_id), rows.get(row_id)
            if row is None:
                if logged is not None and logged.exists:
                    tampered.append(_deleted(kind, row_id, logged.values))
            elif logged is None or (logged.exists is False and row_id not in pending):
                # A request and the finding about its review share an id: one event holds both.
                if kind == "request" or row_id not in self._replay.requests:
                    tampered.append(_inserted(kind, row_id, row))
            else:
                differing = {
                    name: (logged.values[name], row[name])
                    for name in sorted(logged.values)
                    if name in row
                    and (row_id not in pending or name in _STEADY_FIELDS[kind])
                    and not self._is_same(logged.values[name], row[name])
                }
                if differing:
                    tampered.append(_altered(kind, row_id, row, differing))
        return tampered

    def _compare_approvals(
        self, rows: Mapping[str, Mapping[str, str]], requests: Mapping[str, Mapping[str, Any]], pending: set[str]
    ) -> list[TamperedRow]:
        tampered = []
        for request_id, logged in sorted(self._replay.approvals.items()):
            if logged is None or request_id in pending:
                continue
            current = {self._log.redacted(by): approval for by, approval in rows.get(request_id, {}).items()}
            differing = {
                by: (logged.get(by), current.get(by))
                for by in sorted(logged.keys() | current.keys())
                if logged.get(by) != current.get(by) and MASK not in by
            }
            if differing:
                row = requests.get(request_id) or self._replay.requests[request_id].values
                tampered.append(_altered("approvals of request", request_id, row, differing))
        return tampered

    def _is_same(self, logged: Any, current: Any) -> bool:
        # The log does not hold what was masked in it as a secret.
        return MASK in canonical(logged) or logged == settled(self._log.redacted(current))


def _replay_event(replay: _Replay, event: RowMapping) -> None:
    before, after = json.loads(event["before"]), json.loads(event["after"])
    requests = {str(state["request"]) for state in (before, after) if state.get("request")}
    findings = {str(state["finding"]) for state in (before, after) if state.get("finding")}
    for request_id in requests:
        replay.requests.setdefault(request_id, _LoggedRow())
        replay.approvals.setdefault(request_id, None)
    for finding_id in findings:
        replay.findings.setdefault(finding_id, _LoggedRow())
    if event["outcome"] == Outcome.INTENT.value:
        replay.unfinished[event["operation"]] = requests | findings
        return
    replay.unfinished.pop(event["operation"], None)
    snapshot = after.get(SNAPSHOT)
    if snapshot is None:
        return
    for request_id in requests:
        replay.requests[request_id].apply(snapshot.get("request"))
        # The snapshot with the id is the first: the request had no approvals before. Without it they are not known.
        approvals = {} if "id" in (snapshot.get("request") or {}) else replay.approvals[request_id]
        replay.approvals[request_id] = None if approvals is None else approvals | snapshot.get("approvals", {})
    if "finding" in snapshot:
        for finding_id in requests | findings:
            replay.findings.setdefault(finding_id, _LoggedRow()).apply(snapshot["finding"])


def _altered(kind: str, row_id: str, row: Mapping[str, Any], differing: Mapping[str, tuple[Any, Any]]) -> TamperedRow:
    changes = [
        text(
            "{field} is {current} in the table, {logged} in the log", field=name, current=_word(now), logged=_word(was)
        )
        for name, (was, now) in differing.items()
    ]
    return TamperedRow(
        kind=kind,
        id=row_id,
        subject=_subject(row),
        fields=tuple(differing),
        expected=_listed(differing, 0),
        found=_listed(differing, 1),
        detail=text(
            "The {kind} {id} ({subject}) was changed bypassing the log: {changes}.",
            kind=kind,
            id=row_id,
            subject=_subject(row),
            changes="; ".join(changes),
        ),
    )


def _deleted(kind: str, row_id: str, logged: Mapping[str, Any]) -> TamperedRow:
    return TamperedRow(
        kind=kind,
        id=row_id,
        subject=_subject(logged),
        fields=(),
        expected=f"{kind} {row_id}",
        found="deleted from its table",
        detail=text(
            "The {kind} {id} ({subject}) is in the log but missing from its table.",
            kind=kind,
            id=row_id,
            subject=_subject(logged),
        ),
    )


def _inserted(kind: str, row_id: str, row: Mapping[str, Any]) -> TamperedRow:
    return TamperedRow(
        kind=kind,
        id=row_id,
        subject=_subject(row),
        fields=(),
        expected="an event of the log",
        found=text("{kind} {id}, inserted into its table bypassing the log", kind=kind, id=row_id),
        detail=text(
            "The {kind} {id} ({subject}) is in its table but in no event of the log.",
            kind=kind,
            id=row_id,
            subject=_subject(row),
        ),
    )


def _subject(values: Mapping[str, Any]) -> str:
    """Return MODEL/N for a request, the finding's own subject for a finding."""
    return str(values["subject"]) if "subject" in values else f"{values.get('model')}/{values.get('version')}"


def _listed(differing: Mapping[str, tuple[Any, Any]], position: int) -> str:
    return ", ".join(f"{name}: {_word(pair[position])}" for name, pair in differing.items())


def _word(value: Any) -> str:
    if value is None:
        return "nothing"
    return value if isinstance(value, str) else canonical(value)
