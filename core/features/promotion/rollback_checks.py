"""Checks a rollback: that its version is an earlier one, is what was approved then, can be shown, and loads."""

from __future__ import annotations

import tempfile
from pathlib import Path

from core.access.permissions import Action
from core.audit.canonical_json import settled
from core.entities import Actor, GateResult, ModelVersion, ModelVersionKey, PromotionRequest, RequestKind, Stage
from core.errors import CoreError, NothingInProduction, Refused
from core.features.promotion.evaluate_gates import GateEvaluation
from core.features.promotion.gates import rollback_policy
from core.features.promotion.production_history import production_approval, production_decisions
from core.features.stores import Stores
from core.learning.safety.check_loads import check_loads


def list_rollback_targets(stores: Stores, actor: Actor, model: str) -> dict[int, bool]:
    """Versions that *model* can be rolled back to, newest first, and whether each was once approved for Production.

    Raises RegistryUnavailable.
    """
    stores.audit.require(actor, Action.PROMOTION_READ, model)
    return _targets(production_decisions(stores, model), stores.models.versions(model))


def require_rollback_target(stores: Stores, key: ModelVersionKey, versions: tuple[ModelVersion, ...]) -> None:
    """A rollback is no way around a promotion. Raises NothingInProduction, Refused."""
    served = production_decisions(stores, key.model)
    if key.version in _targets(served, versions):
        return
    if _newest_in_production(served, versions) is None:
        raise NothingInProduction(
            f"No version of {key.model} was ever in Production, so there is nothing to roll back; ask for {key} to go "
            "there.",
            model=key.model,
        )
    raise Refused(
        f"{key} was never in Production and is newer than what served: that is a promotion. Ask for it, so that its "
        "gates are seen and somebody else decides.",
        model=key.model,
        version=key.version,
    )


def _targets(served: tuple[PromotionRequest, ...], versions: tuple[ModelVersion, ...]) -> dict[int, bool]:
    """What *served* before, and what was made before the version that serves (or served last)."""
    before = {one.version for one in served}
    approved = {one.version for one in served if one.kind is RequestKind.PROMOTION}
    newest = _newest_in_production(served, versions)
    return {
        one.version: one.version in approved
        for one in sorted(versions, key=lambda one: one.version, reverse=True)
        if one.stage is not Stage.PRODUCTION
        and (one.version in before or (newest is not None and one.version < newest))
    }


def _newest_in_production(served: tuple[PromotionRequest, ...], versions: tuple[ModelVersion, ...]) -> int | None:
    serving = max((one.version for one in versions if one.stage is Stage.PRODUCTION), default=None)
    return serving if serving is not None else next((one.version for one in served), None)


def check_rollback(stores: Stores, seen: GateEvaluation) -> tuple[GateResult, ...]:
    """The verdicts, in order; a version that was approved is compared with what was approved."""
    approval = production_approval(stores, seen.version.key)
    gates = rollback_policy(seen.policy, is_approved=approval is not None).check(seen.seen)
    if approval is not None:
        gates = (*gates, _as_approved(approval, seen))
    return (*gates, _loads(stores, seen))


def _as_approved(approval: PromotionRequest, seen: GateEvaluation) -> GateResult:
    """Its model files and its data are the ones that were approved; KPIs do not matter here."""
    kept, now = approval.evidence.get("candidate", {}), seen.candidate.facts
    asked = {"artifact": "model files", "data": "data version", "data_content_sha256": "data's rows"}
    changed = [words for name, words in asked.items() if name in kept and kept[name] != settled(now[name])]
    name = "as it was approved"
    if changed:
        detail = f"Since decision {approval.id} its {', '.join(changed)} became another; ask for it as a new version."
        return GateResult(name=name, passed=False, detail=detail)
    return GateResult(name=name, passed=True, detail=f"Model files and data are those of decision {approval.id}.")


def _loads(stores: Stores, seen: GateEvaluation) -> GateResult:
    name, key = "artifact loads", seen.version.key
    if not seen.seen.is_artifact_safe:
        # Where policy allows the format by name its gate has said so; our own process does not run it even then.
        said = f"Not tried: saved as {seen.seen.artifact_format}, which may run its author's code when it is loaded."
        is_whole = seen.candidate.artifact["sha256"] is not None
        return GateResult(name=name, passed=is_whole, detail=said if is_whole else "Its files cannot be read.")
    with tempfile.TemporaryDirectory(prefix="modelledger-") as folder:
        try:
            info = check_loads(stores.models.download(key, Path(folder)))
        except CoreError as error:
            return GateResult(name=name, passed=False, detail=str(error))
    return GateResult(name=name, passed=True, detail=f"Loaded in a process of its own ({info.format}).")
