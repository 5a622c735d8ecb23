"""What is pending for a person: requests to decide and findings, and whether any of it changed."""

from __future__ import annotations

from dataclasses import dataclass

from core.access.permissions import Action, is_allowed
from core.entities import Actor, PromotionRequest, RequestStatus, Severity
from core.features.promotion.four_eyes import may_be_same_person
from core.features.promotion.review import production_approvals_needed
from core.features.stores import Stores


@dataclass(frozen=True, kw_only=True)
class Pending:
    """Numbers of open requests that one person may decide, and of open findings of high severity or theirs."""

    requests: int
    findings: int

    @property
    def total(self) -> int:
        return self.requests + self.findings


def latest_change(stores: Stores, actor: Actor) -> int:
    """Return a number that grows with each new request, decision and finding, and with nothing else. One query."""
    stores.audit.require(actor, Action.PROMOTION_READ)
    return stores.audit.latest_change.number()


def pending_for(stores: Stores, actor: Actor) -> Pending:
    """Count what is pending for *actor* in ModelLedger's own database; MLflow is not read.

    A finding is theirs where they are its owner, by name or by role.
    """
    stores.audit.require(actor, Action.PROMOTION_READ)
    owners = {actor.name, *(role.value for role in actor.roles)}
    findings = stores.findings.list()
    return Pending(
        requests=_requests_to_decide(stores, actor),
        findings=sum(finding.severity is Severity.HIGH or finding.owner in owners for finding in findings),
    )


def _requests_to_decide(stores: Stores, actor: Actor) -> int:
    if not is_allowed(actor, Action.PROMOTION_DECIDE):
        return 0
    pending = stores.decisions.list(statuses=(RequestStatus.OPEN,))
    own = {name for name in {r.requested_by for r in pending} if may_be_same_person(stores, name, actor.name)}
    return sum(request.requested_by not in own and not _has_approved(stores, actor, request) for request in pending)


def _has_approved(stores: Stores, actor: Actor, request: PromotionRequest) -> bool:
    if production_approvals_needed(stores, request.model) == 1:
        return False
    return actor.name in {approval.by for approval in stores.decisions.approvals(request.id)}
