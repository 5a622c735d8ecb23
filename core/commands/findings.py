"""Commands about findings: list them, look for new ones, open, assign and close."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from core.commands.options import As, AsOf, Json, OptionalReason, get_actor, get_stores, write_answer
from core.entities import Finding, Severity
from core.errors import BadParameter
from core.features.history.as_of import parse_moment
from core.features.history.findings_as_of import findings_at
from core.features.monitoring import findings as service


def add_to(app: typer.Typer) -> None:
    app.command("findings")(findings)


def findings(
    everything: Annotated[bool, typer.Option("--all", help="Closed ones too.")] = False,
    look: Annotated[bool, typer.Option("--look", help="Compare the registry with log and decisions first.")] = False,
    open_: Annotated[str | None, typer.Option("--open", metavar="SUBJECT", help="Open one by hand.")] = None,
    severity: Annotated[Severity, typer.Option(help="Of the one that is opened.")] = Severity.MEDIUM,
    assign: Annotated[str | None, typer.Option(metavar="ID", help="Change its owner or due date.")] = None,
    close: Annotated[str | None, typer.Option(metavar="ID", help="Close it, with a reason.")] = None,
    owner: Annotated[str, typer.Option(metavar="NAME")] = "",
    due: Annotated[str | None, typer.Option(metavar="YYYY-MM-DD")] = None,
    reason: OptionalReason = "",
    as_of: AsOf = None,
    as_: As = None,
    as_json: Json = False,
) -> None:
    """What somebody has to look into, by due date."""
    stores, actor = get_stores(), get_actor(as_)
    if sum(chosen is not None for chosen in (open_, assign, close)) > 1:
        raise BadParameter("Choose one of --open, --assign and --close.")
    if as_of is not None and (look or any(chosen is not None for chosen in (open_, assign, close))):
        raise BadParameter("--as-of only shows what stood then; leave --look, --open, --assign and --close away.")
    if open_ is not None:
        done = service.open_finding(
            stores, actor, subject=open_, detail=reason, severity=severity, owner=owner or "manager"
        )
    elif assign is not None:
        until = _day(due) if due else stores.findings.get(assign).due
        done = service.assign_finding(stores, actor, assign, owner=owner, due=until, reason=reason)
    elif close is not None:
        done = service.close_finding(stores, actor, close, reason=reason)
    else:
        if look:
            service.inspect_registry(stores, actor)
        if as_of is None:
            found = service.list_findings(stores, actor, include_closed=everything)
        else:
            found = findings_at(stores, actor, parse_moment(as_of), include_closed=everything)
        write_answer([_answer(one) for one in found], as_json=as_json)
        return
    write_answer(_answer(done), as_json=as_json)


def _day(text: str) -> datetime:
    """The end of a day, in UTC. Raises BadParameter."""
    try:
        return datetime.strptime(text, "%Y-%m-%d").replace(hour=23, minute=59, second=59, tzinfo=UTC)
    except ValueError as error:
        raise BadParameter(f"{text!r} is no day; write YYYY-MM-DD.", due=text) from error


def _answer(finding: Finding) -> dict[str, Any]:
    return {
        "id": finding.id,
        "kind": finding.kind,
        "subject": finding.subject,
        "severity": finding.severity,
        "owner": finding.owner,
        "due": finding.due,
        "expected": finding.expected,
        "found": finding.found,
        "detail": finding.detail,
        "opened_by": finding.opened_by,
        "opened_at": finding.opened_at,
        "last_seen": finding.last_seen,
        "closed_by": finding.closed_by,
        "closed_at": finding.closed_at,
        "reason": finding.reason,
    }
