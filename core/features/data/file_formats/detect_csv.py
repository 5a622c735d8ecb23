"""Detect how a CSV file is written: encoding, delimiter and quote. A person's choice goes before what is detected.

DuckDB's sniff_csv was tried and not used: it reads UTF-8 only, takes no account of a decimal comma, reads ambiguous
dates as day/month, and skips lines at the start until some delimiter fits.
"""

from __future__ import annotations

import csv
import io
import re
from dataclasses import dataclass

from core.errors import BadFile
from core.features.data.file_formats.csv_format import DELIMITERS, ENCODINGS, CsvFormat

SAMPLE_BYTES = 64 * 1024
_SAMPLE_ROWS = 200
_SEPARATOR_LINE = re.compile(r'\A"?sep=(.)"?(\r\n|\r|\n)')
_PYTHON_CODECS = {"utf-8": "utf-8", "utf-16": "utf-16", "windows-1252": "cp1252"}
_BOM_8, _BOMS_16 = b"\xef\xbb\xbf", (b"\xff\xfe", b"\xfe\xff")


@dataclass(frozen=True, kw_only=True)
class Decoded:
    """The text of a file as UTF-8, without a byte order mark."""

    data: bytes
    encoding: str
    is_guessed: bool


def decode(raw: bytes, chosen: CsvFormat, shown: str) -> Decoded:
    """Return the text of the file *shown*. Without a mark it is UTF-8, or else Windows-1252.

    Raises:
        BadFile: the file holds binary data, or bytes that the encoding does not have; the message names the line.
    """
    marked = "utf-16" if raw.startswith(_BOMS_16) else "utf-8" if raw.startswith(_BOM_8) else None
    encoding = chosen.encoding or marked
    if encoding != "utf-16" and b"\0" in raw[:SAMPLE_BYTES]:
        raise BadFile(
            "{file} is neither CSV nor Parquet: it contains binary data. Save the data as CSV or Parquet.", file=shown
        )
    try:
        return _decoded(raw, encoding or "utf-8", is_guessed=False)
    except UnicodeDecodeError as error:
        if encoding is None and not _is_damaged_utf8(raw):
            try:
                return _decoded(raw, "windows-1252", is_guessed=True)
            except UnicodeDecodeError:
                pass  # the message is about UTF-8
        raise _undecodable(raw, error, encoding or "utf-8", shown) from error


def delimiter_and_quote(sample: str, is_cut: bool, chosen: CsvFormat) -> tuple[str, str]:
    """Return the delimiter and the quote character of a CSV text that begins with *sample*.

    *is_cut*: the text goes on after the sample, so that its last line may be incomplete.
    """
    if is_cut:
        sample = sample[: sample.rfind("\n") + 1] or sample
    quote = chosen.quote or _quote(sample)
    candidates = [chosen.delimiter] if chosen.delimiter else list(DELIMITERS)
    return max(candidates, key=lambda delimiter: _score(sample, delimiter, quote)), quote


def separator_line(text: str) -> tuple[str, str] | None:
    """Return the line `sep=;`, by which Excel names the delimiter, and its delimiter; None without such a line."""
    match = _SEPARATOR_LINE.match(text)
    return (match[0], match[1]) if match and match[1] in DELIMITERS else None


def _decoded(raw: bytes, encoding: str, *, is_guessed: bool) -> Decoded:
    text = raw.decode(_PYTHON_CODECS[encoding])
    # UTF-8 stays as it is: no second copy of a large file.
    data = raw if encoding == "utf-8" else text.encode()
    return Decoded(data=data.removeprefix(_BOM_8), encoding=encoding, is_guessed=is_guessed)


def _is_damaged_utf8(raw: bytes) -> bool:
    """Return whether most characters outside of ASCII are valid UTF-8: then the file is UTF-8 with damaged bytes."""
    text = raw.decode("utf-8", errors="replace")
    invalid = text.count("\N{REPLACEMENT CHARACTER}")
    valid = sum(1 for _ in re.finditer(r"[^\x00-\x7f\ufffd]", text))
    return valid > invalid


def _undecodable(raw: bytes, error: UnicodeDecodeError, encoding: str, shown: str) -> BadFile:
    before = raw[: error.start]
    line = before.decode(_PYTHON_CODECS[encoding], errors="replace").count("\n") + 1
    return BadFile(
        "{file} is not encoded as {encoding} (line {line}: the byte 0x{byte} is not valid). Save the file as UTF-8, or "
        "choose its encoding.",
        file=shown,
        encoding=ENCODINGS[encoding],
        line=line,
        byte=f"{raw[error.start]:02X}",
    )


def _quote(sample: str) -> str:
    """Return the single quote where fields stand in single quotes and none in double quotes, else the double quote."""
    opened = len(re.findall(r"(?:^|[,;\t|])'", sample, re.MULTILINE))
    closed = len(re.findall(r"(?:^|[,;\t|])'[^'\n]*'(?=$|[,;\t|\r])", sample, re.MULTILINE))
    return "'" if '"' not in sample and opened and opened == closed else '"'


def _score(sample: str, delimiter: str, quote: str) -> tuple[bool, float, bool, int]:
    """Return how well *delimiter* splits the rows: more than one column, and the same number in each row.

    A comma comes last among those that split equally well: it also stands in texts and decimal numbers.
    """
    rows = []
    try:
        for row in csv.reader(io.StringIO(sample, newline=""), delimiter=delimiter, quotechar=quote):
            if row:
                rows.append(len(row))
            if len(rows) == _SAMPLE_ROWS:
                break
    except csv.Error:
        return (False, 0.0, False, 0)
    width = rows[0] if rows else 0
    equal = rows.count(width) / len(rows) if rows else 0.0
    return (width > 1, equal, (delimiter != ",") == (width > 1), width)
