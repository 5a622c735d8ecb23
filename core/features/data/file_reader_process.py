"""The process that parses an uploaded file: a JSON request on stdin; an Arrow file and a report, or an error.

The process limits itself before it opens the file, gets no settings and no credentials, and writes to one folder only.
"""

from __future__ import annotations

import base64
import csv
import json
import os
import resource
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from core.errors import BadFile, CoreError
from core.features.data.file_formats.csv_format import CsvFormat
from core.features.data.file_formats.read_file import read_file
from core.texts import text

ROWS_FILE, REPORT_FILE, ANSWER_FILE = "rows.arrow", "report.json", "answer.json"
_MB = 1024 * 1024
_LONGEST_LINE = 16 * _MB
_LONGEST_HEADER = 1 * _MB
_BATCH_ROWS = 64 * 1024
# A value has no limit while lines are counted: the limits of memory and of values hold.
_LONGEST_VALUE = 2**31 - 1


def limit(*, memory_mb: int, cpu_s: int) -> None:
    """Limit this process: address space, processor time, and the size of each file that it writes."""
    if sys.platform == "linux":  # other kernels refuse or ignore the limit
        _lower(resource.RLIMIT_AS, memory_mb * _MB)
    _lower(resource.RLIMIT_CPU, cpu_s)
    _lower(resource.RLIMIT_FSIZE, memory_mb * _MB)
    _lower(resource.RLIMIT_CORE, 0)


def parse(request: dict[str, Any], folder: Path) -> None:
    """Write the file's rows to rows.arrow in *folder*, and a report on its format to report.json. Raises BadFile."""
    path, shown, limits = Path(request["path"]), str(request["name"]), request["limits"]
    _check_size(path, shown, limits)
    schema = request["schema"]
    table, report = read_file(
        path,
        name=shown,
        chosen=CsvFormat.from_json(request["format"]),
        schema=None if schema is None else pa.ipc.read_schema(pa.py_buffer(base64.b64decode(schema))),
        is_append=request["is_append"],
    )
    _require_few_columns(table.num_columns, limits, shown)
    _require_few_rows(table.num_rows, limits, shown)
    for name in table.column_names:
        _require_short_cells(table.column(name), name, limits["cell_kb"], shown)
    # An Arrow file cannot hold a dictionary that changes from batch to batch.
    options = pa.ipc.IpcWriteOptions(unify_dictionaries=True)
    with pa.OSFile(str(folder / ROWS_FILE), "wb") as out, pa.ipc.new_file(out, table.schema, options=options) as writer:
        writer.write_table(table, max_chunksize=_BATCH_ROWS)
    (folder / REPORT_FILE).write_text(json.dumps(report.to_json()), encoding="utf-8")


def _check_size(path: Path, shown: str, limits: dict[str, int]) -> None:
    """Check the size before a parser can expand a small file to a large table. Raises BadFile.

    A file that cannot be read passes: read_file reports the reason.
    """
    try:
        with path.open("rb") as content:
            if content.read(4) != b"PAR1":
                content.seek(0)
                _check_csv(content, shown, limits)
                return
        with pq.ParquetFile(path) as file:
            metadata = file.metadata
            _require_few_columns(metadata.num_columns, limits, shown)
            _require_few_rows(metadata.num_rows, limits, shown)
            size = sum(metadata.row_group(number).total_byte_size for number in range(metadata.num_row_groups))
            _require_small(size // _MB, limits, shown)
    except (OSError, pa.ArrowInvalid, pa.ArrowNotImplementedError):
        return


def _check_csv(content: Any, shown: str, limits: dict[str, int]) -> None:
    header = next((line for line in iter(lambda: content.readline(_LONGEST_HEADER), b"") if line.strip()), b"")
    columns = max(header.count(sign) for sign in (b",", b";", b"\t", b"|")) + 1
    _require_few_columns(columns, limits, shown)
    if len(header) >= _LONGEST_HEADER:
        raise BadFile(
            "{file} begins with a line of more than 1 MB; the first line must be a header with the column names.",
            file=shown,
        )
    while line := content.readline(_LONGEST_LINE):
        if len(line) >= _LONGEST_LINE:
            raise BadFile("{file} has a line of more than 16 MB; write one row per line.", file=shown)


def _require_few_columns(count: int, limits: dict[str, int], shown: str) -> None:
    if count > limits["columns"]:
        raise BadFile(
            "{file} has {count:,} columns; at most {most:,} are allowed. Split the file.",
            file=shown,
            count=count,
            most=limits["columns"],
        )


def _require_few_rows(count: int, limits: dict[str, int], shown: str) -> None:
    if count > limits["rows"]:
        raise BadFile(
            "{file} has {count:,} rows; at most {most:,} are allowed. Split the file.",
            file=shown,
            count=count,
            most=limits["rows"],
        )


def _require_small(size_mb: int, limits: dict[str, int], shown: str) -> None:
    if size_mb > limits["memory_mb"]:
        raise BadFile(
            "{file} has {size:,} MB of unpacked data; at most {most:,} MB are allowed. Split the file.",
            file=shown,
            size=size_mb,
            most=limits["memory_mb"],
        )


def _require_short_cells(column: pa.ChunkedArray, name: str, most_kb: int, shown: str) -> None:
    for chunk in column.chunks:
        values = chunk.dictionary if pa.types.is_dictionary(chunk.type) else chunk
        if values.type not in (pa.string(), pa.large_string(), pa.binary(), pa.large_binary()):
            return
        longest = pc.max(pc.binary_length(values)).as_py() or 0
        if longest > most_kb * 1024:
            raise BadFile(
                "{file} has a value of {size:,} bytes in the column {column!r}; at most {most:,} KB are allowed.",
                file=shown,
                size=longest,
                column=name[:80],
                most=most_kb,
            )


def _lower(which: int, value: int) -> None:
    _, hard = resource.getrlimit(which)
    most = value if hard == resource.RLIM_INFINITY else min(value, hard)
    resource.setrlimit(which, (most, most))


def main(arguments: list[str]) -> int:
    """Return 0 if the rows are in the folder, or 1 if answer.json holds the reason why not."""
    folder = Path(arguments[0])
    request = json.load(sys.stdin)
    limits = request["limits"]
    limit(memory_mb=limits["memory_mb"], cpu_s=limits["cpu_s"])
    csv.field_size_limit(_LONGEST_VALUE)
    try:
        parse(request, folder)
    except CoreError as error:
        answer = str(error)
    except MemoryError:  # also the base class of Arrow's error
        answer = text(
            "{file} needs more than {memory:,} MB of memory; split the file.",
            file=request["name"],
            memory=limits["memory_mb"],
        )
    except OSError as error:
        answer = text(
            "{file} cannot be unpacked here ({reason}); split the file.",
            file=request["name"],
            reason=error.strerror or type(error).__name__,
        )
    except Exception as error:  # noqa: BLE001 - the boundary of the process: the parent reads the reason
        answer = text(
            "{file} cannot be read ({reason}); write the file again as CSV or Parquet.",
            file=request["name"],
            reason=type(error).__name__,
        )
    else:
        return 0
    (folder / ANSWER_FILE).write_text(json.dumps({"error": answer}), encoding="utf-8")
    return 1


if __name__ == "__main__":
    # Everything is written and closed. Arrow's threads could crash the process while Python shuts down.
    code = main(sys.argv[1:])
    sys.stderr.flush()
    os._exit(code)
