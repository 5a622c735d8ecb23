"""Parses a file that somebody brought, in a limited process of its own: the app's process sees Arrow batches only."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import tempfile
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa

from core.errors import BadFile
from core.features.data.file_reader_process import ANSWER_FILE, ROWS_FILE
from core.learning.safety.child_process import process_environment
from core.settings import Settings

_ROOT = Path(__file__).resolve().parents[3]
_MB = 1024 * 1024
_MOST_ANSWER = 64 * 1024


@contextmanager
def parsed(settings: Settings, path: Path, *, name: str, as_text: Collection[str] = ()) -> Iterator[pa.Table]:
    """The rows of a CSV or Parquet file, mapped from disk: they last as long as the block, unless they are copied.

    *name* is what the file is called in messages. Raises BadFile, also where the file is too large, or needs more
    memory, time, rows, columns or longer values than the settings allow.
    """
    _require_size(settings, path, name)
    with tempfile.TemporaryDirectory(prefix="modelledger-parse-") as made:
        folder = Path(made)
        _run(settings, path, name, as_text, folder)
        with pa.memory_map(str(folder / ROWS_FILE)) as mapped, pa.ipc.open_file(mapped) as rows:
            yield rows.read_all()


def _require_size(settings: Settings, path: Path, name: str) -> None:
    try:
        size = path.stat().st_size
    except OSError:
        return  # The process that reads it tells why it cannot.
    if size > settings.upload_limit_mb * _MB:
        raise BadFile(
            f"{name} has {size / _MB:,.1f} MB; at most {settings.upload_limit_mb:,} MB are taken. Bring it in parts.",
            file=name,
        )


def _run(settings: Settings, path: Path, name: str, as_text: Collection[str], folder: Path) -> None:
    request = {
        "path": str(path.absolute()),
        "name": name,
        "as_text": list(as_text),
        "limits": {
            "memory_mb": settings.upload_memory_mb,
            "cpu_s": settings.upload_time_s,
            "rows": settings.upload_rows,
            "columns": settings.upload_columns,
            "cell_kb": settings.upload_cell_kb,
        },
    }
    # One allocator and few arenas: what is reserved and not used would count against the limit.
    environment = {
        **process_environment(),
        "ARROW_DEFAULT_MEMORY_POOL": "system",
        "MALLOC_ARENA_MAX": "2",
        "TMPDIR": str(folder),
    }
    try:
        done = subprocess.run(
            [sys.executable, "-m", "core.features.data.file_reader_process", str(folder)],
            cwd=_ROOT,
            env=environment,
            input=json.dumps(request).encode(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=settings.upload_time_s,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise _too_slow(settings, name) from error
    if done.returncode == 0:
        return
    answer = folder / ANSWER_FILE
    if done.returncode == 1 and answer.is_file() and answer.stat().st_size <= _MOST_ANSWER:
        raise BadFile(str(json.loads(answer.read_text(encoding="utf-8"))["error"]), file=name)
    if done.returncode == -signal.SIGXCPU:
        raise _too_slow(settings, name)
    raise BadFile(
        f"{name} was not read: the process that reads it ended with {_ending(done.returncode)} (it may use "
        f"{settings.upload_memory_mb:,} MB of memory). Nothing was saved: try again; if it happens again bring "
        "the file in parts, or write it again.",
        file=name,
    )


def _ending(code: int) -> str:
    """How a process ended: a signal from outside is not the file's fault, and whoever looks for the cause needs it."""
    if code >= 0:
        return f"exit code {code}"
    try:
        return signal.Signals(-code).name
    except ValueError:  # a real-time signal has no name
        return f"signal {-code}"


def _too_slow(settings: Settings, name: str) -> BadFile:
    return BadFile(f"{name} takes longer than {settings.upload_time_s} s to be read; bring it in parts.", file=name)
