"""Convert table names, schemas and Arrow data between ModelLedger and Spark."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from core.delta.addresses import is_catalog_name
from core.delta.arrow_types import unsliced
from core.delta.schema_json import type_name
from core.entities import Field, Table
from core.identifiers import quote_spark
from core.uris import local_path

# Spark has no unsigned integers: the next wider signed type holds all values of 8, 16 and 32 bits.
_SIGNED = {pa.uint8(): pa.int16(), pa.uint16(): pa.int32(), pa.uint32(): pa.int64(), pa.uint64(): pa.decimal128(20, 0)}


def identifier(table: Table) -> str:
    """Return the quoted name of *table* for SQL: its catalog name, or its path."""
    if is_catalog_name(table.uri):
        return ".".join(quote_spark(part) for part in table.uri.split("."))
    return f"delta.{quote_spark(address(table))}"


def address(table: Table) -> str:
    """Return the table's path or URI for Spark, with file: URIs decoded, because Hadoop does not decode them."""
    return f"file://{local_path(table.uri)}" if table.uri.startswith("file:") else table.uri


def fields(schema: Any) -> tuple[Field, ...]:
    """Return the fields of a Spark schema, with Delta's names of types."""
    return tuple(
        Field(name=field.name, type=type_name(field.dataType.jsonValue()), nullable=field.nullable) for field in schema
    )


def for_spark(data: pa.Table | pa.RecordBatchReader) -> pa.Table:
    """Return *data* in types that Spark has: no unsigned integers, dictionaries or nanoseconds."""
    table = data.read_all() if isinstance(data, pa.RecordBatchReader) else data
    schema = pa.schema([field.with_type(_plain(field.type)).remove_metadata() for field in table.schema])
    table = table.cast(schema) if schema != table.schema else table.replace_schema_metadata(None)
    return pa.Table.from_batches([unsliced(batch) for batch in table.to_batches()], table.schema)


def schema_of(data: pa.Table) -> Any:
    """Return Spark's schema of *data*. A time without a zone stays without one; by default Spark would make it UTC."""
    from pyspark.sql.pandas.types import from_arrow_schema

    return from_arrow_schema(data.schema, prefer_timestamp_ntz=True)


def nullable_within(frame: Any) -> Any:
    """*frame* with every field of its nested columns nullable.

    A null struct has null fields, also where Delta declares them not null: pyspark's toArrow refuses such rows.
    """
    from pyspark.sql.types import DataType

    columns = []
    for field in frame.schema:
        described = field.dataType.jsonValue()
        column = frame[quote_spark(field.name)]
        if isinstance(described, dict):
            column = column.cast(DataType.fromDDL(_nullable_ddl(described))).alias(field.name)
        columns.append(column)
    return frame.select(*columns)


def _nullable_ddl(value: Any) -> str:
    """A type of Delta's schema JSON as DDL, in which every nested field is nullable."""
    if isinstance(value, str):
        return value
    if value["type"] == "array":
        return f"array<{_nullable_ddl(value['elementType'])}>"
    if value["type"] == "map":
        return f"map<{_nullable_ddl(value['keyType'])},{_nullable_ddl(value['valueType'])}>"
    parts = (f"{quote_spark(part['name'])}: {_nullable_ddl(part['type'])}" for part in value["fields"])
    return f"struct<{', '.join(parts)}>"


def _plain(kind: pa.DataType) -> pa.DataType:
    if kind in _SIGNED:
        return _SIGNED[kind]
    if pa.types.is_dictionary(kind):
        return _plain(kind.value_type)
    if pa.types.is_timestamp(kind) and kind.unit != "us":
        return pa.timestamp("us", kind.tz)
    if pa.types.is_null(kind):
        return pa.string()
    if pa.types.is_float16(kind):
        return pa.float32()
    if pa.types.is_date64(kind):
        return pa.date32()
    return kind
