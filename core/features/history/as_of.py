"""As of a date: what was in which stage, trained on what, approved by whom, and what was open, from our own database.

Today's registry is never asked: what stands there now says nothing about then. What was changed past ModelLedger is
therefore not in here; reconcile finds it. A version that was trained elsewhere is here from when a pass saw it first.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time
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
from core.errors import BadParameter
from core.features.history.findings_as_of import findings_at
from core.features.history.requests_as_of import DECISIONS, RequestAsOf, requests_then
from core.features.monitoring.baseline import SUBJECT
from core.features.stores import Stores

_DECIDE = {action.value for action in DECISIONS}
_READ = (*DECISIONS, Action.RUN_TRAIN, Action.RECONCILE_READ, Action.PREDICTION_SCORE)


@dataclass(frozen=True, kw_only=True)
class StageDecision:
    """Who brought a version into its stage, who asked for it, and why. *sequence* is the event that proves it."""

    sequence: int
    time: datetime
    action: str
    decided_by: tuple[str, ...]
    reason: str
    request: str | None = None
    requested_by: str | None = None
    request_reason: str | None = None


@dataclass(frozen=True, kw_only=True)
class VersionAsOf:
    """A model version as it stood. *trained* is None where it was registered past ModelLedger; *seen*: then a pass saw
    it first, and its stage until a decision is the one that it had then.
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
    """A model and its versions then, newest first."""

    name: str
    versions: tuple[VersionAsOf, ...]

    @property
    def production(self) -> VersionAsOf | None:
        return next((version for version in self.versions if version.stage is Stage.PRODUCTION), None)


@dataclass(frozen=True, kw_only=True)
class BatchAsOf:
    """A scoring that had been done."""

    batch_id: str
    model_version: str
    source: str
    into: str
    rows: int | None
    time: datetime
    actor: str


@dataclass(frozen=True, kw_only=True)
class StateAsOf:
    """Everything as it stood at *moment*. *events* is the number of the last event that this was read from.

    *findings* are those that were open, by due date.
    """

    moment: datetime
    events: int
    models: tuple[ModelAsOf, ...]
    waiting: tuple[PromotionRequest, ...]
    batches: tuple[BatchAsOf, ...]
    findings: tuple[Finding, ...] = ()

    def version(self, key: ModelVersionKey) -> VersionAsOf | None:
        """One version; None where it was not there yet."""
        return next(
            (v for m in self.models if m.name == key.model for v in m.versions if v.version == key.version), None
        )


def parse_moment(text: str, *, is_start: bool = False) -> datetime:
    """The end (or start) of a day (2027-03-31, UTC), or a moment in ISO 8601; without a zone it is UTC.

    Raises BadParameter.
    """
    try:
        if len(text) <= len("2027-03-31"):
            day = date.fromisoformat(text)
            return datetime.combine(day, time.min, tzinfo=UTC) if is_start else end_of_day(day)
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise BadParameter(
            f"{text!r} is no date; write a day (2027-03-31, in UTC) or a time, 2027-03-31T12:00:00Z.", name="as-of"
        ) from error
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def end_of_day(day: date) -> datetime:
    """The last moment of a day in UTC."""
    return datetime.combine(day, time.max, tzinfo=UTC)


def state_at(stores: Stores, actor: Actor, moment: datetime) -> StateAsOf:
    """What stood at *moment*: a constant number of reads of the log, whatever the number of models."""
    stores.audit.require(actor, Action.MODEL_READ)
    events = stores.audit.search(actions=_READ, until=moment, limit=None)[::-1]
    requests = requests_then(stores, (event for event in events if event.action in _DECIDE), moment)
    versions: dict[str, dict[int, VersionAsOf]] = {}
    approvers: dict[str, list[str]] = {}
    for event in events:
        if event.outcome is not Outcome.SUCCESS:
            continue
        if event.action == Action.RUN_TRAIN.value:
            made = _trained(event)
            if made is not None:
                _learn(versions, made)
        elif event.action == Action.RECONCILE_READ.value and event.subject == SUBJECT:
            for name, facts in (event.after.get("versions") or {}).items():
                _learn(versions, _seen(event, name, facts))
        elif event.action in _DECIDE:
            request_id = event.after.get("request")
            if isinstance(request_id, str) and event.action != Action.PROMOTION_REQUEST.value:
                approvers.setdefault(request_id, []).append(event.actor)
            _move(versions, event, requests, approvers)
    last = stores.audit.search(until=moment, limit=1)
    return StateAsOf(
        moment=moment,
        events=last[0].sequence if last else 0,
        models=tuple(
            ModelAsOf(name=name, versions=tuple(known[number] for number in sorted(known, reverse=True)))
            for name, known in sorted(versions.items())
        ),
        waiting=tuple(
            sorted(
                (one.request for one in requests.values() if one.request.status is RequestStatus.OPEN),
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


def _learn(versions: dict[str, dict[int, VersionAsOf]], told: VersionAsOf) -> None:
    """Adds what was not known of a version yet; what was known first stays."""
    known = versions.setdefault(told.model, {})
    before = known.get(told.version)
    if before is None:
        known[told.version] = told
        return
    known[told.version] = replace(
        before,
        trained=before.trained or told.trained,
        trained_by=before.trained_by or told.trained_by,
        seen=before.seen or told.seen,
        run_id=before.run_id or told.run_id,
        data=before.data or told.data,
        metrics=before.metrics or told.metrics,
    )


def _seen(event: Event, name: str, facts: Mapping[str, Any]) -> VersionAsOf:
    """A version as a pass noted it when it saw it first, or more of it later."""
    model, _, number = name.rpartition("/")
    metrics = facts.get("metrics")
    return VersionAsOf(
        model=model,
        version=int(number),
        stage=Stage(facts.get("stage") or Stage.NONE.value),
        seen=event.time,
        run_id=facts.get("run_id"),
        data=_data(str(facts.get("data") or "")),
        metrics=metrics if isinstance(metrics, Mapping) else {},
    )


def _trained(event: Event) -> VersionAsOf | None:
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
        data=_data(str(event.after.get("data") or "")),
        metrics=metrics if isinstance(metrics, Mapping) else {},
    )


def _data(text: str) -> TableVersion | None:
    table, _, number = text.rpartition("@")
    return TableVersion(table=table, version=int(number)) if table and number.isdigit() else None


def _move(
    versions: dict[str, dict[int, VersionAsOf]],
    event: Event,
    requests: Mapping[str, RequestAsOf],
    approvers: Mapping[str, list[str]],
) -> None:
    """Puts every version into the stage that the decision left it in."""
    stages = event.after.get("stages")
    model = event.subject.rpartition("/")[0] or event.subject
    if not isinstance(stages, Mapping) or not stages:
        return
    request_id = event.after.get("request")
    then = requests.get(str(request_id)) if request_id else None
    request = then.request if then else None
    decision = StageDecision(
        sequence=event.sequence,
        time=event.time,
        action=event.action,
        decided_by=tuple(dict.fromkeys(approvers.get(str(request_id), [event.actor]))),
        reason=event.reason,
        request=str(request_id) if request_id else None,
        requested_by=request.requested_by if request else None,
        request_reason=request.request_reason if request else None,
    )
    known = versions.setdefault(model, {})
    for number, word in stages.items():
        version = known.get(int(number), VersionAsOf(model=model, version=int(number)))
        if version.stage.value != word:
            known[version.version] = replace(version, stage=Stage(word), decision=decision)
        else:
            known.setdefault(version.version, version)


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
