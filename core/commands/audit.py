"""Commands about the audit log: audit log, audit verify, audit export."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from core.commands.options import As, Json, acting, opened, write_answer
from core.entities import Event
from core.services import prove


def add_to(app: typer.Typer) -> None:
    group = typer.Typer(no_args_is_help=True, help="The audit log: read it, verify its chain, export it.")
    group.command("log")(log)
    group.command("verify")(verify)
    group.command("export")(export)
    app.add_typer(group, name="audit")


def log(
    subject: Annotated[str | None, typer.Option(help="Only events of this subject.")] = None,
    action: Annotated[str | None, typer.Option(help="Only this action.")] = None,
    actor: Annotated[str | None, typer.Option(help="Only this person's.")] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Only the newest so many.")] = None,
    as_: As = None,
    as_json: Json = False,
) -> None:
    """Events, oldest first."""
    events = prove.search_audit(
        opened(), acting(as_), subject=subject, event_action=action, event_actor=actor, limit=limit
    )
    write_answer([_event(event) for event in reversed(events)], as_json=as_json)


def verify(as_: As = None, as_json: Json = False) -> int:
    """Recomputes the chain; exit code 1 where it does not hold."""
    verdict = prove.verify_audit(opened(), acting(as_))
    write_answer(
        {
            "ok": verdict.ok,
            "events": verdict.events,
            "first_broken": verdict.first_broken,
            "detail": verdict.detail,
            "head": verdict.head,
        },
        as_json=as_json,
    )
    return 0 if verdict.ok else 1


def export(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Written as JSON lines, or CSV by its ending.")],
    as_: As = None,
    as_json: Json = False,
) -> None:
    """Writes all events and the head to a file."""
    exported = prove.export_audit(opened(), acting(as_), file)
    write_answer({"file": str(file), "events": exported.events, "head": exported.head}, as_json=as_json)


def _event(event: Event) -> dict[str, Any]:
    return {
        "sequence": event.sequence,
        "time": event.time,
        "actor": event.actor,
        "role": event.role,
        "action": event.action,
        "subject": event.subject,
        "outcome": event.outcome,
        "reason": event.reason,
        "operation": event.operation,
        "before": dict(event.before),
        "after": dict(event.after),
        "hash": event.hash,
        "previous": event.previous,
    }
