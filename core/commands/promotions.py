"""Commands that decide: request, approve, reject, rollback, requests, reconcile."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import typer

from core.commands.options import (
    As,
    AsOf,
    Decider,
    Json,
    OptionalReason,
    Reason,
    get_actor,
    get_stores,
    parse_model_version,
    write_answer,
)
from core.entities import Actor, Approval, PromotionRequest, Stage
from core.features.history.as_of import parse_moment
from core.features.history.requests_as_of import requests_at
from core.features.monitoring import reconcile
from core.features.promotion import decide

RequestId = Annotated[str, typer.Argument(metavar="ID")]


def add_to(app: typer.Typer) -> None:
    for command in (request, approve, reject, rollback, requests):
        app.command()(command)
    app.command("reconcile")(reconcile_registry)


def request(
    model: Annotated[str, typer.Argument(metavar="MODEL/N")],
    to: Annotated[Literal["Staging", "Production", "Archived", "None"], typer.Option("--to", case_sensitive=False)],
    as_: Decider,
    reason: Reason,
    as_json: Json = False,
) -> None:
    """Asks that a model version be moved to a stage."""
    key = parse_model_version(model)
    asked = decide.request_promotion(
        get_stores(), get_actor(as_), model=key.model, version=key.version, to=Stage(to), reason=reason
    )
    write_answer(request_document(asked), as_json=as_json)


def approve(request_id: RequestId, as_: Decider, reason: Reason, as_json: Json = False) -> None:
    """Approves a request; the old Production version becomes Archived in the same step."""
    write_answer(
        request_document(decide.approve(get_stores(), get_actor(as_), request_id, reason=reason)), as_json=as_json
    )


def reject(request_id: RequestId, as_: Decider, reason: Reason, as_json: Json = False) -> None:
    """Rejects a request; nothing changes."""
    write_answer(
        request_document(decide.reject(get_stores(), get_actor(as_), request_id, reason=reason)), as_json=as_json
    )


def rollback(
    model: Annotated[str, typer.Argument(metavar="MODEL")],
    as_: Decider,
    reason: Reason,
    to: Annotated[int | None, typer.Option("--to", min=1, metavar="N", help="Default: the version before.")] = None,
    as_json: Json = False,
) -> None:
    """Puts an earlier version back into Production, after a check that it loads and its data is readable."""
    write_answer(
        request_document(decide.roll_back(get_stores(), get_actor(as_), model, to=to, reason=reason)), as_json=as_json
    )


def requests(
    model: Annotated[str | None, typer.Option(help="Only this model's.")] = None,
    only_open: Annotated[bool, typer.Option("--open", help="Only those that wait for a decision.")] = False,
    as_of: AsOf = None,
    as_: As = None,
    as_json: Json = False,
) -> None:
    """Open and past requests, newest first."""
    if as_of is not None:
        then = requests_at(get_stores(), get_actor(as_), parse_moment(as_of), model=model)
        write_answer(
            [_answer(one.request, one.approvals) for one in then if one.is_pending or not only_open], as_json=as_json
        )
        return
    found = decide.list_requests(get_stores(), get_actor(as_), model=model)
    write_answer(
        [request_document(r) for r in found if not only_open or r.status.value in ("open", "unfinished")],
        as_json=as_json,
    )


def reconcile_registry(
    resolve: Annotated[
        str | None, typer.Option(metavar="ID", help="Finish or undo this unfinished request or operation.")
    ] = None,
    reason: OptionalReason = "",
    as_: As = None,
    as_json: Json = False,
) -> None:
    """What differs between the registry and the decisions, and what never finished."""
    if resolve is not None:
        write_answer(_resolved(resolve, get_actor(as_), reason), as_json=as_json)
        return
    found = reconcile.find_differences(get_stores(), get_actor(as_))
    write_answer(
        [
            {
                "kind": d.kind,
                "subject": d.subject,
                "expected": d.expected,
                "found": d.found,
                "detail": d.detail,
                "request_id": d.request_id,
            }
            for d in found
        ],
        as_json=as_json,
    )


def _resolved(identifier: str, actor: Actor, reason: str) -> dict[str, Any]:
    """An unfinished request is finished or undone; any other unfinished action is closed."""
    if any(request.id == identifier for request in decide.list_requests(get_stores(), actor)):
        return request_document(reconcile.resolve_request(get_stores(), actor, identifier, reason=reason))
    closed = reconcile.close_action(get_stores(), actor, identifier, reason=reason)
    return {"id": identifier, "subject": closed.subject, "action": closed.action, "status": "closed"}


def request_document(request: PromotionRequest) -> dict[str, Any]:
    """A request with the keys that stay."""
    return _answer(request, get_stores().decisions.approvals(request.id))


def _answer(request: PromotionRequest, approvals: tuple[Approval, ...]) -> dict[str, Any]:
    return {
        "id": request.id,
        "kind": request.kind,
        "model": request.model,
        "version": request.version,
        "to": request.to,
        "status": request.status,
        "gates": [{"name": g.name, "passed": g.passed, "detail": g.detail} for g in request.gates],
        "requested_by": request.requested_by,
        "requested_at": request.requested_at,
        "request_reason": request.request_reason,
        "decided_by": request.decided_by,
        "decided_at": request.decided_at,
        "reason": request.reason,
        "approvals": [{"by": a.by, "at": a.at, "reason": a.reason} for a in approvals],
        "stages": dict(request.stages),
    }
