"""Score on Spark: the executors read, score and write the rows; no row comes to this process."""

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
from core.texts import text

T = TypeVar("T")


def write_on_spark(stores: Stores, work: Scoring, watch: Progress) -> int:
    """Write the batch as one commit of its table and return the version. A batch that is already there is not written.

    The finished stages are reported to *watch*. An error that its checkpoint raises ends the Spark jobs.

    Raises:
        EngineFailed: a Spark job failed; the message ends with the root cause.
        EngineUnavailable: the session or its driver was lost.
        ModelUnloadable, SchemaMismatch, BadInput, JobCancelled
    """
    engine = stores.engine
    assert isinstance(engine, SparkEngine), "score() calls this function only if Spark is the engine"
    with tempfile.TemporaryDirectory(prefix="modelledger-") as folder:
        watch.report(0.02, text("fetching the model"))
        artifact = stores.models.download(work.version.key, Path(folder))
        watch.report(0.05, text("starting Spark"))

        def prepare() -> Any:
            rows = engine.frame(work.source, version=work.data.version)
            work.check_columns(rows.columns)
            predicted = with_predictions(rows, artifact, scratch=Path(folder))
            return with_stamp(predicted, work.stamp(), then=(*ANSWER, *rows.columns))

        def write() -> int:
            return engine.write_frame(
                work.into, scored, mode="append", metadata=work.metadata(), transaction=work.transaction
            )

        def watched(action: Callable[[], T], first: float, last: float, step: str) -> T:
            return engine.watch(
                action,
                report=lambda fraction, stage: watch.report(first + (last - first) * fraction, stage),
                checkpoint=watch.checkpoint,
                step=step,
                table=work.source,
            )

        scored = watched(prepare, 0.05, 0.1, text("scoring one row to test the model"))
        try:
            return watched(write, 0.1, 0.95, text("scoring {rows} rows", rows=work.rows))
        except EngineUnavailable:
            # The commit may have been written before the session was lost: the table's log shows it.
            with suppress(CoreError):
                if (written := engine.version_of(work.into, work.transaction)) is not None:
                    return written
            raise
