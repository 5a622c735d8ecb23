"""Findings as they were at an earlier time, computed from the audit log alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from core.access.permissions import Action
from core.audit.row_snapshots import snapshot_row
from core.entities import Actor, Event, Finding, Outcome, Severity
from core.errors import NotFound
from core.features.history.moment import Moment
from core.features.history.requests_as_of import DECISIONS
from core.features.monitoring.findings import FindingView, view_finding
from core.features.stores import Stores

_FINDING_ACTIONS = (*DECISIONS, Action.FINDING_OPEN, Action.RECONCILE_READ)
_TIMES = ("due", "opened_at", "closed_at", "gone")


def findings_at(stores: Stores, actor: Actor, moment: Moment, *, include_closed: bool = False) -> tuple[Finding, ...]:
    """Return the findings open at *moment*, by due date; with *include_closed* also those closed by then, newest first.

    Findings that were deleted from the database since are included. The log does not hold every time at which a
    finding was seen: *last_seen* is the last time until now, at most the time of *moment*.
    """
    stores.audit.require(actor, Action.RECONCILE_READ)
    findings = _replay(stores, moment).values()
    opened = sorted((f for f in findings if f.is_open), key=lambda f: (f.due, f.subject, f.id))
    closed = sorted((f for f in findings if not f.is_open), key=lambda f: str(f.closed_at), reverse=True)
    return (*opened, *closed) if include_closed else tuple(opened)


def show_finding_at(stores: Stores, actor: Actor, finding_id: str, moment: Moment) -> FindingView:
    """Return one finding as it was at *moment*, with its events until then.

    Raises:
        NotFound: the finding does not exist, or was opened after *moment*.
    """
    stores.audit.require(actor, Action.RECONCILE_READ)
    finding = _replay(stores, moment).get(finding_id)
    if finding is None:
        stores.findings.get(finding_id)  # raises NotFound where the finding never existed
        raise NotFound(
            "Finding {finding_id} was opened after {moment:%Y-%m-%d %H:%M} UTC.",
            finding_id=finding_id,
            moment=moment.time,
        )
    view = view_finding(stores, finding)
    return replace(view, events=tuple(event for event in view.events if event.sequence <= moment.sequence))


def _replay(stores: Stores, moment: Moment) -> dict[str, Finding]:
    """Compute the findings, by id, that the events until *moment* leave behind."""
    findings: dict[str, Finding] = {}
    for event in reversed(
        stores.audit.search(actions=_FINDING_ACTIONS, before_sequence=moment.before_sequence, limit=None)
    ):
        if event.outcome is not Outcome.INTENT:
            _apply_event(findings, event)
    last_seen = {row.id: row.last_seen for row in stores.findings.list(include_closed=True)}
    return {
        finding.id: replace(finding, last_seen=min(last_seen.get(finding.id, finding.last_seen), moment.time))
        for finding in findings.values()
    }


def _apply_event(findings: dict[str, Finding], event: Event) -> None:
    after, before = event.after, event.before
    row = snapshot_row(after, "finding")
    # The finding about an emergency rollback has the id of the rollback's request.
    finding_id = str(after.get("finding") or before.get("finding") or after.get("request") or before.get("request"))
    if "id" in row:
        findings[str(row["id"])] = Finding(last_seen=event.time, **_fields(row))
    elif row and finding_id in findings:
        findings[finding_id] = replace(findings[finding_id], **_fields(row))


def _fields(row: Mapping[str, Any]) -> dict[str, Any]:
    """Convert the fields of a finding from the form in which the log holds them."""
    times = {name: datetime.fromisoformat(row[name]) for name in _TIMES if row.get(name)}
    return {**row, **times, **({"severity": Severity(row["severity"])} if "severity" in row else {})}
