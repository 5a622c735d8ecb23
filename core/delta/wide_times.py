"""Wide times: dates and timestamps outside the years 1 to 9999. Delta stores them, Python cannot; they become text."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

# Of 0001-01-01 and 9999-12-31, in days and seconds since 1970.
_FIRST_DAY, _LAST_DAY = -719_162, 2_932_896
_DAY_S = 86_400
_UNITS_PER_S = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}


def with_text_for_wide_times(rows: pa.Table) -> pa.Table:
    """Return *rows* with text for each column that has a date or timestamp outside the years 1 to 9999.

    The text is ISO 8601 with the year as it is: 10000-01-01T05:00:00.000Z. Values within lists, structs and maps
    count too; other columns stay as they are.
    """
    for position, field in enumerate(rows.schema):
        column = rows.column(position)
        if _has_times(field.type):
            array = column.combine_chunks()
            replaced = replace_wide_times(array)
            if replaced is not array:
                rows = rows.set_column(position, field.name, replaced)
    return rows


def replace_wide_times(array: pa.Array) -> pa.Array:
    """Return *array* with text for its wide times, also within nested values; *array* itself if it has none."""
    if isinstance(array, pa.ChunkedArray):  # what combine_chunks returns for a column of no chunks
        array = pa.concat_arrays(array.chunks) if array.num_chunks else pa.array([], array.type)
    kind = array.type
    if pa.types.is_date(kind) or pa.types.is_timestamp(kind):
        return _text(array) if _is_wide(array) else array
    if not _has_times(kind):
        return array
    whole = pa.concat_arrays([array])  # offsets of a slice would not begin with zero
    if pa.types.is_struct(kind):
        parts = [whole.field(number) for number in range(kind.num_fields)]
        replaced = [replace_wide_times(part) for part in parts]
        if all(new is old for new, old in zip(replaced, parts, strict=True)):
            return array
        names = [part.name for part in kind]
        return pa.StructArray.from_arrays(replaced, names=names, mask=whole.is_null())
    if pa.types.is_map(kind):
        keys, items = replace_wide_times(whole.keys), replace_wide_times(whole.items)
        if keys.type == kind.key_type and items.type == kind.item_type:
            return array
        return pa.MapArray.from_arrays(whole.offsets, keys, items, mask=whole.is_null())
    values = replace_wide_times(whole.values)
    return (
        array
        if values.type == kind.value_type
        else pa.ListArray.from_arrays(whole.offsets, values, mask=whole.is_null())
    )


def _has_times(kind: pa.DataType) -> bool:
    if pa.types.is_date(kind) or pa.types.is_timestamp(kind):
        return True
    if pa.types.is_map(kind):
        return _has_times(kind.key_type) or _has_times(kind.item_type)
    if pa.types.is_list(kind):
        return _has_times(kind.value_type)
    return bool(pa.types.is_struct(kind)) and any(_has_times(part.type) for part in kind)


def _is_wide(array: pa.Array) -> bool:
    kind = array.type
    if pa.types.is_date64(kind):
        array, kind = array.cast(pa.date32()), pa.date32()
    first, last, whole = _FIRST_DAY, _LAST_DAY + 1, pa.int32()
    if pa.types.is_timestamp(kind):
        scale = _DAY_S * _UNITS_PER_S[kind.unit]
        first, last, whole = first * scale, last * scale, pa.int64()
    ends = pc.min_max(array.cast(whole))
    least, most = ends["min"].as_py(), ends["max"].as_py()
    return least is not None and (least < first or most >= last)


def _text(array: pa.Array) -> pa.Array:
    text = pc.replace_substring(array.cast(pa.string()), " ", "T", max_replacements=1)
    return pc.replace_substring_regex(text, r"(\.\d{3})0+(Z?)$", r"\1\2")
