"""Compare two versions of a table: columns by their schemas, rows by every value."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import duckdb
import pyarrow as pa

from core.delta.engine import DeltaEngine
from core.entities import Field, FieldChange, Table, TableDiff
from core.errors import BadInput, ColumnNotFound, CoreError, EngineFailed, first_line
from core.identifiers import quote_ansi


def diff_versions(engine: DeltaEngine, table: Table, before: int, after: int, *, key: str | None = None) -> TableDiff:
    """Compare the columns of both versions, and the rows in the columns that both versions have.

    Without *key* a changed row counts as one row removed and one row added.

    Raises:
        VersionNotFound: the table does not have one of the versions.
        ColumnNotFound: one of the versions has no column *key*.
        BadInput: several rows have the same value of *key*.
        DataUnreadable: the rows of one version cannot be read.
    """
    first, second = engine.snapshot(table, version=before), engine.snapshot(table, version=after)
    old, new = {f.name: f for f in first.schema}, {f.name: f for f in second.schema}
    shared = [name for name in old if name in new]
    if key is not None and key not in shared:
        raise ColumnNotFound(
            "{table} does not have the column {column!r} in both versions. Both have: {columns}.",
            table=table.name,
            column=key,
            columns=", ".join(shared),
        )
    added, removed, changed = _rows(engine, table, before, after, shared, key)
    return TableDiff(
        table=table.name,
        before=before,
        after=after,
        fields_added=_only(new, old),
        fields_removed=_only(old, new),
        fields_changed=tuple(
            FieldChange(name=name, before=_described(old[name]), after=_described(new[name]))
            for name in shared
            if _described(old[name]) != _described(new[name])
        ),
        rows_added=added,
        rows_removed=removed,
        rows_changed=changed,
    )


def _only(these: dict[str, Field], those: dict[str, Field]) -> tuple[Field, ...]:
    return tuple(field for name, field in these.items() if name not in those)


def _described(field: Field) -> str:
    return field.type if field.nullable else f"{field.type} not null"


def _rows(
    engine: DeltaEngine, table: Table, before: int, after: int, shared: Sequence[str], key: str | None
) -> tuple[int, int, int | None]:
    if not shared:
        return engine.count(table, version=after), engine.count(table, version=before), None
    failures: list[CoreError] = []
    try:
        with duckdb.connect(":memory:") as connection:
            for name, version in (("old", before), ("new", after)):
                rows = _reader(engine, table, version, shared, failures)
                connection.register("incoming", rows)
                connection.execute(f"CREATE TABLE {name} AS SELECT * FROM incoming")  # noqa: S608 -- both names are constants
                connection.unregister("incoming")
            return _keyed(connection, shared, key, table) if key else (*_multiset(connection, shared), None)
    except duckdb.Error as error:
        if failures:
            raise failures[0] from error  # the error of the table, which DuckDB turned into text
        raise EngineFailed(
            "{table}: versions {before} and {after} cannot be compared: {cause}.",
            table=table.name,
            before=before,
            after=after,
            cause=first_line(error),
        ) from error


def _reader(
    engine: DeltaEngine, table: Table, version: int, columns: Sequence[str], failures: list[CoreError]
) -> pa.RecordBatchReader:
    schema = engine.read(table, version=version, columns=columns, limit=0).schema

    def batches() -> Iterator[pa.RecordBatch]:
        try:
            for batch in engine.scan(table, version=version, columns=columns):
                yield batch.select(list(columns)).cast(schema)
        except CoreError as error:
            failures.append(error)
            raise

    return pa.RecordBatchReader.from_batches(schema, batches())


def _multiset(connection: Any, shared: Sequence[str]) -> tuple[int, int]:
    """Return the rows added and removed; every copy of a row counts, and values are compared as text."""
    columns = ", ".join(f"CAST({quote_ansi(name)} AS VARCHAR)" for name in shared)

    def only(these: str, those: str) -> int:
        query = f"SELECT count(*) FROM (SELECT {columns} FROM {these} EXCEPT ALL SELECT {columns} FROM {those})"  # noqa: S608
        return int(connection.execute(query).fetchone()[0])

    return only("new", "old"), only("old", "new")


def _keyed(connection: Any, shared: Sequence[str], key: str, table: Table) -> tuple[int, int, int]:
    """Return the rows added, removed and changed; *key* identifies a row."""
    name = quote_ansi(key)
    for side in ("old", "new"):
        query = f"SELECT count(*) - count(DISTINCT {name}) FROM {side}"  # noqa: S608
        if connection.execute(query).fetchone()[0]:
            raise BadInput(
                "{key!r} does not identify the rows of {table}: a value occurs twice. Choose another key or none.",
                key=key,
                table=table.name,
            )
    others = [quote_ansi(column) for column in shared if column != key]
    differs = " OR ".join(f"old.{column}::VARCHAR IS DISTINCT FROM new.{column}::VARCHAR" for column in others)
    differs = differs or "FALSE"
    query = f"""
        SELECT count(*) FILTER (WHERE old.{name} IS NULL),
               count(*) FILTER (WHERE new.{name} IS NULL),
               count(*) FILTER (WHERE old.{name} IS NOT NULL AND new.{name} IS NOT NULL AND ({differs}))
        FROM old FULL OUTER JOIN new ON old.{name} = new.{name}"""  # noqa: S608
    added, removed, changed = connection.execute(query).fetchone()
    return int(added), int(removed), int(changed)
