"""SQL of a person over registered tables at any version: parsed first, then run where nothing else can be reached."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import duckdb
import pyarrow as pa
import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError
from sqlglot.tokenizer_core import TokenType

from core.delta.catalog import Catalog
from core.delta.engine import DeltaEngine
from core.entities import Table, TableVersion
from core.errors import BadQuery, CoreError, VersionNotFound, first_line

_DIALECT = "databricks"
_TIMEOUT_S = 60.0


@dataclass(frozen=True, kw_only=True)
class QueryResult:
    """*versions_read* are the pinned table versions, in the order of the query; *truncated*: there were more rows."""

    columns: tuple[str, ...]
    rows: pa.Table
    versions_read: tuple[TableVersion, ...]
    truncated: bool


def run_query(
    engine: DeltaEngine, catalog: Catalog, sql: str, *, max_rows: int = 10_000, timeout_s: float = _TIMEOUT_S
) -> QueryResult:
    """One SELECT in Databricks SQL; FROM t VERSION AS OF n and TIMESTAMP AS OF 'time' read older versions.

    It runs in DuckDB with no access to files, network or settings; every table is read through the engine.
    Raises BadQuery (one sentence), TableNotFound, VersionNotFound, DataUnreadable.
    """
    query = _parsed(sql)
    sources = _sources(query)
    pinned = [_pin(engine, catalog, source) for source in sources]
    for number, source in enumerate(sources):
        alias = source.alias or source.name
        source.replace(_placed(source, f"source_{number}", alias))
    failures: list[CoreError] = []
    # What a recursion asks for again and again has to be kept; everything else streams by.
    is_kept = any(part.args.get("recursive") for part in query.find_all(exp.With))
    try:
        with duckdb.connect(":memory:", config={"enable_external_access": "false"}) as connection:
            for number, (table, version) in enumerate(pinned):
                source_rows = _reader(engine, table, version, failures)
                connection.register(f"source_{number}", source_rows.read_all() if is_kept else source_rows)
            connection.execute("SET python_enable_replacements = false")
            connection.execute("SET lock_configuration = true")
            rows = _run(connection, query.sql(dialect="duckdb"), max_rows + 1, timeout_s)
    except duckdb.InterruptException as error:
        raise BadQuery(f"The query took longer than {timeout_s:g} s and was stopped; narrow it.") from error
    except duckdb.Error as error:
        if failures:
            raise failures[0] from error  # the table's own fault, which the database wraps into text
        raise BadQuery(f"The query cannot be run: {first_line(error)}.") from error
    return QueryResult(
        columns=tuple(rows.column_names),
        rows=rows.slice(0, max_rows),
        versions_read=tuple(TableVersion(table=table.name, version=version) for table, version in pinned),
        truncated=rows.num_rows > max_rows,
    )


def _parsed(sql: str) -> exp.Query:
    try:
        tokens = sqlglot.tokenize(sql, read=_DIALECT)
        statements = [one for one in sqlglot.parse(sql, read=_DIALECT) if one is not None]
    except SqlglotError as error:
        raise BadQuery(f"This is no SQL that can be read: {first_line(error)}.") from error
    if any(token.token_type is TokenType.PARAMETER for token in tokens):
        # t@v3 would be read as an alias and silently give the latest version.
        raise BadQuery("@ has no meaning here; write FROM table VERSION AS OF 3 for an older version.")
    if len(statements) != 1 or not isinstance(statements[0], exp.Query):
        raise BadQuery("Write one SELECT statement; nothing else is run here.")
    query = statements[0]
    forbidden = query.find(exp.Into, exp.Command, exp.Insert, exp.Update, exp.Delete, exp.Create, exp.Drop)
    if forbidden is not None:
        raise BadQuery("Write one SELECT statement; nothing else is run here.")
    return query


def _sources(query: exp.Query) -> list[exp.Table]:
    """Tables that are not names of a WITH, in the order of the text. Raises BadQuery for anything else after FROM."""
    local = {cte.alias.lower() for cte in query.find_all(exp.CTE)}
    found = []
    for table in query.find_all(exp.Table, bfs=False):
        if not isinstance(table.this, exp.Identifier):
            raise BadQuery("Table functions are not run here; name a registered table after FROM.")
        if table.db or table.catalog:
            raise BadQuery(f"{table.sql(dialect=_DIALECT)}: name a registered table, without a schema or a path.")
        if table.name.lower() in local:
            if table.args.get("version") is not None:
                raise BadQuery(f"{table.name} is a name of WITH; only a table has versions.")
            continue
        found.append(table)
    return found


def _pin(engine: DeltaEngine, catalog: Catalog, source: exp.Table) -> tuple[Table, int]:
    table = catalog.resolve(source.name, registered_only=True)
    asked = source.args.get("version")
    if asked is None:
        return table, engine.latest_version(table)
    literal = asked.expression
    if not isinstance(literal, exp.Literal) or str(asked.args.get("kind")).upper() != "AS OF":
        raise BadQuery("Write VERSION AS OF 3 or TIMESTAMP AS OF '2026-01-31'.")
    if asked.name.upper() == "TIMESTAMP":
        return table, _version_at(engine, table, literal.name)
    if not literal.name.isdigit():
        raise BadQuery(f"{literal.name!r} is no version; write VERSION AS OF with a whole number.")
    version = int(literal.name)
    engine.snapshot(table, version=version)
    return table, version


def _version_at(engine: DeltaEngine, table: Table, text: str) -> int:
    """The newest version that was there at a time; a time without a zone is UTC."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise BadQuery(f"{text!r} is no time; write TIMESTAMP AS OF '2026-01-31' or '2026-01-31T12:00:00'.") from error
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    commits = engine.history(table)
    versions = [commit.version for commit in commits if commit.timestamp <= moment]
    if not versions:
        oldest = min(commit.timestamp for commit in commits)
        raise VersionNotFound(
            f"{table.name} had no version at {text}; its oldest known one is of {oldest:%Y-%m-%d %H:%M:%S} UTC.",
            table=table.name,
        )
    return max(versions)


def _placed(source: exp.Table, name: str, alias: str) -> exp.Table:
    """The same source under a name of ours, which is all that the database knows."""
    placed = source.copy()
    placed.set("this", exp.to_identifier(name))
    placed.set("version", None)
    if not source.args.get("alias"):
        placed.set("alias", exp.TableAlias(this=exp.to_identifier(alias, quoted=True)))
    return placed


def _reader(engine: DeltaEngine, table: Table, version: int, failures: list[CoreError]) -> pa.RecordBatchReader:
    schema = engine.read(table, version=version, limit=0).schema

    def batches() -> Iterator[pa.RecordBatch]:
        try:
            for batch in engine.scan(table, version=version):
                yield batch.cast(schema)
        except CoreError as error:
            failures.append(error)
            raise

    return pa.RecordBatchReader.from_batches(schema, batches())


def _run(connection: Any, sql: str, most: int, timeout_s: float) -> pa.Table:
    timer = threading.Timer(timeout_s, connection.interrupt)
    timer.start()
    try:
        query = f"SELECT * FROM ({sql}) LIMIT {most}"  # noqa: S608 -- one parsed SELECT in a locked database
        found = connection.sql(query).to_arrow_table()
    finally:
        timer.cancel()
    return found
