"""The command findings: list, inspect for, open, assign and close findings."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from core.commands.options import As, AsOf, Json, OptionalReason, get_actor, get_stores, parse_as_of, write_answer
from core.entities import Actor, Finding, Severity
from core.errors import BadParameter
from core.features.history.findings_as_of import findings_at
from core.features.monitoring import findings as service
from core.features.stores import Stores


def add_to(app: typer.Typer) -> None:
    app.command("findings")(findings)


def findings(
    words: Annotated[
        list[str] | None,
        typer.Argument(metavar="[close [ID]...]", help="Close these findings, or those that the options select."),
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="Show closed findings too.")] = False,
    look: Annotated[bool, typer.Option("--look", help="Inspect the registry for new findings first.")] = False,
    open_: Annotated[
        str | None, typer.Option("--open", metavar="SUBJECT", help="Open a finding about this subject.")
    ] = None,
    severity: Annotated[
        Severity | None, typer.Option(help="Severity: of the opened finding (default medium), or to select.")
    ] = None,
    kind: Annotated[str | None, typer.Option(metavar="KIND", help="Select findings of this kind.")] = None,
    model: Annotated[str | None, typer.Option(metavar="MODEL", help="Select findings about this model.")] = None,
    assign: Annotated[
        str | None, typer.Option(metavar="ID", help="Change the owner or due date of this finding.")
    ] = None,
    close: Annotated[str | None, typer.Option(metavar="ID", help="Close this finding.")] = None,
    owner: Annotated[str, typer.Option(metavar="NAME", help="Owner, with --open or --assign.")] = "",
    due: Annotated[str | None, typer.Option(metavar="YYYY-MM-DD", help="Due date, with --assign.")] = None,
    reason: OptionalReason = "",
    as_of: AsOf = None,
    as_: As = None,
    as_json: Json = False,
) -> None:
    """List findings by due date, open or assign one, or close some with one reason."""
    stores, actor = get_stores(), get_actor(as_)
    changes = [option for option in (open_, assign, close, words or None) if option is not None]
    if len(changes) > 1:
        raise BadParameter("Use only one of --open, --assign, --close and close.")
    if as_of is not None and (look or changes):
        raise BadParameter("--as-of only shows findings. Do not combine it with --look, --open, --assign or close.")
    if words:
        _close_several(stores, actor, words, kind, model, severity, reason=reason, as_json=as_json)
        return
    if open_ is not None:
        finding = service.open_finding(
            stores, actor, subject=open_, detail=reason, severity=severity or Severity.MEDIUM, owner=owner or "manager"
        )
    elif assign is not None:
        due_at = _end_of_day(due) if due else stores.findings.get(assign).due
        finding = service.assign_finding(stores, actor, assign, owner=owner, due=due_at, reason=reason)
    elif close is not None:
        finding = service.close_finding(stores, actor, close, reason=reason)
    else:
        if look:
            service.inspect_registry(stores, actor)
        moment = parse_as_of(as_of)
        if moment is None:
            listed = service.list_findings(stores, actor, include_closed=everything)
        else:
            listed = findings_at(stores, actor, moment, include_closed=everything)
        listed = service.select_findings(listed, kind=kind, model=model, severity=severity)
        write_answer([_document(finding) for finding in listed], as_json=as_json)
        return
    write_answer(_document(finding), as_json=as_json)


def _close_several(
    stores: Stores,
    actor: Actor,
    words: list[str],
    kind: str | None,
    model: str | None,
    severity: Severity | None,
    *,
    reason: str,
    as_json: bool,
) -> None:
    """Close the named findings, or the open ones that the options select. Exit code 1 if one was refused."""
    if words[0] != "close":
        raise BadParameter("{word!r} is not an action on findings. Write close.", word=words[0])
    has_filter = any(option is not None for option in (kind, model, severity))
    if (len(words) > 1) == has_filter:
        raise BadParameter("Name the findings to close, or select them with --kind, --model or --severity.")
    chosen = words[1:]
    if has_filter:
        listed = service.list_findings(stores, actor)
        chosen = [f.id for f in service.select_findings(listed, kind=kind, model=model, severity=severity)]
    done = service.close_findings(stores, actor, chosen, reason=reason)
    refused = [{"id": finding_id, "why": why} for finding_id, why in done.refused.items()]
    write_answer({"closed": [_document(finding) for finding in done.closed], "refused": refused}, as_json=as_json)
    if refused:
        raise typer.Exit(1)


def _end_of_day(text: str) -> datetime:
    """Parse a day and return its end, in UTC.

    Raises:
        BadParameter: *text* is not a day.
    """
    try:
        return datetime.strptime(text, "%Y-%m-%d").replace(hour=23, minute=59, second=59, tzinfo=UTC)
    except ValueError as error:
        raise BadParameter("{due!r} is not a valid day. Write YYYY-MM-DD.", due=text) from error


def _document(finding: Finding) -> dict[str, Any]:
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
