"""Findings: the pass that opens them, an auditor's own, who looks into them by when, and closing with a reason."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from core.access.permissions import Action
from core.audit.canonical_json import canonical
from core.audit.findings import Change, Transaction
from core.audit.row_snapshots import everything, of_finding, since_when_gone
from core.entities import Actor, Difference, Event, Finding, Look, ModelVersionKey, Outcome, Role, Severity
from core.errors import BadParameter
from core.features.monitoring import reconcile, registry_watch
from core.features.monitoring.baseline import INSPECTOR, read_baseline
from core.features.promotion.four_eyes import refuse_own_rollback
from core.features.promotion.reason import require_reason
from core.features.promotion.review import EMERGENCY_ROLLBACK
from core.features.stores import Stores

SEVERITIES = {
    reconcile.STAGE: Severity.HIGH,
    reconcile.SEVERAL: Severity.HIGH,
    reconcile.MISSING: Severity.HIGH,
    reconcile.TAMPERED_DECISION: Severity.HIGH,
    reconcile.TAMPERED_FINDING: Severity.HIGH,
    reconcile.UNFINISHED_REQUEST: Severity.HIGH,
    reconcile.UNFINISHED_ACTION: Severity.LOW,
    registry_watch.ARTIFACT: Severity.HIGH,
    registry_watch.REPLACED: Severity.HIGH,
    registry_watch.METRIC: Severity.HIGH,
    registry_watch.DATA_VERSION_CHANGED: Severity.HIGH,
    registry_watch.SERVING_ALIAS: Severity.HIGH,
    registry_watch.ALIAS: Severity.MEDIUM,
    registry_watch.TAG: Severity.MEDIUM,
    registry_watch.RUN_GONE: Severity.MEDIUM,
    registry_watch.NUMBER_GONE: Severity.MEDIUM,
}
BY_HAND = "opened by hand"
_DUE = {Severity.HIGH: timedelta(days=3), Severity.MEDIUM: timedelta(days=14), Severity.LOW: timedelta(days=30)}
_OWNER = Role.MANAGER.value
# An action that is going on looks unfinished; it becomes a finding when it has been so for this long.
_PATIENCE = timedelta(minutes=15)


def list_findings(stores: Stores, actor: Actor, *, include_closed: bool = False) -> tuple[Finding, ...]:
    """Open findings by due date; closed ones after them if asked for."""
    stores.audit.require(actor, Action.RECONCILE_READ)
    return stores.findings.list(include_closed=include_closed)


@dataclass(frozen=True, kw_only=True)
class FindingView:
    """One finding with its events, oldest first, and the run behind the model version, where our log knows it."""

    finding: Finding
    events: tuple[Event, ...]
    run_id: str | None


def show_finding(stores: Stores, actor: Actor, finding_id: str) -> FindingView:
    """One finding in full, from our own database: MLflow is not asked. Raises NotFound."""
    stores.audit.require(actor, Action.RECONCILE_READ)
    return view_finding(stores, stores.findings.get(finding_id))


def view_finding(stores: Stores, finding: Finding) -> FindingView:
    """The same for a finding that is at hand."""
    told = stores.audit.search(subject=finding.subject, limit=None)
    # An intent may know less than its outcome: not yet the finding, or the model alone.
    operations = {event.operation for event in told if _is_about(event, finding)}
    events = (event for one in operations for event in stores.audit.search(operation=one, limit=None))
    facts = read_baseline(stores).versions.get(finding.subject, {})
    return FindingView(
        finding=finding,
        events=tuple(sorted(events, key=lambda event: event.sequence)),
        run_id=facts.get("run_id"),
    )


def last_inspection(stores: Stores, actor: Actor) -> Look | None:
    """When the last whole pass ended; None where nobody ever looked."""
    stores.audit.require(actor, Action.RECONCILE_READ)
    return stores.findings.last_look()


def findings_about_version(findings: Iterable[Finding], key: ModelVersionKey) -> tuple[Finding, ...]:
    """Those about a model version or its model as a whole, in their order."""
    return tuple(one for one in findings if one.subject in (str(key), key.model))


def findings_about_model(findings: Iterable[Finding], model: str) -> tuple[Finding, ...]:
    """Those about a model or any of its versions, in their order."""
    return tuple(one for one in findings if one.subject == model or _model_of(one.subject) == model)


def inspect_registry(stores: Stores, actor: Actor) -> tuple[Finding, ...]:
    """The pass: compares registry and runs with log and decisions, and returns the findings that are new.

    Each new one is recorded as the inspector's, by way of who asked for the pass. Nothing is repaired. A fact that was
    closed, was gone and is back is new. Raises RegistryUnavailable.
    """
    stores.audit.require(actor, Action.RECONCILE_READ)
    differences = (*reconcile.find_differences(stores, actor), *registry_watch.find_outside_changes(stores))
    moment = datetime.now(UTC)
    going_on = {e.operation for e in stores.audit.unfinished() if moment - e.time < _PATIENCE}
    seen = [
        _finding(one, moment)
        for one in differences
        if one.kind != reconcile.UNFINISHED_ACTION or one.request_id not in going_on
    ]
    asked = INSPECTOR if actor == INSPECTOR else replace(INSPECTOR, channel=f"{actor.channel}, asked by {actor.name}")

    def told(connection: Transaction, one: Finding, change: Change) -> None:
        always = everything if change is Change.NEW else since_when_gone
        stores.audit.append_within(
            connection,
            asked,
            Action.FINDING_OPEN if change is Change.NEW else Action.RECONCILE_READ,
            one.subject,
            Outcome.SUCCESS,
            reason=one.detail if change is Change.NEW else change.value,
            after=_finding_facts(one) if change is Change.NEW else {"finding": one.id},
            binds=of_finding(one.id, always=always),
        )

    return stores.findings.renew(seen, by=INSPECTOR.name, at=moment, asked_by=actor.name, tell=told)


def open_finding(
    stores: Stores, actor: Actor, *, subject: str, detail: str, severity: Severity, owner: str = _OWNER
) -> Finding:
    """An auditor's own finding. Raises ReasonMissing, BadParameter."""
    moment = datetime.now(UTC)
    text = require_reason(detail)
    if not subject.strip():
        raise BadParameter("Say what the finding is about: a model version, a table, a person.")
    finding = Finding(
        id=hashlib.sha256(canonical([subject, text, moment]).encode()).hexdigest()[:12],
        kind=BY_HAND,
        subject=subject.strip(),
        severity=severity,
        owner=owner.strip() or _OWNER,
        due=moment + _DUE[severity],
        expected="",
        found="",
        detail=text,
        opened_by=actor.name,
        opened_at=moment,
        last_seen=moment,
    )
    with stores.audit.recording(
        actor,
        Action.FINDING_OPEN,
        finding.subject,
        reason=text,
        before={"finding": finding.id},
        binds=of_finding(finding.id),
    ) as record:
        stores.findings.add(finding)
        record.after = _finding_facts(finding)
    return finding


