"""Reconciles: finds and resolves differences between the registry and the decisions, and unfinished actions."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

from core.access.permissions import Action
from core.audit.decisions import ModelLock
from core.audit.row_snapshots import RowSnapshot, finding_snapshot, is_any_field, is_decision_field, request_snapshot
from core.entities import (
    Actor,
    Difference,
    Event,
    ModelVersion,
    Outcome,
    PromotionRequest,
    RequestKind,
    RequestStatus,
    Stage,
)
from core.errors import AlreadyDecided, RequestNotFound
from core.features.promotion.apply_decision import (
    expire_request,
    finish_decision,
    intended_stages,
    restore_production,
    stage_names,
    stages_of,
    undo_decision,
)
from core.features.promotion.evaluate_gates import changed_facts, read_candidate
from core.features.promotion.reason import require_reason
from core.features.promotion.request_promotion import find_request
from core.features.stores import Stores
from core.features.takeover.acceptances import (
    Acceptance,
    UntakenModel,
    find_untaken,
    logged_name,
    read_acceptances,
)
from core.texts import plural, text

STAGE = "stage differs"
SEVERAL = "several in Production"
MISSING = "version missing"
TAMPERED_DECISION = "decision rewritten"
TAMPERED_FINDING = "finding rewritten"
UNFINISHED_REQUEST = "unfinished decision"
UNFINISHED_ACTION = "unfinished action"
NOT_TAKEN_OVER = "not taken over yet"


def find_differences(stores: Stores, actor: Actor) -> tuple[Difference, ...]:
    """Return unfinished decisions and actions, then tampered rows, then stages changed outside ModelLedger.

    Last come the models that are not taken over yet: nobody has said which of their stages are right. Nothing is
    repaired.

    Raises:
        RegistryUnavailable: the registry does not answer.
    """
    stores.audit.require(actor, Action.RECONCILE_READ)
    untaken = find_untaken(stores, stores.models.versions())
    return (*find_changes(stores), *map(_not_taken_over, untaken))


def find_changes(stores: Stores) -> tuple[Difference, ...]:
    """Return the differences that are findings: all but the models that are not taken over yet.

    Raises:
        RegistryUnavailable: the registry does not answer.
    """
    return (*find_unfinished(stores), *_tampered(stores), *_stage_differences(stores))


def _not_taken_over(model: UntakenModel) -> Difference:
    return Difference(
        kind=NOT_TAKEN_OVER,
        subject=model.model,
        expected=text("a decision on its stages, or an acceptance of the state as found"),
        found=plural(
            "{n} version, in Production: {production}",
            "{n} versions, in Production: {production}",
            model.versions,
            production=", ".join(map(str, model.production)) or text("none"),
        ),
        detail=text(
            "ModelLedger did not see how this model got its stages and aliases. A manager or an admin accepts the "
            "state as found with `accept-registry`; later changes are findings."
        ),
    )


def find_unfinished(stores: Stores) -> tuple[Difference, ...]:
    """Return unfinished decisions and actions, without the work of live jobs."""
    requests = stores.decisions.list(statuses=(RequestStatus.UNFINISHED,))
    decisions = tuple(
        Difference(
            kind=UNFINISHED_REQUEST,
            subject=str(request.key),
            expected=", ".join(f"{number}: {stage}" for number, stage in sorted(request.intended.items())),
            found=text("no outcome"),
            detail=text(
                "{actor} approved {version} for {stage}. The decision was begun and not finished.",
                actor=request.decided_by,
                version=str(request.key),
                stage=request.to.value,
            ),
            request_id=request.id,
        )
        for request in requests
    )
    live_operations = {job.result.get("operation") for job in stores.jobs.list(live_only=True)}
    unfinished_ids = {request.id for request in requests}
    return decisions + tuple(
        Difference(
            kind=UNFINISHED_ACTION,
            subject=event.subject,
            expected=text("an outcome"),
            found=text("intent only"),
            detail=text(
                "{actor} began {action} at {time:%Y-%m-%d %H:%M:%S} UTC, and no outcome was written. The process ended "
                "in between, or it still runs.",
                actor=event.actor,
                action=event.action,
                time=event.time,
            ),
            request_id=event.operation,
        )
        for event in stores.audit.unfinished()
        if event.operation not in live_operations and event.before.get("request") not in unfinished_ids
    )


def _tampered(stores: Stores) -> Iterator[Difference]:
    """Requests, approvals and findings whose rows were changed in the database, bypassing the log."""
    for row in stores.row_integrity.tampered_rows():
        yield Difference(
            kind=TAMPERED_FINDING if row.kind == "finding" else TAMPERED_DECISION,
            subject=row.subject,
            expected=row.expected,
            found=row.found,
            detail=row.detail,
            request_id=row.id,
        )


def resolve_request(stores: Stores, actor: Actor, request_id: str, *, reason: str) -> PromotionRequest:
    """Finish or undo an unfinished decision.

    - The registry shows some or all of the intended stages: the rest is changed and the request is approved.
    - The registry shows none of them, or the version was deleted: the decision is undone.
    - The registry shows some of them, and the evidence changed since: the previous version is restored, and the
      request has expired.

    Raises:
        AlreadyDecided: the request is not unfinished.
    """
    request = find_request(stores, actor, Action.RECONCILE_RESOLVE, request_id)
    before = {"request": request.id, "intended": dict(request.intended)}
    # No event holds the row of a rollback that died. For a request, no event holds the decision.
    always = is_any_field if request.kind is RequestKind.ROLLBACK else is_decision_field
    snapshot = request_snapshot(request.id, always=always)
    with stores.audit.recording(
        actor, Action.RECONCILE_RESOLVE, str(request.key), reason=reason, before=before, snapshot=snapshot
    ) as record:
        require_reason(reason)
        with stores.decisions.lock(request.model) as lock:
            request = stores.decisions.get(request_id)
            if request.status is not RequestStatus.UNFINISHED:
                raise AlreadyDecided(
                    "Request {request_id} is {status}. Only an unfinished request can be resolved.",
                    request_id=request.id,
                    status=request.status.value,
                )
            versions = stores.models.versions(request.model)
            record.before["stages"] = stage_names(stages_of(versions))
            done = _finish_or_undo(stores, request, lock, versions, actor)
        for event in stores.audit.unfinished():
            if event.before.get("request") == request.id and event.operation != record.operation:
                _close(stores, actor, event, text("resolved by {actor}", actor=actor.name))
        record.after = {"request": done.id, "status": done.status.value, "stages": dict(done.stages)}
    return done


def _finish_or_undo(
    stores: Stores, request: PromotionRequest, lock: ModelLock, versions: tuple[ModelVersion, ...], actor: Actor
) -> PromotionRequest:
    stages = stages_of(versions)
    intended = {int(number): Stage(stage) for number, stage in request.intended.items()}
    changed_stages = [number for number, stage in intended.items() if stages.get(number) is stage]
    if not changed_stages:
        return undo_decision(stores, request, text("undone by {actor}: the registry was not changed", actor=actor.name))
    if request.version not in stages:
        lock.confirm()
        restore_production(stores, request, stages, lock)
        why = text("undone by {actor}: the version is no longer in the registry", actor=actor.name)
        return undo_decision(stores, request, why)
    # If all stages changed, the evidence was checked before. A later change of the evidence is a finding.
    is_complete = len(changed_stages) == len(intended)
    changed = None if is_complete else changed_facts(request.evidence, read_candidate(stores, request.key))
    lock.confirm()
    if changed is not None:
        restore_production(stores, request, stages, lock)
        return expire_request(stores, request, changed)
    # Another version may be in Production now than at the decision. At the end exactly one must be there.
    remaining = {number: stage for number, stage in intended.items() if number in stages}
    return finish_decision(stores, request, remaining | intended_stages(versions, request.version, request.to), lock)


def close_action(stores: Stores, actor: Actor, operation: str, *, reason: str) -> Event:
    """Write the missing outcome of an unfinished action: failed, unless its decision took effect.

    Raises:
        RequestNotFound: no unfinished action has this id.
    """
    intent = next((event for event in stores.audit.unfinished() if event.operation == operation), None)
    if intent is None:
        raise RequestNotFound("There is no unfinished request or action {id!r}. `reconcile` lists them.", id=operation)
    with stores.audit.recording(
        actor, Action.RECONCILE_RESOLVE, intent.subject, reason=reason, before={"operation": operation}
    ) as record:
        why = text("closed by {actor}: {reason}", actor=actor.name, reason=require_reason(reason))
        closed = _close(stores, actor, intent, why)
        record.after = {"sequence": closed.sequence, "outcome": closed.outcome.value}
    return closed


def _decision_of(stores: Stores, intent: Event) -> PromotionRequest | None:
    """The request of an intent, where the intended change took effect."""
    try:
        request = stores.decisions.get(str(intent.before.get("request")))
    except RequestNotFound:
        return None
    if intent.action == Action.PROMOTION_REQUEST.value:
        return request
    is_own = request.decided_by == intent.actor and request.decided_at is not None and request.decided_at >= intent.time
    return request if is_own and request.status in (RequestStatus.APPROVED, RequestStatus.REJECTED) else None


def _close(stores: Stores, actor: Actor, intent: Event, why: str) -> Event:
    """Write the missing outcome: success where the intended change took effect, else failed."""
    done = _decision_of(stores, intent)
    return stores.audit.append(
        actor,
        intent.action,
        intent.subject,
        Outcome.SUCCESS if done else Outcome.FAILED,
        reason=text("{why}; request {request_id} is {status}", why=why, request_id=done.id, status=done.status.value)
        if done
        else why,
        operation=intent.operation,
        before=intent.before,
        after={"request": done.id, "stages": dict(done.stages)} if done else None,
        snapshot=_bound(intent),
    )


def _bound(intent: Event) -> RowSnapshot | None:
    """The row that an unfinished action may have changed."""
    if request := intent.before.get("request"):
        is_new = intent.action in (Action.PROMOTION_REQUEST.value, Action.PROMOTION_ROLLBACK.value)
        return request_snapshot(str(request), always=is_any_field if is_new else is_decision_field)
    finding = intent.before.get("finding")
    return finding_snapshot(str(finding), always=is_any_field) if finding else None


def _stage_differences(stores: Stores) -> Iterator[Difference]:
    """Compare the last approved decision of each model with the stages in the registry."""
    versions = stores.models.versions()
    approved = stores.decisions.list(statuses=(RequestStatus.APPROVED,))
    unfinished_models = {request.model for request in stores.decisions.list(statuses=(RequestStatus.UNFINISHED,))}
    untaken = {model.model for model in find_untaken(stores, versions)}
    acceptances = read_acceptances(stores)
    models = {v.model for v in versions} | {request.model for request in approved} | acceptances.keys()
    for model in sorted(models - untaken):
        if model in unfinished_models:
            continue  # reported as an unfinished decision
        last = max((r for r in approved if r.model == model), key=_decided_at, default=None)
        current = {v.version: v.stage for v in versions if v.model == model}
        accepted = acceptances.get(logged_name(stores, model)) if last is None else None
        expected = {int(number): Stage(stage) for number, stage in last.stages.items()} if last else {}
        yield from _compare_stages(
            model, dict(accepted.stages) if accepted else expected, current, _basis(last, accepted)
        )


def _basis(last: PromotionRequest | None, accepted: Acceptance | None) -> str:
    """Return a sentence about what the stages are compared with."""
    if last is not None:
        return text(
            "Decision {request_id} of {actor} was the last on this model.", request_id=last.id, actor=last.decided_by
        )
    if accepted is not None:
        return text("{actor} accepted the state as found on {time:%Y-%m-%d}.", actor=accepted.actor, time=accepted.time)
    return text("No decision was ever made on this model.")


def _compare_stages(
    model: str, expected: dict[int, Stage], current: dict[int, Stage], decision: str
) -> Iterator[Difference]:
    in_production = [number for number, stage in current.items() if stage is Stage.PRODUCTION]
    were_accepted = all(expected.get(number) is Stage.PRODUCTION for number in in_production)
    if len(in_production) > 1 and not were_accepted:
        yield Difference(
            kind=SEVERAL,
            subject=model,
            expected=text("one version in Production"),
            found=", ".join(map(str, sorted(in_production))),
            detail=text("More than one version is in Production. Roll back to the version that should be there."),
        )
    for number in sorted(expected.keys() | current.keys()):
        wanted = expected.get(number, Stage.NONE)
        if number not in current:
            yield Difference(
                kind=MISSING,
                subject=f"{model}/{number}",
                expected=wanted.value,
                found=text("not in the registry"),
                detail=text("The version was deleted from the registry. {decision}", decision=decision),
            )
        elif current[number] is not wanted:
            yield Difference(
                kind=STAGE,
                subject=f"{model}/{number}",
                expected=wanted.value,
                found=current[number].value,
                detail=text("The stage was changed outside ModelLedger. {decision}", decision=decision),
            )


def _decided_at(request: PromotionRequest) -> datetime:
    return request.decided_at or datetime.min.replace(tzinfo=UTC)
