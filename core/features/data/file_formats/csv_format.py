"""CsvFormat: how a CSV file is written. The same record holds what a person chose and what was detected."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

# The encodings with their names for people.
ENCODINGS = {"utf-8": "UTF-8", "windows-1252": "Windows-1252", "utf-16": "UTF-16"}
DELIMITERS = (",", ";", "\t", "|")


@dataclass(frozen=True, kw_only=True)
class CsvFormat:
    """The format of a CSV file. None means: detect.

    *decimal* is the decimal mark; the other mark may then group thousands. *dates* is the order of day and month in
    dates that are not ISO 8601. *nulls* are the texts that mean null when they stand without quotes; the empty field
    always does.
    """

    encoding: str | None = None
    delimiter: str | None = None
    quote: str | None = None
    decimal: str | None = None
    header: bool | None = None
    dates: str | None = None
    nulls: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Self:
        return cls(**{**document, "nulls": tuple(document["nulls"])})


@dataclass(frozen=True, kw_only=True)
class ColumnNote:
    """Why a column did not get the type that its values or the table suggest.

    *reason* is "text" (a value is not of the type), "ambiguous_date", "ambiguous_number" or "point" (a point that may
    group thousands was read as a decimal point). *line* is the line of *found*, the first such value, counted from 1;
    *count* is the number of such values and *texts* are the different ones, if they are few. *expected* is the type.
    """

    column: str
    reason: str
    line: int
    found: str
    count: int
    texts: tuple[str, ...]
    expected: str

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Self:
        return cls(**{**document, "texts": tuple(document["texts"])})


@dataclass(frozen=True, kw_only=True)
class FileReport:
    """What was found in a file: its format (None for Parquet), texts that often mean null, and notes on columns.

    *nulls* holds each such text with the number of its values; texts that were read as null are not counted.
    """

    format: CsvFormat | None = None
    is_encoding_guessed: bool = False
    nulls: tuple[tuple[str, int], ...] = ()
    notes: tuple[ColumnNote, ...] = ()

    def to_json(self) -> dict[str, Any]:
        return {
            "format": None if self.format is None else self.format.to_json(),
            "is_encoding_guessed": self.is_encoding_guessed,
            "nulls": [list(item) for item in self.nulls],
            "notes": [note.to_json() for note in self.notes],
        }

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Self:
        return cls(
            format=None if document["format"] is None else CsvFormat.from_json(document["format"]),
            is_encoding_guessed=document["is_encoding_guessed"],
            nulls=tuple((str(text), int(count)) for text, count in document["nulls"]),
            notes=tuple(ColumnNote.from_json(note) for note in document["notes"]),
        )