def assign_finding(stores: Stores, actor: Actor, finding_id: str, *, owner: str, due: datetime, reason: str) -> Finding:
    """Another owner or due date, which may stay as it is but not be moved into the past.

    Raises NotFound, AlreadyDecided, ReasonMissing, BadParameter.
    """
    before = stores.findings.get(finding_id)
    with stores.audit.recording(
        actor,
        Action.FINDING_OPEN,
        before.subject,
        reason=reason,
        before=_finding_facts(before),
        binds=of_finding(finding_id),
    ) as record:
        require_reason(reason)
        if due != before.due and due < datetime.now(UTC):
            raise BadParameter(f"{due:%Y-%m-%d} is over; choose a due date that is still to come.", name="due")
        after = stores.findings.assign(finding_id, owner=owner.strip() or before.owner, due=due)
        record.after = _finding_facts(after)
    return after


def close_finding(stores: Stores, actor: Actor, finding_id: str, *, reason: str) -> Finding:
    """Closed by a manager, with what was found out; never by who rolled back alone what it is about.

    Raises NotFound, AlreadyDecided, ReasonMissing, SelfApproval.
    """
    before = stores.findings.get(finding_id)
    with stores.audit.recording(
        actor,
        Action.RECONCILE_RESOLVE,
        before.subject,
        reason=reason,
        before=_finding_facts(before),
        binds=of_finding(finding_id),
    ) as record:
        text = require_reason(reason)
        if before.kind == EMERGENCY_ROLLBACK:
            refuse_own_rollback(stores, before.opened_by, actor, before.subject)
        after = stores.findings.close(finding_id, by=actor.name, at=datetime.now(UTC), reason=text)
        record.after = {"finding": after.id, "closed_by": actor.name}
    return after


class InspectionSchedule:
    """The pass on a schedule: at the start and every so many seconds; an outage is waited out."""

    def __init__(self, stores: Stores, *, every_s: float) -> None:
        self._stores, self._every_s = stores, every_s
        self._next = 0.0

    def look_if_due(self) -> tuple[Finding, ...]:
        """What is new, or nothing where it is not due. Raises what `look` raises, and tries again when due."""
        if not self._every_s or time.monotonic() < self._next:
            return ()
        self._next = time.monotonic() + self._every_s
        return inspect_registry(self._stores, INSPECTOR)


def _finding(difference: Difference, moment: datetime) -> Finding:
    """The same fact gives the same id, whenever it is seen."""
    facts = [difference.kind, difference.subject, difference.expected, difference.found, difference.request_id]
    severity = SEVERITIES.get(difference.kind, Severity.MEDIUM)
    return Finding(
        id=hashlib.sha256(canonical(facts).encode()).hexdigest()[:12],
        kind=difference.kind,
        subject=difference.subject,
        severity=severity,
        owner=_OWNER,
        due=moment + _DUE[severity],
        expected=difference.expected,
        found=difference.found,
        detail=difference.detail,
        opened_by=INSPECTOR.name,
        opened_at=moment,
        last_seen=moment,
    )


def _is_about(event: Event, finding: Finding) -> bool:
    """Whether the event names the finding; an emergency rollback has the request's id."""
    named = {event.before.get("finding"), event.after.get("finding")}
    if finding.kind == EMERGENCY_ROLLBACK:
        named |= {event.before.get("request"), event.after.get("request")}
    return finding.id in named


def _model_of(subject: str) -> str | None:
    """The model of MODEL/N."""
    model, _, number = subject.rpartition("/")
    return model if model and number.isdigit() else None


def _finding_facts(finding: Finding) -> dict[str, str]:
    return {
        "finding": finding.id,
        "kind": finding.kind,
        "severity": finding.severity.value,
        "owner": finding.owner,
        "due": finding.due.isoformat(),
        "expected": finding.expected,
        "found": finding.found,
    }
