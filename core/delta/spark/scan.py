"""Stream a Spark frame as Arrow record batches, one partition at a time, on every kind of master."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pyarrow as pa


def stream(frame: Any) -> Iterator[pa.RecordBatch]:
    """Yield the rows of *frame*; the driver holds one partition at a time.

    Each executor packs its batches in Arrow's stream format into one binary column. Other ways out of Spark collect all
    rows at once (toArrow) or create a Python object for each value (toLocalIterator on rows).
    """
    pickle_by_value()
    packed = numbered(frame).mapInArrow(_pack, "packed binary")
    for row in packed.toLocalIterator():
        with pa.ipc.open_stream(pa.py_buffer(bytes(row[0]))) as reader:
            yield from (batch.rename_columns(frame.columns) for batch in reader)


def numbered(frame: Any) -> Any:
    """Return *frame* with numbered columns: mapInArrow reads a name as an expression (`a.b` is field b of a)."""
    return frame.toDF(*[f"c{number}" for number in range(len(frame.columns))])


def _pack(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    for batch in batches:
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, batch.schema) as writer:
            writer.write_batch(batch)
        yield pa.record_batch([pa.array([sink.getvalue().to_pybytes()], pa.binary())], names=["packed"])


def pickle_by_value() -> None:
    """Send ModelLedger's functions to the executors with their code, because ModelLedger is not installed there."""
    from pyspark import cloudpickle

    import core

    cloudpickle.register_pickle_by_value(core)
