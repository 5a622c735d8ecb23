"""Checks of a rollback: an earlier version, unchanged since its approval, with readable data, that loads."""

from __future__ import annotations

import tempfile
from pathlib import Path

from core.access.permissions import Action
from core.audit.canonical_json import settled
from core.entities import (
    Actor,
    GateResult,
    ModelVersion,
    ModelVersionKey,
    PromotionRequest,
    RequestKind,
    RequestStatus,
    Stage,
)
from core.errors import CoreError, NothingInProduction, Refused
from core.features.promotion.evaluate_gates import GateEvaluation
from core.features.promotion.gates import NoHighFinding
from core.features.promotion.policy import rollback_policy
from core.features.promotion.production_history import production_approval, production_decisions
from core.features.stores import Stores
from core.features.takeover.acceptances import Acceptance, find_acceptance, was_accepted_in_production
from core.learning.safety.check_loads import check_loads
from core.texts import text


def list_rollback_targets(stores: Stores, actor: Actor, model: str) -> dict[int, bool]:
    """Return the versions to which *model* can be rolled back, each with whether it was once approved.

    The version that was in Production before is first, then the newest.

    Raises:
        RegistryUnavailable: the registry does not answer.
    """
    stores.audit.require(actor, Action.PROMOTION_READ, model)
    versions = stores.models.versions(model)
    targets = _targets(production_decisions(stores, model), find_acceptance(stores, model), versions)
    previous = previous_version(stores, model, versions)
    return dict(sorted(targets.items(), key=lambda target: (target[0] != previous, -target[0])))


def previous_version(stores: Stores, model: str, versions: tuple[ModelVersion, ...]) -> int | None:
    """Find, in the decisions, the version that was in Production before the present one; None where none was."""
    current = next((version.version for version in versions if version.stage is Stage.PRODUCTION), None)
    existing = {version.version for version in versions}
    for decision in stores.decisions.list(model=model, statuses=(RequestStatus.APPROVED,)):
        if decision.to is Stage.PRODUCTION and decision.version == current and decision.previous in existing:
            return decision.previous
    return None


def require_rollback_target(stores: Stores, key: ModelVersionKey, versions: tuple[ModelVersion, ...]) -> None:
    """Require that *key* is an earlier version, so that a rollback cannot replace a promotion.

    Raises:
        NothingInProduction: no version of the model was ever in Production.
        Refused: the version was never in Production and is newer than the one that is.
    """
    decisions = production_decisions(stores, key.model)
    accepted = find_acceptance(stores, key.model)
    if key.version in _targets(decisions, accepted, versions):
        return
    if _newest_in_production(decisions, accepted, versions) is None:
        raise NothingInProduction(
            "No version of {model} was ever in Production, so there is nothing to roll back. Request promotion of "
            "{model_version} instead.",
            model=key.model,
            model_version=str(key),
        )
    raise Refused(
        "{model_version} was never in Production and is newer than the version in Production. Request its promotion, "
        "so that its gates are checked and another person decides.",
        model_version=str(key),
        model=key.model,
        version=key.version,
    )


def _targets(
    decisions: tuple[PromotionRequest, ...], accepted: Acceptance | None, versions: tuple[ModelVersion, ...]
) -> dict[int, bool]:
    """Versions that were in Production, and all versions older than the one that is (or was last) in Production."""
    in_production_before = {request.version for request in decisions} | set(accepted.in_production if accepted else ())
    approved = {request.version for request in decisions if request.kind is RequestKind.PROMOTION}
    newest = _newest_in_production(decisions, accepted, versions)
    return {
        version.version: version.version in approved
        for version in versions
        if version.stage is not Stage.PRODUCTION
        and (version.version in in_production_before or (newest is not None and version.version < newest))
    }


def _newest_in_production(
    decisions: tuple[PromotionRequest, ...], accepted: Acceptance | None, versions: tuple[ModelVersion, ...]
) -> int | None:
    current = max((version.version for version in versions if version.stage is Stage.PRODUCTION), default=None)
    if current is not None:
        return current
    return next((request.version for request in decisions), accepted.production if accepted else None)


