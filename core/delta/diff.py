"""Compare two versions of a table: columns by their schemas, rows by every value."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import duckdb
import pyarrow as pa

from core.delta.common_types import common_type
from core.delta.engine import DeltaEngine
from core.entities import Field, FieldChange, Table, TableDiff
from core.errors import BadInput, ColumnNotFound, CoreError, EngineFailed, first_line


def diff_versions(engine: DeltaEngine, table: Table, before: int, after: int, *, key: str | None = None) -> TableDiff:
    """Compare the columns of both versions, and the rows in the columns that both versions have.

    A column that was renamed under column mapping is one column, and *key* is either of its names. Values are equal if
    they are the same in the wider of two types; 0.0 and -0.0 are equal, and so are NaN and NaN. Without *key* a changed
    row counts as one row removed and one row added.

    Raises:
        VersionNotFound: the table does not have one of the versions.
        ColumnNotFound: one of the versions has no column *key*.
        BadInput: several rows have the same value of *key*.
        DataUnreadable: the rows of one version cannot be read.
    """
    first, second = engine.snapshot(table, version=before), engine.snapshot(table, version=after)
    shared = _shared(first.schema, second.schema)
    key_place = None if key is None else _key_place(table, shared, key)
    added, removed, changed = _rows(engine, table, before, after, shared, key_place)
    old_names, new_names = {old.name for old, _ in shared}, {new.name for _, new in shared}
    return TableDiff(
        table=table.name,
        before=before,
        after=after,
        fields_added=tuple(field for field in second.schema if field.name not in new_names),
        fields_removed=tuple(field for field in first.schema if field.name not in old_names),
        fields_changed=tuple(
            FieldChange(name=new.name, before=_described(old), after=_described(new))
            for old, new in shared
            if _described(old) != _described(new)
        ),
        fields_renamed=tuple((old.name, new.name) for old, new in shared if old.name != new.name),
        rows_added=added,
        rows_removed=removed,
        rows_changed=changed,
    )


def _shared(before: Sequence[Field], after: Sequence[Field]) -> list[tuple[Field, Field]]:
    """Return the columns that both versions have: by their physical names, and the others by their names.

    A table that gets column mapping keeps the names of its columns as physical names.
    """
    physical = {field.physical_name or field.name: field for field in after}
    pairs = {old.name: new for old in before if (new := physical.get(old.physical_name or old.name)) is not None}
    taken = {new.name for new in pairs.values()}
    by_name = {field.name: field for field in after if field.name not in taken}
    pairs |= {old.name: by_name[old.name] for old in before if old.name not in pairs and old.name in by_name}
    return [(old, pairs[old.name]) for old in before if old.name in pairs]


def _key_place(table: Table, shared: Sequence[tuple[Field, Field]], key: str) -> int:
    for names in ([new.name for _, new in shared], [old.name for old, _ in shared]):
        if key in names:
            return names.index(key)
    raise ColumnNotFound(
        "{table} does not have the column {column!r} in both versions. Both have: {columns}.",
        table=table.name,
        column=key,
        columns=", ".join(new.name for _, new in shared),
    )


def _described(field: Field) -> str:
    return field.type if field.nullable else f"{field.type} not null"


def _rows(
    engine: DeltaEngine,
    table: Table,
    before: int,
    after: int,
    shared: Sequence[tuple[Field, Field]],
    key_place: int | None,
) -> tuple[int, int, int | None]:
    if not shared:
        return engine.count(table, version=after), engine.count(table, version=before), None
    sides = [("old", before, [old.name for old, _ in shared]), ("new", after, [new.name for _, new in shared])]
    schemas = [engine.read(table, version=version, columns=names, limit=0).schema for _, version, names in sides]
    types = [[schema.field(name).type for name in names] for schema, (_, _, names) in zip(schemas, sides, strict=True)]
    common = [common_type(old, new) for old, new in zip(*types, strict=True)]
    failures: list[CoreError] = []
    try:
        with duckdb.connect(":memory:") as connection:
            for number, (side, version, names) in enumerate(sides):
                own, other = types[number], types[1 - number]
                targets = [wide or kind for wide, kind in zip(common, own, strict=True)]
                connection.register("incoming", _reader(engine, table, version, names, targets, failures))
                columns = ", ".join(
                    f"c{place}"
                    if common[place]
                    else f"{_comparable(f'c{place}', own[place], other[place])} AS c{place}"
                    for place in range(len(shared))
                )
                connection.execute(f"CREATE TABLE {side} AS SELECT {columns} FROM incoming")  # noqa: S608 -- no names from data
                connection.unregister("incoming")
            if key_place is None:
                return (*_multiset(connection), None)
            return _keyed(connection, len(shared), key_place, shared[key_place][1].name, table)
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


def _comparable(column: str, own: pa.DataType, other: pa.DataType) -> str:
    """Return the SQL for a value as text that can be compared with the other side's, which has another type."""
    if pa.types.is_floating(own) and pa.types.is_integer(other):
        return f"CAST(CAST({column} AS DOUBLE) + 0.0 AS VARCHAR)"  # -0.0 + 0.0 is 0.0
    text = f"CAST({column} AS VARCHAR)"
    if pa.types.is_integer(own) and pa.types.is_floating(other):
        # An integer that a double cannot hold is not equal to any.
        number = f"CAST({column} AS DOUBLE)"
        return f"CASE WHEN CAST({number} AS HUGEINT) = {column} THEN CAST({number} AS VARCHAR) ELSE {text} END"
    return text


