"""The process in which a file that somebody brought is parsed: a JSON request on stdin, Arrow IPC and an answer out.

It limits itself before it opens the file, gets no settings and no credentials, and writes into one folder only.
"""

from __future__ import annotations

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

from core.delta.files import read_file
from core.errors import BadFile, CoreError

ROWS_FILE, ANSWER_FILE = "rows.arrow", "answer.json"
_MB = 1024 * 1024
_LONGEST_LINE = 16 * _MB
_LONGEST_HEADER = 1 * _MB
_BATCH_ROWS = 64 * 1024


def limit(*, memory_mb: int, cpu_s: int) -> None:
    """Bounds this process: address space, processor time, and the size of a file that it writes."""
    if sys.platform == "linux":  # elsewhere the kernel refuses or ignores it
        _lower(resource.RLIMIT_AS, memory_mb * _MB)
    _lower(resource.RLIMIT_CPU, cpu_s)
    _lower(resource.RLIMIT_FSIZE, memory_mb * _MB)
    _lower(resource.RLIMIT_CORE, 0)


def parse(request: dict[str, Any], folder: Path) -> None:
    """Writes the file's rows to rows.arrow in *folder*. Raises BadFile."""
    path, shown, limits = Path(request["path"]), str(request["name"]), request["limits"]
    _look_first(path, shown, limits)
    table = read_file(path, name=shown, as_text=request["as_text"])
    _require_at_most(table.num_columns, limits["columns"], "columns", shown)
    _require_at_most(table.num_rows, limits["rows"], "rows", shown)
    for name in table.column_names:
        _require_short_cells(table.column(name), name, limits["cell_kb"], shown)
    # A dictionary that changes from batch to batch cannot be kept in an Arrow file.
    options = pa.ipc.IpcWriteOptions(unify_dictionaries=True)
    with pa.OSFile(str(folder / ROWS_FILE), "wb") as out, pa.ipc.new_file(out, table.schema, options=options) as writer:
        writer.write_table(table, max_chunksize=_BATCH_ROWS)


def _look_first(path: Path, shown: str, limits: dict[str, int]) -> None:
    """What can be told before a parser makes something big of something small. Says nothing of a file it cannot read:
    that is read_file's to tell."""
    try:
        with path.open("rb") as content:
            if content.read(4) != b"PAR1":
                content.seek(0)
                _look_at_csv(content, shown, limits)
                return
        with pq.ParquetFile(path) as file:
            found = file.metadata
            _require_at_most(found.num_columns, limits["columns"], "columns", shown)
            _require_at_most(found.num_rows, limits["rows"], "rows", shown)
            size = sum(found.row_group(number).total_byte_size for number in range(found.num_row_groups))
            _require_at_most(size // _MB, limits["memory_mb"], "MB of unpacked data", shown)
    except (OSError, pa.ArrowInvalid, pa.ArrowNotImplementedError):
        return


def _look_at_csv(content: Any, shown: str, limits: dict[str, int]) -> None:
    header = next((line for line in iter(lambda: content.readline(_LONGEST_HEADER), b"") if line.strip()), b"")
    columns = max(header.count(sign) for sign in (b",", b";", b"\t", b"|")) + 1
    _require_at_most(columns, limits["columns"], "columns", shown)
    if len(header) >= _LONGEST_HEADER:
        raise BadFile(
            f"{shown} begins with a line of more than 1 MB; its first line has to be a header of column names.",
            file=shown,
        )
    while line := content.readline(_LONGEST_LINE):
        if len(line) >= _LONGEST_LINE:
            raise BadFile(f"{shown} has a line of more than 16 MB; write one row per line.", file=shown)


def _require_at_most(count: int, most: int, what: str, shown: str) -> None:
    if count > most:
        raise BadFile(f"{shown} has {count:,} {what}; at most {most:,} are taken. Bring it in parts.", file=shown)


def _require_short_cells(column: pa.ChunkedArray, name: str, most_kb: int, shown: str) -> None:
    for chunk in column.chunks:
        values = chunk.dictionary if pa.types.is_dictionary(chunk.type) else chunk
        if values.type not in (pa.string(), pa.large_string(), pa.binary(), pa.large_binary()):
            return
        longest = pc.max(pc.binary_length(values)).as_py() or 0
        if longest > most_kb * 1024:
            raise BadFile(
                f"{shown} has a value of {longest:,} bytes in column {name[:80]!r}; at most {most_kb:,} KB are taken.",
                file=shown,
            )


def _lower(which: int, value: int) -> None:
    _, hard = resource.getrlimit(which)
    most = value if hard == resource.RLIM_INFINITY else min(value, hard)
    resource.setrlimit(which, (most, most))


def main(arguments: list[str]) -> int:
    """0 where the rows are in the folder; 1 where answer.json says in a sentence why not."""
    folder = Path(arguments[0])
    request = json.load(sys.stdin)
    limits = request["limits"]
    limit(memory_mb=limits["memory_mb"], cpu_s=limits["cpu_s"])
    csv.field_size_limit(_LONGEST_HEADER)
    try:
        parse(request, folder)
    except CoreError as error:
        answer = str(error)
    except MemoryError:  # Arrow's own is one too
        answer = (
            f"{request['name']} needs more than {limits['memory_mb']:,} MB of memory to be read; bring it in parts."
        )
    except OSError as error:
        answer = (
            f"{request['name']} cannot be unpacked here ({error.strerror or 'the disk refuses'}); bring it in parts."
        )
    except Exception as error:  # noqa: BLE001 - the boundary of the process: the reason goes to whoever started it
        answer = f"{request['name']} cannot be read ({type(error).__name__}); write it again as CSV or Parquet."
    else:
        return 0
    (folder / ANSWER_FILE).write_text(json.dumps({"error": answer}), encoding="utf-8")
    return 1


if __name__ == "__main__":
    # Everything is written and closed. What Arrow's threads do while Python is taken apart could only end it badly.
    code = main(sys.argv[1:])
    sys.stderr.flush()
    os._exit(code)
