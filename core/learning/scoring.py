"""Scoring: predict Arrow batches with the model in a folder, in a process that loads only this model."""

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
    """Return the columns that the model reads. Columns that the model does not know are ignored.

    Raises:
        SchemaMismatch: a column is missing or has another kind of type.
        ModelUnloadable: the model has no signature.
    """
    if not info.inputs:
        raise ModelUnloadable("The model has no signature, so the columns that it reads are unknown.")
    missing = [column.name for column in info.inputs if column.name not in schema.names]
    if missing:
        raise SchemaMismatch(
            "The model reads {missing}, but the data has no such column; its columns are {columns}.",
            missing=", ".join(missing),
            columns=", ".join(schema.names),
        )
    for column in info.inputs:
        actual = schema.field(column.name).type
        expected = ColumnKind.NUMBER if column.type in _NUMBERS else ColumnKind.CATEGORY
        if column_kind(actual) is not expected:
            raise SchemaMismatch(
                "The model reads {column!r} as {expected}; the data has the type {actual}.",
                column=column.name,
                expected=column.type,
                actual=str(actual),
            )
    return tuple(column.name for column in info.inputs)


def predict(
    folder: Path,
    batches: Iterable[pa.RecordBatch],
    schema: pa.Schema,
    *,
    all_classes: bool = False,
    stall_s: float = _STALL_S,
) -> Iterator[pa.RecordBatch]:
    """Yield one batch of predictions per batch of rows, in the same order.

    The columns are `prediction` and `probability` (of the predicted class; null for a regression), and with
    *all_classes* `probabilities`. The process of the model is killed if one batch takes longer than *stall_s*.

    Raises:
        ModelUnloadable: the model is not safe to load, damaged or stalled.
        BadSettings: the model is a Spark ML model.
        SchemaMismatch: the data does not fit the signature; raised before the first batch.
    """
    info = require_safe(folder)
    if info.format == SPARK_ML:
        raise BadSettings(
            "Only Spark can score with a Spark ML model: set MODELLEDGER_ENGINE=spark and MODELLEDGER_SPARK_MASTER.",
            setting="MODELLEDGER_ENGINE",
        )
    columns = list(check_signature(info, schema))
    command = [sys.executable, "-m", "core.learning.safety.model_process"]
    command += ["predict-all" if all_classes else "predict", str(folder)]
    with tempfile.TemporaryFile() as errors:
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            env=process_environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
        )
        try:
            yield from _exchange(process, (batch.select(columns) for batch in batches), stall_s)
            process.wait(timeout=stall_s)
        except (pa.ArrowInvalid, BrokenPipeError, OSError, subprocess.TimeoutExpired) as error:
            process.kill()
            process.wait()
            errors.seek(0)
            reason = last_line(errors.read().decode("utf-8", errors="replace"))
            raise ModelUnloadable(
                "The model could not score the data: {reason}", reason=reason, folder=str(folder)
            ) from error
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
            for pipe in (process.stdin, process.stdout):
                if pipe is not None and not pipe.closed:
                    _close(pipe)


def _exchange(
    process: subprocess.Popen[bytes], batches: Iterable[pa.RecordBatch], stall_s: float
) -> Iterator[pa.RecordBatch]:
    assert process.stdin is not None
    assert process.stdout is not None
    writer: pa.RecordBatchStreamWriter | None = None
    reader: pa.RecordBatchStreamReader | None = None
    for batch in batches:
        timer = threading.Timer(stall_s, process.kill)
        timer.start()
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
            timer.cancel()
        yield answer
    if writer is not None:
        writer.close()
    process.stdin.close()


def _close(pipe: object) -> None:
    try:
        pipe.close()  # type: ignore[attr-defined]
    except OSError:
        return  # The process has ended, and its end of the pipe is closed: there is nothing left to close.
