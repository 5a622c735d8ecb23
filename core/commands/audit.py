"""Commands about the audit log: audit log, audit verify, audit export, audit head, audit key."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from core.commands.options import As, Json, get_actor, get_stores, write_answer
from core.entities import Event
from core.errors import BadFile
from core.features.evidence import search_events, sign_head
from core.features.history import as_of


def add_to(app: typer.Typer) -> None:
    group = typer.Typer(no_args_is_help=True, help="The audit log: read it, verify its chain, export it.")
    group.command("log")(log)
    group.command("verify")(verify)
    group.command("export")(export)
    group.command("head")(head)
    group.command("key")(key)
    app.add_typer(group, name="audit")


def log(
    subject: Annotated[str | None, typer.Option(help="Only events of this subject.")] = None,
    action: Annotated[str | None, typer.Option(help="Only this action.")] = None,
    actor: Annotated[str | None, typer.Option(help="Only this person's.")] = None,
    since: Annotated[str | None, typer.Option(metavar="DATE", help="Only from this day (UTC) or time on.")] = None,
    until: Annotated[
        str | None, typer.Option(metavar="DATE", help="Only until the end of this day, or a time.")
    ] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Only the newest so many.")] = None,
    as_: As = None,
    as_json: Json = False,
) -> None:
    """Events, oldest first."""
    events = search_events.search_audit(
        get_stores(),
        get_actor(as_),
        subject=subject,
        event_action=action,
        event_actor=actor,
        since=as_of.parse_moment(since, is_start=True) if since else None,
        until=as_of.parse_moment(until) if until else None,
        limit=limit,
    )
    write_answer([_event(event) for event in reversed(events)], as_json=as_json)


def verify(
    against: Annotated[
        list[Path] | None,
        typer.Option(metavar="FILE", help="A signed head or an export that was kept elsewhere; may be repeated."),
    ] = None,
    key: Annotated[
        list[Path] | None, typer.Option(metavar="FILE", help="A public key beside the log's own; may be repeated.")
    ] = None,
    incremental: Annotated[
        bool, typer.Option("--incremental", help="Only what was appended since the last verification.")
    ] = False,
    as_: As = None,
    as_json: Json = False,
) -> None:
    """Recomputes chain and tree, compares heads, decisions and findings; exit code 1 where anything does not hold."""
    verdict = sign_head.verify_audit_log(
        get_stores(),
        get_actor(as_),
        [_text(file) for file in against or []],
        keys=[_text(file) for file in key or []],
        incremental=incremental,
        on_progress=_telling(),
    )
    write_answer(
        {
            "ok": verdict.ok,
            "events": verdict.events,
            "first_broken": verdict.first_broken,
            "last_broken": verdict.last_broken,
            "detail": verdict.detail,
            "head": verdict.chain.head,
            "verified_from": verdict.verified_from,
            "compared": verdict.compared,
            "rewritten": [
                {"what": r.what, "id": r.id, "subject": r.subject, "fields": list(r.fields), "detail": r.detail}
                for r in verdict.rewritten
            ],
            "signed_head": verdict.head.note if verdict.head else None,
        },
        as_json=as_json,
    )
    if not verdict.ok:
        raise typer.Exit(1)


def head(
    file: Annotated[
        Path | None, typer.Argument(metavar="[FILE]", help="Where the head goes, with what it says in words.")
    ] = None,
    as_: As = None,
    as_json: Json = False,
) -> None:
    """Signs the log as it is now; keep the head where nobody who runs ModelLedger can change it."""
    signed = sign_head.sign_head(get_stores(), get_actor(as_))
    if file is not None:
        try:
            file.write_text(sign_head.printable_head(signed), encoding="utf-8")
        except OSError as error:
            raise BadFile(f"{file} cannot be written ({error.strerror}); name another file.") from error
    if not as_json and file is None:
        print(sign_head.printable_head(signed), end="")
        return
    write_answer(
        {
            "origin": signed.checkpoint.origin,
            "events": signed.size,
            "root": signed.root.hex(),
            "time": signed.checkpoint.time,
            "key": str(signed.key),
            "note": signed.note,
            "file": str(file) if file else None,
        },
        as_json=as_json,
    )


def key(as_: As = None, as_json: Json = False) -> None:
    """The public key that checks this log's heads: NAME+ID+KEY."""
    found = sign_head.public_key(get_stores(), get_actor(as_))
    write_answer({"key": str(found), "sha256": found.fingerprint}, as_json=as_json)


def export(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Written as JSON lines, or CSV by its ending.")],
    as_: As = None,
    as_json: Json = False,
) -> None:
    """Writes all events and the head to a file."""
    exported = search_events.export_audit(get_stores(), get_actor(as_), file)
    write_answer({"file": str(file), "events": exported.events, "head": exported.head}, as_json=as_json)


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise BadFile(f"{file} cannot be read ({reason}).") from error


def _telling() -> Callable[[int, int], None] | None:
    """Progress for a person at a terminal; a script sees nothing of it."""
    if not sys.stderr.isatty():
        return None

    def tell(seen: int, total: int) -> None:
        end = "\n" if seen >= total else ""
        print(f"\rverified {seen} of {total} events", end=end, file=sys.stderr, flush=True)

    return tell


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
