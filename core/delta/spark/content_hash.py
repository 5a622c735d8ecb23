"""Compute the content hash of a Spark frame on the executors; at most 256 buckets come to the driver."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pyarrow as pa

from core.delta.content_hash import Bucket, Content, canonical_schema, combined, hashed_buckets, row_digests
from core.delta.spark.scan import numbered, pickle_by_value


def content(frame: Any) -> Content:
    """Return the same content as content_of. Spark sorts the hashes, and spills to disk what does not fit in memory.

    Raises FeatureUnsupported for a column type that cannot be hashed.
    """
    from pyspark.sql import functions as f

    schema = frame.limit(0).toArrow().schema
    canonical_schema(schema)  # raises before the cluster starts work
    pickle_by_value()
    digests = numbered(frame).mapInArrow(_hash_rows, "digest binary")
    # The first byte is the bucket: a bucket is in one partition, and its sorted hashes are adjacent.
    sorted_ = digests.repartition(f.substring("digest", 1, 1)).sortWithinPartitions("digest")
    buckets = sorted_.mapInArrow(_hash_buckets, "first int, rows long, sha256 binary").toArrow().to_pylist()
    return combined(schema, [Bucket(**bucket) for bucket in buckets])


def _hash_rows(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    for batch in batches:
        yield pa.record_batch([row_digests(batch).cast(pa.binary())], names=["digest"])


def _hash_buckets(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    for bucket in hashed_buckets(b"".join(batch.column(0).to_pylist()) for batch in batches):
        columns = [pa.array([bucket.first], pa.int32()), pa.array([bucket.rows], pa.int64()), pa.array([bucket.sha256])]
        yield pa.record_batch(columns, names=["first", "rows", "sha256"])
