"""Browse tables: lists, histories, versions and differences, and a message for each way to lose a version."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

from core.delta.catalog import Catalog
from core.entities import Actor, Readability, Table
from core.errors import BadInput, BadQuery, ColumnNotFound, FilesVacuumed, LogCorrupt, TableNotFound, VersionNotFound
from core.features.data.browse import compare_versions, list_tables, query, show_version, table_history, table_snapshots
from core.features.stores import Stores


@pytest.fixture
def loans(stores: Stores) -> Table:
    """0: ids 1, 2; 1: also 3; 2: id 2 with another amount and a new column, 3 gone, 4 new."""
    table = stores.catalog.place("loans")
    stores.engine.write(table, pa.table({"id": [1, 2], "amount": [1.0, 2.0]}), mode="append")
    stores.engine.write(table, pa.table({"id": [3], "amount": [3.0]}), mode="append")
    changed = pa.table({"id": [1, 2, 4], "amount": [1.0, 2.5, 4.0], "risk": ["low", None, "high"]})
    stores.engine.write(table, changed, mode="overwrite")
    return table


def test_no_tables_is_an_empty_list(stores: Stores, auditor: Actor) -> None:
    assert list_tables(stores, auditor) == ()


def test_tables_are_listed_by_name_with_latest_version_and_rows(stores: Stores, auditor: Actor, loans: Table) -> None:
    stores.engine.write(stores.catalog.place("audits"), pa.table({"id": [1]}), mode="append")
    found = list_tables(stores, auditor)
    assert [(t.name, t.version, t.rows, t.problem) for t in found] == [("audits", 0, 1, None), ("loans", 2, 3, None)]


def test_table_that_cannot_be_opened_says_why_and_hides_no_other(stores: Stores, auditor: Actor, loans: Table) -> None:
    broken = stores.catalog.place("broken")
    stores.engine.write(broken, pa.table({"id": [1]}), mode="append")
    (Path(broken.uri) / "_delta_log" / f"{0:020d}.json").write_bytes(b"")
    empty, fine = list_tables(stores, auditor)
    assert (fine.name, fine.problem) == ("loans", None)
    assert (empty.name, empty.version, empty.rows) == ("broken", None, None)
    assert "00000000000000000000.json is empty" in (empty.problem or "")
    with pytest.raises(LogCorrupt):
        show_version(stores, auditor, "broken")


def test_history_and_snapshots_are_newest_first(stores: Stores, auditor: Actor, loans: Table) -> None:
    assert [c.version for c in table_history(stores, auditor, "loans")] == [2, 1, 0]
    assert [c.version for c in table_history(stores, auditor, "loans", limit=1)] == [2]
    assert [(s.version, s.rows) for s in table_snapshots(stores, auditor, "loans")] == [(2, 3), (1, 3), (0, 2)]


def test_version_0_is_shown_as_it_was(stores: Stores, auditor: Actor, loans: Table) -> None:
    view = show_version(stores, auditor, "loans", 0)
    assert (view.snapshot.version, view.snapshot.rows) == (0, 2)
    assert [field.name for field in view.snapshot.schema] == ["id", "amount"]
    assert view.verdict.is_readable
    assert view.sample is not None
    assert sorted(view.sample.column("id").to_pylist()) == [1, 2]


def test_rows_are_shown_page_by_page(stores: Stores, auditor: Actor, loans: Table) -> None:
    pages = [show_version(stores, auditor, "loans", rows=2, offset=at).sample for at in (0, 2, 4)]
    assert [page.num_rows for page in pages if page is not None] == [2, 1, 0]


def test_version_whose_files_are_gone_is_shown_without_rows(stores: Stores, auditor: Actor, loans: Table) -> None:
    for file in Path(loans.uri).glob("*.parquet"):
        file.unlink()
    view = show_version(stores, auditor, "loans", 0)
    assert view.verdict.verdict is Readability.FILES_VACUUMED
    assert view.sample is None
    assert view.snapshot.rows == 2
    for key in (None, "id"):
        with pytest.raises(FilesVacuumed, match="loans@"):
            compare_versions(stores, auditor, "loans", 0, 1, key=key)


def test_table_and_version_that_do_not_exist_are_named(stores: Stores, auditor: Actor, loans: Table) -> None:
    for ask in (table_history, show_version, table_snapshots):
        with pytest.raises(TableNotFound, match=r"no table 'lones'.*loans"):
            ask(stores, auditor, "lones")
    with pytest.raises(VersionNotFound, match="loans has versions 0–2; version 9 was requested"):
        show_version(stores, auditor, "loans", 9)
    with pytest.raises(VersionNotFound):
        compare_versions(stores, auditor, "loans", 0, 9)


def test_versions_are_compared_row_by_row_with_a_key(stores: Stores, auditor: Actor, loans: Table) -> None:
    found = compare_versions(stores, auditor, "loans", 1, 2, key="id")
    assert (found.rows_added, found.rows_removed, found.rows_changed) == (1, 1, 1)
    assert [field.name for field in found.fields_added] == ["risk"]
    assert (found.fields_removed, found.fields_changed) == ((), ())


def test_without_a_key_a_changed_row_is_one_added_and_one_removed(stores: Stores, auditor: Actor, loans: Table) -> None:
    found = compare_versions(stores, auditor, "loans", 1, 2)
    assert (found.rows_added, found.rows_removed, found.rows_changed) == (2, 2, None)
    back = compare_versions(stores, auditor, "loans", 2, 1)
    assert [field.name for field in back.fields_removed] == ["risk"]


def test_a_version_has_no_differences_from_itself(stores: Stores, auditor: Actor, loans: Table) -> None:
    found = compare_versions(stores, auditor, "loans", 2, 2, key="id")
    assert (found.rows_added, found.rows_removed, found.rows_changed, found.fields_added) == (0, 0, 0, ())


def test_copies_and_nulls_and_not_a_number_count_as_rows(stores: Stores, auditor: Actor) -> None:
    table = stores.catalog.place("odd")
    nan = float("nan")
    stores.engine.write(table, pa.table({"x": pa.array([1.0, 1.0, nan, None])}), mode="append")
    stores.engine.write(table, pa.table({"x": pa.array([1.0, nan, nan, None])}), mode="overwrite")
    found = compare_versions(stores, auditor, "odd", 0, 1)
    assert (found.rows_added, found.rows_removed) == (1, 1)


def test_changed_type_is_named_and_key_must_be_a_column_that_names_a_row(
    stores: Stores, auditor: Actor, loans: Table
) -> None:
    stores.engine.write(loans, pa.table({"id": ["1", "1"], "amount": [1, 2]}), mode="overwrite")
    found = compare_versions(stores, auditor, "loans", 2, 3)
    assert [(c.name, c.before, c.after) for c in found.fields_changed] == [
        ("id", "long", "string"),
        ("amount", "double", "long"),
    ]
    with pytest.raises(ColumnNotFound, match="does not have the column 'nr'"):
        compare_versions(stores, auditor, "loans", 0, 1, key="nr")
    with pytest.raises(BadInput, match="'id' does not identify the rows"):
        compare_versions(stores, auditor, "loans", 2, 3, key="id")


def test_query_reads_any_version_and_refuses_the_rest(stores: Stores, auditor: Actor, loans: Table) -> None:
    result = query(stores, auditor, "SELECT count(*) AS n FROM loans VERSION AS OF 0")
    assert result.rows.to_pydict() == {"n": [2]}
    with pytest.raises(BadQuery):
        query(stores, auditor, "DROP TABLE loans")


def test_names_with_quotes_and_markup_in_columns_are_only_names(stores: Stores, auditor: Actor) -> None:
    table = stores.catalog.place("odd")
    data = pa.table({"o'brien": [1], '<b>"x"</b>': ["é"], "a b": [None], "🙂": [True]})
    data = data.set_column(2, "a b", pa.array([1.5]))
    stores.engine.write(table, data, mode="append")
    view = show_version(stores, auditor, "odd")
    assert view.sample is not None
    assert view.sample.to_pydict() == data.to_pydict()
    assert compare_versions(stores, auditor, "odd", 0, 0, key='<b>"x"</b>').rows_changed == 0


def test_registered_place_without_a_table_says_so(stores: Stores, auditor: Actor, tmp_path: Path) -> None:
    from dataclasses import replace

    nowhere = replace(stores, catalog=Catalog(f"gone={tmp_path / 'gone'}", tmp_path))
    (listed,) = list_tables(nowhere, auditor)
    assert listed.version is None
    assert "no Delta table" in (listed.problem or "")
