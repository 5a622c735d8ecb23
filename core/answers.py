"""Answers of the command line: one JSON document, or the same for people."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Mapping, Sequence
from datetime import date, datetime, time
from decimal import Decimal
from enum import Enum
from typing import Any

from rich.console import Console
from rich.table import Table as Grid
from rich.text import Text


def iso(moment: datetime | None) -> str | None:
    """ISO 8601 in UTC, milliseconds, with Z."""
    return None if moment is None else moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def plain(value: Any) -> Any:
    """*value* as JSON can hold it: NaN and infinities as the strings NaN, Infinity, -Infinity; times in ISO 8601."""
    match value:
        case Enum():
            return value.value
        case None | bool() | int() | str():
            return value
        case float():
            return value if math.isfinite(value) else "NaN" if math.isnan(value) else f"{'-' * (value < 0)}Infinity"
        case datetime():
            return iso(value)
        case date() | time() | Decimal():
            return str(value)
        case bytes():
            return value.hex()
        case Mapping():
            return {str(key): plain(item) for key, item in value.items()}
        case Sequence() | set() | frozenset():
            return [plain(item) for item in value]
        case _:
            return str(value)


def write_answer(document: Any, *, as_json: bool) -> None:
    """Prints *document* on stdout: as one JSON document, or laid out for a person."""
    document = plain(document)
    if as_json:
        sys.stdout.write(json.dumps(document, ensure_ascii=False, indent=2) + "\n")
        return
    console = Console(soft_wrap=False, highlight=False)
    if isinstance(document, Mapping):
        _write_record(console, document)
    elif document and all(isinstance(item, Mapping) for item in document):
        console.print(_grid(document))
    elif isinstance(document, list):
        console.print(Text("\n".join(map(str, document)) or "Nothing."))
    else:
        console.print(Text(str(document)))


def _write_record(console: Console, record: Mapping[str, Any]) -> None:
    width = max((len(key) for key in record), default=0)
    for key, value in record.items():
        if isinstance(value, list) and value and all(isinstance(item, Mapping) for item in value):
            console.print(Text(f"{key}:"))
            console.print(_grid(value))
        else:
            console.print(Text(f"{key:<{width}}  {_cell(value)}"))


def _grid(rows: Sequence[Mapping[str, Any]]) -> Grid:
    columns = list(dict.fromkeys(key for row in rows for key in row))
    grid = Grid(*columns, header_style="bold", box=None, pad_edge=False)
    for row in rows:
        grid.add_row(*(Text(_cell(row.get(column))) for column in columns))
    return grid


def _cell(value: Any) -> str:
    if value is None:
        return "–"
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, Mapping):
        return ", ".join(f"{key}={_cell(item)}" for key, item in value.items()) or "–"
    if isinstance(value, list):
        return ", ".join(_cell(item) for item in value) or "–"
    return str(value)
