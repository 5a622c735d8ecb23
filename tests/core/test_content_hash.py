"""The content digest: blind to order and layout, sensitive to every value, and the same wherever it is computed."""

from __future__ import annotations

import hashlib
import struct
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from core.delta.content_hash import Content, combined, content_of, content_sha256, hashed_buckets, row_digests
from core.errors import FeatureUnsupported


def digest(values: list[Any], kind: pa.DataType) -> str:
    return of(pa.table({"value": pa.array(values, kind)}))


def of(table: pa.Table) -> str:
    return content_sha256(table.schema, table.to_batches())


def test_one_row_is_hashed_as_the_format_says() -> None:
    """By hand: 1 and eight bytes for the number, 1, the length and the bytes of the text; 256 buckets; the schema."""
    row = b"\x01" + struct.pack("<q", 7) + b"\x01" + struct.pack("<q", 2) + "é".encode()
    of_row = hashlib.sha256(row).digest()
    whole = hashlib.sha256(b'modelledger.content.1\n[["id","long"],["name","string"]]\n1\n')
    for first in range(256):
        whole.update(hashlib.sha256(of_row if of_row[0] == first else b"").digest())
    assert of(pa.table({"id": [7], "name": ["é"]})) == whole.hexdigest()


def test_order_and_batches_do_not_matter() -> None:
    rng = np.random.default_rng(3)
    table = pa.table(
        {"id": pa.array(range(5_000)), "x": rng.normal(size=5_000), "s": [f"r{i % 97}" for i in range(5_000)]}
    )
    shuffled = table.take(rng.permutation(5_000))
    assert content_sha256(table.schema, table.to_batches(max_chunksize=7)) == of(shuffled)


def test_duplicate_rows_count() -> None:
    assert digest([1, 1, 2], pa.int64()) != digest([1, 2, 2], pa.int64())
    assert digest([1], pa.int64()) != digest([1, 1], pa.int64())
    assert digest([1, 1, 1], pa.int64()) != digest([1], pa.int64())


@pytest.mark.parametrize(
    ("kind", "a", "b"),
    [
        (pa.int64(), 1, 2),
        (pa.int64(), 0, None),
        (pa.float64(), 1.0, 1.0000000000000002),
        (pa.float64(), float("nan"), None),
        (pa.float64(), float("inf"), float("-inf")),
        (pa.string(), "", None),
        (pa.string(), "é", "e\u0301"),
        (pa.string(), "a", "A"),
        (pa.bool_(), True, False),
        (pa.date32(), date(2024, 2, 29), date(2024, 3, 1)),
        (pa.timestamp("us"), datetime(2024, 1, 1), datetime(2024, 1, 1, 0, 0, 0, 1)),
        (pa.decimal128(10, 2), Decimal("1.00"), Decimal("-1.00")),
        (pa.list_(pa.int64()), [], None),
        (pa.list_(pa.int64()), [1, 2], [2, 1]),
        (pa.list_(pa.string()), ["ab", ""], ["a", "b"]),
        (pa.list_(pa.int64()), [None], []),
        (pa.struct([("a", pa.int64())]), {"a": None}, None),
        (pa.map_(pa.string(), pa.int64()), [("a", 1)], [("a", 2)]),
    ],
)
def test_different_values_differ(kind: pa.DataType, a: Any, b: Any) -> None:
    assert digest([a], kind) != digest([b], kind)
    # The same holds where other rows stand around them, and slices begin in the middle.
    assert digest([a, b, a], kind) == digest([a, a, b], kind) != digest([a, b, b], kind)
    tail = pa.table({"value": pa.array([b, a, b, a], kind)}).slice(1, 2)
    assert of(tail) == digest([a, b], kind)