def _reader(
    engine: DeltaEngine,
    table: Table,
    version: int,
    names: Sequence[str],
    types: Sequence[pa.DataType],
    failures: list[CoreError],
) -> pa.RecordBatchReader:
    """Return the columns *names* as c0, c1, … of *types*: a renamed column has one name on both sides."""
    schema = pa.schema([(f"c{place}", kind) for place, kind in enumerate(types)])

    def batches() -> Iterator[pa.RecordBatch]:
        try:
            for batch in engine.scan(table, version=version, columns=names):
                yield batch.select(list(names)).rename_columns(schema.names).cast(schema)
        except CoreError as error:
            failures.append(error)
            raise

    return pa.RecordBatchReader.from_batches(schema, batches())


def _multiset(connection: Any) -> tuple[int, int]:
    """Return the rows added and removed; every copy of a row counts."""

    def only(these: str, those: str) -> int:
        query = f"SELECT count(*) FROM (SELECT * FROM {these} EXCEPT ALL SELECT * FROM {those})"  # noqa: S608
        return int(connection.execute(query).fetchone()[0])

    return only("new", "old"), only("old", "new")


def _keyed(connection: Any, count: int, key_place: int, key: str, table: Table) -> tuple[int, int, int]:
    """Return the rows added, removed and changed; the column *key* identifies a row."""
    name = f"c{key_place}"
    for side in ("old", "new"):
        query = f"SELECT count(*) - count(DISTINCT {name}) FROM {side}"  # noqa: S608
        if connection.execute(query).fetchone()[0]:
            raise BadInput(
                "{key!r} does not identify the rows of {table}: a value occurs twice. Choose another key or none.",
                key=key,
                table=table.name,
            )
    others = [f"c{place}" for place in range(count) if place != key_place]
    differs = " OR ".join(f"old.{column} IS DISTINCT FROM new.{column}" for column in others)
    differs = differs or "FALSE"
    query = f"""
        SELECT count(*) FILTER (WHERE old.{name} IS NULL),
               count(*) FILTER (WHERE new.{name} IS NULL),
               count(*) FILTER (WHERE old.{name} IS NOT NULL AND new.{name} IS NOT NULL AND ({differs}))
        FROM old FULL OUTER JOIN new ON old.{name} = new.{name}"""  # noqa: S608
    added, removed, changed = connection.execute(query).fetchone()
    return int(added), int(removed), int(changed)
