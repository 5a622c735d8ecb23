"""The query: a person's SELECT, parsed first, then run where it can reach nothing but registered tables."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import duckdb
import pyarrow as pa
from sqlglot import exp
from sqlglot.errors import ErrorLevel, UnsupportedError

from core.delta.catalog import Catalog
from core.delta.engine import DeltaEngine
from core.delta.sql.functions import translate
from core.delta.sql.parser import named_columns, parse, tables_of
from core.delta.version_at import version_at
from core.entities import Table, TableVersion
from core.errors import BadQuery, CoreError, first_line

_TIMEOUT_S = 60.0


@dataclass(frozen=True, kw_only=True)
class QueryResult:
    """*versions_read* are the pinned table versions, in the order of the query; *truncated*: there were more rows."""

    columns: tuple[str, ...]
    rows: pa.Table
    versions_read: tuple[TableVersion, ...]
    truncated: bool


def run_query(
    engine: DeltaEngine,
    catalog: Catalog,
    sql: str,
    *,
    max_rows: int = 10_000,
    timeout_s: float = _TIMEOUT_S,
    at: datetime | None = None,
) -> QueryResult:
    """One SELECT in Databricks SQL; FROM t VERSION AS OF n and TIMESTAMP AS OF 'time' read older versions.

    A table without such words is read at its newest version by the time *at*; None stands for now.

    It runs in DuckDB with no access to files, network or settings; every table is read through the engine.
    Raises BadQuery (one sentence), TableNotFound, VersionNotFound, DataUnreadable.
    """
    query = parse(sql)
    sources = tables_of(query)
    pinned = [_pin(engine, catalog, source, at) for source in sources]
    names = [f"source_{number}" for number in range(len(sources))]
    for name, source in zip(names, sources, strict=True):
        source.replace(_placed(source, name, source.alias or source.name))
    columns = {
        name: [field.name for field in engine.snapshot(table, version=version).schema]
        for name, (table, version) in zip(names, pinned, strict=True)
    }
    named = named_columns(query, columns)
    statement = _in_duckdb(query)
    failures: list[CoreError] = []
    # A recursion reads its source several times, so the source is kept. Every other source streams.
    is_kept = any(part.args.get("recursive") for part in query.find_all(exp.With))
    try:
        with duckdb.connect(":memory:", config={"enable_external_access": "false"}) as connection:
            for name, (table, version) in zip(names, pinned, strict=True):
                source_rows = _reader(engine, table, version, named[name], failures)
                connection.register(name, source_rows.read_all() if is_kept else source_rows)
            # Databricks uses UTC by default; DuckDB uses the zone of the machine.
            connection.execute("SET TimeZone = 'UTC'")
            connection.execute("SET python_enable_replacements = false")
            connection.execute("SET lock_configuration = true")
            rows = whole_numbers(_run(connection, statement, max_rows + 1, timeout_s))
    except duckdb.InterruptException as error:
        raise BadQuery(
            "The query took longer than {timeout_s:g} s and was stopped. Narrow the query.", timeout_s=timeout_s
        ) from error
    except duckdb.Error as error:
        if failures:
            raise failures[0] from error  # the table's own fault, which the database wraps into text
        raise BadQuery("The query cannot run: {reason}.", reason=first_line(error)) from error
    return QueryResult(
        columns=tuple(rows.column_names),
        rows=rows.slice(0, max_rows),
        versions_read=tuple(TableVersion(table=table.name, version=version) for table, version in pinned),
        truncated=rows.num_rows > max_rows,
    )


def _in_duckdb(query: exp.Query) -> str:
    """The query in DuckDB's dialect. Raises BadQuery for everything that DuckDB cannot express."""
    translated = translate(query)
    for select in translated.find_all(exp.Select):
        select.set("hint", None)  # hints are for Spark's planner and change no result
    try:
        return translated.sql(dialect="duckdb", unsupported_level=ErrorLevel.RAISE)
    except UnsupportedError as error:
        raise BadQuery("The query cannot run here: {reason}.", reason=first_line(error)) from error


def _pin(engine: DeltaEngine, catalog: Catalog, source: exp.Table, at: datetime | None) -> tuple[Table, int]:
    table = catalog.resolve(source.name, registered_only=True)
    asked = source.args.get("version")
    if asked is None:
        return table, engine.latest_version(table) if at is None else version_at(engine, table, at)
    literal = asked.expression
    if not isinstance(literal, exp.Literal) or str(asked.args.get("kind")).upper() != "AS OF":
        raise BadQuery("Write VERSION AS OF 3 or TIMESTAMP AS OF '2026-01-31'.")
    if asked.name.upper() == "TIMESTAMP":
        return table, version_at(engine, table, _time(literal.name), shown=literal.name)
    if not literal.name.isdigit():
        raise BadQuery("{text} is not a version. Write VERSION AS OF with a whole number.", text=repr(literal.name))
    version = int(literal.name)
    engine.snapshot(table, version=version)
    return table, version


def _time(text: str) -> datetime:
    """A time without a zone is in UTC."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise BadQuery(
            "{text} is not a time. Write TIMESTAMP AS OF '2026-01-31' or '2026-01-31T12:00:00'.", text=repr(text)
        ) from error
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _placed(source: exp.Table, name: str, alias: str) -> exp.Table:
    """The same source under a name of ours, which is all that the database knows."""
    placed = source.copy()
    placed.set("this", exp.to_identifier(name))
    placed.set("version", None)
    if not source.args.get("alias"):
        placed.set("alias", exp.TableAlias(this=exp.to_identifier(alias, quoted=True)))
    return placed


def _reader(
    engine: DeltaEngine, table: Table, version: int, columns: Sequence[str], failures: list[CoreError]
) -> pa.RecordBatchReader:
    schema = engine.read(table, version=version, columns=columns, limit=0).schema

    def batches() -> Iterator[pa.RecordBatch]:
        try:
            for batch in engine.scan(table, version=version, columns=columns):
                yield batch.select(schema.names).cast(schema)
        except CoreError as error:
            failures.append(error)
            raise

    return pa.RecordBatchReader.from_batches(schema, batches())


def whole_numbers(rows: pa.Table) -> pa.Table:
    """Sums of whole numbers as 64-bit integers where they fit: DuckDB returns them as decimals of 38 digits."""
    for position, field in enumerate(rows.schema):
        if field.type == pa.decimal128(38, 0):
            with contextlib.suppress(pa.ArrowInvalid):
                column = rows.column(position).cast(pa.int64())
                rows = rows.set_column(position, pa.field(field.name, pa.int64()), column)
    return rows


def _run(connection: Any, sql: str, most: int, timeout_s: float) -> pa.Table:
    timer = threading.Timer(timeout_s, connection.interrupt)
    timer.start()
    try:
        query = f"SELECT * FROM ({sql}) LIMIT {most}"  # noqa: S608 -- one parsed SELECT in a locked database
        found = connection.sql(query).to_arrow_table()
    finally:
        timer.cancel()
    return found
