"""Findings as of a date: which were open, and who had them by when, whatever was done about them since."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta

import pytest

from core.cli import main
from core.commands.options import get_stores
from core.entities import Actor, Finding, Severity, Stage
from core.errors import Forbidden, NotFound
from core.features.history.as_of import state_at
from core.features.history.findings_as_of import findings_at, show_finding_at
from core.features.history.moment import Moment, end_of_day, moment_at
from core.features.monitoring.findings import (
    INSPECTOR,
    assign_finding,
    close_finding,
    inspect_registry,
    list_findings,
    open_finding,
)
from core.features.stores import Stores
from tests.evidence.by_hand import by_hand
from tests.evidence.conftest import Day

Evening = Callable[[int], Moment]


@pytest.fixture
def finding(sample_stores: Stores, auditor: Actor, manager: Actor, day: Day) -> Finding:
    """Opened on day 1 for the manager; on day 2 ana has it, on day 3 ben by another date; closed on day 5."""
    day(1)
    first = open_finding(
        sample_stores, auditor, subject="iris_classifier/3", detail="odd rows", severity=Severity.HIGH, owner="manager"
    )
    day(2)
    assign_finding(sample_stores, auditor, first.id, owner="ana", due=first.due, reason="she knows it")
    day(3)
    later = first.due + timedelta(days=7)
    assign_finding(sample_stores, auditor, first.id, owner="ben", due=later, reason="ana is away")
    day(5)
    close_finding(sample_stores, manager, first.id, reason="the rows are right")
    day(6)
    return first


@pytest.fixture
def evening(sample_stores: Stores, day: Day) -> Evening:
    return lambda number: moment_at(sample_stores, end_of_day(day(number).date()))


def test_each_day_has_its_owner_and_due_date(
    sample_stores: Stores, auditor: Actor, finding: Finding, evening: Evening
) -> None:
    stood = {number: findings_at(sample_stores, auditor, evening(number)) for number in (0, 1, 2, 3, 4, 5)}
    assert (stood[0], stood[5]) == ((), ())
    week = timedelta(days=7)
    assert {number: (one.owner, one.due - finding.due) for number in (1, 2, 3, 4) for one in stood[number]} == {
        1: ("manager", timedelta(0)),
        2: ("ana", timedelta(0)),
        3: ("ben", week),
        4: ("ben", week),
    }
    assert all(one.is_open and one.closed_by is None and one.reason is None for one in stood[4])
    assert [one.is_overdue(evening(4).time) for one in stood[4]] == [False]
    (closed,) = findings_at(sample_stores, auditor, evening(5), include_closed=True)
    assert (closed.closed_by, closed.reason) == ("manager", "the rows are right")
    assert findings_at(sample_stores, auditor, evening(6), include_closed=True) == list_findings(
        sample_stores, auditor, include_closed=True
    )


def test_one_is_shown_with_its_events_until_then(
    sample_stores: Stores, auditor: Actor, finding: Finding, evening: Evening
) -> None:
    view = show_finding_at(sample_stores, auditor, finding.id, evening(2))
    assert (view.finding.owner, view.finding.closed_at) == ("ana", None)
    assert [event.reason for event in view.events if event.outcome.value == "success"] == ["odd rows", "she knows it"]
    with pytest.raises(NotFound, match="was opened after"):
        show_finding_at(sample_stores, auditor, finding.id, evening(0))


def test_what_no_pass_saw_any_more_was_still_seen_before(
    sample_stores: Stores, auditor: Actor, evening: Evening, day: Day
) -> None:
    """A finding of the pass itself: there on day 1, gone since day 4, back on day 5."""
    day(1)
    sample_stores.models.set_stages("iris_classifier", {2: Stage.STAGING})
    found, alias = inspect_registry(sample_stores, INSPECTOR)
    assert (found.kind, alias.kind) == ("stage differs", "serving alias moved")
    gone = day(4)
    sample_stores.models.set_stages("iris_classifier", {2: Stage.NONE})
    inspect_registry(sample_stores, INSPECTOR)
    day(5)
    sample_stores.models.set_stages("iris_classifier", {2: Stage.STAGING})
    assert inspect_registry(sample_stores, INSPECTOR) == ()
    then = {n: {f.id: f.gone for f in findings_at(sample_stores, auditor, evening(n))} for n in (3, 4, 5)}
    assert [then[number][found.id] for number in (3, 4, 5)] == [None, gone, None]


def test_what_was_deleted_by_hand_still_stood_then(
    sample_stores: Stores, auditor: Actor, finding: Finding, evening: Evening
) -> None:
    before = {n: findings_at(sample_stores, auditor, evening(n), include_closed=True) for n in (1, 2, 3, 5)}
    by_hand(sample_stores, "DELETE FROM findings;")
    assert list_findings(sample_stores, auditor, include_closed=True) == ()
    assert {n: findings_at(sample_stores, auditor, evening(n), include_closed=True) for n in before} == before
    view = show_finding_at(sample_stores, auditor, finding.id, evening(5))
    assert (view.finding.closed_by, view.finding.reason) == ("manager", "the rows are right")
    assert [e.reason for e in view.events if e.outcome.value == "success"][-1] == "the rows are right"


def test_the_state_of_a_day_has_its_findings(
    sample_stores: Stores, auditor: Actor, finding: Finding, evening: Evening
) -> None:
    assert [one.owner for one in state_at(sample_stores, auditor, evening(2)).findings] == ["ana"]
    assert state_at(sample_stores, auditor, evening(6)).findings == ()


def test_somebody_without_a_role_is_refused(sample_stores: Stores, evening: Evening) -> None:
    with pytest.raises(Forbidden):
        findings_at(sample_stores, Actor(name="nobody", roles=frozenset()), evening(1))


def test_the_command_line_shows_the_same(
    finding: Finding, evening: Evening, capsys: pytest.CaptureFixture[str]
) -> None:
    get_stores.cache_clear()
    assert main(["findings", "--as-of", f"{evening(2).time:%Y-%m-%d}", "--json"]) == 0
    (told,) = json.loads(capsys.readouterr().out)
    assert (told["id"], told["owner"], told["closed_by"]) == (finding.id, "ana", None)
    assert main(["findings", "--as-of", f"{evening(6).time:%Y-%m-%d}", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == []
    assert main(["findings", "--as-of", f"{evening(2).time:%Y-%m-%d}", "--look"]) == 1
    assert "--as-of only shows findings" in capsys.readouterr().err
    get_stores.cache_clear()
