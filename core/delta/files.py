"""Read a CSV or Parquet file that a person brings into Arrow."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Collection
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from core.errors import BadFile, first_line

_PARQUET_MAGIC = b"PAR1"
_DELIMITERS = ",;\t|"
_SNIFFED_BYTES = 64 * 1024
_LEADING_ZERO = r"^\s*[+-]?0[0-9]"
_TOO_LONG_FOR_DOUBLE = r"^\s*[+-]?[0-9]{16,}\s*$"


def read_file(path: Path, *, name: str | None = None, as_text: Collection[str] = ()) -> pa.Table:
    """Return the rows of a CSV file (UTF-8, with a header) or a Parquet file; the content decides which it is.

    *name* is the file's name for messages; it is never opened. The columns *as_text* of a CSV file stay text. Values of
    other columns get a type if that loses nothing: 007 and numbers of 20 digits stay text.

    Raises:
        BadFile: the file cannot be read, or its content is not valid.
    """
    shown = name or path.name
    try:
        with path.open("rb") as content:
            start = content.read(_SNIFFED_BYTES)
    except OSError as error:
        raise BadFile(
            "{file} cannot be read ({cause}). Name a CSV or Parquet file.", file=shown, cause=error.strerror
        ) from error
    if not start:
        raise BadFile("{file} is empty. Use a CSV file with a header and rows, or a Parquet file.", file=shown)
    return _read_parquet(path, shown) if start.startswith(_PARQUET_MAGIC) else _read_csv(path, start, shown, as_text)


def _read_parquet(path: Path, shown: str) -> pa.Table:
    try:
        # Read from a handle: with a path, messages would name the temporary file of an upload.
        with path.open("rb") as content, pq.ParquetFile(content) as file:
            table = file.read()
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, OSError) as error:
        raise BadFile(
            "{file} is a damaged Parquet file ({cause}). Write the file again.", file=shown, cause=first_line(error)
        ) from error
    _require_columns(table.column_names, shown)
    return table


def _read_csv(path: Path, start: bytes, shown: str, as_text: Collection[str]) -> pa.Table:
    if b"\0" in start:
        raise BadFile(
            "{file} is neither CSV nor Parquet: it contains binary data. Save the data as CSV or Parquet.", file=shown
        )
    raw = path.read_bytes()
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise BadFile(
            "{file} is not encoded as UTF-8 (line {line}). Save the file as UTF-8 and try again.",
            file=shown,
            line=line,
        ) from error
    header = text.lstrip("\r\n").splitlines()[0] if text.strip() else ""
    if not header:
        raise BadFile("{file} contains only blank lines. Use a CSV file with a header and rows.", file=shown)
    delimiter = max(_DELIMITERS, key=header.count)
    names = next(csv.reader([header], delimiter=delimiter))
    _require_columns([name.strip() for name in names], shown)
    data = text.encode()
    raw_of = {name.strip(): name for name in names}
    texts = {raw_of[name] for name in as_text if name in raw_of}
    table = _parse_csv(data, delimiter, texts, shown)
    numbers = [field.name for field in table.schema if _is_number_type(field.type)]
    if numbers:
        written = _parse_csv(data, delimiter, {*texts, *numbers}, shown)
        if lossy := {name for name in numbers if _would_lose(written.column(name), table.schema.field(name).type)}:
            table = _parse_csv(data, delimiter, texts | lossy, shown)
    if table.num_rows == 0:
        raise BadFile("{file} has a header and no rows, so there is nothing to save.", file=shown)
    return _without_null_type(table.rename_columns([name.strip() for name in table.column_names]))


def _parse_csv(data: bytes, delimiter: str, texts: Collection[str], shown: str) -> pa.Table:
    try:
        return pa_csv.read_csv(
            io.BytesIO(data),
            read_options=pa_csv.ReadOptions(block_size=max(len(data) // 4, 1 << 24)),
            parse_options=pa_csv.ParseOptions(delimiter=delimiter, newlines_in_values=True),
            convert_options=pa_csv.ConvertOptions(
                strings_can_be_null=True,
                quoted_strings_can_be_null=False,
                column_types={name: pa.string() for name in texts},
            ),
        )
    except pa.ArrowInvalid as error:
        raise BadFile(
            "{file} is not valid CSV: {cause}. Correct that line and try again.",
            file=shown,
            cause=first_line(error).removeprefix("CSV parse error: "),
        ) from error


def _is_number_type(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind))


def _would_lose(written: pa.ChunkedArray, kind: pa.DataType) -> bool:
    """Return whether a number type would change values: leading zeros, or more digits than a double holds."""
    pattern = _LEADING_ZERO if pa.types.is_integer(kind) else f"{_LEADING_ZERO}|{_TOO_LONG_FOR_DOUBLE}"
    return bool(pc.any(pc.match_substring_regex(written, pattern)).as_py())


def _require_columns(names: list[str], shown: str) -> None:
    if not names:
        raise BadFile("{file} has no columns, so there is nothing to save.", file=shown)
    repeated = [name for name, count in Counter(name.lower() for name in names).items() if count > 1]
    if repeated:
        raise BadFile(
            "{file} has the column {column!r} more than once. Rename one of these columns.",
            file=shown,
            column=repeated[0],
        )
    if any(not name for name in names):
        raise BadFile("{file} has a column without a name. The first line must be a header.", file=shown)
    if all(_is_number(name) for name in names):
        raise BadFile("{file} begins with numbers. The first line must be a header with column names.", file=shown)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _without_null_type(table: pa.Table) -> pa.Table:
    """Return *table* with text for columns without a value: Delta has no null type."""
    fields = [f.with_type(pa.string()) if pa.types.is_null(f.type) else f for f in table.schema]
    return table.cast(pa.schema(fields))
