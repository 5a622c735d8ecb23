"""Commands for decisions: request, approve, reject, rollback, requests, reconcile."""

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
    parse_as_of,
    parse_model_version,
    write_answer,
)
from core.entities import Actor, Approval, Finding, GateCheck, GateResult, PromotionRequest, RequestStatus, Stage
from core.features.history.requests_as_of import requests_at
from core.features.monitoring import reconcile
from core.features.monitoring.decision_findings import About, findings_of_decision
from core.features.monitoring.findings import list_findings
from core.features.open_requests.present_gates import PresentGates, present_gates_of
from core.features.promotion import decide, request_promotion
from core.features.promotion.roll_back import RollbackPreview, preview_rollback, roll_back

RequestId = Annotated[str, typer.Argument(metavar="ID", help="Request id.")]


def add_to(app: typer.Typer) -> None:
    for command in (request, approve, reject, rollback, requests):
        app.command()(command)
    app.command("reconcile")(reconcile_registry)


def request(
    model: Annotated[str, typer.Argument(metavar="MODEL/N", help="Model version, or MODEL@ALIAS.")],
    to: Annotated[
        Literal["Staging", "Production", "Archived", "None"],
        typer.Option("--to", case_sensitive=False, help="Stage to request."),
    ],
    as_: Decider,
    reason: Reason,
    as_json: Json = False,
) -> None:
    """Request a stage for a model version."""
    key = parse_model_version(model)
    requested = request_promotion.request_promotion(
        get_stores(), get_actor(as_), model=key.model, version=key.version, to=Stage(to), reason=reason
    )
    write_answer(request_document(requested), as_json=as_json)


def approve(request_id: RequestId, as_: Decider, reason: Reason, as_json: Json = False) -> None:
    """Approve a request and archive the old Production version."""
    approved = decide.approve(get_stores(), get_actor(as_), request_id, reason=reason)
    write_answer(request_document(approved), as_json=as_json)


def reject(request_id: RequestId, as_: Decider, reason: Reason, as_json: Json = False) -> None:
    """Reject a request."""
    rejected = decide.reject(get_stores(), get_actor(as_), request_id, reason=reason)
    write_answer(request_document(rejected), as_json=as_json)


