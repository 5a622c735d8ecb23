"""A moment: named by a time, a day or an event; ordered by the numbers of events; chosen in any time zone."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta

import pytest

from core.entities import Actor, Outcome
from core.errors import BadParameter, NotFound
from core.features.evidence.search_events import search_audit
from core.features.history.moment import (
    event_name,
    find_moment,
    local_times,
    moment_at,
    moment_of_event,
    time_name,
)
from core.features.stores import Stores
from tests.clock import datetime_at

TEN = datetime(2026, 11, 29, 10, tzinfo=UTC)


@pytest.fixture
def log(stores: Stores, scientist: Actor, monkeypatch: pytest.MonkeyPatch) -> Stores:
    """Five events: 10:00:00, twice 10:00:01, then 12:00 by a clock that is ahead, then 10:01."""
    for number, after in enumerate((0, 1, 1, 7200, 60), start=1):
        moment = TEN + timedelta(seconds=after)
        monkeypatch.setattr("core.audit.log.datetime", datetime_at(lambda at=moment: at))
        stores.audit.append(scientist, "data.ingest", f"sales@{number}", Outcome.SUCCESS)
    return stores


@pytest.mark.parametrize(
    ("after_s", "sequence"),
    [
        (-1, 0),
        (0, 1),
        (0.5, 1),
        (1, 3),
        # Event 5 claims 10:01, but it came after event 4: nothing that came after a later event is shown.
        (60, 3),
        (1800, 3),
        (7200, 5),
        (9999, 5),
    ],
)
def test_a_time_is_the_events_before_the_first_later_one(log: Stores, after_s: float, sequence: int) -> None:
    assert moment_at(log, TEN + timedelta(seconds=after_s)).sequence == sequence


def test_of_two_events_at_the_same_time_the_number_decides(log: Stores, auditor: Actor) -> None:
    moment = moment_of_event(log, 2)
    assert (moment.time, moment.sequence, moment.event) == (TEN + timedelta(seconds=1), 2, 2)
    shown = search_audit(log, auditor, before_sequence=moment.before_sequence)
    assert [event.subject for event in shown] == ["sales@2", "sales@1"]


@pytest.mark.parametrize("text", ["event-2", "2026-11-29T10:00:01Z", "2026-11-29T10:00:01.000001Z"])
def test_a_name_leads_back_to_its_moment(log: Stores, text: str) -> None:
    moment = find_moment(log, text)
    name = time_name(moment.time) if moment.event is None else event_name(moment.event)
    assert (name, find_moment(log, name)) == (text, moment)


def test_an_event_that_does_not_exist_is_refused(log: Stores) -> None:
    for text in ("event-6", "event-999999999999999999"):
        with pytest.raises(NotFound, match=r"There is no event \d+. The newest event is 5."):
            find_moment(log, text)
    for text in ("event-0", "event--1", "event-x", f"event-{'9' * 30}"):
        with pytest.raises(BadParameter):
            find_moment(log, text)


def test_the_future_is_refused_but_the_present_day_is_not(stores: Stores, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("core.features.history.moment.datetime", datetime_at(lambda: TEN))
    assert find_moment(stores, "2026-11-29").day == date(2026, 11, 29)
    assert find_moment(stores, "2026-11-29T11:00:00+01:00").time == TEN
    for text, named in (("2026-11-30", "2026-11-30"), ("2026-11-29T11:00:01+01:00", "2026-11-29 10:00 UTC")):
        with pytest.raises(BadParameter, match=f"{named} is in the future. Choose an earlier moment."):
            find_moment(stores, text)


@pytest.mark.parametrize("text", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"])
def test_a_time_beyond_the_calendar_is_refused(stores: Stores, text: str) -> None:
    with pytest.raises(BadParameter, match="is not a valid date"):
        find_moment(stores, text)


# Changes of the clocks as the time zone database has them.
@pytest.mark.parametrize(
    ("zone", "day", "clock", "times"),
    [
        ("UTC", "2026-11-29", "14:05", ["2026-11-29T14:05"]),
        ("Europe/Madrid", "2026-11-29", "14:05", ["2026-11-29T13:05"]),
        ("Europe/Madrid", "2026-03-29", "02:30", []),
        ("Europe/Madrid", "2026-03-29", "03:00", ["2026-03-29T01:00"]),
        ("Europe/Madrid", "2026-10-25", "02:30", ["2026-10-25T00:30", "2026-10-25T01:30"]),
        ("America/New_York", "2026-11-01", "01:15", ["2026-11-01T05:15", "2026-11-01T06:15"]),
        ("Australia/Lord_Howe", "2026-04-05", "01:45", ["2026-04-04T14:45", "2026-04-04T15:15"]),
        ("Pacific/Apia", "2011-12-30", "12:00", []),
        ("Asia/Kathmandu", "2026-01-01", "00:00", ["2025-12-31T18:15"]),
    ],
)
def test_a_local_time_is_none_one_or_two_moments(zone: str, day: str, clock: str, times: list[str]) -> None:
    expected = tuple(datetime.fromisoformat(text).replace(tzinfo=UTC) for text in times)
    assert local_times(date.fromisoformat(day), time.fromisoformat(clock), zone) == expected
