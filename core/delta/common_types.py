"""The type that holds the values of two others without a loss, where Delta can widen one to the other.

Source: Delta protocol, "Type Widening".
"""

from __future__ import annotations

import pyarrow as pa

_DIGITS = {pa.int8(): 10, pa.int16(): 10, pa.int32(): 10, pa.int64(): 20}
_WIDER_INTEGERS = (pa.int8(), pa.int16(), pa.int32(), pa.int64())


def common_type(one: pa.DataType, other: pa.DataType) -> pa.DataType | None:
    """Return the wider of two types, also within lists, maps and structs; None if neither can be widened."""
    if one == other:
        return one
    if pa.types.is_list(one) and pa.types.is_list(other):
        value = common_type(one.value_type, other.value_type)
        return None if value is None else pa.list_(value)
    if pa.types.is_map(one) and pa.types.is_map(other):
        key, item = common_type(one.key_type, other.key_type), common_type(one.item_type, other.item_type)
        return None if key is None or item is None else pa.map_(key, item)
    if pa.types.is_struct(one) and pa.types.is_struct(other):
        return _common_struct(one, other)
    return other if _widens(one, other) else one if _widens(other, one) else None


def _common_struct(one: pa.StructType, other: pa.StructType) -> pa.DataType | None:
    if [part.name for part in one] != [part.name for part in other]:
        return None
    fields = []
    for left, right in zip(one, other, strict=True):
        kind = common_type(left.type, right.type)
        if kind is None:
            return None
        fields.append(pa.field(left.name, kind))
    return pa.struct(fields)


def _widens(narrow: pa.DataType, wide: pa.DataType) -> bool:
    if narrow in _DIGITS:
        if wide in _DIGITS:
            return _WIDER_INTEGERS.index(narrow) < _WIDER_INTEGERS.index(wide)
        if pa.types.is_decimal(wide):
            return bool(wide.precision - wide.scale >= _DIGITS[narrow])
        return bool(wide == pa.float64() and narrow != pa.int64())
    if pa.types.is_decimal(narrow) and pa.types.is_decimal(wide):
        return bool(wide.scale >= narrow.scale and wide.precision - wide.scale >= narrow.precision - narrow.scale)
    return (narrow, wide) in ((pa.float32(), pa.float64()), (pa.date32(), pa.timestamp("us")))
