"""Rolls back: puts an earlier version of a model back into Production, or previews what a rollback would do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import uuid4

from core.access.permissions import Action
from core.audit.row_snapshots import request_snapshot
from core.entities import (
    Actor,
    GateCheck,
    GateResult,
    ModelVersion,
    ModelVersionKey,
    PromotionRequest,
    RequestKind,
    RequestStatus,
    Stage,
)
from core.errors import ModelVersionNotFound, NothingInProduction, Refused
from core.features.promotion.apply_decision import (
    apply_decision,
    begin_decision,
    intended_stages,
    refuse_while_unfinished,
    stage_names,
    stages_of,
)
from core.features.promotion.decide import logged_gates, refuse_overtaken, require_gates
from core.features.promotion.evaluate_gates import GateEvaluation, evaluate_gates
from core.features.promotion.fair_gates import SameTestRows
from core.features.promotion.reason import require_reason
from core.features.promotion.review import needs_review, review_reason
from core.features.promotion.rollback_checks import check_rollback, previous_version, require_rollback_target
from core.features.stores import Stores
from core.learning.kpis import CLASSIFICATION_METRICS, REGRESSION_METRICS, is_kpi


@dataclass(frozen=True, kw_only=True)
class KpiChange:
    """One KPI of the target beside Production's; *difference* is None where either value is missing."""

    name: str
    value: float | None
    production: float | None

    @property
    def difference(self) -> float | None:
        return None if self.value is None or self.production is None else self.value - self.production


@dataclass(frozen=True, kw_only=True)
class RollbackPreview:
    """What a rollback would do, and the checks that it would run, with their results now.

    *stages* are the stages that change. *check* names the version that the KPIs are compared with. *review* says why
    another person must review the rollback; None where nobody must. *kpi_caveat* says why the KPIs do not compare.
    """

    key: ModelVersionKey
    stages: Mapping[int, Stage]
    check: GateCheck
    kpis: tuple[KpiChange, ...]
    kpi_caveat: str | None
    review: str | None


def preview_rollback(stores: Stores, actor: Actor, model: str, *, to: int | None = None) -> RollbackPreview:
    """Run the checks of `roll_back` without rolling back. Changes nothing.

    Raises:
        NothingInProduction, ModelVersionNotFound, Refused, RegistryUnavailable: as `roll_back`.
    """
    stores.audit.require(actor, Action.PROMOTION_READ, model)
    refuse_while_unfinished(stores, model)
    versions = stores.models.versions(model)
    key = _target(stores, model, to, versions)
    evaluation, gates = _check_target(stores, key, versions)
    same_rows = SameTestRows().check(evaluation.gate_evidence)
    return RollbackPreview(
        key=key,
        stages=intended_stages(versions, key.version, Stage.PRODUCTION),
        check=GateCheck(at=datetime.now(UTC), gates=gates, evidence=evaluation.evidence),
        kpis=_kpi_changes(evaluation),
        kpi_caveat=None if same_rows.passed else same_rows.detail,
        review=review_reason(stores, key),
    )


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
            key = _target(stores, model, to, versions)
            record.subject = str(key)
            evaluation, gates = _check_target(stores, key, versions)
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


def _target(stores: Stores, model: str, to: int | None, versions: tuple[ModelVersion, ...]) -> ModelVersionKey:
    number = previous_version(stores, model, versions) if to is None else to
    if number is not None:
        return ModelVersionKey(model=model, version=number)
    current = next((version.version for version in versions if version.stage is Stage.PRODUCTION), None)
    if current is None:
        raise NothingInProduction(
            "No version of {model} is in Production. Choose the version to roll back to.", model=model
        )
    raise ModelVersionNotFound(
        "No version of {model} was in Production before version {current}. Choose the version to roll back to.",
        model=model,
        current=current,
    )


def _check_target(
    stores: Stores, key: ModelVersionKey, versions: tuple[ModelVersion, ...]
) -> tuple[GateEvaluation, tuple[GateResult, ...]]:
    """Require that *key* is a target of a rollback, and return its evidence and the results of the checks."""
    evaluation = evaluate_gates(stores, key, Stage.PRODUCTION)
    if evaluation.version.stage is Stage.PRODUCTION:
        raise Refused(
            "{model_version} is in Production already, so there is nothing to roll back.", model_version=str(key)
        )
    require_rollback_target(stores, key, versions)
    return evaluation, check_rollback(stores, evaluation)


def _kpi_changes(evaluation: GateEvaluation) -> tuple[KpiChange, ...]:
    """The KPIs of both versions, the usual ones first."""
    mine, theirs = evaluation.gate_evidence.metrics, evaluation.gate_evidence.production_metrics
    usual = [name for name in (*CLASSIFICATION_METRICS, *REGRESSION_METRICS) if name in mine or name in theirs]
    others = sorted(filter(is_kpi, (mine.keys() | theirs.keys()) - set(usual)))
    return tuple(KpiChange(name=name, value=mine.get(name), production=theirs.get(name)) for name in (*usual, *others))
