"""Ingest: the preview shows the result of the save, every save is recorded, and bad input changes nothing."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from core.entities import Actor, Outcome
from core.errors import BadFile, BadName, CommitConflict, Forbidden, LogCorrupt, SchemaMismatch
from core.features.data.browse import show_version, table_history
from core.features.data.file_formats.csv_format import CsvFormat
from core.features.data.ingest import IngestResult, ingest_data, ingest_file, preview_file
from core.features.stores import Stores

LOANS = "id,amount,risk\n1,10.5,low\n2,20,<b>high</b>\n"


def csv(folder: Path, text: str | bytes, name: str = "loans.csv") -> Path:
    path = folder / name
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def save(stores: Stores, actor: Actor, path: Path, **options: object) -> IngestResult:
    return ingest_file(stores, actor, table="loans", path=path, name=path.name, **options)  # type: ignore[arg-type]


def rows_of(stores: Stores, table: str = "loans") -> list[dict[str, object]]:
    found = stores.engine.read(stores.catalog.resolve(table)).to_pylist()
    return sorted(found, key=lambda row: str(row["id"]))


def test_file_becomes_version_0_of_a_new_table_and_version_1_when_appended(
    stores: Stores, scientist: Actor, tmp_path: Path
) -> None:
    first = save(stores, scientist, csv(tmp_path, LOANS))
    assert (first.table, first.version, first.rows_added) == ("loans", 0, 2)
    second = save(stores, scientist, csv(tmp_path, "risk,id,amount\nlow,3,7\n"))
    assert (second.version, second.rows_added) == (1, 1)
    assert rows_of(stores) == [
        {"id": 1, "amount": 10.5, "risk": "low"},
        {"id": 2, "amount": 20.0, "risk": "<b>high</b>"},
        {"id": 3, "amount": 7.0, "risk": "low"},
    ]


def test_overwrite_replaces_rows_and_schema_and_keeps_the_old_version(
    stores: Stores, scientist: Actor, tmp_path: Path
) -> None:
    save(stores, scientist, csv(tmp_path, LOANS))
    result = save(stores, scientist, csv(tmp_path, "id,score\n9,1\n"), mode="overwrite")
    assert result.version == 1
    assert rows_of(stores) == [{"id": 9, "score": 1}]
    assert show_version(stores, scientist, "loans", 0).snapshot.rows == 2


def test_parquet_is_ingested_too(stores: Stores, scientist: Actor, tmp_path: Path) -> None:
    path = tmp_path / "p.parquet"
    pq.write_table(pa.table({"id": pa.array([1, 2], pa.uint8()), "x": pa.array(["a", "a"]).dictionary_encode()}), path)
    save(stores, scientist, path)
    assert rows_of(stores) == [{"id": 1, "x": "a"}, {"id": 2, "x": "a"}]


def test_an_ingest_is_recorded_before_and_after_with_actor_reason_and_rows(
    stores: Stores, scientist: Actor, tmp_path: Path
) -> None:
    path = csv(tmp_path, LOANS)
    save(stores, scientist, path, reason="month end")
    done, intent = stores.audit.search(action="data.ingest")
    assert (intent.outcome, done.outcome) == (Outcome.INTENT, Outcome.SUCCESS)
    assert (done.actor, done.subject, done.reason) == ("scientist", "loans@0", "month end")
    assert intent.operation == done.operation
    assert done.after["rows_added"] == 2
    assert done.after["file_sha256"] == hashlib.sha256(LOANS.encode()).hexdigest()
    (commit,) = table_history(stores, scientist, "loans")
    assert commit.metadata["modelledger.actor"] == "scientist"
    assert commit.metadata["modelledger.operation"] == done.operation
    assert commit.metadata["modelledger.source"] == "loans.csv"


@pytest.mark.parametrize("role", ["auditor", "manager", "admin"])
def test_roles_that_may_not_ingest_are_refused_and_the_refusal_is_recorded(
    stores: Stores, request: pytest.FixtureRequest, tmp_path: Path, role: str
) -> None:
    actor = request.getfixturevalue(role)
    with pytest.raises(Forbidden):
        save(stores, actor, csv(tmp_path, LOANS))
    with pytest.raises(Forbidden):
        preview_file(stores, actor, table="loans", path=csv(tmp_path, LOANS), name="loans.csv")
    assert not stores.catalog.tables()
    assert {event.outcome for event in stores.audit.search(action="data.ingest")} == {Outcome.DENIED}


def test_preview_shows_columns_and_rows_and_writes_nothing(stores: Stores, scientist: Actor, tmp_path: Path) -> None:
    preview = preview_file(stores, scientist, table="loans", path=csv(tmp_path, LOANS), name="loans.csv")
    assert (preview.table, preview.version, preview.rows, preview.fits) == ("loans", None, 2, True)
    assert [(column.name, column.file_type) for column in preview.columns] == [
        ("id", "int64"),
        ("amount", "double"),
        ("risk", "string"),
    ]
    assert preview.sample.num_rows == 2
    assert not stores.catalog.tables()


def test_preview_names_every_column_that_does_not_fit(stores: Stores, scientist: Actor, tmp_path: Path) -> None:
    save(stores, scientist, csv(tmp_path, LOANS))
    other = csv(tmp_path, "id,amount,colour\none,2,red\n", "other.csv")
    preview = preview_file(stores, scientist, table="loans", path=other, name="other.csv")
    assert preview.version == 0
    assert not preview.fits
    notes = " ".join(preview.problems)
    assert "id: does not fit" in notes
    assert "colour: the table has no such column" in notes
    with pytest.raises(SchemaMismatch, match=r"does not fit loans: id .*colour") as caught:
        save(stores, scientist, other)
    assert "\n" not in str(caught.value)
    assert stores.engine.latest_version(stores.catalog.resolve("loans")) == 0
    assert preview_file(stores, scientist, table="loans", path=other, name="other.csv", mode="overwrite").fits, (
        "overwriting may change the schema"
    )


def test_fraction_for_a_whole_number_does_not_fit(stores: Stores, scientist: Actor, tmp_path: Path) -> None:
    """deltalake of itself would store 1.5 as 1."""
    save(stores, scientist, csv(tmp_path, "id,n\n1,1\n"))
    with pytest.raises(SchemaMismatch, match="n "):
        save(stores, scientist, csv(tmp_path, "id,n\n2,1.5\n"))
    save(stores, scientist, csv(tmp_path, "id,n\n2,3.0\n"))
    assert rows_of(stores) == [{"id": 1, "n": 1}, {"id": 2, "n": 3}]


def test_a_text_column_keeps_text_that_looks_like_a_number(stores: Stores, scientist: Actor, tmp_path: Path) -> None:
    save(stores, scientist, csv(tmp_path, "id,code\n1,A1\n"))
    save(stores, scientist, csv(tmp_path, "id,code\n2,1.50\n"))
    assert [row["code"] for row in rows_of(stores)] == ["A1", "1.50"]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\n\n",
        b"id,amount,risk\n",
        b"id,risk\n1,\x81\n",
        b"id,id\n1,2\n",
        b"id,risk\n1\n",
        b"PAR1xx",
    ],
)
def test_bad_file_is_refused_in_a_sentence_and_recorded_as_failed(
    stores: Stores, scientist: Actor, tmp_path: Path, content: bytes
) -> None:
    save(stores, scientist, csv(tmp_path, LOANS))
    with pytest.raises(BadFile, match=r"^bad\.csv ") as caught:
        save(stores, scientist, csv(tmp_path, content, "bad.csv"))
    assert "\n" not in str(caught.value)
    assert len(rows_of(stores)) == 2
    failed = stores.audit.search(action="data.ingest")[0]
    assert (failed.outcome, failed.reason) == (Outcome.FAILED, str(caught.value))


@pytest.mark.parametrize("name", ["", "../evil", "a b", "1st", "x" * 200, "<b>", "a/b"])
def test_an_invalid_table_name_is_refused(stores: Stores, scientist: Actor, tmp_path: Path, name: str) -> None:
    path = csv(tmp_path, LOANS)
    with pytest.raises(BadName):
        ingest_file(stores, scientist, table=name, path=path, name="loans.csv")
    with pytest.raises(BadName):
        preview_file(stores, scientist, table=name, path=path, name="loans.csv")
    assert not stores.catalog.tables()


def test_a_newer_version_since_the_preview_is_a_conflict(stores: Stores, scientist: Actor, tmp_path: Path) -> None:
    path = csv(tmp_path, LOANS)
    save(stores, scientist, path, expected_version=-1)
    with pytest.raises(CommitConflict):
        save(stores, scientist, path, expected_version=-1)
    save(stores, scientist, path, expected_version=0)
    with pytest.raises(CommitConflict, match="is now at version 1"):
        save(stores, scientist, path, mode="overwrite", expected_version=0)
    assert len(rows_of(stores)) == 4


def test_a_table_with_a_corrupt_log_accepts_no_rows(stores: Stores, scientist: Actor, tmp_path: Path) -> None:
    save(stores, scientist, csv(tmp_path, LOANS))
    log = Path(stores.catalog.resolve("loans").uri) / "_delta_log" / f"{0:020d}.json"
    log.write_text("{")
    with pytest.raises(LogCorrupt, match=log.name):
        save(stores, scientist, csv(tmp_path, LOANS))


def test_rows_in_memory_are_saved_and_recorded_alike(stores: Stores, scientist: Actor) -> None:
    result = ingest_data(
        stores, scientist, table="loans", data=pa.table({"id": [1]}), source="sensor 7", reason="first"
    )
    assert (result.version, result.rows_added) == (0, 1)
    event = stores.audit.search(action="data.ingest")[0]
    assert (event.outcome, event.subject, event.after["source"]) == (Outcome.SUCCESS, "loans@0", "sensor 7")


PAYMENTS = "id,amount,country\n" + "".join(f"{n},{n * 10},{('ES', 'FR')[n % 2]}\n" for n in range(1, 31))


def warned(stores: Stores, actor: Actor, path: Path, **options: object) -> list[tuple[str, str | None]]:
    preview = preview_file(stores, actor, table="loans", path=path, name=path.name, **options)  # type: ignore[arg-type]
    assert preview.fits
    return [(warning.kind, warning.column) for warning in preview.warnings]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("id,amount,country\n31,310,ES\n", []),
        ("id,amount,country\n31,310,DE\n", [("new_values", "country")]),
        ("id,amount,country\n31,99000,ES\n32,-5000,FR\n", [("out_of_range", "amount")]),
        ("id,amount,country\n31,,ES\n", [("new_nulls", "amount")]),
        ("id,amount,country\n31,5,ES\n31,5,ES\n", [("repeated_rows", None)]),
        ("id,amount,country\n3,30,FR\n31,5,ES\n", [("rows_in_table", None)]),
        ("id,country\n31,ES\n", [("missing_column", "amount")]),
    ],
)
def test_check_before_saving_warns_and_blocks_nothing(
    stores: Stores, scientist: Actor, tmp_path: Path, content: str, expected: list[tuple[str, str | None]]
) -> None:
    save(stores, scientist, csv(tmp_path, PAYMENTS), new=True)
    more = csv(tmp_path, content, "more.csv")
    assert warned(stores, scientist, more) == expected
    result = save(stores, scientist, more)
    assert [(warning.kind, warning.column) for warning in result.warnings] == expected
    kept = stores.audit.search(action="data.ingest")[0].after.get("warnings", [])
    assert kept == [str(warning) for warning in result.warnings], "an auditor sees what was known"


def test_rows_that_do_not_fit_or_are_overwritten_are_not_looked_for_in_the_table(
    stores: Stores, scientist: Actor, tmp_path: Path
) -> None:
    save(stores, scientist, csv(tmp_path, PAYMENTS), new=True)
    assert warned(stores, scientist, csv(tmp_path, PAYMENTS, "same.csv"), mode="overwrite") == []
    other = csv(tmp_path, "id,amount,country\nx,10,FR\n", "other.csv")
    preview = preview_file(stores, scientist, table="loans", path=other, name="other.csv")
    assert (preview.columns[0].name, preview.columns[0].fits) == ("id", False)
    assert preview.warnings == ()


def test_strict_refuses_warnings_and_writes_nothing(stores: Stores, scientist: Actor, tmp_path: Path) -> None:
    save(stores, scientist, csv(tmp_path, PAYMENTS), strict=True, new=True)
    with pytest.raises(BadFile, match=r"country: 1 new value: 'DE'.*--strict"):
        save(stores, scientist, csv(tmp_path, "id,amount,country\n31,310,DE\n", "more.csv"), strict=True)
    assert stores.engine.latest_version(stores.catalog.resolve("loans")) == 0
    save(stores, scientist, csv(tmp_path, "id,amount,country\n31,310,ES\n", "more.csv"), strict=True)


def test_missing_column_is_a_warning_where_it_becomes_null(stores: Stores, scientist: Actor, tmp_path: Path) -> None:
    save(stores, scientist, csv(tmp_path, LOANS))
    without = csv(tmp_path, "id,amount\n3,7\n")
    preview = preview_file(stores, scientist, table="loans", path=without, name="loans.csv")
    (missing,) = [column for column in preview.columns if column.file_type is None]
    assert (missing.name, missing.fits, missing.warning) == ("risk", True, "missing_column")
    assert "null" in missing.note


def test_overwrite_keeps_the_tables_types_and_warns_of_what_it_changes(
    stores: Stores, scientist: Actor, tmp_path: Path
) -> None:
    save(stores, scientist, csv(tmp_path, "id,code,n,x\n1,A1,1,1.5\n"))
    path = csv(tmp_path, "id,code,n\n1,1.50,1.5\n")
    assert warned(stores, scientist, path, mode="overwrite") == [
        ("text", "n"),
        ("missing_column", "x"),
        ("new_values", "code"),
    ]
    save(stores, scientist, path, mode="overwrite")
    assert rows_of(stores) == [{"id": 1, "code": "1.50", "n": 1.5}]


def test_text_in_a_number_column_is_refused_with_line_and_way_out(
    stores: Stores, scientist: Actor, tmp_path: Path
) -> None:
    save(stores, scientist, csv(tmp_path, LOANS))
    path = csv(tmp_path, "id,amount,risk\n3,1,low\n4,NA,low\n")
    with pytest.raises(
        SchemaMismatch, match=r"amount \(does not fit: line 3: 'NA' is not double; treat NA as null\?\)"
    ):
        save(stores, scientist, path)
    save(stores, scientist, path, chosen=CsvFormat(nulls=("NA",)))
    assert [row["amount"] for row in rows_of(stores)] == [10.5, 20.0, 1.0, None]


def test_wrong_number_or_date_is_not_suggested_as_null(stores: Stores, scientist: Actor, tmp_path: Path) -> None:
    path = csv(tmp_path, 'd,n\n31/02/2026,1.5\n25/12/2026,2.5\n24/12/2026,"3,5"\n')
    preview = preview_file(stores, scientist, table="loans", path=path, name="loans.csv", new=True)
    assert [(column.name, column.note) for column in preview.columns] == [
        ("d", "text because of '31/02/2026' in line 2"),
        ("n", "text because of '3,5' in line 4"),
    ]


def test_new_table_must_not_exist_and_is_a_warning_if_nobody_said_new(
    stores: Stores, scientist: Actor, tmp_path: Path
) -> None:
    path = csv(tmp_path, LOANS)
    assert warned(stores, scientist, path) == [("new_table", None)]
    assert warned(stores, scientist, path, new=True) == []
    save(stores, scientist, path, new=True)
    with pytest.raises(CommitConflict, match=r"loans exists and is at version 0; nothing was written"):
        save(stores, scientist, path, new=True)
    with pytest.raises(CommitConflict):
        preview_file(stores, scientist, table="loans", path=path, name="loans.csv", new=True)


def test_table_whose_files_are_gone_is_not_compared_and_takes_rows(
    stores: Stores, scientist: Actor, tmp_path: Path
) -> None:
    save(stores, scientist, csv(tmp_path, LOANS))
    for file in Path(stores.catalog.resolve("loans").uri).glob("*.parquet"):
        file.unlink()
    assert warned(stores, scientist, csv(tmp_path, "id,amount,risk\n3,1,low\n")) == [("not_compared", None)]
    assert save(stores, scientist, csv(tmp_path, "id,amount,risk\n3,1,low\n")).version == 1


def test_keys_and_names_are_no_categories(stores: Stores, scientist: Actor, tmp_path: Path) -> None:
    save(stores, scientist, csv(tmp_path, "name\n" + "".join(f"n{n}\n" for n in range(100))), new=True)
    assert warned(stores, scientist, csv(tmp_path, "name\nn100\n")) == []


def test_format_that_was_used_is_kept_in_the_audit_log(stores: Stores, scientist: Actor, tmp_path: Path) -> None:
    path = csv(tmp_path, "Código;Importe\r\n1;1.234,5\r\n".encode("cp1252"))
    result = ingest_file(stores, scientist, table="ventas", path=path, name="ventas.csv")
    assert stores.engine.read(stores.catalog.resolve("ventas")).to_pylist() == [{"Código": 1, "Importe": 1234.5}]
    assert result.format == CsvFormat(encoding="windows-1252", delimiter=";", quote='"', decimal=",", header=True)
    assert stores.audit.search(action="data.ingest")[0].after["format"]["encoding"] == "windows-1252"
