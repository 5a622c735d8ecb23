"""Parse a CSV text into columns of text, as they are written; an error names the line."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.csv as pa_csv

from core.errors import BadFile, first_line
from core.texts import text

_SHOWN_CHARACTERS = 60
_LEAST_BLOCK = 1 << 24


@dataclass(frozen=True, kw_only=True)
class CsvText:
    """A decoded CSV file: its text as UTF-8, without a line `sep=;`, which *skipped_lines* counts."""

    data: bytes
    shown: str
    delimiter: str
    quote: str
    has_header: bool
    skipped_lines: int = 0

    def rows(self) -> Iterator[tuple[int, list[str]]]:
        """Yield the rows with the number of their first line in the file, blank lines left out.

        Raises:
            csv.Error: a quoted value does not end.
        """
        lines = io.TextIOWrapper(io.BytesIO(self.data), encoding="utf-8", newline="")
        reader = csv.reader(lines, delimiter=self.delimiter, quotechar=self.quote, strict=False)
        start = 1
        for row in reader:
            if row:
                yield start + self.skipped_lines, row
            start = reader.line_num + 1

    def lines_of(self, numbers: Sequence[int]) -> dict[int, int]:
        """Return the line of each row in *numbers*; row 0 is the first after the header."""
        wanted, lines = set(numbers), {}
        last = max(wanted, default=-1)
        for number, (line, _) in enumerate(self.rows(), start=-1 if self.has_header else 0):
            if number > last:
                break
            if number in wanted:
                lines[number] = line
        return lines


def column_names(content: CsvText, given: Sequence[str] = ()) -> list[str]:
    """Return the names of the columns: those of the header, or without a header those *given* if the number is right.

    Raises:
        BadFile: the names cannot be those of a table.
    """
    first = next((row for _, row in content.rows()), None) if content.data.strip() else None
    if first is None:
        raise BadFile("{file} contains only blank lines. Use a CSV file with a header and rows.", file=content.shown)
    if content.has_header:
        return [name.strip() for name in first]
    return list(given) if len(given) == len(first) else [f"column_{place}" for place in range(1, len(first) + 1)]


def require_names(names: Sequence[str], shown: str) -> None:
    """Raise BadFile unless a table can have columns of these *names*."""
    if not names:
        raise BadFile("{file} has no columns, so there is nothing to save.", file=shown)
    repeated = [name for name, count in Counter(name.lower() for name in names).items() if count > 1]
    if repeated and repeated[0]:
        raise BadFile(
            "{file} has the column {column!r} more than once. Rename one of these columns.",
            file=shown,
            column=repeated[0],
        )
    if any(not name for name in names):
        raise BadFile("{file} has a column without a name. The first line must be a header.", file=shown)
    if all(_is_number(name) for name in names):
        raise BadFile(
            "{file} begins with numbers. The first line must be a header with column names, or choose that the file "
            "has no header.",
            file=shown,
        )


def parse(content: CsvText, width: int, nulls: Sequence[str]) -> list[pa.ChunkedArray]:
    """Return the columns as text. The empty field and the texts *nulls* are null where they stand without quotes.

    Raises:
        BadFile: a row has another number of values than *width*, or a quoted value does not end.
    """
    positions = [str(place) for place in range(width)]
    try:
        table = pa_csv.read_csv(
            io.BytesIO(content.data),
            read_options=pa_csv.ReadOptions(
                column_names=positions,
                skip_rows_after_names=int(content.has_header),
                block_size=max(len(content.data) // 4, _LEAST_BLOCK),
            ),
            parse_options=pa_csv.ParseOptions(
                delimiter=content.delimiter, quote_char=content.quote, newlines_in_values=True
            ),
            convert_options=pa_csv.ConvertOptions(
                null_values=["", *nulls],
                strings_can_be_null=True,
                quoted_strings_can_be_null=False,
                column_types={position: pa.string() for position in positions},
            ),
        )
    except pa.ArrowInvalid as error:
        raise _malformed(content, width, error) from error
    columns: list[pa.ChunkedArray] = table.columns
    if table.num_rows and _is_unterminated(content, columns[-1][-1].as_py()):
        raise _malformed(content, width, None)
    return columns


def short(value: str) -> str:
    """Return a value of a file for a message, cut after some characters."""
    return value if len(value) <= _SHOWN_CHARACTERS else value[: _SHOWN_CHARACTERS - 1] + "…"


def _is_unterminated(content: CsvText, value: str | None) -> bool:
    """Return whether the file ends within the quoted *value*: the parser accepts the rest of the file as one value."""
    if value is None:
        return False
    return content.data.endswith((content.quote + value.replace(content.quote, content.quote * 2)).encode())


def _malformed(content: CsvText, width: int, error: pa.ArrowInvalid | None) -> BadFile:
    """Return the error for the first row that is not valid. Python's parser is slow, but counts lines."""
    line, row = 1, [""]
    for place, values in content.rows():
        line, row = place, values
        if len(row) != width:
            break
    if error is None or _is_unterminated(content, row[-1]):
        cause: str = text("a quoted value does not end")
    elif len(row) == width:
        cause = first_line(error).removeprefix("CSV parse error: ")
    else:
        cause = text(
            "{found} values were found and {expected} are expected, as in the first line: {row!r}",
            found=len(row),
            expected=width,
            row=short(content.delimiter.join(row)),
        )
    return BadFile(
        "{file} is not valid CSV: line {line}: {cause}. Correct the line, or choose another delimiter or quote.",
        file=content.shown,
        line=line,
        cause=cause,
    )


def _is_number(name: str) -> bool:
    try:
        float(name)
    except ValueError:
        return False
    return True