@pytest.mark.parametrize(
    ("a", "b"),
    [
        (pa.array([0.0]), pa.array([-0.0])),
        (
            pa.array(np.array([0x7FF8000000000000], dtype=np.uint64).view(np.float64)),
            pa.array(np.array([0xFFF8000000000123], dtype=np.uint64).view(np.float64)),
        ),
        (pa.array(["a", None]), pa.array(["a", None], pa.large_string())),
        (pa.array(["a", None]), pa.array(["a", None], pa.string_view())),
        (pa.array(["a", None, "a"]), pa.array(["a", None, "a"]).dictionary_encode()),
        (pa.array([b"a"]), pa.array([b"a"], pa.binary(1))),
        (pa.array([1, None], pa.uint8()), pa.array([1, None], pa.int16())),
        (
            pa.array([datetime(2024, 1, 1, tzinfo=UTC)], pa.timestamp("us", "UTC")),
            pa.array(
                [datetime(2024, 1, 1, 1, tzinfo=timezone(timedelta(hours=1)))], pa.timestamp("us", "Europe/Paris")
            ),
        ),
        (
            pa.array([datetime(2024, 1, 1)], pa.timestamp("us")),
            pa.array([datetime(2024, 1, 1)], pa.timestamp("ns")),
        ),
        (pa.array([[1, None], [], None]), pa.array([[1, None], [], None], pa.large_list(pa.int64()))),
        (
            pa.array([[("a", 1), ("b", None)]], pa.map_(pa.string(), pa.int64())),
            pa.array([[("b", None), ("a", 1)]], pa.map_(pa.string(), pa.int64())),
        ),
    ],
)
def test_same_values_in_another_dress_are_the_same(a: pa.Array, b: pa.Array) -> None:
    assert of(pa.table({"value": a})) == of(pa.table({"value": b}))


def test_a_null_above_hides_what_lies_below() -> None:
    """Arrow may keep bytes under a null struct or list; they are no content."""
    inner = pa.array([1, 2])
    hidden = pa.StructArray.from_arrays([inner], names=["a"], mask=pa.array([False, True]))
    assert of(pa.table({"value": hidden})) == digest([{"a": 1}, None], pa.struct([("a", pa.int64())]))


def test_names_types_and_order_of_columns_are_content_and_nullability_is_not() -> None:
    base = pa.table({"a": pa.array([1], pa.int64()), "b": pa.array([1], pa.int64())})
    assert of(base) != of(base.rename_columns(["a", "c"]))
    assert of(base) != of(base.select(["b", "a"]))
    assert of(base) != of(base.set_column(0, "a", pa.array([1], pa.int32())))
    strict = pa.schema([pa.field("a", pa.int64(), nullable=False, metadata={"k": "v"}), pa.field("b", pa.int64())])
    assert of(base) == of(base.cast(strict))


def test_no_rows_and_no_columns_have_digests() -> None:
    empty = pa.schema([("a", pa.int64())]).empty_table()
    assert of(empty) == content_sha256(empty.schema, [])
    assert of(empty) != of(pa.schema([("b", pa.int64())]).empty_table())


def test_parts_computed_apart_combine_to_the_same() -> None:
    """As a cluster does it: digests beside the rows, sorted parts of any size, then a digest a bucket in one place."""
    table = pa.table({"id": pa.array(range(999)), "tags": [[str(i), None] for i in range(999)]})
    rows = sorted(value for part in table.to_batches(max_chunksize=100) for value in row_digests(part).to_pylist())
    middle = next(number for number, row in enumerate(rows) if row[0] >= 128)
    upper, lower = [b"".join(rows[middle:])], [b"".join(rows[n : min(n + 7, middle)]) for n in range(0, middle, 7)]
    parts = [*hashed_buckets(upper), *hashed_buckets(lower)]
    assert combined(table.schema, parts) == content_of(table.schema, table.to_batches())
    assert content_of(table.schema, table.to_batches()) == Content(sha256=of(table), rows=999)


def test_type_that_delta_lacks_is_refused_in_words() -> None:
    with pytest.raises(FeatureUnsupported, match="Delta has no type for a column of duration"):
        digest([timedelta(seconds=1)], pa.duration("s"))
