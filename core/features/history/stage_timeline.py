"""The timeline of stages: who gave each version its stages and when, and what the registry said before anybody decided.

MLflow keeps no history of stages. It tells the present stage and when the version was last updated, so a version has
its present stage at the latest since then. An alias has no time at all. The log adds the decisions, the acceptances,
the first inspection that saw a version, and the findings about stages that were changed outside ModelLedger.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from core.access.permissions import Action
from core.audit.findings import Change
from core.entities import Actor, Event, ModelVersion, Outcome, RequestStatus, Stage
from core.errors import CoreError, ModelNotFound
from core.features.history.as_of import acceptance_decision, stage_decision
from core.features.history.moment import Moment
from core.features.history.requests_as_of import DECISIONS, RequestAsOf, replay_requests
from core.features.history.stage_periods import (
    ModelTimeline,
    PeriodEnd,
    PeriodSource,
    StagePeriod,
    StageRecord,
    VersionTimeline,
    version_timelines,
)
from core.features.monitoring import reconcile, registry_watch
from core.features.monitoring.baseline import SUBJECT
from core.features.stores import Stores
from core.features.takeover.acceptances import acceptance_of, logged_name

__all__ = [
    "ModelTimeline",
    "PeriodEnd",
    "PeriodSource",
    "StagePeriod",
    "Timelines",
    "VersionTimeline",
    "stage_timeline",
    "stage_timelines",
]

_DECIDE = {action.value for action in DECISIONS}
_READ = (*DECISIONS, Action.RUN_TRAIN, Action.RECONCILE_READ, Action.REGISTRY_ACCEPT, Action.FINDING_OPEN)
_GONE_KINDS = (reconcile.MISSING, registry_watch.NUMBER_GONE, registry_watch.REPLACED)


@dataclass(frozen=True, kw_only=True)
class Timelines:
    """The timelines of all models, the most recently changed first.

    *registry_problem* is set where MLflow does not answer: the timelines then show only what the log holds.
    """

    models: tuple[ModelTimeline, ...]
    registry_problem: str | None = None

    def of(self, model: str) -> ModelTimeline | None:
        return next((timeline for timeline in self.models if timeline.model == model), None)


def stage_timelines(stores: Stores, actor: Actor, *, until: Moment | None = None) -> Timelines:
    """Return the stages of all models up to *until*, by default up to now.

    The registry is read once, and the log and the decisions once each, whatever the number of models.
    """
    stores.audit.require(actor, Action.MODEL_READ)
    problem: str | None = None
    versions: tuple[ModelVersion, ...] = ()
    try:
        versions = stores.models.versions()
    except CoreError as error:
        problem = str(error)
    log = _Log(stores, versions, until, is_registry_read=problem is None)
    timelines = [log.timeline(name) for name in log.records]
    oldest = datetime.min.replace(tzinfo=UTC)
    by_name = sorted(timelines, key=lambda timeline: timeline.model)
    by_change = sorted(by_name, key=lambda timeline: timeline.changed or oldest, reverse=True)
    return Timelines(models=tuple(by_change), registry_problem=problem)


def stage_timeline(stores: Stores, actor: Actor, model: str, *, until: Moment | None = None) -> ModelTimeline:
    """Return the stages of the versions of one model up to *until*, by default up to now.

    Raises:
        ModelNotFound: neither the registry nor the log knows the model at that time.
        RegistryUnavailable: the registry does not answer.
    """
    stores.audit.require(actor, Action.MODEL_READ, model)
    try:
        versions = stores.models.versions(model)
    except ModelNotFound:
        versions = ()  # the log may still know it
    log, name = _Log(stores, versions, until, only=model), logged_name(stores, model)
    if name not in log.records:
        raise ModelNotFound("There is no registered model {model!r}; choose a model from the list.", model=model)
    return log.timeline(name)


@dataclass
class _Log:
    """Replays the log over the versions of the registry. *records* are by the name that the log has for the model."""

    stores: Stores
    versions: Sequence[ModelVersion]
    until: Moment | None
    only: str | None = None
    is_registry_read: bool = True
    records: dict[str, dict[int, StageRecord]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.moment = self.until.time if self.until is not None else datetime.now(UTC)
        self._names = {name: logged_name(self.stores, name) for name in dict.fromkeys(v.model for v in self.versions)}
        self._shown = {logged: name for name, logged in self._names.items()}
        self._only = None if self.only is None else logged_name(self.stores, self.only)
        # By finding the version, the expected and the found stage; without them where a later decision is compared.
        self._findings: dict[str, tuple[tuple[str, int], Stage, Stage] | None] = {}
        self._unknown: dict[str, int] = {}
        for version in self.versions:
            if self.until is None or version.created <= self.moment:
                self._record(self._names[version.model], version.version).registered = version.created
        self._replay(self._events())
        self._compare_with_registry()

    def _events(self) -> tuple[Event, ...]:
        """Return the events up to the moment, oldest first: by their number, as the state as of a moment does."""
        before = None if self.until is None else self.until.before_sequence
        return self.stores.audit.search(actions=_READ, before_sequence=before, limit=None)[::-1]

    def timeline(self, name: str) -> ModelTimeline:
        """Return the timeline of the model that the log calls *name*."""
        records, unknown = self.records[name], self._unknown.get(name, 0)
        shown = tuple(version_timelines(records, self._shown.get(name, name)))
        return ModelTimeline(
            model=self._shown.get(name, name),
            moment=self.moment,
            versions=shown,
            without_stage=len(records) - len(shown) - unknown,
            unknown=unknown,
        )

    def _record(self, name: str, number: int) -> StageRecord:
        return self.records.setdefault(name, {}).setdefault(number, StageRecord())

    def _replay(self, events: Sequence[Event]) -> None:
        requests = replay_requests(event for event in events if event.action in _DECIDE)
        for event in events:
            if event.outcome is not Outcome.SUCCESS:
                continue
            if event.action == Action.RUN_TRAIN.value:
                self._trained(event)
            elif event.action == Action.FINDING_OPEN.value:
                self._found(event)
            elif event.action == Action.RECONCILE_READ.value:
                self._inspected(event)
            elif (acceptance := acceptance_of(event)) is not None:
                if self._is_wanted(acceptance.model):
                    self._supersede_findings(acceptance.model)
                    for number, stage in acceptance.stages.items():
                        self._record(acceptance.model, number).decide(stage, acceptance_decision(acceptance))
            elif event.action in _DECIDE:
                self._decided(event, requests)

    def _is_wanted(self, name: str) -> bool:
        return self._only in (None, name)

    def _trained(self, event: Event) -> None:
        key = _version_of(str(event.after.get("model") or ""))
        if key is not None and self._is_wanted(key[0]):
            record = self._record(*key)
            record.registered = record.registered or event.time
            record.observe(Stage.NONE, event.time, sequence=event.sequence)

    def _inspected(self, event: Event) -> None:
        """Read the stages of versions that an inspection saw for the first time, or that a finding's fact changed."""
        if event.subject == SUBJECT:
            for name, facts in (event.after.get("versions") or {}).items():
                key = _version_of(name)
                if key is None or not self._is_wanted(key[0]):
                    continue
                record = self._record(*key)
                if record.registered is None and facts.get("created"):
                    record.registered = datetime.fromisoformat(str(facts["created"]))
                if facts.get("stage"):
                    record.observe(Stage(facts["stage"]), event.time, sequence=event.sequence)
            return
        finding = str(event.after.get("finding"))
        if (stages := self._findings.get(finding)) is not None:
            key, expected, found = stages
            stage = {Change.GONE.value: expected, Change.BACK.value: found}.get(event.reason)
            if stage is not None:
                self._record(*key).observe(stage, event.time, sequence=event.sequence, finding=finding)

    def _found(self, event: Event) -> None:
        """Read a finding about the stage of a version, or about a version that is gone."""
        kind, finding = event.after.get("kind"), str(event.after.get("finding"))
        key = _version_of(event.subject)
        if key is None or not self._is_wanted(key[0]):
            return
        if kind == reconcile.STAGE and finding not in self._findings:
            expected, found = Stage(event.after["expected"]), Stage(event.after["found"])
            self._findings[finding] = key, expected, found
            self._record(*key).observe(found, event.time, sequence=event.sequence, finding=finding)
        elif kind in _GONE_KINDS:
            self._record(*key).delete(event.time, sequence=event.sequence, finding=finding)

    def _decided(self, event: Event, requests: Mapping[str, RequestAsOf]) -> None:
        """Read the stages before a decision, which show earlier changes outside, and those that the decision left."""
        name = event.subject.rpartition("/")[0] or event.subject
        stages = event.after.get("stages")
        if not isinstance(stages, Mapping) or not stages or not self._is_wanted(name):
            return
        self._supersede_findings(name)
        decision = stage_decision(event, requests)
        state = requests.get(decision.request or "")
        intended = state.request.intended if state is not None else {}
        for number, stage in (event.before.get("stages") or {}).items():
            # Before an unfinished decision is finished, the registry may show a part of what it intended.
            if intended.get(number) != stage:
                self._record(name, int(number)).observe(Stage(stage), event.time, sequence=event.sequence)
        for number, stage in stages.items():
            record = self._record(name, int(number))
            if number in intended or not intended:
                record.decide(Stage(stage), decision)
            else:
                record.observe(Stage(stage), event.time, sequence=event.sequence)

    def _supersede_findings(self, name: str) -> None:
        """Forget the stages of earlier findings: that their fact is gone then says nothing about the stage."""
        for finding, stages in self._findings.items():
            if stages is not None and stages[0][0] == name:
                self._findings[finding] = None

    def _compare_with_registry(self) -> None:
        """Add what the registry says now, as far as this was already so at the moment of the timeline."""
        decisions = self.stores.decisions.list(statuses=(RequestStatus.UNFINISHED,))
        unfinished = {request.model for request in decisions}
        is_dated = not self.stores.models.is_stage_an_alias
        for version in self.versions:
            if self.until is not None and version.created > self.moment:
                continue
            record = self._record(self._names[version.model], version.version)
            if self.until is not None and (not is_dated or version.updated > self.moment):
                if not record.periods:
                    self._unknown[self._names[version.model]] = self._unknown.get(self._names[version.model], 0) + 1
                continue
            updated = min(version.updated, self.moment) if is_dated else self.moment
            record.refine_start(version.stage, updated)
            at = updated if record.seen is None or updated > record.seen else self.moment
            change = PeriodEnd.UNFINISHED if version.model in unfinished else PeriodEnd.OUTSIDE
            record.observe(version.stage, at, change=change)
        if self.until is None and self.is_registry_read:
            existing = {(self._names[version.model], version.version) for version in self.versions}
            for name, records in self.records.items():
                for number, record in records.items():
                    if (name, number) not in existing:
                        record.delete(self.moment)


def _version_of(text: str) -> tuple[str, int] | None:
    """Return model and number of MODEL/N."""
    model, _, number = text.rpartition("/")
    return (model, int(number)) if model and number.isdigit() else None
