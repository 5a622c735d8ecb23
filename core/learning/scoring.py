"""Scoring: predictions for Arrow batches from a model folder, made in a process of the model's own."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path

import pyarrow as pa

from core.errors import BadSettings, ModelUnloadable, SchemaMismatch
from core.learning.frames import ColumnKind, column_kind
from core.learning.safety.child_process import ROOT, last_line, process_environment
from core.learning.safety.inspect_model import SPARK_ML, ModelInfo, require_safe

_NUMBERS = frozenset({"double", "float", "integer", "long", "boolean", "datetime"})
_STALL_S = 300.0


def check_signature(info: ModelInfo, schema: pa.Schema) -> tuple[str, ...]:
    """The columns that the model reads. Raises SchemaMismatch: a column is missing or of another kind.

    Columns that the model does not know are left aside.
    """
    if not info.inputs:
        raise ModelUnloadable("The model has no signature: it is not known which columns it reads.")
    missing = [column.name for column in info.inputs if column.name not in schema.names]
    if missing:
        raise SchemaMismatch(
            f"The model reads {', '.join(missing)}, which the data does not have; "
            f"its columns are {', '.join(schema.names)}.",
            missing=tuple(missing),
        )
    for column in info.inputs:
        given = schema.field(column.name).type
        wanted = ColumnKind.NUMBER if column.type in _NUMBERS else ColumnKind.CATEGORY
        if column_kind(given) is not wanted:
            raise SchemaMismatch(
                f"The model reads {column.name!r} as {column.type}; the data holds {given}.", column=column.name
            )
    return tuple(column.name for column in info.inputs)


def predict(
    folder: Path, batches: Iterable[pa.RecordBatch], schema: pa.Schema, *, stall_s: float = _STALL_S
) -> Iterator[pa.RecordBatch]:
    """One answer per batch: `prediction` and `probability` (of the chosen class; null for a regression), same order.

    The model may be ended if one batch takes longer than *stall_s*.
    Raises ModelUnloadable (unsafe, broken or stalled), BadSettings (a Spark ML model) and SchemaMismatch before the
    first answer.
    """
    info = require_safe(folder)
    if info.format == SPARK_ML:
        raise BadSettings(
            "This is a Spark ML model, which only Spark scores: set MODELLEDGER_ENGINE=spark and "
            "MODELLEDGER_SPARK_MASTER.",
            setting="MODELLEDGER_ENGINE",
        )
    columns = list(check_signature(info, schema))
    command = [sys.executable, "-m", "core.learning.safety.model_process", "predict", str(folder)]
    with tempfile.TemporaryFile() as complaints:
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            env=process_environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=complaints,
        )
        try:
            yield from _converse(process, (batch.select(columns) for batch in batches), stall_s)
            process.wait(timeout=stall_s)
        except (pa.ArrowInvalid, BrokenPipeError, OSError, subprocess.TimeoutExpired) as error:
            process.kill()
            process.wait()
            complaints.seek(0)
            reason = last_line(complaints.read().decode("utf-8", errors="replace"))
            raise ModelUnloadable(f"The model could not score the data: {reason}", folder=str(folder)) from error
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
            for pipe in (process.stdin, process.stdout):
                if pipe is not None and not pipe.closed:
                    _close(pipe)


def _converse(
    process: subprocess.Popen[bytes], batches: Iterable[pa.RecordBatch], stall_s: float
) -> Iterator[pa.RecordBatch]:
    assert process.stdin is not None
    assert process.stdout is not None
    writer: pa.RecordBatchStreamWriter | None = None
    reader: pa.RecordBatchStreamReader | None = None
    for batch in batches:
        watch = threading.Timer(stall_s, process.kill)
        watch.start()
        try:
            if writer is None:
                writer = pa.ipc.new_stream(process.stdin, batch.schema)
            writer.write_batch(batch)
            process.stdin.flush()
            if reader is None:
                reader = pa.ipc.open_stream(process.stdout)
            answer = reader.read_next_batch()
        except StopIteration as error:
            raise BrokenPipeError("the model's process ended early") from error
        finally:
            watch.cancel()
        yield answer
    if writer is not None:
        writer.close()
    process.stdin.close()


def _close(pipe: object) -> None:
    try:
        pipe.close()  # type: ignore[attr-defined]
    except OSError:
        return  # The process is gone and so is its end of the pipe: nothing is left to close.
