"""Arrow data in the types that Delta has, and fitted to a table that keeps its schema."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

import pyarrow as pa

from core.delta.content_hash import type_name
from core.entities import Field, Table
from core.errors import CoreError, FeatureUnsupported, SchemaMismatch

_SIGNED = {pa.uint8(): pa.int16(), pa.uint16(): pa.int32(), pa.uint32(): pa.int64(), pa.uint64(): pa.decimal128(20, 0)}


def plain_type(kind: pa.DataType) -> pa.DataType:
    """The type of Delta that holds every value of *kind*: no unsigned integers, dictionaries, views or nanoseconds."""
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
    """*batch* with nested columns of its own, where they were a slice of others.

    deltalake 1.6.6 ends the whole process at a slice of a struct in a struct; pyspark 4.2.0 fails at one of a list.
    """
    columns = [
        pa.concat_arrays([column]) if pa.types.is_nested(column.type) and column.offset else column
        for column in batch.columns
    ]
    return pa.RecordBatch.from_arrays(columns, schema=batch.schema)


class Rows:
    """Rows to be written, in types of Delta and in the table's order; *error* is the fault of the data itself."""

    def __init__(self, data: pa.Table | pa.RecordBatchReader) -> None:
        self.schema: pa.Schema = plain_schema(data.schema)
        self.error: Exception | None = None
        self._data = data

    def reader(self, want: pa.Schema | None = None) -> pa.RecordBatchReader:
        """The rows as a stream; with *want*, in the order of its columns, columns of nothing but null in its types."""
        schema = self.schema
        if want is not None:
            fields = [schema.field(name) for name in want.names if name in schema.names]
            schema = pa.schema([want.field(field.name) if pa.types.is_null(field.type) else field for field in fields])
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
    """Raises SchemaMismatch unless *schema* can be a table: columns, each with a name of its own, types of Delta."""
    names = [name.casefold() for name in schema.names]
    twice = sorted({name for name in schema.names if names.count(name.casefold()) > 1})
    problem = ""
    if not schema.names:
        problem = "it has no columns"
    elif twice:
        problem = f"columns share a name (capitals do not count): {', '.join(twice)}"
    elif not all(schema.names):
        problem = "a column has no name"
    if problem:
        raise SchemaMismatch(f"{table.name} cannot be written: {problem}.", table=table.name)
    for field in schema:
        # A column of nothing but null has no type: the table would not know what to take later.
        if pa.types.is_null(field.type):
            raise SchemaMismatch(
                f"{table.name} cannot be written: column {field.name} holds no value, so that its type is not known. "
                "Leave it out, or give it a value.",
                table=table.name,
                column=field.name,
            )
        try:
            type_name(field.type)
        except FeatureUnsupported as error:
            raise SchemaMismatch(f"{table.name}, column {field.name}: {error}", table=table.name) from error


def fitting(
    table: Table, want: Sequence[Field], schema: pa.Schema, *, made_by_table: Collection[str] = ()
) -> list[str]:
    """The table's columns in its order, if *schema* has exactly them in the table's types.

    Raises SchemaMismatch, which names every difference. A column of nothing but null fits any type; columns
    *made_by_table* may be left out.
    """
    have = {field.name: field for field in schema}
    missing = [field.name for field in want if field.name not in have and field.name not in made_by_table]
    extra = [name for name in have if name not in {field.name for field in want}]
    wrong = [
        f"{field.name} is {field.type} and was given as {type_name(have[field.name].type)}"
        for field in want
        if field.name in have
        and not pa.types.is_null(have[field.name].type)
        and type_name(have[field.name].type) != field.type
    ]
    twice = sorted({name for name in schema.names if schema.names.count(name) > 1})
    problems = [
        *([f"missing {', '.join(missing)}"] if missing else []),
        *([f"not in the table: {', '.join(extra)}"] if extra else []),
        *([f"given twice: {', '.join(twice)}"] if twice else []),
        *wrong,
    ]
    if problems:
        raise SchemaMismatch(
            f"{table.name} keeps its schema on append: {'; '.join(problems)}. Change the data, or overwrite.",
            table=table.name,
            missing=missing,
            extra=extra,
        )
    return [field.name for field in want if field.name in have]
