"""The content digest of a Spark frame, computed where its rows are: at most 256 buckets come to the driver."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pyarrow as pa

from core.delta.content_hash import Bucket, Content, canonical_schema, combined, hashed_buckets, row_digests
from core.delta.spark.scan import by_value, numbered


def content(frame: Any) -> Content:
    """The same digest as content_of over all rows. Digests are sorted by Spark, which spills what memory lacks.

    Raises FeatureUnsupported for a column type that has no digest.
    """
    from pyspark.sql import functions as f

    schema = frame.limit(0).toArrow().schema
    canonical_schema(schema)  # asked before the cluster starts
    by_value()
    digests = numbered(frame).mapInArrow(_beside_the_rows, "digest binary")
    # A bucket is a first byte: all of it is in one partition, and sorted digests keep it together.
    sorted_ = digests.repartition(f.substring("digest", 1, 1)).sortWithinPartitions("digest")
    buckets = sorted_.mapInArrow(_beside_the_digests, "first int, rows long, sha256 binary").toArrow().to_pylist()
    return combined(schema, [Bucket(**bucket) for bucket in buckets])


def _beside_the_rows(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    for batch in batches:
        yield pa.record_batch([row_digests(batch).cast(pa.binary())], names=["digest"])


def _beside_the_digests(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    for bucket in hashed_buckets(b"".join(batch.column(0).to_pylist()) for batch in batches):
        columns = [pa.array([bucket.first], pa.int32()), pa.array([bucket.rows], pa.int64()), pa.array([bucket.sha256])]
        yield pa.record_batch(columns, names=["first", "rows", "sha256"])
