"""Output of the command line: one JSON document, or the same content laid out for people."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Mapping, Sequence
from datetime import date, datetime, time
from decimal import Decimal
from enum import Enum
from typing import Any

import pyarrow as pa
from rich.console import Console
from rich.padding import Padding
from rich.table import Table as Grid
from rich.text import Text

from core.escaping import in_json, line

_MAX_WIDTH = 10_000
# A table with this many columns stays readable when its cells are wrapped.
_WRAPPABLE_COLUMNS = 4


def iso(moment: datetime | None) -> str | None:
    """Return ISO 8601 in UTC with milliseconds and Z."""
    return None if moment is None else moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def table_rows(rows: pa.Table) -> list[dict[str, Any]]:
    """Return the rows of a table; timestamps are text, with microseconds where they have some."""
    return [{name: _precise(value) for name, value in row.items()} for row in rows.to_pylist()]


def _precise(value: Any) -> Any:
    match value:
        case datetime():
            digits = "microseconds" if value.microsecond % 1000 else "milliseconds"
            return value.isoformat(timespec=digits).replace("+00:00", "Z")
        case Mapping():
            return {key: _precise(item) for key, item in value.items()}
        case list() | tuple():
            return [_precise(item) for item in value]
        case _:
            return value


def plain(value: Any) -> Any:
    """Convert *value* to JSON types: NaN and infinities to the strings NaN, Infinity, -Infinity; times to ISO 8601."""
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
    """Print *document* on stdout: as one JSON document, or laid out for people."""
    document = plain(document)
    if as_json:
        sys.stdout.write(in_json(json.dumps(document, ensure_ascii=False, indent=2)) + "\n")
        return
    console = Console(soft_wrap=False, highlight=False)
    if isinstance(document, Mapping):
        _write_record(console, document)
    elif _is_table(document):
        _write_table(console, document)
    elif isinstance(document, list):
        console.print(Text("\n".join(map(line, document)) or "No results."))
    else:
        console.print(Text(line(document)))


def _is_table(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(item, Mapping) for item in value)


def _write_record(console: Console, record: Mapping[str, Any], *, indent: str = "") -> None:
    """One line per key. A table, or a record that is too long for its line, is laid out below its key."""
    width = max((len(line(key)) for key in record), default=0)
    for key, value in record.items():
        if rows := _table_rows(value):
            console.print(Text(f"{indent}{line(key)}:"))
            _write_table(console, rows, indent=f"{indent}  ")
            continue
        row_text = f"{indent}{line(key):<{width}}  {_cell(value)}"
        if isinstance(value, Mapping) and len(row_text) > console.width:
            console.print(Text(f"{indent}{line(key)}:"))
            _write_record(console, value, indent=f"{indent}  ")
        else:
            console.print(Text(row_text), soft_wrap=True)


def _table_rows(value: Any) -> list[Mapping[str, Any]]:
    """The rows of a table, or of a mapping from names to records; empty for any other value."""
    if isinstance(value, Mapping) and value and all(isinstance(item, Mapping) for item in value.values()):
        return [{"name": name, **item} for name, item in value.items()]
    return value if _is_table(value) else []


def _write_table(console: Console, rows: Sequence[Mapping[str, Any]], *, indent: str = "") -> None:
    """One line per row where all columns fit; else one record below the other, so that nothing is cut."""
    columns = list(dict.fromkeys(key for row in rows for key in row))
    grid = Grid(box=None, pad_edge=False)
    for column in columns:
        grid.add_column(Text(line(column), style="bold"), overflow="fold")
    for row in rows:
        grid.add_row(*(Text(_cell(row.get(column))) for column in columns))
    has_tables = any(_table_rows(value) for row in rows for value in row.values())
    natural_width = console.measure(grid, options=console.options.update(max_width=_MAX_WIDTH)).maximum + len(indent)
    if not has_tables and (natural_width <= console.width or len(columns) <= _WRAPPABLE_COLUMNS):
        console.print(Padding(grid, (0, 0, 0, len(indent))))
        return
    for number, row in enumerate(rows):
        if number:
            console.print()
        _write_record(console, row, indent=indent)


def _cell(value: Any) -> str:
    if value is None:
        return "–"
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, Mapping):
        return ", ".join(f"{line(key)}={_cell(item)}" for key, item in value.items()) or "–"
    if isinstance(value, list):
        return ", ".join(_cell(item) for item in value) or "–"
    return line(value)