def check_rollback(stores: Stores, evaluation: GateEvaluation) -> tuple[GateResult, ...]:
    """Return the results of the checks, in order. An approved version is compared with its approval.

    A version that was in Production when the model was taken over is compared with what was accepted: it need not name
    its data or have a format that an approval would ask for.
    """
    key = evaluation.version.key
    approval, accepted = production_approval(stores, key), find_acceptance(stores, key.model)
    if approval is None and accepted is not None and was_accepted_in_production(accepted, key):
        finding_gate = NoHighFinding().check(evaluation.gate_evidence)
        return (finding_gate, _check_as_accepted(accepted, evaluation), _check_loads(stores, evaluation))
    gates = rollback_policy(evaluation.policy, is_approved=approval is not None).check(evaluation.gate_evidence)
    if approval is not None:
        gates = (*gates, _check_unchanged(approval, evaluation))
    return (*gates, _check_loads(stores, evaluation))


def _check_unchanged(approval: PromotionRequest, evaluation: GateEvaluation) -> GateResult:
    """Check that the model files and the data are those that were approved. KPIs do not matter here."""
    approved, current = approval.evidence.get("candidate", {}), evaluation.candidate.facts
    labels = {
        "artifact": text("model files"),
        "data": text("data version"),
        "data_content_sha256": text("rows of the data"),
    }
    changed = [label for fact, label in labels.items() if fact in approved and approved[fact] != settled(current[fact])]
    name = text("unchanged since approval")
    if changed:
        detail = text(
            "Changed since decision {request_id}: {changed}. Register the model as a new version and request its "
            "promotion.",
            request_id=approval.id,
            changed=", ".join(changed),
        )
        return GateResult(name=name, passed=False, detail=detail)
    detail = text("Model files and data are those of decision {request_id}.", request_id=approval.id)
    return GateResult(name=name, passed=True, detail=detail)


def _check_as_accepted(accepted: Acceptance, evaluation: GateEvaluation) -> GateResult:
    """Check that run and model files are those with which the version was found in Production."""
    facts, candidate = accepted.in_production[evaluation.version.version], evaluation.candidate
    name = text("unchanged since it was accepted")
    if not facts["artifact"]:
        return GateResult(
            name=name,
            passed=False,
            detail=text("The model's files could not be read when the state as found was accepted."),
        )
    if (facts["artifact"], facts["run_id"]) != (candidate.artifact["sha256"], evaluation.version.run_id):
        return GateResult(
            name=name,
            passed=False,
            detail=text("Run or model files are not those that {actor} accepted.", actor=accepted.actor),
        )
    detail = text(
        "Run and model files are those in Production that {actor} accepted as found on {time:%Y-%m-%d}.",
        actor=accepted.actor,
        time=accepted.time,
    )
    return GateResult(name=name, passed=True, detail=detail)


def _check_loads(stores: Stores, evaluation: GateEvaluation) -> GateResult:
    name, key, evidence = text("artifact loads"), evaluation.version.key, evaluation.gate_evidence
    if not evidence.is_artifact_safe:
        # A policy may allow the format by name. Its gate says so; our own process does not run the code even then.
        if evaluation.candidate.artifact["sha256"] is None:
            return GateResult(name=name, passed=False, detail=text("The model's files cannot be read."))
        detail = text(
            "Not loaded: saved as {format}, which may run its author's code when the model is loaded.",
            format=evidence.artifact_format,
        )
        return GateResult(name=name, passed=True, detail=detail)
    with tempfile.TemporaryDirectory(prefix="modelledger-") as folder:
        try:
            info = check_loads(stores.models.download(key, Path(folder)))
        except CoreError as error:
            return GateResult(name=name, passed=False, detail=str(error))
    return GateResult(
        name=name, passed=True, detail=text("Loaded in a separate process ({format}).", format=info.format)
    )
