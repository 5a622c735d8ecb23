"""Proof: searching, one event, verifying and exporting, each as the roles that may."""

from __future__ import annotations

import csv
import json
from hashlib import sha256
from pathlib import Path

import pytest

from core.audit.canonical_json import canonical
from core.entities import Actor, Outcome
from core.errors import BadFile, Forbidden, NotFound
from core.features.evidence.search_events import export_audit, search_audit, show_event
from core.features.stores import Stores


@pytest.fixture
def filled(stores: Stores, scientist: Actor) -> Stores:
    """Three events; one whose texts a spreadsheet would run."""
    stores.audit.append(scientist, "data.ingest", "sales@0", Outcome.SUCCESS, reason="=cmd|'/c calc'!A1")
    stores.audit.append(scientist, "data.ingest", "sales@1", Outcome.SUCCESS, reason='with "quotes", commas\nand lines')
    stores.audit.append(scientist, "run.train", "iris", Outcome.FAILED, after={"f1": float("nan"), "é": 1.0})
    return stores


def test_every_line_of_the_export_proves_itself(filled: Stores, auditor: Actor, tmp_path: Path) -> None:
    """With nothing but the standard library: the hash of each line, and each hash in the next line."""
    file = tmp_path / "audit.jsonl"
    exported = export_audit(filled, auditor, file)
    previous = "0" * 64
    lines = [json.loads(line) for line in file.read_text(encoding="utf-8").split("\n") if line]
    assert [line["sequence"] for line in lines] == list(range(1, exported.events + 1))
    for line in lines:
        told = line.pop("hash")
        assert line["previous"] == previous
        hashed = {**line, **{name: canonical(line[name]) for name in ("before", "after")}}
        text = json.dumps(hashed, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        assert sha256(text.encode()).hexdigest() == told
        previous = told
    assert exported.head == previous


def test_export_is_recorded_before_it_is_taken(filled: Stores, auditor: Actor, tmp_path: Path) -> None:
    exported = export_audit(filled, auditor, tmp_path / "audit.jsonl")
    assert exported.events == 4, "three events and the intent of the export itself"
    intent, outcome = filled.audit.events(after_sequence=3)
    assert (intent.action, intent.outcome, outcome.outcome) == ("audit.export", Outcome.INTENT, Outcome.SUCCESS)
    assert outcome.after == {"events": 4, "head": exported.head}


def test_csv_holds_the_same_and_no_formula(filled: Stores, auditor: Actor, tmp_path: Path) -> None:
    file = tmp_path / "audit.csv"
    export_audit(filled, auditor, file)
    with file.open(encoding="utf-8", newline="") as lines:
        rows = list(csv.DictReader(lines))
    assert [row["subject"] for row in rows] == ["sales@0", "sales@1", "iris", "audit log"]
    assert rows[0]["reason"] == "'=cmd|'/c calc'!A1"
    assert rows[1]["reason"] == 'with "quotes", commas\nand lines'
    assert rows[2]["after"] == '{"f1":"NaN","é":1}'
    assert not any(cell.startswith(("=", "+", "-", "@", "\t", "\r")) for row in rows for cell in row.values())


def test_file_that_cannot_be_written_is_named_and_the_failure_recorded(
    filled: Stores, auditor: Actor, tmp_path: Path
) -> None:
    with pytest.raises(BadFile, match="nowhere"):
        export_audit(filled, auditor, tmp_path / "nowhere" / "audit.jsonl")
    assert filled.audit.search(action="audit.export")[0].outcome is Outcome.FAILED


def test_scientist_and_admin_take_nothing_away(filled: Stores, scientist: Actor, admin: Actor, tmp_path: Path) -> None:
    for actor in (scientist, admin):
        with pytest.raises(Forbidden):
            export_audit(filled, actor, tmp_path / "audit.jsonl")
    assert not (tmp_path / "audit.jsonl").exists()


def test_event_is_shown_with_the_others_of_its_operation(filled: Stores, auditor: Actor, tmp_path: Path) -> None:
    export_audit(filled, auditor, tmp_path / "audit.jsonl")
    event, others = show_event(filled, auditor, 4)
    assert (event.action, event.outcome) == ("audit.export", Outcome.INTENT)
    assert [(one.sequence, one.outcome) for one in others] == [(5, Outcome.SUCCESS)]
    for number in (0, 99):
        with pytest.raises(NotFound, match=f"no event {number}"):
            show_event(filled, auditor, number)


def test_search_hands_its_filters_on(filled: Stores, auditor: Actor) -> None:
    assert [event.sequence for event in search_audit(filled, auditor, event_action="data.ingest")] == [2, 1]
    assert [event.sequence for event in search_audit(filled, auditor, outcome="failed")] == [3]
    assert search_audit(filled, auditor, event_actor="nobody") == ()
