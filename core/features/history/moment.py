"""A moment in the past: a place in the audit log, named by a time, a day or an event."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from zoneinfo import ZoneInfo

from core.errors import BadParameter
from core.features.history.find_event import find_event
from core.features.stores import Stores

_EVENT = re.compile(r"event-(?P<sequence>[1-9]\d{0,17})")


@dataclass(frozen=True, kw_only=True)
class Moment:
    """The state right after event number *sequence* of the audit log; 0 is the state before the first event.

    Events count by their number, because the clocks of two machines can differ. *time* counts for what has no number:
    commits, runs and jobs. *event* is the number where the moment was named by an event, *day* the day (in UTC) where
    it was named by a day.
    """

    time: datetime
    sequence: int
    event: int | None = None
    day: date | None = None

    @property
    def before_sequence(self) -> int:
        """The number of the first event that does not count."""
        return self.sequence + 1


def find_moment(stores: Stores, text: str) -> Moment:
    """Return the moment that *text* names: a day (its end, in UTC), a time in ISO 8601, or "event-412".

    Raises:
        BadParameter: *text* names no moment, or a moment in the future.
        NotFound: there is no event with this number.
    """
    named = _EVENT.fullmatch(text)
    if named is not None:
        return moment_of_event(stores, int(named["sequence"]))
    time_ = parse_moment(text)
    now = datetime.now(UTC)
    day = time_.date() if _is_day(text) else None
    # The present day is not over, but its end names the present state.
    if time_ > now and day != now.date():
        raise BadParameter(
            "{value} is in the future. Choose an earlier moment.",
            value=f"{day}" if day else f"{time_.astimezone(UTC):%Y-%m-%d %H:%M} UTC",
            name="as-of",
        )
    return moment_at(stores, time_, day=day)


def moment_at(stores: Stores, at: datetime, *, day: date | None = None) -> Moment:
    """Return the moment of a time: the events before the first one that is later."""
    return Moment(time=at, sequence=stores.audit.sequence_at(at), day=day)


def moment_of_event(stores: Stores, sequence: int) -> Moment:
    """Return the moment right after an event.

    Raises:
        NotFound: there is no event with this number.
    """
    return Moment(time=find_event(stores, sequence).time, sequence=sequence, event=sequence)


def event_name(sequence: int) -> str:
    """Return the text that names the moment right after an event."""
    return f"event-{sequence}"


def time_name(at: datetime) -> str:
    """Return the text that names a time, in UTC."""
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")


def parse_moment(text: str, *, is_start: bool = False) -> datetime:
    """Parse a day (2027-03-31, UTC) as its end, or its start with *is_start*, or a time in ISO 8601.

    A time without a zone is in UTC.

    Raises:
        BadParameter: *text* is neither.
    """
    try:
        if _is_day(text):
            day = date.fromisoformat(text)
            return datetime.combine(day, time.min, tzinfo=UTC) if is_start else end_of_day(day)
        moment = datetime.fromisoformat(text)
        moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        return moment.astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise BadParameter(
            "{value!r} is not a valid date. Write a day in UTC (2027-03-31) or a time (2027-03-31T12:00:00Z).",
            value=text,
            name="as-of",
        ) from error


def end_of_day(day: date) -> datetime:
    """Return the last moment of a day in UTC."""
    return datetime.combine(day, time.max, tzinfo=UTC)


def local_times(day: date, clock: time, zone: str) -> tuple[datetime, ...]:
    """Return the times, in UTC, at which the clocks of *zone* show *clock* on *day*, earliest first.

    None where the clocks are put forward over that time, two where they are put back over it.
    """
    shown = datetime.combine(day, clock)
    both = (shown.replace(tzinfo=ZoneInfo(zone), fold=fold).astimezone(UTC) for fold in (0, 1))
    # A time that the clocks leave out comes back from UTC as another time.
    real = {at for at in both if at.astimezone(ZoneInfo(zone)).replace(tzinfo=None) == shown}
    return tuple(sorted(real))


def _is_day(text: str) -> bool:
    return len(text) <= len("2027-03-31")
