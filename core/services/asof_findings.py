"""Findings as they stood at a moment: which were open, who had to look into them, by when."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from core.entities import Actor, Event, Finding, Outcome
from core.errors import NotFound
from core.permissions import Action
from core.services.findings import FindingView, list_findings, show_finding
from core.services.stores import Stores


def findings_at(stores: Stores, actor: Actor, moment: datetime, *, include_closed: bool = False) -> tuple[Finding, ...]:
    """What was open at *moment*, by due date; then, if asked for, what was closed by then, the newest first.

    Owner and due date are those of then, from the log. When a finding was seen last is not kept for each day: it is
    the last time until now, at most *moment*.
    """
    known = [one for one in list_findings(stores, actor, include_closed=True) if one.opened_at <= moment]
    changed = _first_changes(stores, moment)
    then = [_as_it_stood(one, changed, moment) for one in known]
    opened = sorted((one for one in then if one.is_open), key=lambda one: (one.due, one.subject, one.id))
    closed = sorted((one for one in then if not one.is_open), key=lambda one: str(one.closed_at), reverse=True)
    return (*opened, *closed) if include_closed else tuple(opened)


def show_finding_at(stores: Stores, actor: Actor, finding_id: str, moment: datetime) -> FindingView:
    """One finding as it stood at *moment*, with its events until then. Raises NotFound where there was none yet."""
    view = show_finding(stores, actor, finding_id)
    if view.finding.opened_at > moment:
        raise NotFound(f"Finding {finding_id} was opened after {moment:%Y-%m-%d}.", finding_id=finding_id)
    return replace(
        view,
        finding=_as_it_stood(view.finding, _first_changes(stores, moment), moment),
        events=tuple(event for event in view.events if event.time <= moment),
    )


def _first_changes(stores: Stores, moment: datetime) -> dict[str, Event]:
    """For each finding that got another owner or due date after *moment*, the first such event: *before* is of then."""
    newest_first = stores.audit.search(
        action=Action.FINDING_OPEN.value, outcome=Outcome.SUCCESS.value, since=moment, limit=None
    )
    return {str(e.before["finding"]): e for e in newest_first if e.time > moment and "finding" in e.before}


def _as_it_stood(one: Finding, changed: dict[str, Event], moment: datetime) -> Finding:
    then = replace(one, last_seen=min(one.last_seen, moment))
    if one.id in changed:
        before = changed[one.id].before
        then = replace(then, owner=str(before["owner"]), due=datetime.fromisoformat(str(before["due"])))
    if one.closed_at is not None and one.closed_at > moment:
        then = replace(then, closed_by=None, closed_at=None, reason=None)
    if one.gone is not None and one.gone > moment:
        then = replace(then, gone=None)
    return then
