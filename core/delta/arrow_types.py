"""Convert Arrow data to types that Delta has, and check it against the schema of a table."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence

import pyarrow as pa

from core.delta.content_hash import type_name
from core.entities import Field, Table
from core.errors import CoreError, FeatureUnsupported, SchemaMismatch
from core.texts import text

_SIGNED = {pa.uint8(): pa.int16(), pa.uint16(): pa.int32(), pa.uint32(): pa.int64(), pa.uint64(): pa.decimal128(20, 0)}


def plain_type(kind: pa.DataType) -> pa.DataType:
    """Return a type of Delta for all values of *kind*: no unsigned integers, dictionaries, views or nanoseconds."""
    if kind in _SIGNED:
        return _SIGNED[kind]
    if isinstance(kind, pa.BaseExtensionType):
        return plain_type(kind.storage_type)
    if pa.types.is_dictionary(kind):
        return plain_type(kind.value_type)
    if pa.types.is_string_view(kind):
        return pa.string()
    if pa.types.is_binary_view(kind) or pa.types.is_fixed_size_binary(kind):
        return pa.binary()
    if pa.types.is_timestamp(kind):
        return pa.timestamp("us", "UTC" if kind.tz else None)
    if pa.types.is_date64(kind):
        return pa.date32()
    if pa.types.is_float16(kind):
        return pa.float32()
    if pa.types.is_decimal(kind) and kind.precision <= 38:
        return pa.decimal128(kind.precision, kind.scale)
    if pa.types.is_map(kind):
        return pa.map_(plain_type(kind.key_type), plain_type(kind.item_type))
    if pa.types.is_struct(kind):
        return pa.struct([part.with_type(plain_type(part.type)) for part in kind])
    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        return pa.list_(kind.value_field.with_type(plain_type(kind.value_type)))
    return kind


def plain_schema(schema: pa.Schema) -> pa.Schema:
    """Return *schema* with types that Delta has and without metadata."""
    return pa.schema([field.with_type(plain_type(field.type)).remove_metadata() for field in schema])


def nullable_within(schema: pa.Schema) -> pa.Schema:
    """Return *schema* with every field of a nested type nullable.

    A null struct has null fields, also where Delta declares them not null: Arrow and DuckDB refuse such rows.
    """
    return pa.schema([field.with_type(_all_nullable(field.type)) for field in schema])


def _all_nullable(kind: pa.DataType) -> pa.DataType:
    if pa.types.is_struct(kind):
        return pa.struct([pa.field(part.name, _all_nullable(part.type)) for part in kind])
    if pa.types.is_list(kind):
        return pa.list_(pa.field(kind.value_field.name, _all_nullable(kind.value_type)))
    if pa.types.is_map(kind):
        return pa.map_(kind.key_type, pa.field(kind.item_field.name, _all_nullable(kind.item_type)))
    return kind


def read_batches(schema: pa.Schema, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """*batches* cast to *schema*, one at a time."""
    for batch in batches:
        yield batch.cast(schema) if batch.schema != schema else batch


def unsliced(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Return *batch* with nested columns copied if they were slices of other arrays.

    deltalake 1.6.6 ends the whole process on a slice of a struct in a struct; pyspark 4.2.0 fails on a slice of a list.
    """
    columns = [
        pa.concat_arrays([column]) if pa.types.is_nested(column.type) and column.offset else column
        for column in batch.columns
    ]
    return pa.RecordBatch.from_arrays(columns, schema=batch.schema)


