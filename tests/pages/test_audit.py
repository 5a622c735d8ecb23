"""The page Audit log: search by the address, one event in full, verification that names the position, taking away."""

from __future__ import annotations

import io
import sqlite3
import zipfile

import pandas as pd
import pytest
from streamlit.testing.v1 import AppTest

from core.entities import Actor, ModelVersionKey, Outcome
from core.features.evidence.export_evidence import export_bundle
from core.features.evidence.sign_head import public_key
from core.features.stores import Stores
from tests.pages.conftest import Opened, said
from tests.pages.test_training import press


def table(test: AppTest) -> pd.DataFrame:
    """The events that are shown."""
    return next(one.value for one in test.dataframe if "No." in one.value.columns)


@pytest.fixture
def three(stores: Stores, scientist: Actor, manager: Actor) -> Stores:
    """Three events: an ingest, a refusal, a decision with its stages."""
    stores.audit.append(scientist, "data.ingest", "sales@0", Outcome.SUCCESS, reason="=1+1 monthly")
    stores.audit.append(scientist, "promotion.decide", "iris/1", Outcome.DENIED, reason="not a manager")
    stores.audit.append(
        manager,
        "promotion.decide",
        "iris/1",
        Outcome.SUCCESS,
        reason="<b>fine</b> [x](https://evil.example)",
        before={"stages": {"1": "None"}, "same": 1},
        after={"stages": {"1": "Production"}, "same": 1},
    )
    return stores


def test_empty_log_says_so(opened: Opened, stores: Stores) -> None:
    assert "No events match" in said(opened("audit"))


@pytest.mark.parametrize("identity", ["auditor", "scientist", "manager", "admin"])
@pytest.mark.parametrize("tab", ["Events", "Verify", "Export"])
def test_every_role_reads_every_tab(opened: Opened, sample_stores: Stores, identity: str, tab: str) -> None:
    test = opened("audit", identity, audit_tab=tab)
    assert not test.exception
    assert not test.error


def test_events_are_newest_first_and_no_cell_is_a_formula(opened: Opened, three: Stores) -> None:
    shown = table(opened("audit"))
    assert list(shown["No."]) == [3, 2, 1]
    assert list(shown["Outcome"]) == ["● success", "✕ denied", "● success"]
    assert shown["Reason"].iloc[2] == "'=1+1 monthly"


@pytest.mark.parametrize(
    ("address", "numbers"),
    [
        ({"audit_who": "manager"}, [3]),
        ({"audit_subject": "iris/1"}, [3, 2]),
        ({"audit_did": "data.ingest"}, [1]),
        ({"audit_outcome": "denied"}, [2]),
        ({"audit_text": "monthly"}, [1]),
        ({"audit_before": "3"}, [2, 1]),
        ({"audit_subject": "iris/1", "audit_outcome": "success"}, [3]),
        ({"audit_until": "2020-01-01"}, None),
        ({"audit_since": "2020-01-01"}, [3, 2, 1]),
    ],
)
def test_filter_is_in_the_address(
    opened: Opened, three: Stores, address: dict[str, str], numbers: list[int] | None
) -> None:
    test = opened("audit", **address)
    if numbers is None:
        assert "No events match" in said(test)
    else:
        assert list(table(test)["No."]) == numbers


def test_event_of_the_address_opens_with_before_and_after(opened: Opened, three: Stores) -> None:
    test = opened("audit", audit_event="3")
    event = next(event for event in three.audit.events() if event.sequence == 3)
    assert test.subheader[0].value == "Event 3"
    changes = next(one.value for one in test.dataframe if "Before" in one.value.columns).set_index("Field")
    assert list(changes.loc["stages"]) == ['{"1":"None"}', '{"1":"Production"}', "changed"]
    assert changes.loc["same", "Change"] == ""
    assert event.hash in test.code[0].value
    assert event.previous in test.code[0].value
    assert "<b>fine</b> [x](https://evil.example)" in [one.value for one in test.text]
    assert not any("evil.example" in one.value for one in (*test.markdown, *test.caption))


def test_event_that_is_not_there_is_told_with_the_newest(opened: Opened, three: Stores) -> None:
    assert "There is no event 99. The newest event is 3" in opened("audit", audit_event="99").error[0].value.replace(
        "\\", ""
    )


def test_many_events_are_turned_over_page_by_page(opened: Opened, stores: Stores, scientist: Actor) -> None:
    for number in range(205):
        stores.audit.append(scientist, "data.ingest", f"t@{number}", Outcome.SUCCESS)
    test = opened("audit")
    assert list(table(test)["No."])[:1] == [205]
    assert len(table(test)) == 200
    next(button for button in test.button if button.label == "Older").click()
    test = test.run()
    assert list(table(test)["No."]) == [5, 4, 3, 2, 1]
    next(button for button in test.button if button.label == "Newest").click()
    assert len(table(test.run())) == 200


def verified(opened: Opened) -> AppTest:
    test = opened("audit", "auditor", audit_tab="Verify")
    next(button for button in test.button if button.label == "Verify").click()
    return test.run()


def test_untouched_log_is_verified(opened: Opened, three: Stores) -> None:
    test = verified(opened)
    assert "All 3 events are intact" in test.success[0].value
    assert three.audit.head()[1] in test.code[0].value


def test_event_altered_by_hand_is_found_and_its_position_named(opened: Opened, three: Stores) -> None:
    connection = sqlite3.connect(three.settings.home / "modelledger.db")
    with connection:
        connection.execute("DROP TRIGGER events_no_update")
        connection.execute("UPDATE events SET reason = 'he was a manager' WHERE sequence = 2")
    connection.close()
    test = verified(opened)
    assert test.error[0].value.startswith("Event 2")
    assert not test.success


@pytest.mark.parametrize(("identity", "may"), [("auditor", 3), ("manager", 3), ("scientist", 0), ("admin", 0)])
def test_log_is_taken_away_by_auditors_and_managers_alone(
    opened: Opened, three: Stores, identity: str, may: int
) -> None:
    test = opened("audit", identity, audit_tab="Export")
    assert len(test.get("download_button")) == may
    if not may:
        assert "Only auditors and managers" in said(test)


def test_the_key_to_check_heads_with_is_shown_and_an_earlier_one_is_taken(
    opened: Opened, three: Stores, auditor: Actor
) -> None:
    test = opened("audit", "auditor", audit_tab="Verify")
    assert any(str(public_key(three, auditor)) in one.value for one in test.code)
    test.text_area(key="audit_keys").set_value("no key").run()
    press(test, "Verify")
    assert "not a public key of a log" in said(test)
    assert not test.exception


def test_a_bundle_is_verified_and_one_that_was_changed_is_refused_by_its_file(
    opened: Opened, sample_stores: Stores, auditor: Actor
) -> None:
    whole = export_bundle(sample_stores, auditor, ModelVersionKey(model="iris_classifier", version=1)).data
    changed = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(whole)) as old, zipfile.ZipFile(changed, "w") as new:
        for name in old.namelist():
            new.writestr(name, old.read(name) + (b" " if name == "decisions.json" else b""))
    test = opened("audit", "auditor", audit_tab="Verify")
    for content, words in ((whole, "The bundle is valid"), (changed.getvalue(), "decisions.json")):
        test.file_uploader(key="audit_bundle").set_value(("bundle.zip", content, "application/zip")).run()
        press(test, "Check bundle")
        assert words in said(test).replace("\\", "")
        assert not test.exception
