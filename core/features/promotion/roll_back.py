"""Rolls back: puts an earlier version of a model back into Production."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import uuid4

from core.access.permissions import Action
from core.audit.row_snapshots import request_snapshot
from core.entities import Actor, ModelVersion, ModelVersionKey, PromotionRequest, RequestKind, RequestStatus, Stage
from core.errors import ModelVersionNotFound, NothingInProduction, Refused
from core.features.promotion.apply_decision import (
    apply_decision,
    begin_decision,
    refuse_while_unfinished,
    stage_names,
    stages_of,
)
from core.features.promotion.decide import logged_gates, refuse_overtaken, require_gates
from core.features.promotion.evaluate_gates import evaluate_gates
from core.features.promotion.reason import require_reason
from core.features.promotion.review import needs_review
from core.features.promotion.rollback_checks import check_rollback, require_rollback_target
from core.features.stores import Stores


def roll_back(
    stores: Stores,
    actor: Actor,
    model: str,
    *,
    to: int | None = None,
    reason: str,
    seen_decisions: int | None = None,
) -> PromotionRequest:
    """Put an earlier version back into Production, after a check that it loads and that its data is readable.

    One person may roll back even where a promotion needs several approvals, and even to an earlier version that was
    never approved. Then a finding asks another person for a review. *to* defaults to the previous Production version.
    *seen_decisions* is as in `approve`: of two people who roll back at once, the second is refused.

    Raises:
        NothingInProduction: there is no version to roll back from.
        ModelVersionNotFound: no previous version is known, or *to* does not exist.
        Refused: *to* is not an earlier version.
        Overtaken: another decision on the model was applied meanwhile.
        GatesFailed: a check failed; the message has its details.
        ReasonMissing, RegistryUnavailable.
    """
    request_id = uuid4().hex[:12]
    basis = stores.decisions.count_approved(model) if seen_decisions is None else seen_decisions
    before = {"to": to, "request": request_id}
    with stores.audit.recording(
        actor, Action.PROMOTION_ROLLBACK, model, reason=reason, before=before, snapshot=request_snapshot(request_id)
    ) as record:
        reason = require_reason(reason)
        with stores.decisions.lock(model) as lock:
            refuse_while_unfinished(stores, model)
            refuse_overtaken(stores, model, basis)
            versions = stores.models.versions(model)
            stages = stages_of(versions)
            record.before["stages"] = stage_names(stages)
            number = _previous_version(stores, model, versions) if to is None else to
            key = ModelVersionKey(model=model, version=number)
            record.subject = str(key)
            evaluation = evaluate_gates(stores, key, Stage.PRODUCTION)
            if evaluation.version.stage is Stage.PRODUCTION:
                raise Refused(
                    "{model_version} is in Production already, so there is nothing to roll back.",
                    model_version=str(key),
                )
            require_rollback_target(stores, key, versions)
            gates = check_rollback(stores, evaluation)
            require_gates(key, Stage.PRODUCTION, gates, request_id=None)
            request = PromotionRequest(
                id=request_id,
                kind=RequestKind.ROLLBACK,
                model=model,
                version=key.version,
                to=Stage.PRODUCTION,
                status=RequestStatus.OPEN,
                gates=gates,
                requested_by=actor.name,
                requested_at=datetime.now(UTC),
                request_reason=reason,
                evidence=evaluation.evidence,
            )
            begun = begin_decision(
                stores,
                request,
                actor=actor,
                reason=reason,
                gates=gates,
                evidence=evaluation.evidence,
                versions=versions,
            )
            done = apply_decision(stores, begun, lock, before=stages)
        decision = "rolled back by one person, waits for a review" if needs_review(stores, done) else "rolled back"
        record.after = {"request": done.id, "decision": decision, "stages": dict(done.stages)}
        record.after["gates"] = [gate.record for gate in gates]
        record.after |= logged_gates(done)
    return done


def _previous_version(stores: Stores, model: str, versions: tuple[ModelVersion, ...]) -> int:
    """Find, in the decisions, the version that was in Production before the present one."""
    current = next((v.version for v in versions if v.stage is Stage.PRODUCTION), None)
    existing = {v.version for v in versions}
    for decision in stores.decisions.list(model=model, statuses=(RequestStatus.APPROVED,)):
        if decision.to is Stage.PRODUCTION and decision.version == current and decision.previous in existing:
            return int(decision.previous)
    if current is None:
        raise NothingInProduction("No version of {model} is in Production. Name a version with --to N.", model=model)
    raise ModelVersionNotFound(
        "No version of {model} was in Production before version {current}. Name a version with --to N.",
        model=model,
        current=current,
    )
