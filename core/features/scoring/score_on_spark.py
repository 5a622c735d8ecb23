"""Scores on Spark: the rows are read, scored and written by the executors; none of them comes to this process."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

from core.delta.spark.engine import SparkEngine
from core.errors import CoreError, EngineUnavailable
from core.features.scoring.batch_metadata import ANSWER, Scoring
from core.features.stores import Stores
from core.jobs.progress import Progress
from core.learning.spark.scoring import with_predictions, with_stamp

T = TypeVar("T")


def write_on_spark(stores: Stores, work: Scoring, watch: Progress) -> int:
    """Writes the batch as one commit of its table and returns the version; the same batch twice writes once.

    *watch* hears the stages done of the stages total; what its checkpoint raises ends the Spark jobs too.
    Raises ModelUnloadable, SchemaMismatch, BadInput, EngineFailed (with Spark's root cause), EngineUnavailable (the
    session or its driver was lost), JobCancelled.
    """
    engine = stores.engine
    assert isinstance(engine, SparkEngine), "score() comes here only where Spark is the engine"
    with tempfile.TemporaryDirectory(prefix="modelledger-") as folder:
        watch.report(0.02, "fetching the model")
        artifact = stores.models.download(work.version.key, Path(folder))
        watch.report(0.05, "starting Spark")

        def prepare() -> Any:
            rows = engine.frame(work.source, version=work.data.version)
            work.check_columns(rows.columns)
            scored = with_predictions(rows, artifact, scratch=Path(folder))
            return with_stamp(scored, work.stamp(), then=(*ANSWER, *rows.columns))

        def write() -> int:
            return engine.write_frame(
                work.into, made, mode="append", metadata=work.metadata(), transaction=work.transaction
            )

        def watched(do: Callable[[], T], first: float, last: float, what: str) -> T:
            return engine.watched(
                do,
                report=lambda fraction, step: watch.report(first + (last - first) * fraction, step),
                checkpoint=watch.checkpoint,
                what=what,
                table=work.source,
            )

        made = watched(prepare, 0.05, 0.1, "scoring one row to try the model")
        try:
            return watched(write, 0.1, 0.95, f"scoring {work.rows} rows")
        except EngineUnavailable:
            # Lost, but perhaps only after the commit: the log tells.
            with suppress(CoreError):
                if (written := engine.version_of(work.into, work.transaction)) is not None:
                    return written
            raise
