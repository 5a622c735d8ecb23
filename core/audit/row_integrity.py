"""Compares the tables of requests, approvals and findings with what the log binds of them: who changed a row by hand.

Only what an event holds is compared: one that was written before events bound rows holds less, and nothing is made up
for it. While an action is going on, or has died, what it may change is left out; it is told as unfinished elsewhere.
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
from core.audit.row_snapshots import AS_ASKED, BINDS, approval_rows, finding_rows, request_rows
from core.database.engine import Database
from core.database.tables import events
from core.entities import Outcome, RequestKind, RequestStatus, Rewritten, Stage
from core.redact import MASK

_DECISIONS = (Action.PROMOTION_REQUEST, Action.PROMOTION_DECIDE, Action.PROMOTION_ROLLBACK, Action.RECONCILE_RESOLVE)
_ABOUT = [action.value for action in (*_DECISIONS, Action.FINDING_OPEN, Action.RECONCILE_READ)]
_OF_A_FINDING = ("kind", "severity", "owner", "expected", "found")


@dataclass
class _Logged:
    """What the log says of one row. *exists*: True or False as it says, None where it does not."""

    values: dict[str, Any] = field(default_factory=dict)
    exists: bool | None = None

    def bind(self, values: Mapping[str, Any] | None) -> None:
        """What an action left: what it changed, or that there is no row."""
        self.exists = values is not None
        self.values = {} if values is None else self.values | dict(values)

    def tell(self, **values: Any) -> None:
        self.exists = True
        self.values |= values


@dataclass
class _Fold:
    """The log, folded up to the event *last* (its number and hash)."""

    last: tuple[int, str] | None = None
    requests: dict[str, _Logged] = field(default_factory=dict)
    approvals: dict[str, dict[str, str] | None] = field(default_factory=dict)
    findings: dict[str, _Logged] = field(default_factory=dict)
    going_on: dict[str, set[str]] = field(default_factory=dict)


class BoundRows:
    """The rows beside one log; each look reads only the events that were appended since the last one."""

    def __init__(self, database: Database, log: AuditLog) -> None:
        self._database, self._log = database, log
        self._lock = threading.Lock()
        self._fold = _Fold()

    def rewritten(self) -> tuple[Rewritten, ...]:
        """Rows that are not what the log says, requests first: altered, deleted, or put in past the log."""
        with self._lock, self._database.read() as connection:
            self._read_on(connection)
            fold = self._fold
            pending = set().union(*fold.going_on.values())
            requests = dict(request_rows(connection, sa.true()))
            approvals = approval_rows(connection, sa.true())
            findings = dict(finding_rows(connection, sa.true()))
            return (
                *self._compared("request", fold.requests, requests, pending, AS_ASKED),
                *self._approvals(approvals, requests, pending),
                *self._compared("finding", fold.findings, findings, pending, ("id", "kind", "subject", "opened_by")),
            )

    def _read_on(self, connection: Connection) -> None:
        """Folds what is new; all of it again where the event that was the last is not there as it was."""
        last = self._fold.last
        if last is not None:
            found = connection.execute(sa.select(events.c.hash).where(events.c.sequence == last[0])).scalar()
            if found != last[1]:
                self._fold, last = _Fold(), None
        head = connection.execute(
            sa.select(events.c.sequence, events.c.hash).order_by(events.c.sequence.desc()).limit(1)
        ).first()
        query = sa.select(events).where(events.c.action.in_(_ABOUT), events.c.subject != "registry")
        if last is not None:
            query = query.where(events.c.sequence > last[0])
        for row in connection.execute(query.order_by(events.c.sequence)).mappings():
            _fold_in(self._fold, row)
        self._fold.last = None if head is None else (int(head.sequence), str(head.hash))

    def _compared(
        self,
        what: str,
        logged: Mapping[str, _Logged],
        rows: Mapping[str, Mapping[str, Any]],
        pending: set[str],
        steady: tuple[str, ...],
    ) -> list[Rewritten]:
        """*steady*: what is compared even while an action that may change the rest is not over."""
        found = []
        for one in sorted(logged.keys() | rows.keys()):
            said, row = logged.get(one), rows.get(one)
            if row is None:
                if said is not None and said.exists:
                    found.append(_missing(what, one, said.values))
            elif said is None or (said.exists is False and one not in pending):
                if what == "request" or one not in self._fold.requests:
                    found.append(_put_in(what, one, row))
            else:
                names = [name for name in sorted(said.values) if name in row and (one not in pending or name in steady)]
                differing = {n: (said.values[n], row[n]) for n in names if not self._is_so(said.values[n], row[n])}
                if differing:
                    found.append(_altered(what, one, row, differing))
        return found

    def _approvals(
        self, rows: Mapping[str, Mapping[str, str]], requests: Mapping[str, Mapping[str, Any]], pending: set[str]
    ) -> list[Rewritten]:
        found = []
        for one, said in sorted(self._fold.approvals.items()):
            if said is None or one in pending:
                continue
            there = {self._log.redacted(by): text for by, text in rows.get(one, {}).items()}
            differing = {
                by: (said.get(by), there.get(by))
                for by in sorted(said.keys() | there.keys())
                if said.get(by) != there.get(by) and MASK not in by
            }
            if differing:
                row = requests.get(one) or self._fold.requests[one].values
                found.append(_altered("approvals of request", one, row, differing))
        return found

    def _is_so(self, said: Any, row: Any) -> bool:
        # What the log masked as a secret it does not hold.
        return MASK in canonical(said) or said == settled(self._log.redacted(row))


def _fold_in(fold: _Fold, row: RowMapping) -> None:
    before, after = json.loads(row["before"]), json.loads(row["after"])
    requests = {str(told["request"]) for told in (before, after) if told.get("request")}
    findings = {str(told["finding"]) for told in (before, after) if told.get("finding")}
    for one in requests:
        fold.requests.setdefault(one, _Logged())
        fold.approvals.setdefault(one, None)
    for one in findings:
        fold.findings.setdefault(one, _Logged())
    if row["outcome"] == Outcome.INTENT.value:
        fold.going_on[row["operation"]] = requests | findings
        return
    fold.going_on.pop(row["operation"], None)
    binds = after.get(BINDS)
    if binds is None:
        _fold_unbound(fold, row, before, after, requests, findings)
        return
    for one in requests:
        fold.requests[one].bind(binds.get("request"))
        known = {} if "id" in (binds.get("request") or {}) else fold.approvals[one]
        # Who said yes before events bound rows is not known: then neither is who did not.
        fold.approvals[one] = None if known is None else known | binds.get("approvals", {})
    for one in requests | findings:
        if "finding" in binds:
            fold.findings.setdefault(one, _Logged()).bind(binds["finding"])


def _fold_unbound(
    fold: _Fold,
    row: RowMapping,
    before: Mapping[str, Any],
    after: Mapping[str, Any],
    requests: set[str],
    findings: set[str],
) -> None:
    """An event that binds no row."""
    for one in requests:
        _tell_request(fold.requests[one], row, after)
        fold.approvals[one] = None
    for one in findings:
        if row["outcome"] == Outcome.SUCCESS.value:
            _tell_finding(fold.findings[one], row, before, after)


def _tell_request(logged: _Logged, row: RowMapping, after: Mapping[str, Any]) -> None:
    """From an event that binds no row: what it says all the same. What it may have changed unsaid is forgotten."""
    logged.values = {name: value for name, value in logged.values.items() if name in AS_ASKED}
    if row["outcome"] != Outcome.SUCCESS.value:
        return
    model, _, number = row["subject"].rpartition("/")
    decided = {"decided_by": row["actor"], "stages": after.get("stages")}
    match row["action"], after.get("decision"):
        case Action.PROMOTION_REQUEST.value, _ if number.isdigit() and "to" in after:
            asked = {"to_stage": after["to"], "requested_by": row["actor"], "kind": RequestKind.PROMOTION.value}
            logged.tell(model=model, version=int(number), status=RequestStatus.OPEN.value, **asked)
        case Action.PROMOTION_ROLLBACK.value, _ if number.isdigit():
            asked = {"to_stage": Stage.PRODUCTION.value, "requested_by": row["actor"]}
            logged.tell(model=model, version=int(number), kind=RequestKind.ROLLBACK.value, **asked)
            logged.tell(status=RequestStatus.APPROVED.value, **decided)
        case Action.PROMOTION_DECIDE.value, "approved":
            logged.tell(status=RequestStatus.APPROVED.value, **decided)
        case Action.PROMOTION_DECIDE.value, "rejected":
            logged.tell(status=RequestStatus.REJECTED.value, decided_by=row["actor"])


def _tell_finding(logged: _Logged, row: RowMapping, before: Mapping[str, Any], after: Mapping[str, Any]) -> None:
    """The same of a finding: opened, given to another owner, closed."""
    told = {name: after[name] for name in _OF_A_FINDING if name in after}
    if row["action"] == Action.RECONCILE_RESOLVE.value:
        logged.tell(closed_by=after.get("closed_by", row["actor"]))
    elif before.get("finding"):
        logged.tell(**told)
    elif row["action"] == Action.FINDING_OPEN.value:
        logged.tell(subject=row["subject"], opened_by=row["actor"], closed_by=None, **told)


def _altered(what: str, one: str, row: Mapping[str, Any], differing: Mapping[str, tuple[Any, Any]]) -> Rewritten:
    words = [
        f"{name} is {_word(now)} in the table, {_word(said)} in the log" for name, (said, now) in differing.items()
    ]
    return Rewritten(
        what=what,
        id=one,
        subject=_subject(row),
        fields=tuple(differing),
        expected=_listed(differing, 0),
        found=_listed(differing, 1),
        detail=f"The {what} {one} ({_subject(row)}) was rewritten past the log: {'; '.join(words)}.",
    )


def _missing(what: str, one: str, said: Mapping[str, Any]) -> Rewritten:
    return Rewritten(
        what=what,
        id=one,
        subject=_subject(said),
        fields=(),
        expected=f"{what} {one}",
        found="deleted from its table",
        detail=f"The {what} {one} ({_subject(said)}) stands in the log and is missing from its table.",
    )


def _put_in(what: str, one: str, row: Mapping[str, Any]) -> Rewritten:
    return Rewritten(
        what=what,
        id=one,
        subject=_subject(row),
        fields=(),
        expected="an event of the log",
        found=f"{what} {one}, put into its table past the log",
        detail=f"The {what} {one} ({_subject(row)}) stands in its table and no event of the log tells of it.",
    )


def _subject(values: Mapping[str, Any]) -> str:
    """MODEL/N of a request, what a finding is about."""
    return str(values["subject"]) if "subject" in values else f"{values.get('model')}/{values.get('version')}"


def _listed(differing: Mapping[str, tuple[Any, Any]], which: int) -> str:
    return ", ".join(f"{name}: {_word(both[which])}" for name, both in differing.items())


def _word(value: Any) -> str:
    if value is None:
        return "nothing"
    return value if isinstance(value, str) else canonical(value)