class Rows:
    """Rows to write, in types of Delta; *error* is the error that reading the data raised, if any."""

    def __init__(self, data: pa.Table | pa.RecordBatchReader) -> None:
        self.schema: pa.Schema = plain_schema(data.schema)
        self.error: Exception | None = None
        self._data = data

    def reader(self, target: pa.Schema | None = None) -> pa.RecordBatchReader:
        """Return the rows as a stream, with columns in the order of *target*; null columns get its types."""
        schema = self.schema
        if target is not None:
            fields = [schema.field(name) for name in target.names if name in schema.names]
            schema = pa.schema(
                [target.field(field.name) if pa.types.is_null(field.type) else field for field in fields]
            )
        return pa.RecordBatchReader.from_batches(schema, self._batches(schema))

    def _batches(self, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
        batches = self._data.to_batches() if isinstance(self._data, pa.Table) else self._data
        try:
            for batch in batches:
                yield unsliced(batch.select(schema.names).cast(schema))
        except (CoreError, pa.ArrowException, OSError, ValueError) as error:
            self.error = error
            raise


def check_new(table: Table, schema: pa.Schema) -> None:
    """Raise SchemaMismatch unless a table can have *schema*: columns with different names and with types of Delta."""
    names = [name.casefold() for name in schema.names]
    repeated = sorted({name for name in schema.names if names.count(name.casefold()) > 1})
    if not schema.names:
        raise SchemaMismatch("{table} cannot be written: the data has no columns.", table=table.name)
    if repeated:
        raise SchemaMismatch(
            "{table} cannot be written: column names are repeated (capitals do not count): {columns}.",
            table=table.name,
            columns=", ".join(repeated),
        )
    if not all(schema.names):
        raise SchemaMismatch("{table} cannot be written: a column has no name.", table=table.name)
    for field in schema:
        # A column with only nulls has no type, so later writes could not be checked against it.
        if pa.types.is_null(field.type):
            raise SchemaMismatch(
                "{table} cannot be written: the type of column {column} is unknown, because all its values are null. "
                "Leave the column out, or give it a value.",
                table=table.name,
                column=field.name,
            )
        try:
            type_name(field.type)
        except FeatureUnsupported as error:
            raise SchemaMismatch(
                "{table}, column {column}: {cause}", table=table.name, column=field.name, cause=str(error)
            ) from error


def fitting(
    table: Table, target: Sequence[Field], schema: pa.Schema, *, filled_by_table: Collection[str] = ()
) -> list[str]:
    """Return the columns of *schema* in the order of *target*, if their names and types are those of *target*.

    A column with only nulls fits any type. Columns *filled_by_table* may be missing.

    Raises:
        SchemaMismatch: the schemas differ; the message names every difference.
    """
    given = {field.name: field for field in schema}
    wrong_types = {
        field.name: (field.type, type_name(given[field.name].type))
        for field in target
        if field.name in given
        and not pa.types.is_null(given[field.name].type)
        and type_name(given[field.name].type) != field.type
    }
    require_same_schema(
        table,
        missing=[field.name for field in target if field.name not in given and field.name not in filled_by_table],
        extra=[name for name in given if name not in {field.name for field in target}],
        repeated=sorted({name for name in schema.names if schema.names.count(name) > 1}),
        wrong_types=wrong_types,
    )
    return [field.name for field in target if field.name in given]


def require_same_schema(
    table: Table,
    *,
    missing: Sequence[str],
    extra: Sequence[str],
    wrong_types: Mapping[str, tuple[str, str]],
    repeated: Sequence[str] = (),
) -> None:
    """Raise SchemaMismatch if any difference is given; *wrong_types* are the table's and the given type by column."""
    problems = [
        *([text("missing {columns}", columns=", ".join(missing))] if missing else []),
        *([text("not in the table: {columns}", columns=", ".join(extra))] if extra else []),
        *([text("given twice: {columns}", columns=", ".join(repeated))] if repeated else []),
        *(
            text("{column} is {type} and was given as {given}", column=column, type=expected, given=actual)
            for column, (expected, actual) in wrong_types.items()
        ),
    ]
    if problems:
        raise SchemaMismatch(
            "{table} keeps its schema on append: {problems}. Change the data, or overwrite the table.",
            table=table.name,
            problems="; ".join(problems),
            missing=list(missing),
            extra=list(extra),
        )
