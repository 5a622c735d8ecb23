"""Stage periods: how long a model version had each stage, built from what the log and the registry say, in order."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import Enum

from core.entities import ModelVersionKey, Stage
from core.features.history.as_of import StageDecision


class PeriodSource(str, Enum):
    """Where the stage of a period comes from. REGISTRY: MLflow said so, and ModelLedger did not decide it."""

    DECISION = "decision"
    ACCEPTED = "accepted as found"
    REGISTRY = "registry"


class PeriodEnd(str, Enum):
    """What ended a period. ACCEPTED: a person accepted the stage as found, so that the stage goes on."""

    DECISION = "decision"
    ACCEPTED = "accepted as found"
    OUTSIDE = "changed outside"
    DELETED = "deleted"
    UNFINISHED = "unfinished decision"


@dataclass(frozen=True, kw_only=True)
class StagePeriod:
    """The time in which a version had one stage. *end* is None while the stage lasts.

    Where *is_start_exact* is false, the version had the stage at the latest since *start*: it got the stage after
    *not_before* (None: unknown), and nothing says when. In the same way, a period that did not end by a decision ended
    at the latest at *end*. *sequence* and *end_sequence* number the events of the log that show start and end; None
    where only the registry does. *decision* is set where the stage was decided or accepted. *finding* noticed the end.
    """

    stage: Stage
    start: datetime
    source: PeriodSource
    is_start_exact: bool = True
    not_before: datetime | None = None
    end: datetime | None = None
    ended_by: PeriodEnd | None = None
    sequence: int | None = None
    end_sequence: int | None = None
    decision: StageDecision | None = None
    finding: str | None = None


@dataclass(frozen=True, kw_only=True)
class VersionTimeline:
    """The stages of one version, oldest first. *registered* is None where neither log nor registry know the time."""

    model: str
    version: int
    registered: datetime | None
    periods: tuple[StagePeriod, ...]

    @property
    def key(self) -> ModelVersionKey:
        return ModelVersionKey(model=self.model, version=self.version)

    @property
    def stage(self) -> Stage | None:
        """The stage at the end of the timeline; None for a deleted version."""
        last = self.periods[-1]
        return last.stage if last.end is None else None

    def in_stage(self, stage: Stage) -> tuple[StagePeriod, ...]:
        return tuple(period for period in self.periods if period.stage is stage)


@dataclass(frozen=True, kw_only=True)
class ModelTimeline:
    """The stages of a model's versions, newest version first, up to *moment*.

    Versions that never had a stage other than None are left out: *without_stage* counts them. *unknown* counts the
    versions of which nothing says which stage they had at *moment*.
    """

    model: str
    moment: datetime
    versions: tuple[VersionTimeline, ...]
    without_stage: int = 0
    unknown: int = 0

    @property
    def changed(self) -> datetime | None:
        """The last known change of a stage; None where no version ever had one."""
        periods = [period for version in self.versions for period in version.periods]
        return max((self._time_of(period) for period in periods if _is_change(period)), default=None)

    def _time_of(self, period: StagePeriod) -> datetime:
        """The time of the last change of a period. A start at *moment* is only the time at which it was read."""
        if period.end is not None:
            return period.end
        is_read_now = not period.is_start_exact and period.start >= self.moment
        return (period.not_before if is_read_now else None) or period.start

    def in_stage(self, stage: Stage) -> tuple[tuple[VersionTimeline, StagePeriod], ...]:
        """Return the periods in which a version had *stage*, oldest first.

        The log's numbers order them; periods that only the registry shows come last. Clocks order only the rest.
        """
        found = [(version, period) for version in self.versions for period in version.in_stage(stage)]
        return tuple(sorted(found, key=_place))


def _place(pair: tuple[VersionTimeline, StagePeriod]) -> tuple[bool, int, datetime, int]:
    version, period = pair
    return period.sequence is None, period.sequence or 0, period.start, version.version


def _is_change(period: StagePeriod) -> bool:
    return period.stage is not Stage.NONE or period.end is not None


@dataclass
class StageRecord:
    """Collects what is seen of one version, in order, and makes its periods. *registered* is when it was registered."""

    registered: datetime | None = None
    _periods: list[StagePeriod] = field(default_factory=list)
    _seen: datetime | None = None

    @property
    def periods(self) -> tuple[StagePeriod, ...]:
        return tuple(self._periods)

    @property
    def seen(self) -> datetime | None:
        """The last time at which something showed the stage."""
        return self._seen

    @property
    def had_stage(self) -> bool:
        return any(period.stage is not Stage.NONE for period in self._periods)

    def observe(
        self,
        stage: Stage,
        at: datetime,
        *,
        sequence: int | None = None,
        change: PeriodEnd = PeriodEnd.OUTSIDE,
        finding: str | None = None,
    ) -> None:
        """Note that the version had *stage* at *at*. A stage that differs from the last one was changed before."""
        current = self._current
        if current is not None and current.stage is stage:
            self._seen = at
            if finding is not None:
                self._explain(finding)
            return
        self._end(at, change, sequence, finding)
        self._open(stage, at, sequence)

    def decide(self, stage: Stage, decision: StageDecision) -> None:
        """Note that *decision* gave the version *stage*, or that it was accepted with that stage."""
        if decision.is_acceptance:
            self.observe(stage, decision.time, sequence=decision.sequence)
        current = self._current
        if current is not None and current.stage is stage and (not decision.is_acceptance or stage is Stage.NONE):
            self._seen = decision.time
            return
        how = PeriodEnd.ACCEPTED if decision.is_acceptance else PeriodEnd.DECISION
        self._end(decision.time, how, decision.sequence)
        self._periods.append(
            StagePeriod(
                stage=stage,
                start=decision.time,
                source=PeriodSource.ACCEPTED if decision.is_acceptance else PeriodSource.DECISION,
                sequence=decision.sequence,
                decision=decision,
            )
        )
        self._seen = decision.time

    def delete(self, at: datetime, *, sequence: int | None = None, finding: str | None = None) -> None:
        """Note that the version was not in the registry any more at *at*."""
        self._end(at, PeriodEnd.DELETED, sequence, finding)

    def refine_start(self, stage: Stage, at: datetime) -> None:
        """Note that the version has had its present *stage* since *at*: this may be earlier than what was seen."""
        place = len(self._periods)
        while place and self._periods[place - 1].stage is stage:
            place -= 1
        if place == len(self._periods):
            return
        first = self._periods[place]
        is_later = first.not_before is None or first.not_before <= at
        if not first.is_start_exact and is_later and at < first.start:
            self._periods[place] = replace(first, start=at)

    def _explain(self, finding: str) -> None:
        """Name the finding about the last change where something else showed the change before."""
        before = self._periods[-2] if len(self._periods) > 1 else None
        if before is not None and before.ended_by is PeriodEnd.OUTSIDE and before.finding is None:
            self._periods[-2] = replace(before, finding=finding)

    @property
    def _current(self) -> StagePeriod | None:
        return self._periods[-1] if self._periods and self._periods[-1].end is None else None

    def _open(self, stage: Stage, at: datetime, sequence: int | None) -> None:
        is_first = not self._periods
        known = self._seen if not is_first else self.registered
        if is_first and stage is Stage.NONE and known is not None:
            # MLflow registers every version with the stage None.
            period = StagePeriod(stage=stage, start=known, source=PeriodSource.REGISTRY, sequence=sequence)
        else:
            period = StagePeriod(
                stage=stage,
                start=at,
                source=PeriodSource.REGISTRY,
                is_start_exact=False,
                not_before=known if known is not None and known <= at else None,
                sequence=sequence,
            )
        self._periods.append(period)
        self._seen = at

    def _end(self, at: datetime, how: PeriodEnd, sequence: int | None, finding: str | None = None) -> None:
        if self._current is not None:
            self._periods[-1] = replace(self._periods[-1], end=at, ended_by=how, end_sequence=sequence, finding=finding)
            if how is PeriodEnd.DELETED:
                self._seen = at


def version_timelines(records: dict[int, StageRecord], model: str) -> Iterator[VersionTimeline]:
    """Yield the timelines of the versions that had a stage other than None, newest version first."""
    for number in sorted(records, reverse=True):
        record = records[number]
        if record.had_stage:
            yield VersionTimeline(model=model, version=number, registered=record.registered, periods=record.periods)
