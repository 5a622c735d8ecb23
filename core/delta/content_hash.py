"""Content hash: one SHA-256 over the schema and the rows of a table version, whatever the order of the rows.

The same rows give the same hash on every engine and with every file layout. Each row is hashed with SHA-256 over a
canonical encoding. Equal are: all NaN values, 0.0 and -0.0, the same instant in different time zones, and maps with
the same entries in different order. Text is hashed byte for byte, without Unicode normalization. Null is a value of
its own. The hashes of rows are put into 256 buckets by their first byte, each bucket is sorted and hashed, and the
hashes of the buckets are hashed with the schema. So a cluster hashes rows where they are and returns 32 bytes a bucket.
"""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from core.errors import FeatureUnsupported

_FORMAT = "modelledger.content.1"
_DIGEST_BYTES = 32
_BUCKETS = 256
_ROWS_AT_ONCE = 65_536
_NO_ROWS = hashlib.sha256(b"").digest()
_NULL, _VALUE = b"\x00", b"\x01"

_NAMES: dict[pa.DataType, str] = {
    pa.bool_(): "boolean",
    pa.int8(): "byte",
    pa.int16(): "short",
    pa.int32(): "integer",
    pa.int64(): "long",
    # Delta has no unsigned integers: writers store the next wider signed type.
    pa.uint8(): "short",
    pa.uint16(): "integer",
    pa.uint32(): "long",
    pa.uint64(): "decimal(20,0)",
    pa.float16(): "float",
    pa.float32(): "float",
    pa.float64(): "double",
    pa.date32(): "date",
    pa.date64(): "date",
    pa.null(): "void",
}


@dataclass(frozen=True, kw_only=True)
class Content:
    """The content of a table version: *sha256* of schema and rows as 64 hexadecimal digits, and the number of rows."""

    sha256: str
    rows: int


@dataclass(frozen=True, kw_only=True)
class Bucket:
    """The rows whose hashes begin with the byte *first*: their number, and a SHA-256 over their sorted hashes."""

    first: int
    rows: int
    sha256: bytes


def content_of(schema: pa.Schema, batches: Iterable[pa.RecordBatch]) -> Content:
    """Return the content of *schema* and all rows of *batches*. It takes 32 bytes of memory per row.

    Raises FeatureUnsupported for a column type that Delta does not have.
    """
    buckets = [bytearray() for _ in range(_BUCKETS)]
    for batch in batches:
        for start in range(0, batch.num_rows, _ROWS_AT_ONCE):
            for digest in _digests(batch.slice(start, _ROWS_AT_ONCE)):
                buckets[digest[0]] += digest
    in_order = (np.sort(np.frombuffer(bucket, dtype=f"S{_DIGEST_BYTES}")).tobytes() for bucket in buckets)
    return combined(schema, hashed_buckets(in_order))


def content_sha256(schema: pa.Schema, batches: Iterable[pa.RecordBatch]) -> str:
    """Return the SHA-256 of *schema* and all rows, as 64 hexadecimal digits. See content_of."""
    return content_of(schema, batches).sha256


def row_digests(batch: pa.RecordBatch) -> pa.FixedSizeBinaryArray:
    """Return the SHA-256 of each row of *batch*, in its order. This part runs where the rows are."""
    return pa.array(_digests(batch), pa.binary(_DIGEST_BYTES))


def hashed_buckets(digests: Iterable[bytes]) -> Iterator[Bucket]:
    """Yield the buckets of row hashes that are in ascending order. Empty buckets are left out.

    Each item of *digests* holds any number of hashes. It takes constant memory and runs where the sorted hashes are.
    """
    first, rows, whole = -1, 0, hashlib.sha256()
    for part in digests:
        view = memoryview(part)
        starts = np.frombuffer(part, dtype=np.uint8)[::_DIGEST_BYTES]
        changes = (np.flatnonzero(np.diff(starts)) + 1).tolist()
        for start, end in itertools.pairwise([0, *changes, len(starts)] if len(starts) else []):
            if starts[start] != first:
                if rows:
                    yield Bucket(first=first, rows=rows, sha256=whole.digest())
                first, rows, whole = int(starts[start]), 0, hashlib.sha256()
            whole.update(view[start * _DIGEST_BYTES : end * _DIGEST_BYTES])
            rows += end - start
    if rows:
        yield Bucket(first=first, rows=rows, sha256=whole.digest())


