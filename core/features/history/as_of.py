"""The state at an earlier time, from our own log: stages, training data, approvers, pending requests, open findings.

The registry is never read here: its present content says nothing about the past. Changes made outside ModelLedger are
therefore missing; reconcile reports them. A version trained elsewhere appears from the first inspection that saw it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from core.access.permissions import Action
from core.entities import (
    Actor,
    Event,
    Finding,
    ModelVersionKey,
    Outcome,
    PromotionRequest,
    RequestStatus,
    Stage,
    TableVersion,
)
from core.features.history.findings_as_of import findings_at
from core.features.history.moment import Moment
from core.features.history.requests_as_of import DECISIONS, RequestAsOf, replay_requests
from core.features.monitoring.baseline import SUBJECT
from core.features.stores import Stores
from core.features.takeover.acceptances import Acceptance, acceptance_of

_DECIDE = {action.value for action in DECISIONS}
_READ = (*DECISIONS, Action.RUN_TRAIN, Action.RECONCILE_READ, Action.REGISTRY_ACCEPT, Action.PREDICTION_SCORE)


@dataclass(frozen=True, kw_only=True)
class StageDecision:
    """The decision that gave a version its stage. *sequence* is the number of the event that proves it.

    It may be an acceptance of the state as found: then *is_acceptance* is set and there was no request.
    """

    sequence: int
    time: datetime
    action: str
    decided_by: tuple[str, ...]
    reason: str
    request: str | None = None
    requested_by: str | None = None
    request_reason: str | None = None

    @property
    def is_acceptance(self) -> bool:
        return self.action == Action.REGISTRY_ACCEPT.value


@dataclass(frozen=True, kw_only=True)
class VersionAsOf:
    """A model version at a given time.

    *trained* is None where the version was registered outside ModelLedger. Then *seen* is the time of the first
    inspection that saw it, and until a decision its stage is the one that the inspection noted.
    """

    model: str
    version: int
    stage: Stage = Stage.NONE
    decision: StageDecision | None = None
    trained: datetime | None = None
    trained_by: str | None = None
    seen: datetime | None = None
    run_id: str | None = None
    data: TableVersion | None = None
    metrics: Mapping[str, Any] = field(default_factory=dict)

    @property
    def key(self) -> ModelVersionKey:
        return ModelVersionKey(model=self.model, version=self.version)


@dataclass(frozen=True, kw_only=True)
class ModelAsOf:
    """A model and its versions at a given time, newest first."""

    name: str
    versions: tuple[VersionAsOf, ...]

    @property
    def production(self) -> VersionAsOf | None:
        return next((version for version in self.versions if version.stage is Stage.PRODUCTION), None)


@dataclass(frozen=True, kw_only=True)
class BatchAsOf:
    """A prediction batch that existed at a given time."""

    batch_id: str
    model_version: str
    source: str
    into: str
    rows: int | None
    time: datetime
    actor: str


@dataclass(frozen=True, kw_only=True)
class StateAsOf:
    """The whole state at *moment*.

    *waiting* are the open requests, newest first; *findings* the open findings, by due date.
    """

    moment: Moment
    models: tuple[ModelAsOf, ...]
    waiting: tuple[PromotionRequest, ...]
    batches: tuple[BatchAsOf, ...]
    findings: tuple[Finding, ...] = ()

    def version(self, key: ModelVersionKey) -> VersionAsOf | None:
        """Return one version, or None where it did not exist yet."""
        return next(
            (v for m in self.models if m.name == key.model for v in m.versions if v.version == key.version), None
        )


def state_at(stores: Stores, actor: Actor, moment: Moment) -> StateAsOf:
    """Compute the state at *moment* with a constant number of reads of the log, whatever the number of models."""
    stores.audit.require(actor, Action.MODEL_READ)
    events = stores.audit.search(actions=_READ, before_sequence=moment.before_sequence, limit=None)[::-1]
    requests = replay_requests(event for event in events if event.action in _DECIDE)
    versions: dict[str, dict[int, VersionAsOf]] = {}
    for event in events:
        if event.outcome is not Outcome.SUCCESS:
            continue
        if event.action == Action.RUN_TRAIN.value:
            trained = _trained_version(event)
            if trained is not None:
                _add_facts(versions, trained)
        elif event.action == Action.RECONCILE_READ.value and event.subject == SUBJECT:
            for name, facts in (event.after.get("versions") or {}).items():
                _add_facts(versions, _seen_version(event, name, facts))
        elif (acceptance := acceptance_of(event)) is not None:
            _accept_stages(versions, acceptance)
        elif event.action in _DECIDE:
            _apply_stages(versions, event, requests)
    return StateAsOf(
        moment=moment,
        models=tuple(
            ModelAsOf(name=model, versions=tuple(by_number[number] for number in sorted(by_number, reverse=True)))
            for model, by_number in sorted(versions.items())
        ),
        waiting=tuple(
            sorted(
                (state.request for state in requests.values() if state.request.status is RequestStatus.OPEN),
                key=lambda request: request.requested_at,
                reverse=True,
            )
        ),
        batches=tuple(
            _batch(event)
            for event in events
            if event.action == Action.PREDICTION_SCORE.value
            and event.outcome is Outcome.SUCCESS
            and "into" in event.after
        ),
        findings=findings_at(stores, actor, moment),
    )


def trained_on_at(state: StateAsOf, table: str) -> dict[int, tuple[ModelVersionKey, ...]]:
    """Return the model versions that existed, by the version of *table* that each was trained on."""
    trained: dict[int, list[ModelVersionKey]] = {}
    for version in (version for model in state.models for version in model.versions):
        if version.data is not None and version.data.table == table:
            trained.setdefault(version.data.version, []).append(version.key)
    return {number: tuple(keys) for number, keys in trained.items()}


def _add_facts(versions: dict[str, dict[int, VersionAsOf]], new: VersionAsOf) -> None:
    """Add the facts of *new* that are not known yet. A fact that is known already stays."""
    by_number = versions.setdefault(new.model, {})
    known = by_number.get(new.version)
    if known is None:
        by_number[new.version] = new
        return
    by_number[new.version] = replace(
        known,
        trained=known.trained or new.trained,
        trained_by=known.trained_by or new.trained_by,
        seen=known.seen or new.seen,
        run_id=known.run_id or new.run_id,
        data=known.data or new.data,
        metrics=known.metrics or new.metrics,
    )


def _seen_version(event: Event, name: str, facts: Mapping[str, Any]) -> VersionAsOf:
    """Build a version from what an inspection noted when it first saw the version, or from facts it added later."""
    model, _, number = name.rpartition("/")
    metrics = facts.get("model_metrics") or facts.get("metrics")
    return VersionAsOf(
        model=model,
        version=int(number),
        stage=Stage(facts.get("stage") or Stage.NONE.value),
        seen=event.time,
        run_id=facts.get("run_id"),
        data=_table_version(str(facts.get("data") or "")),
        metrics=metrics if isinstance(metrics, Mapping) else {},
    )


def _trained_version(event: Event) -> VersionAsOf | None:
    model, _, number = str(event.after.get("model") or event.subject).rpartition("/")
    if not model or not number.isdigit():
        return None
    metrics = event.after.get("metrics")
    return VersionAsOf(
        model=model,
        version=int(number),
        trained=event.time,
        trained_by=event.actor,
        run_id=event.after.get("run_id"),
        data=_table_version(str(event.after.get("data") or "")),
        metrics=metrics if isinstance(metrics, Mapping) else {},
    )


def _table_version(text: str) -> TableVersion | None:
    table, _, number = text.rpartition("@")
    return TableVersion(table=table, version=int(number)) if table and number.isdigit() else None


def stage_decision(event: Event, requests: Mapping[str, RequestAsOf]) -> StageDecision:
    """Return the decision that the event of its outcome holds; *requests* are those that the log shows by then."""
    request_id = event.after.get("request")
    state = requests.get(str(request_id)) if request_id else None
    request = state.request if state else None
    approvers = tuple(approval.by for approval in state.approvals) if state else ()
    return StageDecision(
        sequence=event.sequence,
        time=event.time,
        action=event.action,
        decided_by=approvers or ((request.decided_by,) if request and request.decided_by else (event.actor,)),
        reason=event.reason,
        request=str(request_id) if request_id else None,
        requested_by=request.requested_by if request else None,
        request_reason=request.request_reason if request else None,
    )


def acceptance_decision(acceptance: Acceptance) -> StageDecision:
    """Return the acceptance of a state as found as the decision on its stages."""
    return StageDecision(
        sequence=acceptance.sequence,
        time=acceptance.time,
        action=Action.REGISTRY_ACCEPT.value,
        decided_by=(acceptance.actor,),
        reason=acceptance.reason,
    )


def _apply_stages(
    versions: dict[str, dict[int, VersionAsOf]], event: Event, requests: Mapping[str, RequestAsOf]
) -> None:
    """Give each version the stage that the decision of *event* left it in."""
    stages = event.after.get("stages")
    model = event.subject.rpartition("/")[0] or event.subject
    if not isinstance(stages, Mapping) or not stages:
        return
    decision = stage_decision(event, requests)
    by_number = versions.setdefault(model, {})
    for number, stage in stages.items():
        version = by_number.get(int(number), VersionAsOf(model=model, version=int(number)))
        if version.stage.value != stage:
            by_number[version.version] = replace(version, stage=Stage(stage), decision=decision)
        else:
            by_number.setdefault(version.version, version)


def _accept_stages(versions: dict[str, dict[int, VersionAsOf]], acceptance: Acceptance) -> None:
    """Give each version the stage with which it was found. Versions that were gone by then are left out."""
    decision = acceptance_decision(acceptance)
    known = versions.get(acceptance.model, {})
    versions[acceptance.model] = {
        number: replace(
            known.get(number, VersionAsOf(model=acceptance.model, version=number)), stage=stage, decision=decision
        )
        for number, stage in acceptance.stages.items()
    }


def _batch(event: Event) -> BatchAsOf:
    rows = event.after.get("rows")
    return BatchAsOf(
        batch_id=str(event.after.get("batch", "")),
        model_version=event.subject,
        source=str(event.after.get("data", "")),
        into=str(event.after["into"]),
        rows=int(rows) if isinstance(rows, int) else None,
        time=event.time,
        actor=event.actor,
    )
