"""What was done to the log by hand is found by the service, with what was kept elsewhere."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from core.bootstrap import open_stores
from core.entities import Actor, Outcome, Role
from core.errors import BadHead, BadSettings, Forbidden
from core.features.evidence.search_events import export_audit
from core.features.evidence.sign_head import (
    HeadSchedule,
    printable_head,
    public_key,
    sign_head,
    verify_audit_log,
)
from core.features.stores import Stores
from tests.clock import datetime_at
from tests.evidence.by_hand import by_hand


@pytest.fixture
def logged(stores: Stores, scientist: Actor) -> Stores:
    for number in range(12):
        stores.audit.append(scientist, "data.ingest", f"t@{number}", Outcome.SUCCESS, reason="line\u2028separator")
    return stores


def test_a_printed_head_is_what_the_log_is_verified_against(logged: Stores, auditor: Actor) -> None:
    paper = printable_head(sign_head(logged, auditor))
    verdict = verify_audit_log(logged, auditor, [paper])
    assert (verdict.ok, verdict.compared) == (True, 2)  # the one that was kept here, and the printed one
    by_hand(logged, "DELETE FROM events WHERE sequence > 9; DELETE FROM heads")
    verdict = verify_audit_log(logged, auditor, [paper.replace("\n", "\r\n")])
    assert (verdict.ok, verdict.first_broken) == (False, 10)


def test_an_export_kept_elsewhere_locates_a_rewritten_event(logged: Stores, auditor: Actor, tmp_path: Path) -> None:
    file = tmp_path / "log.jsonl"
    export_audit(logged, auditor, file)
    kept = file.read_text(encoding="utf-8")
    assert verify_audit_log(logged, auditor, [kept]).ok
    by_hand(logged, "DELETE FROM heads; UPDATE events SET reason = 'x', hash = 'y' WHERE sequence = 7")
    verdict = verify_audit_log(logged, auditor, [kept])
    assert (verdict.ok, verdict.first_broken, verdict.last_broken) == (False, 7, 7)
    assert "Event 7 differs from the export" in verdict.detail


def test_a_text_that_is_neither_head_nor_export_is_refused(logged: Stores, auditor: Actor) -> None:
    for text in ("", "hello", "{}", '{"sequence": 2, "hash": "a"}'):
        with pytest.raises(BadHead):
            verify_audit_log(logged, auditor, [text])


def test_a_head_of_another_log_is_taken_only_with_its_key(logged: Stores, auditor: Actor, tmp_path: Path) -> None:
    head = sign_head(logged, auditor)
    key = str(public_key(logged, auditor))
    logged.settings.signing_key_file.unlink()
    other = open_stores(logged.settings)
    with pytest.raises(BadHead, match="not signed with a key of this log"):
        verify_audit_log(other, auditor, [head.note])
    verdict = verify_audit_log(other, auditor, [head.note], keys=[key])
    # The head it kept itself is not signed by the new key: told, because a lost key is an incident too.
    assert not verdict.ok
    assert "this log's key did not sign" in verdict.detail
    trusting = open_stores(logged.settings.model_copy(update={"head_keys": key}))
    assert verify_audit_log(trusting, auditor, [head.note]).ok


@pytest.mark.parametrize(
    ("kept", "words"),
    [
        (['{"sequence": ' + "[" * 100_000], "Line 1 of the export is not an event"),
        (["x" * 200_000], "neither a signed head nor an export"),
        (["{}"] * 101, "at most 100 at once"),
    ],
)
def test_what_is_too_deep_too_long_or_too_many_is_refused_in_words(
    logged: Stores, auditor: Actor, kept: list[str], words: str
) -> None:
    with pytest.raises(BadHead, match=words):
        verify_audit_log(logged, auditor, kept)


def test_signing_is_recorded_and_asks_for_the_right_to_export(logged: Stores, auditor: Actor, scientist: Actor) -> None:
    head = sign_head(logged, auditor)
    done = logged.audit.search(action="audit.export", limit=1)[0]
    assert (done.outcome, done.after["root"]) == (Outcome.SUCCESS, head.root.hex())
    kept = logged.heads.last()
    assert kept is not None
    assert kept.head == logged.heads.open(head.note)
    with pytest.raises(Forbidden):
        sign_head(logged, scientist)
    with pytest.raises(Forbidden):
        verify_audit_log(logged, Actor(name="nobody", roles=frozenset[Role]()))


def test_the_worker_signs_a_head_a_day_while_something_was_appended(
    logged: Stores, scientist: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = _Clock(monkeypatch)
    schedule = HeadSchedule(logged)
    first = schedule.sign_if_due()
    assert first is not None
    assert first.size == 12
    clock.now += timedelta(hours=1)
    assert schedule.sign_if_due() is None
    clock.now += timedelta(hours=25)
    assert schedule.sign_if_due() is None  # nothing was appended
    logged.audit.append(scientist, "data.ingest", "t@13", Outcome.SUCCESS)
    clock.now += timedelta(hours=25)
    later = schedule.sign_if_due()
    assert later is not None
    assert later.size == 13


class _Clock:
    """A clock that stands until it is moved."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        from core.features.evidence import sign_head as sign_head_module

        self.now = start = datetime.now(UTC)
        clock = self

        class Monotonic:
            @staticmethod
            def monotonic() -> float:
                return 1000 + (clock.now - start).total_seconds()

        monkeypatch.setattr(sign_head_module, "datetime", datetime_at(lambda: clock.now))
        monkeypatch.setattr(sign_head_module, "time", Monotonic)


def test_a_head_key_that_is_none_is_a_setting_to_correct(logged: Stores) -> None:
    with pytest.raises(BadSettings, match="MODELLEDGER_HEAD_KEYS"):
        open_stores(logged.settings.model_copy(update={"head_keys": "no+key"}))
