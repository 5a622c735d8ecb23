"""Findings: kept until somebody closes them with a reason. The same fact is one finding, however often it is seen."""

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

# One row: the last whole pass. What a pass found new stands in the audit log.
looks = sa.Table(
    "finding_looks",
    metadata,
    sa.Column("at", Moment, primary_key=True),
    sa.Column("by", sa.Text, nullable=False),
    sa.Column("seen", sa.Integer, nullable=False),
    sa.Column("new", sa.Integer, nullable=False),
)

# What `renew` hands to *tell*, and a service hands on to the log without looking into it.
Transaction = Connection


class Change(Enum):
    """What a pass finds out of a finding; the value says it in the log."""

    NEW = "new"
    GONE = "the pass does not see it any more"
    BACK = "the pass sees it again"


_ALL = sa.select(findings, absences.c.since.label("gone")).join_from(
    findings, absences, findings.c.id == absences.c.finding_id, isouter=True
)


class Findings:
    """Findings in one database. What is said about them (details, reasons) goes through *redact*: no secret is kept."""

    def __init__(self, database: Database, *, redact: Callable[[str], str] | None = None) -> None:
        self._database = database
        self._redact = redact or redactor()

    def add(self, one: Finding) -> Finding:
        """Keeps one that nobody else can know of yet."""
        one = self._told(one)
        with self._database.write() as connection:
            connection.execute(sa.insert(findings), _values(one))
        return one

    def renew(
        self,
        seen: builtins.list[Finding],
        *,
        by: str,
        at: datetime,
        asked_by: str | None = None,
        tell: Callable[[Transaction, Finding, Change], None] | None = None,
    ) -> tuple[Finding, ...]:
        """What one whole pass of *by* saw: keeps what was not known and returns it. *asked_by*: default *by* itself.

        Of what is known *last_seen* is renewed, and what is not seen any more is marked so. A fact that was closed,
        was gone and is back is a new finding. *tell* is called for each change within the same transaction: what it
        writes there is written with it, or not at all.
        """
        with self._database.write() as connection:
            if self._database.is_postgres:
                connection.execute(sa.text("LOCK TABLE findings IN EXCLUSIVE MODE"))
            known = {row["id"]: _finding(row) for row in connection.execute(_ALL).mappings()}
            now = {one.id: one for one in (_returned(self._told(one), known) for one in seen)}
            new = [one for one in now.values() if one.id not in known]
            if new:
                connection.execute(sa.insert(findings), [_values(one) for one in new])
            again = [one for one in now if one in known]
            connection.execute(sa.update(findings).where(findings.c.id.in_(again)).values(last_seen=at))
            connection.execute(sa.delete(absences).where(absences.c.finding_id.in_(again)))
            gone = [one for one in known.values() if one.opened_by == by and one.id not in now and one.gone is None]
            if gone:
                connection.execute(sa.insert(absences), [{"finding_id": one.id, "since": at} for one in gone])
            connection.execute(sa.delete(looks))
            connection.execute(sa.insert(looks).values(at=at, by=asked_by or by, seen=len(now), new=len(new)))
            if tell is not None:
                back = [known[one] for one in again if known[one].gone is not None]
                for change, which in ((Change.NEW, new), (Change.GONE, gone), (Change.BACK, back)):
                    for one in which:
                        tell(connection, one, change)
        return tuple(new)

    def last_look(self) -> Look | None:
        """The last whole pass; None where there was none."""
        with self._database.read() as connection:
            row = connection.execute(sa.select(looks)).mappings().first()
        return None if row is None else Look(**row)

    def list(self, *, include_closed: bool = False) -> tuple[Finding, ...]:
        """Open ones first, by due date; then, if asked for, closed ones, the newest first."""
        with self._database.read() as connection:
            found = [_finding(row) for row in connection.execute(_ALL).mappings()]
        opened = sorted((one for one in found if one.is_open), key=lambda one: (one.due, one.subject, one.id))
        if not include_closed:
            return tuple(opened)
        closed = sorted((one for one in found if not one.is_open), key=lambda one: str(one.closed_at), reverse=True)
        return (*opened, *closed)

    def get(self, finding_id: str) -> Finding:
        """Raises NotFound."""
        with self._database.read() as connection:
            row = connection.execute(_ALL.where(findings.c.id == finding_id)).mappings().first()
        if row is None:
            raise NotFound(f"There is no finding {finding_id!r}; `findings` lists them.", finding_id=finding_id)
        return _finding(row)

    def assign(self, finding_id: str, *, owner: str, due: datetime) -> Finding:
        """Raises NotFound, AlreadyDecided where it is closed."""
        return self._change(finding_id, owner=owner, due=due)

    def close(self, finding_id: str, *, by: str, at: datetime, reason: str) -> Finding:
        """Raises NotFound, AlreadyDecided where it is closed."""
        return self._change(finding_id, closed_by=by, closed_at=at, reason=self._redact(reason))

    def _told(self, one: Finding) -> Finding:
        return replace(one, detail=self._redact(one.detail))

    def _change(self, finding_id: str, **values: Any) -> Finding:
        with self._database.write() as connection:
            changed = connection.execute(
                sa.update(findings).where(findings.c.id == finding_id, findings.c.closed_at.is_(None)).values(**values)
            )
        current = self.get(finding_id)
        if changed.rowcount != 1:
            raise AlreadyDecided(
                f"Finding {finding_id} was closed by {current.closed_by}; nothing was changed.", finding_id=finding_id
            )
        return current


def _returned(one: Finding, known: Mapping[str, Finding]) -> Finding:
    """*one* under the id that it has now: another one each time that it came back after it was closed."""
    there = known.get(one.id)
    while there is not None and not there.is_open and there.gone is not None:
        facts = f"{there.id} back after {there.gone.isoformat()}"
        one = replace(one, id=hashlib.sha256(facts.encode()).hexdigest()[:12])
        there = known.get(one.id)
    return one


def _values(one: Finding) -> dict[str, Any]:
    values = {**asdict(one), "severity": one.severity.value}
    del values["gone"]  # kept beside, in absences
    return values


def _finding(row: Mapping[Any, Any]) -> Finding:
    return Finding(**{**row, "severity": Severity(row["severity"])})