def rollback(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="Registered model.")],
    as_: Decider,
    reason: OptionalReason = "",
    to: Annotated[
        int | None,
        typer.Option("--to", min=1, metavar="N", help="Version to roll back to. Default: the previous one."),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Run the checks and show the consequences. Change nothing.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Put an earlier version back into Production. The rollback needs a reason; a dry run needs none."""
    if dry_run:
        actor = get_actor(as_)
        preview = preview_rollback(get_stores(), actor, model, to=to)
        write_answer(_preview_document(actor, preview), as_json=as_json)
        return
    decision = roll_back(get_stores(), get_actor(as_), model, to=to, reason=reason)
    write_answer(request_document(decision), as_json=as_json)


def requests(
    model: Annotated[str | None, typer.Option(help="Show only requests for this model.")] = None,
    only_open: Annotated[bool, typer.Option("--open", help="Show only open and unfinished requests.")] = False,
    as_of: AsOf = None,
    as_: As = None,
    as_json: Json = False,
) -> None:
    """List requests, newest first."""
    if (moment := parse_as_of(as_of)) is not None:
        states = requests_at(get_stores(), get_actor(as_), moment, model=model)
        pending = [state for state in states if state.is_pending or not only_open]
        write_answer([_document(state.request, state.approvals) for state in pending], as_json=as_json)
        return
    listed = request_promotion.list_requests(get_stores(), get_actor(as_), model=model)
    shown = [r for r in listed if not only_open or r.status.value in ("open", "unfinished")]
    present = present_gates_of(get_stores(), get_actor(as_), shown)
    findings = list_findings(get_stores(), get_actor(as_))
    write_answer(
        [
            request_document(r) | _now_document(present.get(r.id)) | _findings_document(findings, r, present.get(r.id))
            for r in shown
        ],
        as_json=as_json,
    )


def reconcile_registry(
    resolve: Annotated[
        str | None, typer.Option(metavar="ID", help="Finish or undo this unfinished request or action.")
    ] = None,
    reason: OptionalReason = "",
    as_: As = None,
    as_json: Json = False,
) -> None:
    """List what differs between the registry and the decisions."""
    if resolve is not None:
        write_answer(_resolve(resolve, get_actor(as_), reason), as_json=as_json)
        return
    differences = reconcile.find_differences(get_stores(), get_actor(as_))
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
            for d in differences
        ],
        as_json=as_json,
    )


def _resolve(identifier: str, actor: Actor, reason: str) -> dict[str, Any]:
    """Finish or undo an unfinished request, or close any other unfinished action."""
    stores = get_stores()
    if any(request.id == identifier for request in request_promotion.list_requests(stores, actor)):
        return request_document(reconcile.resolve_request(stores, actor, identifier, reason=reason))
    closed = reconcile.close_action(stores, actor, identifier, reason=reason)
    return {"id": identifier, "subject": closed.subject, "action": closed.action, "status": "closed"}


def request_document(request: PromotionRequest) -> dict[str, Any]:
    """Return a request as the command line prints it. Scripts rely on the keys."""
    return _document(request, get_stores().decisions.approvals(request.id))


def _now_document(present: PresentGates | None) -> dict[str, Any]:
    """What `requests` adds for an open request: its gates now, which are the ones that count."""
    if present is None:
        return {"now": None}
    now = {**(_check(present.check) or {}), "changes": list(present.changes), "expires_because": present.expiry}
    return {"gates": now["gates"], "now": now}


def _findings_document(
    findings: tuple[Finding, ...], request: PromotionRequest, present: PresentGates | None
) -> dict[str, Any]:
    """What `requests` adds for an open request: the open findings about the candidate, its data and its rival."""
    check = present.check if present else request.at_request
    found = findings_of_decision(findings, request, check) if request.status is RequestStatus.OPEN else ()
    return {"findings": _found_documents(found)}


def _found_documents(found: tuple[tuple[About, Finding], ...]) -> list[dict[str, Any]]:
    return [
        {
            "id": finding.id,
            "about": about.value.replace(" ", "_"),
            "kind": finding.kind,
            "subject": finding.subject,
            "severity": finding.severity,
            "detail": finding.detail,
        }
        for about, finding in found
    ]


def _preview_document(actor: Actor, preview: RollbackPreview) -> dict[str, Any]:
    """The answer of `rollback --dry-run`: what would happen, and the checks with their results now."""
    candidate = preview.check.evidence["candidate"] if preview.check.evidence else {}
    findings = list_findings(get_stores(), actor)
    return {
        "model": preview.key.model,
        "version": preview.key.version,
        "stages": {str(number): stage for number, stage in preview.stages.items()},
        "passed": preview.check.passed,
        "checked_at": preview.check.at,
        "gates": _gates(preview.check.gates or ()),
        "compared_with": preview.check.compared_with,
        "kpis": {
            kpi.name: {"value": kpi.value, "production": kpi.production, "difference": kpi.difference}
            for kpi in preview.kpis
        },
        "kpi_caveat": preview.kpi_caveat,
        "data": candidate.get("data"),
        "data_verdict": candidate.get("data_verdict"),
        "review": preview.review,
        "findings": _found_documents(findings_of_decision(findings, preview, preview.check)),
    }


def _check(check: GateCheck | None) -> dict[str, Any] | None:
    """The gates at one moment; *gates* and *evidence* are null where an older record does not keep them."""
    if check is None:
        return None
    return {
        "at": check.at,
        "passed": check.passed,
        "compared_with": check.compared_with,
        "problem": check.problem,
        "gates": None if check.gates is None else _gates(check.gates),
        "evidence": None if check.evidence is None else dict(check.evidence),
    }


def _gates(gates: tuple[GateResult, ...]) -> list[dict[str, Any]]:
    return [{"numbers": None, **gate.record} for gate in gates]


def _document(request: PromotionRequest, approvals: tuple[Approval, ...]) -> dict[str, Any]:
    return {
        "id": request.id,
        "kind": request.kind,
        "model": request.model,
        "version": request.version,
        "to": request.to,
        "status": request.status,
        # The latest gates that the record keeps.
        "gates": _gates((request.at_decision or request.at_request).gates or request.gates),
        "at_request": _check(request.at_request),
        "at_decision": _check(request.at_decision),
        "requested_by": request.requested_by,
        "requested_at": request.requested_at,
        "request_reason": request.request_reason,
        "decided_by": request.decided_by,
        "decided_at": request.decided_at,
        "reason": request.reason,
        "approvals": [{"by": a.by, "at": a.at, "reason": a.reason} for a in approvals],
        "stages": dict(request.stages),
    }
