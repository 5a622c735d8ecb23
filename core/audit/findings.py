"""Findings: kept until somebody closes them with a reason. The same fact is one finding, however often it is seen."""

from __future__ import annotations

import builtins
from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from core.database import Database, findings
from core.entities import Finding, Severity
from core.errors import AlreadyDecided, NotFound


class Findings:
    """Findings in one database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add_new(self, seen: builtins.list[Finding]) -> tuple[Finding, ...]:
        """Keeps those that were not known (open or closed) and returns them; of the others *last_seen* is renewed."""
        if not seen:
            return ()
        with self._database.write() as connection:
            query = sa.select(findings.c.id).where(findings.c.id.in_([one.id for one in seen]))
            known = set(connection.execute(query).scalars())
            new = [one for one in seen if one.id not in known]
            if new:
                connection.execute(sa.insert(findings), [asdict(one) | {"severity": one.severity.value} for one in new])
            if known:
                again = max(one.last_seen for one in seen)
                connection.execute(sa.update(findings).where(findings.c.id.in_(known)).values(last_seen=again))
        return tuple(new)

    def list(self, *, include_closed: bool = False) -> tuple[Finding, ...]:
        """Open ones first, by due date; then, if asked for, closed ones, the newest first."""
        with self._database.read() as connection:
            found = [_finding(row) for row in connection.execute(sa.select(findings)).mappings()]
        opened = sorted((one for one in found if one.is_open), key=lambda one: (one.due, one.subject, one.id))
        if not include_closed:
            return tuple(opened)
        closed = sorted((one for one in found if not one.is_open), key=lambda one: str(one.closed_at), reverse=True)
        return (*opened, *closed)

    def get(self, finding_id: str) -> Finding:
        """Raises NotFound."""
        with self._database.read() as connection:
            row = connection.execute(sa.select(findings).where(findings.c.id == finding_id)).mappings().first()
        if row is None:
            raise NotFound(f"There is no finding {finding_id!r}; `findings` lists them.", finding_id=finding_id)
        return _finding(row)

    def assign(self, finding_id: str, *, owner: str, due: datetime) -> Finding:
        """Raises NotFound, AlreadyDecided where it is closed."""
        return self._change(finding_id, owner=owner, due=due)

    def close(self, finding_id: str, *, by: str, at: datetime, reason: str) -> Finding:
        """Raises NotFound, AlreadyDecided where it is closed."""
        return self._change(finding_id, closed_by=by, closed_at=at, reason=reason)

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


def _finding(row: Mapping[Any, Any]) -> Finding:
    return Finding(**{**row, "severity": Severity(row["severity"])})
