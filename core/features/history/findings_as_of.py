"""Findings as they stood at a moment, from the log: which were open, who had to look into them, by when."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from core.access.permissions import Action
from core.audit.row_snapshots import BINDS
from core.entities import Actor, Event, Finding, Outcome, Severity
from core.errors import NotFound
from core.features.history.requests_as_of import DECISIONS
from core.features.monitoring.findings import FindingView, view_of
from core.features.promotion.review import EMERGENCY
from core.features.stores import Stores

_ABOUT = (*DECISIONS, Action.FINDING_OPEN, Action.RECONCILE_READ)
_TIMES = ("due", "opened_at", "closed_at", "gone")


def findings_at(stores: Stores, actor: Actor, moment: datetime, *, include_closed: bool = False) -> tuple[Finding, ...]:
    """What was open at *moment*, by due date; then, if asked for, what was closed by then, the newest first.

    All of it from the log: a finding that was deleted since is told too. When a finding was seen last is not kept for
    each day: it is the last time until now, at most *moment*.
    """
    stores.audit.require(actor, Action.RECONCILE_READ)
    then = _folded(stores, moment).values()
    opened = sorted((one for one in then if one.is_open), key=lambda one: (one.due, one.subject, one.id))
    closed = sorted((one for one in then if not one.is_open), key=lambda one: str(one.closed_at), reverse=True)
    return (*opened, *closed) if include_closed else tuple(opened)


def show_finding_at(stores: Stores, actor: Actor, finding_id: str, moment: datetime) -> FindingView:
    """One finding as it stood at *moment*, with its events until then. Raises NotFound where there was none yet."""
    stores.audit.require(actor, Action.RECONCILE_READ)
    found = _folded(stores, moment).get(finding_id)
    if found is None:
        stores.findings.get(finding_id)  # says so where there never was one
        raise NotFound(f"Finding {finding_id} was opened after {moment:%Y-%m-%d}.", finding_id=finding_id)
    view = view_of(stores, found)
    return replace(view, events=tuple(event for event in view.events if event.time <= moment))


def _folded(stores: Stores, moment: datetime) -> dict[str, Finding]:
    then: dict[str, Finding] = {}
    for event in reversed(stores.audit.search(actions=_ABOUT, until=moment, limit=None)):
        if event.outcome is not Outcome.INTENT:
            _fold_in(then, event)
    rows = {row.id: row for row in stores.findings.list(include_closed=True)}
    for one in rows.values():
        # Before events bound rows none told of the finding that a rollback by one person left.
        if one.kind == EMERGENCY and one.id not in then and one.opened_at <= moment:
            then[one.id] = _cut(one, moment)
    seen = {one.id: rows[one.id].last_seen if one.id in rows else one.last_seen for one in then.values()}
    return {one.id: replace(one, last_seen=min(seen[one.id], moment)) for one in then.values()}


def _fold_in(then: dict[str, Finding], event: Event) -> None:
    after, before = event.after, event.before
    named = after.get("finding") or before.get("finding") or after.get("request") or before.get("request")
    binds = after.get(BINDS)
    if binds is not None:
        row = binds.get("finding") or {}
        if "id" in row:
            then[str(row["id"])] = Finding(last_seen=event.time, **_read(row))
        elif str(named) in then and row:
            then[str(named)] = replace(then[str(named)], **_read(row))
    elif event.outcome is Outcome.SUCCESS and "finding" in (after.keys() | before.keys()):
        _fold_unbound(then, str(named), event)


def _fold_unbound(then: dict[str, Finding], finding_id: str, event: Event) -> None:
    """An event of before: it says what was opened, who has it by when, or that it was closed."""
    after, known = event.after, then.get(finding_id)
    if event.action == Action.RECONCILE_RESOLVE.value and known is not None:
        by = str(after.get("closed_by", event.actor))
        then[finding_id] = replace(known, closed_by=by, closed_at=event.time, reason=event.reason)
    elif event.action == Action.FINDING_OPEN.value and known is not None:
        due = datetime.fromisoformat(str(after["due"]))
        then[finding_id] = replace(known, owner=str(after["owner"]), due=due)
    elif event.action == Action.FINDING_OPEN.value and "kind" in after:
        told = {name: after[name] for name in ("kind", "severity", "owner", "due", "expected", "found")}
        said: dict[str, Any] = {
            "id": finding_id,
            "subject": event.subject,
            "detail": event.reason,
            "opened_by": event.actor,
        }
        then[finding_id] = Finding(**_read(told), **said, opened_at=event.time, last_seen=event.time)


def _read(row: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a finding, as the log holds them."""
    times = {name: datetime.fromisoformat(row[name]) for name in _TIMES if row.get(name)}
    return {**row, **times, **({"severity": Severity(row["severity"])} if "severity" in row else {})}


def _cut(one: Finding, moment: datetime) -> Finding:
    """Without what came after *moment*."""
    if one.closed_at is not None and one.closed_at > moment:
        one = replace(one, closed_by=None, closed_at=None, reason=None)
    return replace(one, gone=None) if one.gone is not None and one.gone > moment else one
