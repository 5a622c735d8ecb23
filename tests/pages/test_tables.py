"""The page Tables: any version from its address, how each way to lose one is told, and ingesting with a check first."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pytest
from streamlit.testing.v1 import AppTest

from core.entities import Actor
from core.features.data.browse import show_version, table_history
from core.features.stores import Stores
from tests.pages.conftest import Opened, said

IRIS = "iris_training_data"


def frame(test: AppTest, *columns: str) -> pd.DataFrame:
    """The shown table that has these columns."""
    for one in test.dataframe:
        if set(columns) <= set(one.value.columns):
            return one.value
    raise AssertionError(f"no table with {columns} is shown")


def test_tables_are_listed_with_version_and_rows(opened: Opened, sample_stores: Stores) -> None:
    shown = frame(opened("tables"), "Table", "Latest version", "Rows").set_index("Table")
    assert list(shown.loc[IRIS, ["Latest version", "Rows"]]) == [2, 150]
    assert list(shown.loc["diabetes_training_data", ["Latest version", "Rows"]]) == [1, 442]


@pytest.mark.parametrize(("version", "rows"), [(0, 50), (1, 100), (2, 150)])
def test_address_opens_a_version_as_it_stood(opened: Opened, sample_stores: Stores, version: int, rows: int) -> None:
    test = opened("tables", tables_table=IRIS, tables_version=str(version))
    assert f"version **{version}** · {rows} rows" in said(test)
    assert f"50 of {rows} rows are shown" in said(test)
    assert len(frame(test, "petal_width_cm")) == 50


def test_history_tells_who_what_and_which_models(opened: Opened, sample_stores: Stores) -> None:
    shown = frame(
        opened("tables", tables_table=IRIS, tables_tab="History"), "Operation", "Models trained on it"
    ).set_index("Version")
    assert list(shown.index) == [2, 1, 0]
    assert list(shown["Rows added"]) == [50, 50, 50]
    assert list(shown["Rows"]) == [150, 100, 50]
    assert set(shown["User (claimed)"]) == {"scientist"}
    assert shown.loc[0, "Models trained on it"] == "iris_classifier/1"


def test_page_of_rows_is_in_the_address(opened: Opened, sample_stores: Stores) -> None:
    first = frame(opened("tables", tables_table=IRIS, tables_version="2"), "petal_width_cm")
    third = frame(opened("tables", tables_table=IRIS, tables_version="2", tables_page="3"), "petal_width_cm")
    assert len(third) == 50
    assert not first.equals(third)


def test_versions_are_compared(opened: Opened, sample_stores: Stores) -> None:
    test = opened("tables", tables_table=IRIS, tables_before="0", tables_after="2", tables_tab="Compare versions")
    assert [(one.label, one.value) for one in test.metric][:3] == [
        ("Rows added", "100"),
        ("Rows removed", "0"),
        ("Rows changed", "–"),
    ]


@pytest.mark.parametrize(
    ("table", "version"), [("nowhere", "0"), (IRIS, "99"), (IRIS, "-1"), (IRIS, "x"), ("../../etc", "0"), ("<b>", "0")]
)
def test_address_of_what_is_not_there_breaks_nothing(
    opened: Opened, sample_stores: Stores, table: str, version: str
) -> None:
    test = opened("tables", tables_table=table, tables_version=version)
    assert not test.exception
    assert frame(test, "Table", "Latest version") is not None


def test_version_whose_files_are_gone_keeps_its_facts_and_says_how_it_was_lost(
    opened: Opened, sample_stores: Stores
) -> None:
    place = Path(sample_stores.catalog.resolve(IRIS).uri)
    for file in place.glob("*.parquet"):
        file.unlink()
    test = opened("tables", tables_table=IRIS, tables_version="1")
    assert not test.exception
    assert "version **1** · 100 rows" in said(test)
    assert any("is missing in storage" in one.value for one in test.warning)


def test_table_with_a_corrupt_log_is_told_and_the_others_are_shown(opened: Opened, sample_stores: Stores) -> None:
    place = Path(sample_stores.catalog.resolve(IRIS).uri)
    (place / "_delta_log" / f"{1:020d}.json").write_text('{"add"')
    broken = opened("tables", tables_table=IRIS)
    assert not broken.exception
    assert any("00000000000000000001.json" in one.value.replace("\\", "") for one in broken.error)
    other = opened("tables", tables_table="diabetes_training_data")
    assert not other.error
    assert "442 rows" in said(other)


def test_markup_in_names_and_values_stays_text(opened: Opened, stores: Stores) -> None:
    odd = "<img src=x onerror=alert(1)>"
    stores.engine.write(stores.catalog.place("odd"), pa.table({odd: [odd, "'\"🙂"]}), mode="append")
    test = opened("tables", tables_table="odd")
    assert not test.exception
    assert list(frame(test, odd)[odd]) == [odd, "'\"🙂"]


def test_only_who_may_ingest_sees_the_form(opened: Opened, sample_stores: Stores) -> None:
    assert "Ingest a file" not in [one.label for one in opened("tables", "auditor").expander]
    assert "Ingest a file" in [one.label for one in opened("tables", "scientist").expander]


def upload(test: AppTest, name: str, content: bytes) -> AppTest:
    test.file_uploader(key="tables_ingest_file_0").set_value((name, content, "text/csv"))
    return test.run()


def save(test: AppTest) -> AppTest:
    (button,) = [one for one in test.button if one.label == "Save as a new version"]
    assert not button.disabled
    return button.click().run()


def test_file_is_previewed_and_then_saved_as_the_next_version(
    opened: Opened, sample_stores: Stores, scientist: Actor
) -> None:
    test = opened("tables", "scientist")
    test.selectbox(key="tables_ingest_into_0").set_value(IRIS)
    header = "sepal_length_cm,sepal_width_cm,petal_length_cm,petal_width_cm,species\n"
    test = upload(test, "more.csv", f"{header}5,3,1.5,0.2,setosa\n6,3,4.5,1.4,versicolor\n".encode())
    assert "**2** rows would become version 3" in said(test)
    assert "Format: UTF" in said(test)
    assert len(table_history(sample_stores, scientist, IRIS)) == 3, "a preview writes nothing"
    test.text_input(key="tables_ingest_reason").set_value("two more")
    test = save(test)
    assert not test.exception
    assert any("2 rows were saved" in one.value for one in test.success)
    assert "Save as a new version" not in [one.label for one in test.button], (
        "it cannot be saved twice by a second click"
    )
    assert show_version(sample_stores, scientist, IRIS).snapshot.rows == 152
    done = sample_stores.audit.search(action="data.ingest")[0]
    assert (done.subject, done.reason, done.after["file"]) == (f"{IRIS}@3", "two more", "more.csv")


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "is empty"),
        (b"species\ns\x81tosa\n", "not encoded as UTF-8"),
        (b"a,a\n1,2\n", "more than once"),
        (b"species,colour\nsetosa,red\n", "does not fit the table"),
    ],
)
def test_bad_file_is_refused_on_the_page_and_saves_nothing(
    opened: Opened, sample_stores: Stores, scientist: Actor, content: bytes, says: str
) -> None:
    test = opened("tables", "scientist")
    test.selectbox(key="tables_ingest_into_0").set_value(IRIS)
    test = upload(test, "bad <b>.csv", content)
    assert not test.exception
    assert any(says in one.value.replace("\\", "") for one in test.error)
    assert all(one.disabled for one in test.button if one.label == "Save as a new version")
    assert len(table_history(sample_stores, scientist, IRIS)) == 3


def test_no_table_is_preset_and_a_new_one_is_a_choice_of_its_own(
    opened: Opened, sample_stores: Stores, scientist: Actor
) -> None:
    test = upload(opened("tables", "scientist"), "cities.csv", b"id;city\n1;Sevilla\n")
    assert test.selectbox(key="tables_ingest_into_0").value is None
    assert any("Choose the table for the rows" in one.value for one in test.info)
    assert not [one for one in test.button if one.label in ("Save as a new version", "Create the table")]
    test.button_group(key="tables_ingest_target_0").set_value("new").run()
    test.text_input(key="tables_ingest_name_0").set_value(IRIS).run()
    assert any("exists and is at version 2" in one.value for one in test.error)
    test.text_input(key="tables_ingest_name_0").set_value("cities").run()
    assert not test.exception
    assert "would become version 0 of the new table cities" in said(test)
    (button,) = [one for one in test.button if one.label == "Create the table"]
    button.click().run()
    assert any("1 row was saved" in one.value for one in test.success)
    assert show_version(sample_stores, scientist, "cities").snapshot.rows == 1
    assert test.selectbox(key="tables_ingest_into_1").value is None, "the next file is not appended by mistake"


def test_warnings_are_shown_and_a_suggested_null_is_one_click(opened: Opened, stores: Stores, scientist: Actor) -> None:
    rows = {"x": [float(n) for n in range(30)], "kind": ["a", "b"] * 15, "y": ["k"] * 30}
    stores.engine.write(stores.catalog.place("t"), pa.table(rows), mode="append")
    test = opened("tables", "scientist")
    test.selectbox(key="tables_ingest_into_0").set_value("t")
    test = upload(test, "more.csv", b"x;kind\n1,5;<b>c</b>\nNA;a\n")
    assert not test.exception
    check = frame(test, "Fits", "Note").set_index("Column")
    assert list(check["Fits"]) == ["✕ no", "▲ check", "▲ check"]
    assert "line 3: 'NA' is not double" in check.loc["x", "Note"]
    (suggestion,) = [one for one in test.button if one.label == "Treat NA as null"]
    test = suggestion.click().run()
    assert list(frame(test, "Fits", "Note")["Fits"]) == ["▲ check", "▲ check", "▲ check"]
    (warning,) = [one.value.replace("\\", "") for one in test.warning]
    assert "Look at 3 things before you save" in warning
    assert "missing in the file; its values will be null" in warning
    assert "1 new value: '<b>c</b>'" in warning
    assert "decimal comma" in said(test)
    test = save(test)
    assert stores.engine.read(stores.catalog.resolve("t"), version=1).num_rows == 32


def test_commit_shows_what_its_writer_recorded_and_markup_stays_text(opened: Opened, stores: Stores) -> None:
    place = stores.catalog.place("foreign")
    stores.engine.write(place, pa.table({"id": [1]}), mode="append")
    log = Path(place.uri) / "_delta_log" / f"{0:020d}.json"
    actions = [json.loads(line) for line in log.read_text().splitlines()]
    long = "(x = 1) OR " * 30 + "<script>"
    for action in actions:
        if "commitInfo" in action:
            action["commitInfo"] |= {
                "operation": "DELETE",
                "operationParameters": {"predicate": '["(id = 1)"]', "other": long},
                "job": {"jobId": "71"},
                "clusterId": "=cmd()",
                "isolationLevel": "Serializable",
                "readVersion": 0,
            }
    log.write_text("\n".join(map(json.dumps, actions)))
    test = opened("tables", tables_table="foreign", tables_tab="History", tables_version="0")
    assert not test.exception
    facts = {name: value for one in test.dataframe if "Value" in one.value for name, value in one.value.values}
    assert facts["Job: jobId"] == "71"
    assert facts["Isolation level"] == "Serializable"
    assert facts["Cluster"] == "'=cmd()"
    assert facts["predicate"] == '["(id = 1)"]'
    assert [one.value for one in test.code] == [long]
