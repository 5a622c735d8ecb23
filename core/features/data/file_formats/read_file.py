"""Read a CSV or Parquet file that a person brings into Arrow, and report how it is written."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from core.errors import BadFile, first_line
from core.features.data.file_formats import csv_types, detect_csv, null_texts
from core.features.data.file_formats.csv_format import ColumnNote, CsvFormat, FileReport
from core.features.data.file_formats.parse_csv import CsvText, column_names, parse, require_names, short

_PARQUET_MAGIC = b"PAR1"
_MOST_NOTES = 100


def read_file(
    path: Path,
    *,
    name: str | None = None,
    chosen: CsvFormat | None = None,
    schema: pa.Schema | None = None,
    is_append: bool = True,
) -> tuple[pa.Table, FileReport]:
    """Return the rows of a CSV or Parquet file, and how it is written; the content decides which of both it is.

    *name* is the file's name for messages; it is never opened. *chosen* is the format of a CSV file as far as a person
    chose it. Its columns get the types of *schema*, which is the table's; a column with a value that does not fit stays
    text, or without *is_append* gets the type of its values. Columns that *schema* does not have get a type if that
    loses nothing: 007 and numbers of 20 digits stay text.

    Raises:
        BadFile: the file cannot be read, or its content is not valid; the message names the line.
    """
    shown = name or path.name
    try:
        with path.open("rb") as content:
            start = content.read(len(_PARQUET_MAGIC))
            raw = b"" if start == _PARQUET_MAGIC else start + content.read()
    except OSError as error:
        raise BadFile(
            "{file} cannot be read ({cause}). Name a CSV or Parquet file.", file=shown, cause=error.strerror
        ) from error
    if start == _PARQUET_MAGIC:
        return _read_parquet(path, shown), FileReport()
    if not raw:
        raise BadFile("{file} is empty. Use a CSV file with a header and rows, or a Parquet file.", file=shown)
    return _read_csv(raw, shown, chosen or CsvFormat(), schema, is_append=is_append)


def _read_parquet(path: Path, shown: str) -> pa.Table:
    try:
        # Read from a handle: with a path, messages would name the temporary file of an upload.
        with path.open("rb") as content, pq.ParquetFile(content) as file:
            table = file.read()
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, OSError) as error:
        raise BadFile(
            "{file} is a damaged Parquet file ({cause}). Write the file again.", file=shown, cause=first_line(error)
        ) from error
    require_names(table.column_names, shown)
    return _without_null_type(table)


def _read_csv(
    raw: bytes, shown: str, chosen: CsvFormat, schema: pa.Schema | None, *, is_append: bool
) -> tuple[pa.Table, FileReport]:
    decoded = detect_csv.decode(raw, chosen, shown)
    content = _csv_text(decoded, chosen, shown)
    names = column_names(content, schema.names if schema is not None else ())
    columns = parse(content, len(names), chosen.nulls)
    names, columns = _without_unnamed_blanks(names, columns)
    require_names(names, shown)
    if not len(columns[0]):
        raise BadFile("{file} has a header and no rows, so there is nothing to save.", file=shown)
    counts = null_texts.usual_null_texts(columns)
    # A quoted text is never null in a text column. In a column of numbers or dates it cannot mean anything else.
    bare = [_without(column, chosen.nulls) for column in columns]
    texts = {field.name for field in schema or () if pa.types.is_string(field.type)}
    numbers = [column for name, column in zip(names, bare, strict=True) if name not in texts]
    decimal, is_sure = csv_types.detect_decimal(numbers, chosen.decimal)
    del numbers
    style = csv_types.Style(
        decimal=decimal,
        is_decimal_sure=is_sure,
        dates=chosen.dates,
        is_point_doubtful=content.delimiter == ";" and not is_sure,
    )
    exceptions: dict[str, csv_types.Exceptions] = {}
    for place, name in enumerate(names):
        converted, wrong = _typed(bare[place], name, schema, style, is_append=is_append)
        columns[place] = columns[place] if pa.types.is_string(converted.type) else converted
        bare[place] = None
        if wrong is not None:
            exceptions[name] = wrong
            if wrong.reason == "text":
                counts.update({text: 1 for text in null_texts.few_words(wrong.texts) if text not in counts})
    lines = content.lines_of([wrong.row for wrong in exceptions.values()])
    report = FileReport(
        format=CsvFormat(
            encoding=decoded.encoding,
            delimiter=content.delimiter,
            quote=content.quote,
            decimal=decimal,
            header=content.has_header,
            dates=chosen.dates,
            nulls=chosen.nulls,
        ),
        is_encoding_guessed=decoded.is_guessed,
        nulls=null_texts.most_frequent(counts),
        notes=tuple(_note(name, wrong, lines) for name, wrong in exceptions.items())[:_MOST_NOTES],
    )
    return pa.table(dict(zip(names, columns, strict=True))), report


def _csv_text(decoded: detect_csv.Decoded, chosen: CsvFormat, shown: str) -> CsvText:
    """Return the text with the delimiter and the quote that were chosen or detected."""
    data = decoded.data
    start = data[: detect_csv.SAMPLE_BYTES].decode("utf-8", errors="ignore")
    separator = detect_csv.separator_line(start)
    if separator is not None:
        data, start = data[len(separator[0]) :], start[len(separator[0]) :]
    delimiter, quote = detect_csv.delimiter_and_quote(start, len(data) > len(start), chosen)
    return CsvText(
        data=data,
        shown=shown,
        delimiter=chosen.delimiter or (separator[1] if separator is not None else delimiter),
        quote=quote,
        has_header=chosen.header is not False,
        skipped_lines=0 if separator is None else 1,
    )


def _without_unnamed_blanks(
    names: list[str], columns: list[pa.ChunkedArray]
) -> tuple[list[str], list[pa.ChunkedArray]]:
    """Leave out columns without a name and without a value: Excel writes them for cells that were emptied."""
    kept = [place for place, name in enumerate(names) if name or columns[place].null_count < len(columns[place])]
    return [names[place] for place in kept], [columns[place] for place in kept]


def _without(column: pa.ChunkedArray, nulls: tuple[str, ...]) -> pa.ChunkedArray:
    return csv_types.without_texts(column, nulls) if nulls else column


def _typed(
    column: pa.ChunkedArray, name: str, schema: pa.Schema | None, style: csv_types.Style, *, is_append: bool
) -> csv_types.Converted:
    if schema is None or name not in schema.names:
        return csv_types.infer(column, style)
    converted, wrong = csv_types.to_type(column, schema.field(name).type, style)
    if wrong is None or is_append or wrong.reason == "point":
        return converted, wrong
    inferred, reason = csv_types.infer(column, style)
    return inferred, reason or wrong


def _note(name: str, wrong: csv_types.Exceptions, lines: dict[int, int]) -> ColumnNote:
    return ColumnNote(
        column=name,
        reason=wrong.reason,
        line=lines.get(wrong.row, 0),
        found=short(wrong.found),
        count=wrong.count,
        texts=tuple(short(text) for text in wrong.texts),
        expected=wrong.expected,
    )


def _without_null_type(table: pa.Table) -> pa.Table:
    """Return *table* with text for columns without a value: Delta has no null type."""
    fields = [f.with_type(pa.string()) if pa.types.is_null(f.type) else f for f in table.schema]
    return table.cast(pa.schema(fields))
