"""Arrow record batches out of a Spark frame, one partition at a time, on every kind of master."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pyarrow as pa

_ROWS_PER_BATCH = 65_536


def stream(frame: Any) -> Iterator[pa.RecordBatch]:
    """The rows of *frame*; the driver holds one partition at a time.

    Each executor packs its batches as Arrow's stream format into one binary column: the only way out of Spark that
    neither gathers everything (toArrow) nor makes a Python object of each value (toLocalIterator on rows).
    """
    by_value()
    packed = numbered(frame).mapInArrow(_pack, "packed binary")
    for row in packed.toLocalIterator():
        with pa.ipc.open_stream(pa.py_buffer(bytes(row[0]))) as reader:
            yield from (batch.rename_columns(frame.columns) for batch in reader)


def numbered(frame: Any) -> Any:
    """*frame* with its columns named by their number: mapInArrow looks a name up as an expression (`a.b`: b of a)."""
    return frame.toDF(*[f"c{number}" for number in range(len(frame.columns))])


def _pack(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    for batch in batches:
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, batch.schema) as writer:
            writer.write_batch(batch)
        yield pa.record_batch([pa.array([sink.getvalue().to_pybytes()], pa.binary())], names=["packed"])


def by_value() -> None:
    """Functions of ours go to the executors with their code: nothing of this application is installed there."""
    from pyspark import cloudpickle

    import core

    cloudpickle.register_pickle_by_value(core)
