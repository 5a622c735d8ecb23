"""Score a pinned data version with a pinned model version; the predictions become one commit of a table."""

from __future__ import annotations

import tempfile
from collections import deque
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path
from uuid import uuid4

import pyarrow as pa

from core.access.permissions import Action
from core.delta.table_features import SPARK
from core.entities import (
    Actor,
    Job,
    ModelVersion,
    ModelVersionKey,
    PredictionBatch,
    RequestStatus,
    Table,
)
from core.errors import BadInput, NothingInProduction
from core.features.scoring.batch_metadata import ANSWER, STAMP, Scoring
from core.features.scoring.batches import batches_in
from core.features.stores import Stores
from core.jobs.progress import Progress, Silent
from core.learning.scoring import predict
from core.texts import text

__all__ = ["ANSWER", "STAMP", "score", "submit_scoring"]


def submit_scoring(
    stores: Stores,
    actor: Actor,
    *,
    model: str,
    table: str,
    version: int | None = None,
    into: str,
    model_version: int | None = None,
    reason: str = "",
) -> Job:
    """Submit a scoring as a job for a worker. The model version, data version and batch id are pinned now.

    Raises:
        NothingInProduction, TableNotFound, VersionNotFound, BadName, Forbidden
    """
    stores.audit.require(actor, Action.PREDICTION_SCORE, model)
    chosen = _resolve(stores, model, model_version)
    source, data = stores.pin(table, version)
    stores.engine.snapshot(source, version=data.version)
    stores.catalog.place(into)
    arguments = {
        "model": chosen.model,
        "model_version": chosen.version,
        "table": data.table,
        "version": data.version,
        "into": into,
        "reason": reason,
        "batch_id": uuid4().hex[:16],
    }
    return stores.jobs.submit("score", arguments, actor)


def score(
    stores: Stores,
    actor: Actor,
    *,
    model: str,
    table: str,
    version: int | None = None,
    into: str = "predictions",
    model_version: int | None = None,
    reason: str = "",
    batch_id: str | None = None,
    progress: Progress | None = None,
) -> PredictionBatch:
    """Score a data version (default: the latest) with a model version (default: the version in Production).

    The model is loaded in a process of its own, or by the executors if Spark is the engine. The predictions are one
    commit of *into*, and each row has the columns STAMP. The same *batch_id* is written only once.

    Raises:
        BadSettings: the model is a Spark ML model and Spark is not the engine.
        NothingInProduction, SchemaMismatch, ModelUnloadable, DataUnreadable, TableNotFound, VersionNotFound, BadName,
        BadInput, RegistryUnavailable, EngineUnavailable, EngineFailed, JobCancelled, Forbidden
    """
    watch = progress or Silent()
    with stores.audit.recording(actor, Action.PREDICTION_SCORE, model, reason=reason) as record:
        watch.remember(operation=record.operation)
        chosen = _resolve(stores, model, model_version)
        record.subject = str(chosen.key)
        target = stores.catalog.place(into)
        if (written := _written(stores, target, batch_id)) is not None:
            batch_key = {"batch": written.batch_id, "into": written.into}
            watch.line(text("batch {batch} is already in {into}; nothing is written", **batch_key))
            record.after = _after(written)
            return written
        source, data = stores.pin(table, version)
        work = Scoring(
            version=chosen,
            source=source,
            data=data,
            table_id=stores.engine.snapshot(source, version=data.version).table_id,
            into=target,
            batch_id=batch_id or uuid4().hex[:16],
            rows=stores.engine.count(source, version=data.version),
            time=datetime.now(UTC),
            actor=actor.name,
        )
        record.after = {"batch": work.batch_id, "data": str(data)}
        if work.rows == 0:
            raise BadInput("{data} has no rows, so there is nothing to score.", data=str(data))
        watch.line(
            text(
                "batch {batch}: {model} scores {data} ({rows} rows) into {into}",
                batch=work.batch_id,
                model=chosen.key,
                data=data,
                rows=work.rows,
                into=work.into.name,
            )
        )
        if stores.engine.name == SPARK:
            from core.features.scoring.score_on_spark import write_on_spark

            written_version = write_on_spark(stores, work, watch)
        else:
            written_version = _write(stores, work, watch)
        batch = work.batch(written_version)
        record.after = _after(batch)
        watch.report(1.0, text("wrote {into}", into=batch.into))
    return batch


def _after(batch: PredictionBatch) -> dict[str, object]:
    """Return what the audit log records of a written batch."""
    return {"batch": batch.batch_id, "data": str(batch.source), "into": str(batch.into), "rows": batch.rows}


def _resolve(stores: Stores, model: str, version: int | None) -> ModelVersion:
    if version is not None:
        return stores.models.version(ModelVersionKey(model=model, version=version))
    production = stores.models.production(model)
    if production is None:
        for unfinished in stores.decisions.list(model=model, statuses=(RequestStatus.UNFINISHED,), limit=1):
            raise NothingInProduction(
                "Decision {request_id} on {model_version} is not finished, and no version of {model} is in Production. "
                "Try again in a moment, or resolve the decision on Promotions.",
                request_id=unfinished.id,
                model_version=str(unfinished.key),
                model=model,
            )
        raise NothingInProduction(
            "No version of {model} is in Production; request a promotion, or name a version as {model}/N.", model=model
        )
    return production


def _written(stores: Stores, into: Table, batch_id: str | None) -> PredictionBatch | None:
    """Return the batch of that id if an earlier attempt wrote it."""
    if batch_id is None or not stores.engine.exists(into):
        return None
    return next((batch for batch in batches_in(stores, into) if batch.batch_id == batch_id), None)


def _write(stores: Stores, work: Scoring, watch: Progress) -> int:
    with tempfile.TemporaryDirectory(prefix="modelledger-") as folder:
        watch.report(0.02, text("fetching the model"))
        artifact = stores.models.download(work.version.key, Path(folder))
        rows = _stamped(stores, work, artifact, watch)
        first = next(rows)
        reader = pa.RecordBatchReader.from_batches(first.schema, chain([first], rows))
        return stores.engine.write(
            work.into, reader, mode="append", metadata=work.metadata(), transaction=work.transaction
        )


def _stamped(stores: Stores, work: Scoring, artifact: Path, watch: Progress) -> Iterator[pa.RecordBatch]:
    """Yield the source's rows with stamp and prediction. Memory holds only one batch at a time."""
    schema = stores.engine.read(work.source, version=work.data.version, limit=0).schema
    work.check_columns(schema.names)
    stamp = work.stamp()
    sent: deque[pa.RecordBatch] = deque()

    def batches() -> Iterator[pa.RecordBatch]:
        for batch in stores.engine.scan(work.source, version=work.data.version):
            if batch.num_rows:
                sent.append(batch)
                yield batch

    done = 0
    for answer in predict(artifact, batches(), schema):
        watch.checkpoint()
        batch = sent.popleft()
        yield _combined(stamp, batch, answer)
        done += batch.num_rows
        watch.report(0.05 + 0.9 * done / work.rows, text("scored {done} of {rows} rows", done=done, rows=work.rows))


def _combined(stamp: Mapping[str, pa.Scalar], batch: pa.RecordBatch, answer: pa.RecordBatch) -> pa.RecordBatch:
    stamped = {name: pa.repeat(value, batch.num_rows) for name, value in stamp.items()}
    answers = {name: answer.column(name) for name in ANSWER}
    source = {name: batch.column(name) for name in batch.schema.names}
    return pa.RecordBatch.from_pydict({**stamped, **answers, **source})
