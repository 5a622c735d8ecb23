"""Findings: opened by an inspection or by an auditor, assigned with a due date, and closed with a reason."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from core.access.permissions import Action
from core.audit.canonical_json import canonical
from core.audit.findings import Change, Transaction
from core.audit.row_snapshots import finding_snapshot, is_absence_field, is_any_field
from core.entities import Actor, Difference, Event, Finding, Look, ModelVersionKey, Outcome, Role, Severity
from core.errors import BadParameter, NotFound, Refused
from core.features.monitoring import data_watch, reconcile, registry_watch
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
    registry_watch.ARTIFACT_MISSING: Severity.HIGH,
    registry_watch.REPLACED: Severity.HIGH,
    registry_watch.METRIC: Severity.HIGH,
    registry_watch.DATA_VERSION_CHANGED: Severity.HIGH,
    registry_watch.SERVING_ALIAS: Severity.HIGH,
    data_watch.REPLACED_DATA: Severity.HIGH,
    registry_watch.ALIAS: Severity.MEDIUM,
    registry_watch.TAG: Severity.MEDIUM,
    registry_watch.RUN_GONE: Severity.MEDIUM,
    registry_watch.NUMBER_GONE: Severity.MEDIUM,
}
BY_HAND = "opened by hand"
_DUE = {Severity.HIGH: timedelta(days=3), Severity.MEDIUM: timedelta(days=14), Severity.LOW: timedelta(days=30)}
_OWNER = Role.MANAGER.value
# A running action looks unfinished. It becomes a finding after this time.
_RUNNING_TIME = timedelta(minutes=15)


def list_findings(stores: Stores, actor: Actor, *, include_closed: bool = False) -> tuple[Finding, ...]:
    """Return the open findings by due date; with *include_closed* followed by the closed ones, newest first."""
    stores.audit.require(actor, Action.RECONCILE_READ)
    return stores.findings.list(include_closed=include_closed)


@dataclass(frozen=True, kw_only=True)
class FindingView:
    """One finding with its events, oldest first, and the run of its model version where the log names it."""

    finding: Finding
    events: tuple[Event, ...]
    run_id: str | None


def show_finding(stores: Stores, actor: Actor, finding_id: str) -> FindingView:
    """Return one finding in full, from our own database; MLflow is not read.

    Raises:
        NotFound: there is no such finding.
    """
    stores.audit.require(actor, Action.RECONCILE_READ)
    return view_finding(stores, stores.findings.get(finding_id))


def view_finding(stores: Stores, finding: Finding) -> FindingView:
    """Return the view of a finding that was read already."""
    events = stores.audit.search(subject=finding.subject, limit=None)
    # An intent may name less than its outcome: not yet the finding, or only the model.
    operations = {event.operation for event in events if _is_about(event, finding)}
    related = (event for operation in operations for event in stores.audit.search(operation=operation, limit=None))
    facts = read_baseline(stores).versions.get(finding.subject, {})
    return FindingView(
        finding=finding,
        events=tuple(sorted(related, key=lambda event: event.sequence)),
        run_id=facts.get("run_id"),
    )


def last_inspection(stores: Stores, actor: Actor) -> Look | None:
    """Return the last complete inspection, or None where there was none."""
    stores.audit.require(actor, Action.RECONCILE_READ)
    return stores.findings.last_look()


def findings_about_version(findings: Iterable[Finding], key: ModelVersionKey) -> tuple[Finding, ...]:
    """Return the findings about a model version or about its model as a whole, in their order."""
    return tuple(finding for finding in findings if finding.subject in (str(key), key.model))


def select_findings(
    findings: Iterable[Finding],
    *,
    kind: str | None = None,
    model: str | None = None,
    severity: Severity | None = None,
) -> tuple[Finding, ...]:
    """Return the findings of one kind, about one model or its versions, and of one severity; None stands for all."""
    selected = tuple(findings) if model is None else findings_about_model(findings, model)
    return tuple(f for f in selected if kind in (None, f.kind) and severity in (None, f.severity))


def findings_about_model(findings: Iterable[Finding], model: str) -> tuple[Finding, ...]:
    """Return the findings about a model or any of its versions, in their order."""
    return tuple(finding for finding in findings if model in (finding.subject, _model_of(finding.subject)))


def inspect_registry(stores: Stores, actor: Actor) -> tuple[Finding, ...]:
    """Compare registry and runs with the log and the decisions, and return the new findings. Nothing is repaired.

    Each new finding is recorded as the inspector's, with the requester of the inspection in the channel. A fact whose
    finding was closed, that was gone and is back, gives a new finding.

    Raises:
        RegistryUnavailable: the registry does not answer.
    """
    stores.audit.require(actor, Action.RECONCILE_READ)
    differences = (
        *reconcile.find_changes(stores),
        *registry_watch.find_outside_changes(stores),
        *data_watch.find_replaced_data(stores),
    )
    now = datetime.now(UTC)
    # Read after the differences: an action that has ended meanwhile is not unfinished.
    unfinished = {event.operation for event in stores.audit.unfinished() if now - event.time >= _RUNNING_TIME}
    seen = [
        _finding(difference, now)
        for difference in differences
        if difference.kind != reconcile.UNFINISHED_ACTION or difference.request_id in unfinished
    ]
    inspector = INSPECTOR
    if actor != INSPECTOR:
        inspector = replace(INSPECTOR, channel=f"{actor.channel}, asked by {actor.name}")

    def record(connection: Transaction, finding: Finding, change: Change) -> None:
        always = is_any_field if change is Change.NEW else is_absence_field
        stores.audit.append_within(
            connection,
            inspector,
            Action.FINDING_OPEN if change is Change.NEW else Action.RECONCILE_READ,
            finding.subject,
            Outcome.SUCCESS,
            reason=finding.detail if change is Change.NEW else change.value,
            after=_finding_facts(finding) if change is Change.NEW else {"finding": finding.id},
            snapshot=finding_snapshot(finding.id, always=always),
        )

    return stores.findings.renew(seen, by=INSPECTOR.name, at=now, asked_by=actor.name, on_change=record)


def open_finding(
    stores: Stores, actor: Actor, *, subject: str, detail: str, severity: Severity, owner: str = _OWNER
) -> Finding:
    """Open a finding by hand.

    Raises:
        ReasonMissing, BadParameter.
    """
    now = datetime.now(UTC)
    detail = require_reason(detail)
    if not subject.strip():
        raise BadParameter("Name the subject of the finding: a model version, a table or a person.")
    finding = Finding(
        id=hashlib.sha256(canonical([subject, detail, now]).encode()).hexdigest()[:12],
        kind=BY_HAND,
        subject=subject.strip(),
        severity=severity,
        owner=owner.strip() or _OWNER,
        due=now + _DUE[severity],
        expected="",
        found="",
        detail=detail,
        opened_by=actor.name,
        opened_at=now,
        last_seen=now,
    )
    with stores.audit.recording(
        actor,
        Action.FINDING_OPEN,
        finding.subject,
        reason=detail,
        before={"finding": finding.id},
        snapshot=finding_snapshot(finding.id),
    ) as record:
        stores.findings.add(finding)
        record.after = _finding_facts(finding)
    return finding


def assign_finding(stores: Stores, actor: Actor, finding_id: str, *, owner: str, due: datetime, reason: str) -> Finding:
    """Give a finding another owner or due date. An overdue date may stay, but a new date is in the future.

    Raises:
        NotFound, AlreadyDecided, ReasonMissing, BadParameter.
    """
    before = stores.findings.get(finding_id)
    with stores.audit.recording(
        actor,
        Action.FINDING_OPEN,
        before.subject,
        reason=reason,
        before=_finding_facts(before),
        snapshot=finding_snapshot(finding_id),
    ) as record:
        require_reason(reason)
        if due != before.due and due < datetime.now(UTC):
            raise BadParameter("{due:%Y-%m-%d} is in the past. Choose a due date in the future.", due=due, name="due")
        after = stores.findings.assign(finding_id, owner=owner.strip() or before.owner, due=due)
        record.after = _finding_facts(after)
    return after


def close_finding(stores: Stores, actor: Actor, finding_id: str, *, reason: str) -> Finding:
    """Close a finding with the result of the investigation.

    Raises:
        SelfApproval: the finding asks for a review of the actor's own rollback.
        NotFound, AlreadyDecided, ReasonMissing.
    """
    before = stores.findings.get(finding_id)
    with stores.audit.recording(
        actor,
        Action.RECONCILE_RESOLVE,
        before.subject,
        reason=reason,
        before=_finding_facts(before),
        snapshot=finding_snapshot(finding_id),
    ) as record:
        reason = require_reason(reason)
        if before.kind == EMERGENCY_ROLLBACK:
            refuse_own_rollback(stores, before.opened_by, actor, before.subject)
        after = stores.findings.close(finding_id, by=actor.name, at=datetime.now(UTC), reason=reason)
        record.after = {"finding": after.id, "closed_by": actor.name}
    return after


@dataclass(frozen=True, kw_only=True)
class ClosedFindings:
    """The result of closing several findings: those that are closed now, and by id why another was not."""

    closed: tuple[Finding, ...]
    refused: Mapping[str, str]


def close_findings(stores: Stores, actor: Actor, finding_ids: Sequence[str], *, reason: str) -> ClosedFindings:
    """Close several findings with one reason. Each closing is recorded, and refused, as by `close_finding`.

    Raises:
        Forbidden, ReasonMissing: nothing was closed.
    """
    stores.audit.require(actor, Action.RECONCILE_RESOLVE)
    reason = require_reason(reason)
    closed: list[Finding] = []
    refused: dict[str, str] = {}
    for finding_id in dict.fromkeys(finding_ids):
        try:
            closed.append(close_finding(stores, actor, finding_id, reason=reason))
        except (NotFound, Refused) as error:
            refused[finding_id] = str(error)
    return ClosedFindings(closed=tuple(closed), refused=refused)


class InspectionSchedule:
    """Inspects the registry at the start and then every *every_s* seconds, also after an outage."""

    def __init__(self, stores: Stores, *, every_s: float) -> None:
        self._stores, self._every_s = stores, every_s
        self._next = 0.0

    def inspect_if_due(self) -> tuple[Finding, ...]:
        """Return the new findings; an empty tuple where no inspection is due.

        Raises:
            RegistryUnavailable: the registry does not answer. The next inspection is due as planned.
        """
        if not self._every_s or time.monotonic() < self._next:
            return ()
        self._next = time.monotonic() + self._every_s
        return inspect_registry(self._stores, INSPECTOR)


def _finding(difference: Difference, now: datetime) -> Finding:
    """Build the finding. The same fact always gives the same id."""
    facts = [difference.kind, difference.subject, difference.expected, difference.found, difference.request_id]
    severity = SEVERITIES.get(difference.kind, Severity.MEDIUM)
    return Finding(
        id=hashlib.sha256(canonical(facts).encode()).hexdigest()[:12],
        kind=difference.kind,
        subject=difference.subject,
        severity=severity,
        owner=_OWNER,
        due=now + _DUE[severity],
        expected=difference.expected,
        found=difference.found,
        detail=difference.detail,
        opened_by=INSPECTOR.name,
        opened_at=now,
        last_seen=now,
    )


def _is_about(event: Event, finding: Finding) -> bool:
    """Whether the event names the finding. The finding about an emergency rollback has the id of its request."""
    ids = {event.before.get("finding"), event.after.get("finding")}
    if finding.kind == EMERGENCY_ROLLBACK:
        ids |= {event.before.get("request"), event.after.get("request")}
    return finding.id in ids


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
