"""SQL of a person: any version of registered tables, and nothing else of this machine."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from core.delta.catalog import Catalog
from core.delta.delta_rs.engine import DeltaRsEngine
from core.delta.sql.query import run_query
from core.errors import BadQuery, FilesVacuumed, TableNotFound, VersionNotFound


@pytest.fixture(scope="module")
def engine() -> DeltaRsEngine:
    return DeltaRsEngine()


@pytest.fixture
def catalog(tmp_path: Path, engine: DeltaRsEngine) -> Catalog:
    """loans: versions 0 (ids 1, 2) and 1 (also 3); "odd-name": one row."""
    catalog = Catalog(None, tmp_path / "tables")
    loans = catalog.place("loans")
    engine.write(loans, pa.table({"id": [1, 2], "Risk": ["low", "<b>high</b>"]}), mode="append")
    engine.write(loans, pa.table({"id": [3], "Risk": ["low"]}), mode="append")
    engine.write(catalog.place("odd-name"), pa.table({"id": [1], "x": [float("nan")]}), mode="append")
    return catalog


def test_latest_version_is_read_and_said(engine: DeltaRsEngine, catalog: Catalog) -> None:
    result = run_query(engine, catalog, "SELECT count(*) AS n, max(id) FROM loans")
    assert result.rows.column("n").to_pylist() == [3]
    assert [str(version) for version in result.versions_read] == ["loans@1"]
    assert not result.truncated


def test_version_0_is_a_version(engine: DeltaRsEngine, catalog: Catalog) -> None:
    result = run_query(engine, catalog, "select id from loans version as of 0 order by id")
    assert result.rows.to_pydict() == {"id": [1, 2]}
    assert [str(version) for version in result.versions_read] == ["loans@0"]


def test_two_versions_of_one_table_are_joined(engine: DeltaRsEngine, catalog: Catalog) -> None:
    sql = """
        SELECT new.id FROM loans VERSION AS OF 1 AS new
        LEFT ANTI JOIN loans VERSION AS OF 0 AS old ON new.id = old.id
    """
    result = run_query(engine, catalog, sql)
    assert result.rows.to_pydict() == {"id": [3]}
    assert sorted(map(str, result.versions_read)) == ["loans@0", "loans@1"]


def test_version_at_a_time_is_the_newest_that_was_there(engine: DeltaRsEngine, catalog: Catalog) -> None:
    moment = engine.history(catalog.resolve("loans"))[0].timestamp
    at = (moment + timedelta(seconds=1)).isoformat()
    assert run_query(engine, catalog, f"SELECT id FROM loans TIMESTAMP AS OF '{at}'").rows.num_rows == 3
    with pytest.raises(VersionNotFound, match="loans had no version at 1999"):
        run_query(engine, catalog, "SELECT id FROM loans TIMESTAMP AS OF '1999-01-01'")


def test_with_subqueries_unions_windows_and_quoted_names_work(engine: DeltaRsEngine, catalog: Catalog) -> None:
    sql = """
        WITH first AS (SELECT id FROM loans VERSION AS OF 0), odd AS (SELECT id FROM `odd-name`)
        SELECT id, row_number() OVER (ORDER BY id) AS place FROM first
        UNION ALL SELECT id, 0 FROM odd WHERE id IN (SELECT id FROM loans)
        ORDER BY 1, 2
    """
    assert run_query(engine, catalog, sql).rows.to_pydict() == {"id": [1, 1, 2], "place": [0, 1, 2]}


def test_what_is_named_twice_is_read_whole_each_time(engine: DeltaRsEngine, catalog: Catalog) -> None:
    twice = "WITH a AS (SELECT id FROM loans) SELECT count(*) AS n FROM a AS x, a AS y"
    assert run_query(engine, catalog, twice).rows.to_pydict() == {"n": [9]}
    steps = """
        WITH RECURSIVE r AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM r JOIN loans ON loans.id = r.n)
        SELECT max(n) AS n FROM r
    """
    assert run_query(engine, catalog, steps).rows.to_pydict() == {"n": [4]}


def test_column_of_a_table_by_its_name_and_star(engine: DeltaRsEngine, catalog: Catalog) -> None:
    assert run_query(engine, catalog, "SELECT loans.risk FROM loans WHERE loans.id = 3").rows.num_rows == 1
    assert run_query(engine, catalog, "SELECT * FROM loans").columns == ("id", "Risk")


def test_more_rows_than_asked_are_cut_and_it_is_said(engine: DeltaRsEngine, catalog: Catalog) -> None:
    result = run_query(engine, catalog, "SELECT id FROM loans ORDER BY id", max_rows=2)
    assert (result.rows.to_pydict(), result.truncated) == ({"id": [1, 2]}, True)
    assert not run_query(engine, catalog, "SELECT id FROM loans", max_rows=3).truncated


def test_no_rows_keep_their_columns(engine: DeltaRsEngine, catalog: Catalog) -> None:
    result = run_query(engine, catalog, "SELECT id, Risk FROM loans WHERE false")
    assert (result.columns, result.rows.num_rows) == (("id", "Risk"), 0)


def test_at_sign_is_refused_because_it_would_be_an_alias(engine: DeltaRsEngine, catalog: Catalog) -> None:
    for sql in ("SELECT * FROM loans@v0", "SELECT * FROM loans@0", "SELECT * FROM loans @v0"):
        with pytest.raises(BadQuery, match="VERSION AS OF"):
            run_query(engine, catalog, sql)


def test_at_sign_within_text_is_text(engine: DeltaRsEngine, catalog: Catalog) -> None:
    assert run_query(engine, catalog, "SELECT 'a@b' AS mail FROM loans LIMIT 1").rows.to_pydict() == {"mail": ["a@b"]}


@pytest.mark.parametrize(
    "sql",
    [
        "",
        "   ",
        "not sql at all",
        "SELECT",
        "SELECT * FROM",
        "SELECT id FROM loans; SELECT 1",
        "DROP TABLE loans",
        "DELETE FROM loans",
        "INSERT INTO loans VALUES (4, 'x')",
        "UPDATE loans SET id = 1",
        "CREATE TABLE t AS SELECT * FROM loans",
        "SELECT * INTO other FROM loans",
        "SET lock_configuration = false",
        "PRAGMA version",
        "ATTACH '/tmp/x.db'",
        "COPY loans TO '/tmp/stolen.csv'",
        "INSTALL httpfs",
        "EXPLAIN SELECT * FROM loans",
        "SELECT nothing_there FROM loans",
        "SELECT id + 'x'::DATE FROM loans",
        "SELECT * FROM loans VERSION AS OF 1.5",
        "SELECT * FROM loans VERSION AS OF (SELECT 1)",
        "SELECT * FROM loans TIMESTAMP AS OF 'yesterday'",
    ],
)
def test_what_is_no_single_select_is_refused_in_one_sentence(engine: DeltaRsEngine, catalog: Catalog, sql: str) -> None:
    with pytest.raises(BadQuery) as caught:
        run_query(engine, catalog, sql)
    assert "\n" not in str(caught.value)
    assert "Traceback" not in str(caught.value)


@pytest.mark.parametrize(
    "source",
    [
        "'{secret}'",
        "read_csv('{secret}')",
        "read_text('{secret}')",
        "read_blob('{secret}')",
        "read_parquet('{secret}')",
        "glob('/etc/*')",
        "csv.`{secret}`",
        "`{secret}`",
        '"{secret}"',
        "text.`{secret}`",
        "delta.`{folder}`",
        "duckdb_settings()",
        "information_schema.tables",
        "duckdb_tables",
        "sqlite_master",
        "loans.loans",
        "source_0",
    ],
)
def test_nothing_but_registered_tables_can_be_read(
    engine: DeltaRsEngine, catalog: Catalog, tmp_path: Path, source: str
) -> None:
    secret = tmp_path / "secret.csv"
    secret.write_text("a,b\nhidden,1\n")
    text = source.format(secret=secret, folder=tmp_path / "tables" / "loans")
    for sql in (
        f"SELECT * FROM {text}",
        f"SELECT * FROM loans, {text}",
        f"SELECT (SELECT max(1) FROM {text}) FROM loans",
    ):
        with pytest.raises((BadQuery, TableNotFound)) as caught:
            run_query(engine, catalog, sql)
        assert "hidden" not in str(caught.value)


@pytest.mark.parametrize(
    "expression", ["getenv('HOME')", "read_text('/etc/passwd')", "current_setting('home_directory')", "pi(1)"]
)
def test_functions_reach_nothing_outside(engine: DeltaRsEngine, catalog: Catalog, expression: str) -> None:
    try:
        result = run_query(engine, catalog, f"SELECT {expression} AS x FROM loans LIMIT 1")
    except BadQuery:
        return
    assert result.rows.column("x").to_pylist() in ([None], [""])


def test_python_variables_are_no_tables(engine: DeltaRsEngine, catalog: Catalog) -> None:
    rows = pa.table({"a": [1]})
    assert rows.num_rows == 1
    for name in ("rows", "result", "connection", "pinned"):
        with pytest.raises(TableNotFound):
            run_query(engine, catalog, f"SELECT * FROM {name}")


def test_table_and_version_that_do_not_exist_are_named(engine: DeltaRsEngine, catalog: Catalog) -> None:
    with pytest.raises(TableNotFound, match="loans"):
        run_query(engine, catalog, "SELECT * FROM lones")
    with pytest.raises(VersionNotFound, match="loans has versions 0–1; version 9 was requested"):
        run_query(engine, catalog, "SELECT * FROM loans VERSION AS OF 9")


def test_version_whose_files_are_gone_is_told(engine: DeltaRsEngine, catalog: Catalog) -> None:
    loans = catalog.resolve("loans")
    for file in Path(loans.uri).glob("*.parquet"):
        file.unlink()
    with pytest.raises(FilesVacuumed, match="loans@1"):
        run_query(engine, catalog, "SELECT * FROM loans")


def test_query_that_takes_too_long_is_stopped(engine: DeltaRsEngine, catalog: Catalog) -> None:
    sql = "SELECT count(*) FROM " + ", ".join(f"loans AS l{i}" for i in range(24))
    with pytest.raises(BadQuery, match=r"longer than 0\.3 s"):
        run_query(engine, catalog, sql, timeout_s=0.3)


def test_name_of_a_with_means_the_table_within_its_own_body(engine: DeltaRsEngine, catalog: Catalog) -> None:
    older = run_query(
        engine, catalog, "WITH loans AS (SELECT * FROM loans VERSION AS OF 0) SELECT count(*) n FROM loans"
    )
    plain = run_query(engine, catalog, "SELECT count(*) AS n FROM loans VERSION AS OF 0")
    assert older.rows.to_pylist() == plain.rows.to_pylist()
    assert older.versions_read == plain.versions_read
    with_other = "WITH loans AS (SELECT 1 AS id)"
    both = f"{with_other} SELECT (SELECT max(id) FROM loans) AS a, count(*) AS n FROM loans VERSION AS OF 0"
    assert run_query(engine, catalog, both).versions_read == plain.versions_read


def test_sum_of_whole_numbers_is_a_whole_number(engine: DeltaRsEngine, catalog: Catalog) -> None:
    result = run_query(engine, catalog, "SELECT sum(id) AS total FROM loans VERSION AS OF 0")
    assert result.rows.schema.field("total").type == pa.int64()
    huge = run_query(engine, catalog, "SELECT sum(x) AS total FROM (VALUES (9223372036854775807), (1)) t(x)")
    assert str(huge.rows.column("total")[0].as_py()) == "9223372036854775808"


def test_time_of_day_is_utc_whatever_the_zone_of_the_machine(
    engine: DeltaRsEngine, catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    result = run_query(engine, catalog, "SELECT hour(to_timestamp('2026-05-17 10:11:12')) AS h")
    assert result.rows.to_pydict() == {"h": [10]}


@pytest.mark.parametrize(
    ("expression", "name"),
    [
        ("hash(id)", "hash"),
        ("typeof(id)", "typeof"),
        ("skewness(id)", "skewness"),
        ("exists(array(1), x -> x > 0)", "exists"),
        ("array_distinct(array(1, 1))", "array_distinct"),
    ],
)
def test_function_with_another_meaning_is_refused_by_name(
    engine: DeltaRsEngine, catalog: Catalog, expression: str, name: str
) -> None:
    with pytest.raises(BadQuery, match=f"function {name} is not supported"):
        run_query(engine, catalog, f"SELECT {expression} AS v FROM loans")


def test_tablesample_is_refused_by_name(engine: DeltaRsEngine, catalog: Catalog) -> None:
    with pytest.raises(BadQuery, match="TABLESAMPLE"):
        run_query(engine, catalog, "SELECT * FROM loans TABLESAMPLE (10 PERCENT)")


def test_only_named_columns_are_read(engine: DeltaRsEngine, catalog: Catalog, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[list[str]] = []
    scan = engine.scan

    def watched(table: Any, **options: Any) -> Any:
        read.append(list(options["columns"]))
        return scan(table, **options)

    monkeypatch.setattr(engine, "scan", watched)
    run_query(engine, catalog, "SELECT count(*) FROM loans WHERE ID > 0")
    assert read == [["id"]]
    read.clear()
    columns = [field.name for field in engine.snapshot(catalog.resolve("loans")).schema]
    run_query(engine, catalog, "SELECT * FROM loans")
    assert read == [columns]
