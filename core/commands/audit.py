"""Commands for the audit log: audit log, audit verify, audit export, audit head, audit key."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from core.commands.options import As, AsOf, Json, get_actor, get_stores, parse_as_of, write_answer
from core.entities import Event
from core.errors import BadFile
from core.features.evidence import search_events, sign_head
from core.features.history.moment import parse_moment


def add_to(app: typer.Typer) -> None:
    group = typer.Typer(no_args_is_help=True, help="Read, verify and export the audit log.")
    group.command("log")(log)
    group.command("verify")(verify)
    group.command("export")(export)
    group.command("head")(head)
    group.command("key")(key)
    app.add_typer(group, name="audit")


def log(
    subject: Annotated[str | None, typer.Option(help="Show only events of this subject.")] = None,
    action: Annotated[str | None, typer.Option(help="Show only this action.")] = None,
    actor: Annotated[str | None, typer.Option(help="Show only events of this actor.")] = None,
    since: Annotated[
        str | None, typer.Option(metavar="DATE", help="Show only events since this day (UTC) or time.")
    ] = None,
    until: Annotated[str | None, typer.Option(metavar="DATE", help="Show only events until this day or time.")] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Show at most this many events, the newest.")] = None,
    as_of: AsOf = None,
    as_: As = None,
    as_json: Json = False,
) -> None:
    """List events, oldest first."""
    moment = parse_as_of(as_of)
    events = search_events.search_audit(
        get_stores(),
        get_actor(as_),
        subject=subject,
        event_action=action,
        event_actor=actor,
        since=parse_moment(since, is_start=True) if since else None,
        until=parse_moment(until) if until else None,
        before_sequence=moment.before_sequence if moment else None,
        limit=limit,
    )
    write_answer([_event(event) for event in reversed(events)], as_json=as_json)


def verify(
    against: Annotated[
        list[Path] | None,
        typer.Option(metavar="FILE", help="Compare with this signed head or export. May be repeated."),
    ] = None,
    key: Annotated[
        list[Path] | None, typer.Option(metavar="FILE", help="Accept this public key too. May be repeated.")
    ] = None,
    incremental: Annotated[
        bool, typer.Option("--incremental", help="Verify only events since the last verification.")
    ] = False,
    as_: As = None,
    as_json: Json = False,
) -> None:
    """Verify the log, and compare requests and findings with it. Exit code 1 if invalid."""
    verdict = sign_head.verify_audit_log(
        get_stores(),
        get_actor(as_),
        [_read_text(file) for file in against or []],
        keys=[_read_text(file) for file in key or []],
        incremental=incremental,
        on_progress=_progress(),
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
                {"what": r.kind, "id": r.id, "subject": r.subject, "fields": list(r.fields), "detail": r.detail}
                for r in verdict.tampered_rows
            ],
            "signed_head": verdict.head.note if verdict.head else None,
        },
        as_json=as_json,
    )
    if not verdict.ok:
        raise typer.Exit(1)


def head(
    file: Annotated[
        Path | None, typer.Argument(metavar="[FILE]", help="Write the head and an explanation to this file.")
    ] = None,
    as_: As = None,
    as_json: Json = False,
) -> None:
    """Sign the log. Keep the head where no ModelLedger user can change it."""
    signed = sign_head.sign_head(get_stores(), get_actor(as_))
    if file is not None:
        try:
            file.write_text(sign_head.printable_head(signed), encoding="utf-8")
        except OSError as error:
            raise BadFile(
                "{file} cannot be written ({reason}). Choose another file.", file=str(file), reason=error.strerror
            ) from error
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
    """Print the public key that verifies this log's heads."""
    public_key = sign_head.public_key(get_stores(), get_actor(as_))
    write_answer({"key": str(public_key), "sha256": public_key.fingerprint}, as_json=as_json)


def export(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="Output file: CSV if the name ends in .csv, else JSON lines.")
    ],
    as_: As = None,
    as_json: Json = False,
) -> None:
    """Write all events to a file."""
    exported = search_events.export_audit(get_stores(), get_actor(as_), file)
    write_answer({"file": str(file), "events": exported.events, "head": exported.head}, as_json=as_json)


def _read_text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        raise BadFile("{file} cannot be read ({reason}).", file=str(file), reason=reason) from error


def _progress() -> Callable[[int, int], None] | None:
    """Show progress on a terminal only, not in scripts."""
    if not sys.stderr.isatty():
        return None

    def show(verified: int, total: int) -> None:
        end = "\n" if verified >= total else ""
        print(f"\rVerified {verified} of {total} events", end=end, file=sys.stderr, flush=True)

    return show


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