def combined(schema: pa.Schema, buckets: Iterable[Bucket]) -> Content:
    """Return the content of a table from its *buckets*. A bucket that is not given has no row."""
    by_first = {bucket.first: bucket for bucket in buckets}
    rows = sum(bucket.rows for bucket in by_first.values())
    whole = hashlib.sha256(f"{_FORMAT}\n{canonical_schema(schema)}\n{rows}\n".encode())
    for first in range(_BUCKETS):
        whole.update(by_first[first].sha256 if first in by_first else _NO_ROWS)
    return Content(sha256=whole.hexdigest(), rows=rows)


def canonical_schema(schema: pa.Schema) -> str:
    """Return column names and Delta types, in order, without nullability and metadata, in which engines differ."""
    columns = [[field.name, type_name(field.type)] for field in schema]
    return json.dumps(columns, ensure_ascii=False, separators=(",", ":"))


def type_name(kind: pa.DataType) -> str:
    """Return Delta's name of an Arrow type. Raises FeatureUnsupported if Delta has no such type."""
    if kind in _NAMES:
        return _NAMES[kind]
    if isinstance(kind, pa.BaseExtensionType):
        return type_name(kind.storage_type)
    if pa.types.is_dictionary(kind):
        return type_name(kind.value_type)
    if _is_text(kind):
        return "string"
    if _is_bytes(kind):
        return "binary"
    if pa.types.is_timestamp(kind):
        return "timestamp" if kind.tz else "timestamp_ntz"
    if pa.types.is_decimal(kind) and kind.precision <= 38:
        return f"decimal({kind.precision},{kind.scale})"
    if pa.types.is_map(kind):
        return f"map<{type_name(kind.key_type)},{type_name(kind.item_type)}>"
    if _is_list(kind):
        return f"array<{type_name(kind.value_type)}>"
    if pa.types.is_struct(kind):
        return f"struct<{','.join(f'{part.name}:{type_name(part.type)}' for part in kind)}>"
    raise FeatureUnsupported(
        "Delta has no type for a column of {type}. Cast the column to a type that Delta has.", type=str(kind)
    )


def _digests(batch: pa.RecordBatch) -> list[bytes]:
    sha256 = hashlib.sha256
    if batch.num_columns == 0:
        return [sha256(b"").digest()] * batch.num_rows
    encoded = _joined([_encoded(column) for column in batch.columns])
    data, offsets = _parts(encoded)
    view = memoryview(data)
    ends = offsets.tolist()
    return [sha256(view[start:end]).digest() for start, end in itertools.pairwise(ends)]


def _encoded(column: pa.Array) -> pa.LargeBinaryArray:
    """Return each value as bytes that contain their own length: 0 for null, else 1 and the value."""
    kind = column.type
    if isinstance(kind, pa.BaseExtensionType):
        return _encoded(column.storage)
    if pa.types.is_dictionary(kind):
        return _encoded(column.dictionary_decode())
    if pa.types.is_null(kind):
        return pa.array([_NULL] * len(column), pa.large_binary())
    if _is_text(kind) or _is_bytes(kind):
        values = _large_binary(column)
        return _marked(column, [_numbers(pc.fill_null(pc.binary_length(values), 0)), values])
    if pa.types.is_struct(kind):
        fields = [_encoded(column.field(position)) for position in range(kind.num_fields)]
        return _marked(column, fields or [_repeated(b"", len(column))])
    if pa.types.is_map(kind):
        return _encoded_map(column)
    if _is_list(kind):
        return _encoded_list(column)
    return _marked(column, [_fixed(column)])


def _fixed(column: pa.Array) -> pa.LargeBinaryArray:
    """Encode numbers, times and booleans, with a fixed number of bytes for each type."""
    kind = column.type
    if pa.types.is_decimal(kind):
        return _decimals(column)
    if pa.types.is_floating(kind):
        numbers = pc.fill_null(column.cast(pa.float64()), 0.0).to_numpy(zero_copy_only=False) + 0.0  # -0.0 to 0.0
        numbers[np.isnan(numbers)] = np.nan
        return _bytes(numbers.astype("<f8"))
    if kind == pa.uint64():
        return _decimals(column.cast(pa.decimal128(20, 0)))
    if pa.types.is_timestamp(kind):
        column = column.cast(pa.timestamp("us", kind.tz), safe=False).cast(pa.int64())
    elif pa.types.is_date(kind):
        column = column.cast(pa.date32()).cast(pa.int32())
    elif not (pa.types.is_integer(kind) or pa.types.is_boolean(kind)):
        type_name(kind)  # raises FeatureUnsupported, which names the type
    return _numbers(pc.fill_null(column.cast(pa.int64()), 0))


