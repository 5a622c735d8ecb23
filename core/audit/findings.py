"""Findings: stored until somebody closes them with a reason. A fact that is seen several times is one finding."""

from __future__ import annotations

import builtins
import hashlib
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from datetime import datetime
from enum import Enum
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from core.database.engine import Database
from core.database.tables import Moment, findings, metadata
from core.entities import Finding, Look, Severity
from core.errors import AlreadyDecided, NotFound
from core.redact import redactor

absences = sa.Table(
    "finding_absences",
    metadata,
    sa.Column("finding_id", sa.Text, sa.ForeignKey("findings.id"), primary_key=True),
    sa.Column("since", Moment, nullable=False),
)

# One row: the last complete inspection. The audit log holds the new findings of each inspection.
looks = sa.Table(
    "finding_looks",
    metadata,
    sa.Column("at", Moment, primary_key=True),
    sa.Column("by", sa.Text, nullable=False),
    sa.Column("seen", sa.Integer, nullable=False),
    sa.Column("new", sa.Integer, nullable=False),
)

# The transaction that `renew` passes to *on_change*; a service passes it on to the log.
Transaction = Connection


class Change(Enum):
    """The change of a finding by an inspection. The value is the reason in the log."""

    NEW = "new"
    GONE = "the pass does not see it any more"
    BACK = "the pass sees it again"


_ALL = sa.select(findings, absences.c.since.label("gone")).join_from(
    findings, absences, findings.c.id == absences.c.finding_id, isouter=True
)


class Findings:
    """The findings in one database. Details and reasons are stored without secrets: *redact* masks them."""

    def __init__(self, database: Database, *, redact: Callable[[str], str] | None = None) -> None:
        self._database = database
        self._redact = redact or redactor()

    def add(self, finding: Finding) -> Finding:
        """Store a new finding with a new id."""
        finding = self._redacted(finding)
        with self._database.write() as connection:
            connection.execute(sa.insert(findings), _values(finding))
        return finding

    def renew(
        self,
        seen: builtins.list[Finding],
        *,
        by: str,
        at: datetime,
        asked_by: str | None = None,
        on_change: Callable[[Transaction, Finding, Change], None] | None = None,
    ) -> tuple[Finding, ...]:
        """Store the result of one complete inspection by *by*, and return the new findings.

        *asked_by* started the inspection, by default *by* itself. *last_seen* of known findings is renewed; findings
        of *by* that were not seen are marked as gone. A fact that was closed, disappeared and returned is a new
        finding. *on_change* is called for each change within the same transaction, so that its writes are committed
        with the change.
        """
        with self._database.write() as connection:
            if self._database.is_postgres:
                connection.execute(sa.text("LOCK TABLE findings IN EXCLUSIVE MODE"))
            stored = {row["id"]: _finding(row) for row in connection.execute(_ALL).mappings()}
            current = {
                finding.id: finding
                for finding in (_with_current_id(self._redacted(finding), stored) for finding in seen)
            }
            new = [finding for finding in current.values() if finding.id not in stored]
            if new:
                connection.execute(sa.insert(findings), [_values(finding) for finding in new])
            again = [finding_id for finding_id in current if finding_id in stored]
            connection.execute(sa.update(findings).where(findings.c.id.in_(again)).values(last_seen=at))
            connection.execute(sa.delete(absences).where(absences.c.finding_id.in_(again)))
            gone = [
                finding
                for finding in stored.values()
                if finding.opened_by == by and finding.id not in current and finding.gone is None
            ]
            if gone:
                connection.execute(sa.insert(absences), [{"finding_id": finding.id, "since": at} for finding in gone])
            connection.execute(sa.delete(looks))
            connection.execute(sa.insert(looks).values(at=at, by=asked_by or by, seen=len(current), new=len(new)))
            if on_change is not None:
                back = [stored[finding_id] for finding_id in again if stored[finding_id].gone is not None]
                for change, changed in ((Change.NEW, new), (Change.GONE, gone), (Change.BACK, back)):
                    for finding in changed:
                        on_change(connection, finding, change)
        return tuple(new)

    def last_look(self) -> Look | None:
        """Return the last complete inspection, None where there was none."""
        with self._database.read() as connection:
            row = connection.execute(sa.select(looks)).mappings().first()
        return None if row is None else Look(**row)

    def list(self, *, include_closed: bool = False) -> tuple[Finding, ...]:
        """Return the open findings by due date, then, if *include_closed*, the closed findings, newest first."""
        with self._database.read() as connection:
            stored = [_finding(row) for row in connection.execute(_ALL).mappings()]
        opened = sorted(
            (finding for finding in stored if finding.is_open),
            key=lambda finding: (finding.due, finding.subject, finding.id),
        )
        if not include_closed:
            return tuple(opened)
        closed = (finding for finding in stored if not finding.is_open)
        return (*opened, *sorted(closed, key=lambda finding: str(finding.closed_at), reverse=True))

    def get(self, finding_id: str) -> Finding:
        """Return one finding. Raises NotFound."""
        with self._database.read() as connection:
            row = connection.execute(_ALL.where(findings.c.id == finding_id)).mappings().first()
        if row is None:
            raise NotFound("There is no finding {finding_id!r}. `findings` lists all findings.", finding_id=finding_id)
        return _finding(row)

    def assign(self, finding_id: str, *, owner: str, due: datetime) -> Finding:
        """Change owner and due date. Raises NotFound, and AlreadyDecided where the finding is closed."""
        return self._change(finding_id, owner=owner, due=due)

    def close(self, finding_id: str, *, by: str, at: datetime, reason: str) -> Finding:
        """Close a finding. Raises NotFound, and AlreadyDecided where the finding is closed."""
        return self._change(finding_id, closed_by=by, closed_at=at, reason=self._redact(reason))

    def _redacted(self, finding: Finding) -> Finding:
        return replace(finding, detail=self._redact(finding.detail))

    def _change(self, finding_id: str, **values: Any) -> Finding:
        with self._database.write() as connection:
            changed = connection.execute(
                sa.update(findings).where(findings.c.id == finding_id, findings.c.closed_at.is_(None)).values(**values)
            )
        current = self.get(finding_id)
        if changed.rowcount != 1:
            raise AlreadyDecided(
                "Finding {finding_id} was closed by {person}; nothing was changed.",
                finding_id=finding_id,
                person=current.closed_by,
            )
        return current


def _with_current_id(finding: Finding, stored: Mapping[str, Finding]) -> Finding:
    """Return *finding* with its current id: a new id each time when its fact returns after the finding was closed."""
    earlier = stored.get(finding.id)
    while earlier is not None and not earlier.is_open and earlier.gone is not None:
        facts = f"{earlier.id} back after {earlier.gone.isoformat()}"
        finding = replace(finding, id=hashlib.sha256(facts.encode()).hexdigest()[:12])
        earlier = stored.get(finding.id)
    return finding


def _values(finding: Finding) -> dict[str, Any]:
    values = {**asdict(finding), "severity": finding.severity.value}
    del values["gone"]  # stored in absences
    return values


def _finding(row: Mapping[Any, Any]) -> Finding:
    return Finding(**{**row, "severity": Severity(row["severity"])})
