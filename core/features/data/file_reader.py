"""Read an uploaded file in a process of its own, which has limits; this process sees only Arrow batches."""

from __future__ import annotations

import base64
import json
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from core.errors import BadFile
from core.features.data.file_formats.csv_format import CsvFormat, FileReport
from core.features.data.file_reader_process import ANSWER_FILE, REPORT_FILE, ROWS_FILE
from core.learning.safety.child_process import ROOT, process_environment
from core.settings import Settings

_MB = 1024 * 1024
_LONGEST_ANSWER = 64 * 1024


@dataclass(frozen=True, kw_only=True)
class FileRows:
    """The rows of a file, and how the file is written."""

    table: pa.Table
    report: FileReport


@contextmanager
def open_rows(
    settings: Settings,
    path: Path,
    *,
    name: str,
    chosen: CsvFormat | None = None,
    schema: pa.Schema | None = None,
    is_append: bool = True,
) -> Iterator[FileRows]:
    """Give the rows of a CSV or Parquet file, mapped from disk: they are valid inside the block, unless copied.

    *name* is the file's name in messages. The other parameters are those of `read_file`.

    Raises:
        BadFile: the file cannot be read, or it exceeds a limit of the settings (size, memory, time, rows, columns or
            length of values).
    """
    _require_size(settings, path, name)
    request = {
        "path": str(path.absolute()),
        "name": name,
        "format": (chosen or CsvFormat()).to_json(),
        "schema": None if schema is None else base64.b64encode(schema.serialize()).decode(),
        "is_append": is_append,
        "limits": {
            "memory_mb": settings.upload_memory_mb,
            "cpu_s": settings.upload_time_s,
            "rows": settings.upload_rows,
            "columns": settings.upload_columns,
            "cell_kb": settings.upload_cell_kb,
        },
    }
    with tempfile.TemporaryDirectory(prefix="modelledger-parse-") as scratch:
        folder = Path(scratch)
        _run(settings, request, name, folder)
        report = FileReport.from_json(json.loads((folder / REPORT_FILE).read_text(encoding="utf-8")))
        with pa.memory_map(str(folder / ROWS_FILE)) as mapped, pa.ipc.open_file(mapped) as rows:
            yield FileRows(table=rows.read_all(), report=report)


def _require_size(settings: Settings, path: Path, name: str) -> None:
    try:
        size = path.stat().st_size
    except OSError:
        return  # The process that reads the file reports the reason.
    if size > settings.upload_limit_mb * _MB:
        raise BadFile(
            "{file} has {size:,.1f} MB; at most {most:,} MB are allowed. Split the file.",
            file=name,
            size=size / _MB,
            most=settings.upload_limit_mb,
        )


def _run(settings: Settings, request: dict[str, Any], name: str, folder: Path) -> None:
    # One allocator and few arenas: memory that is reserved but not used would count against the limit.
    environment = {
        **process_environment(),
        "ARROW_DEFAULT_MEMORY_POOL": "system",
        "MALLOC_ARENA_MAX": "2",
        "TMPDIR": str(folder),
    }
    try:
        process = subprocess.run(
            [sys.executable, "-m", "core.features.data.file_reader_process", str(folder)],
            cwd=ROOT,
            env=environment,
            input=json.dumps(request).encode(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=settings.upload_time_s,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise _too_slow(settings, name) from error
    if process.returncode == 0:
        return
    answer = folder / ANSWER_FILE
    if process.returncode == 1 and answer.is_file() and answer.stat().st_size <= _LONGEST_ANSWER:
        reason = str(json.loads(answer.read_text(encoding="utf-8"))["error"])
        raise BadFile("{reason}", reason=reason, file=name)
    if process.returncode == -signal.SIGXCPU:
        raise _too_slow(settings, name)
    raise BadFile(
        "{file} was not read: the reading process ended with {ending} (its limit is {memory:,} MB of memory). Nothing "
        "was saved. Try again; if it fails again, split the file or write it again.",
        file=name,
        ending=_ending(process.returncode),
        memory=settings.upload_memory_mb,
    )


def _ending(code: int) -> str:
    """Return how a process ended. A signal from outside is not the file's fault, so the message names it."""
    if code >= 0:
        return f"exit code {code}"
    try:
        return signal.Signals(-code).name
    except ValueError:  # a real-time signal has no name
        return f"signal {-code}"


def _too_slow(settings: Settings, name: str) -> BadFile:
    return BadFile(
        "{file} takes longer than {seconds} s to read; split the file.", file=name, seconds=settings.upload_time_s
    )