def _decimals(column: pa.Array) -> pa.LargeBinaryArray:
    """Encode the unscaled integer in 16 bytes; the scale is in the schema."""
    type_name(column.type)  # raises FeatureUnsupported beyond 38 digits
    column = column.cast(pa.decimal128(column.type.precision, column.type.scale))
    data = np.frombuffer(column.buffers()[1], dtype=np.uint8)
    numbers = data[column.offset * 16 : (column.offset + len(column)) * 16].reshape(-1, 16)
    if column.null_count:
        numbers = numbers * np.asarray(column.is_valid())[:, None].astype(np.uint8)
    return _bytes(numbers)


def _encoded_list(column: pa.Array) -> pa.LargeBinaryArray:
    if pa.types.is_fixed_size_list(column.type) or "view" in str(column.type):
        column = column.cast(pa.large_list(column.type.value_type))
    if len(column) == 0:
        return _repeated(b"", 0)
    bounds = column.offsets.to_numpy()
    # The elements of a list are adjacent, and so are their encodings.
    elements, ends = _parts(_encoded(column.values.slice(bounds[0], bounds[-1] - bounds[0])))
    items = _binary(elements, ends[bounds - bounds[0]])
    return _marked(column, [_numbers(pa.array(np.diff(bounds).astype(np.int64))), items])


def _encoded_map(column: pa.MapArray) -> pa.LargeBinaryArray:
    if len(column) == 0:
        return _repeated(b"", 0)
    bounds = column.offsets.to_numpy()
    first, count = int(bounds[0]), int(bounds[-1] - bounds[0])
    pairs = _joined([_encoded(column.keys.slice(first, count)), _encoded(column.items.slice(first, count))]).to_pylist()
    starts = (bounds - first).tolist()
    maps = [b"".join(sorted(pairs[start:end])) for start, end in itertools.pairwise(starts)]
    return _marked(column, [_numbers(pa.array(np.diff(bounds).astype(np.int64))), pa.array(maps, pa.large_binary())])


def _marked(column: pa.Array, parts: list[pa.LargeBinaryArray]) -> pa.LargeBinaryArray:
    """Return a 1 followed by *parts*, or a single 0 if *column* is null."""
    parts = [part if part.null_count == 0 else pc.fill_null(part, b"") for part in parts]
    whole = _joined([_repeated(_VALUE, len(column)), *parts])
    if column.null_count == 0:
        return whole
    return pc.if_else(column.is_valid(), whole, pa.scalar(_NULL, pa.large_binary()))


def _joined(parts: list[pa.LargeBinaryArray]) -> pa.LargeBinaryArray:
    if len(parts) == 1:
        return parts[0]
    return pc.binary_join_element_wise(*parts, pa.scalar(b"", pa.large_binary()))


def _repeated(value: bytes, times: int) -> pa.LargeBinaryArray:
    return _binary(value * times, np.arange(times + 1, dtype=np.int64) * len(value))


def _numbers(values: pa.Array) -> pa.LargeBinaryArray:
    return _bytes(values.to_numpy(zero_copy_only=False).astype("<i8"))


def _bytes(values: np.ndarray) -> pa.LargeBinaryArray:
    width = values.dtype.itemsize * (values.shape[1] if values.ndim > 1 else 1)
    return _binary(values.tobytes(), np.arange(len(values) + 1, dtype=np.int64) * width)


def _binary(data: bytes | pa.Buffer, offsets: np.ndarray) -> pa.LargeBinaryArray:
    buffers = [None, pa.py_buffer(np.ascontiguousarray(offsets, dtype=np.int64)), pa.py_buffer(data)]
    return pa.Array.from_buffers(pa.large_binary(), len(offsets) - 1, buffers)


def _parts(values: pa.LargeBinaryArray) -> tuple[pa.Buffer, np.ndarray]:
    """Return the bytes of all values, and the offsets at which values start and end."""
    if isinstance(values, pa.ChunkedArray):
        values = values.combine_chunks()
    offsets = np.frombuffer(values.buffers()[1], dtype=np.int64)[values.offset : values.offset + len(values) + 1]
    return values.buffers()[2] or pa.py_buffer(b""), offsets


def _large_binary(column: pa.Array) -> pa.LargeBinaryArray:
    if _is_text(column.type):
        column = column.cast(pa.large_string())
    return column.cast(pa.large_binary())


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def _is_bytes(kind: pa.DataType) -> bool:
    return bool(
        pa.types.is_binary(kind)
        or pa.types.is_large_binary(kind)
        or pa.types.is_binary_view(kind)
        or pa.types.is_fixed_size_binary(kind)
    )


def _is_list(kind: pa.DataType) -> bool:
    return bool(
        pa.types.is_list(kind)
        or pa.types.is_large_list(kind)
        or pa.types.is_fixed_size_list(kind)
        or pa.types.is_list_view(kind)
        or pa.types.is_large_list_view(kind)
    )
