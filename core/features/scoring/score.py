"""Scores: a model version reads a pinned data version, and its predictions become one commit of a Delta table."""

from __future__ import annotations

import json
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
    Commit,
    Job,
    ModelVersion,
    ModelVersionKey,
    Outcome,
    PredictionBatch,
    Table,
    TableVersion,
)
from core.errors import BadInput, BatchNotFound, NothingInProduction, TableNotFound
from core.features.scoring.batch_metadata import ANSWER, BATCH, STAMP, Scoring
from core.features.stores import Stores
from core.jobs.progress import Progress, Silent
from core.learning.scoring import predict

__all__ = ["ANSWER", "STAMP", "find_batch", "list_batches", "score", "submit_scoring"]


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
    """Puts a scoring into the job table, pinned now: the model version, the data version and the batch's id.

    Raises what can be known now: NothingInProduction, TableNotFound, VersionNotFound, BadName, Forbidden.
    """
    stores.audit.require(actor, Action.PREDICTION_SCORE, model)
    chosen = _chosen(stores, model, model_version)
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
    """Scores a data version (default the latest) with a model version (default whatever is in Production).

    The model is loaded in a process of its own, or by Spark's executors where that is the engine. The rows are one
    commit of *into*, stamped with STAMP; the same *batch_id* twice writes once.
    Raises NothingInProduction, SchemaMismatch, ModelUnloadable, DataUnreadable, TableNotFound, VersionNotFound,
    BadName, BadInput, BadSettings (a Spark ML model without Spark), RegistryUnavailable, EngineUnavailable,
    EngineFailed, JobCancelled, Forbidden.
    """
    watch = progress or Silent()
    with stores.audit.recording(actor, Action.PREDICTION_SCORE, model, reason=reason) as record:
        watch.remember(operation=record.operation)
        chosen = _chosen(stores, model, model_version)
        record.subject = str(chosen.key)
        target = stores.catalog.place(into)
        if (first := _written(stores, target, batch_id)) is not None:
            watch.line(f"batch {first.batch_id} is in {first.into} already; nothing is written again")
            record.after = _after(first)
            return first
        source, data = stores.pin(table, version)
        work = Scoring(
            version=chosen,
            source=source,
            data=data,
            into=target,
            batch_id=batch_id or uuid4().hex[:16],
            rows=stores.engine.count(source, version=data.version),
            time=datetime.now(UTC),
            actor=actor.name,
        )
        record.after = {"batch": work.batch_id, "data": str(data)}
        if work.rows == 0:
            raise BadInput(f"{data} holds no rows, so there is nothing to score.")
        watch.line(f"batch {work.batch_id}: {chosen.key} scores {data} ({work.rows} rows) into {work.into.name}")
        if stores.engine.name == SPARK:
            from core.features.scoring.score_on_spark import write_on_spark

            written = write_on_spark(stores, work, watch)
        else:
            written = _write(stores, work, watch)
        batch = work.batch(written)
        record.after = _after(batch)
        watch.report(1.0, f"wrote {batch.into}")
    return batch


def list_batches(stores: Stores, actor: Actor, *, into: str | None = None) -> tuple[PredictionBatch, ...]:
    """Past batches, newest first, read from the metadata of the commits that wrote them; no data is read."""
    stores.audit.require(actor, Action.PREDICTION_READ, into or "")
    names = {into} if into else _scored_tables(stores)
    found = [batch for name in sorted(names) for batch in _batches_of(stores, name)]
    return tuple(sorted(found, key=lambda batch: batch.time, reverse=True))


def find_batch(stores: Stores, actor: Actor, batch_id: str) -> PredictionBatch:
    """Raises BatchNotFound."""
    for batch in list_batches(stores, actor):
        if batch.batch_id == batch_id:
            return batch
    raise BatchNotFound(
        f"There is no prediction batch {batch_id!r}; pick one from the list of batches.", batch=batch_id
    )


def _after(batch: PredictionBatch) -> dict[str, object]:
    """What the audit log keeps of a batch that is written."""
    return {"batch": batch.batch_id, "data": str(batch.source), "into": str(batch.into), "rows": batch.rows}


def _chosen(stores: Stores, model: str, version: int | None) -> ModelVersion:
    if version is not None:
        return stores.models.version(ModelVersionKey(model=model, version=version))
    serving = stores.models.production(model)
    if serving is None:
        raise NothingInProduction(
            f"No version of {model} is in Production; ask for a promotion, or name a version: {model}/N.", model=model
        )
    return serving


def _written(stores: Stores, into: Table, batch_id: str | None) -> PredictionBatch | None:
    """The batch of that id, where an earlier attempt wrote it."""
    if batch_id is None or not stores.engine.exists(into):
        return None
    return next((batch for batch in _batches_in(stores, into) if batch.batch_id == batch_id), None)


def _write(stores: Stores, work: Scoring, watch: Progress) -> int:
    with tempfile.TemporaryDirectory(prefix="modelledger-") as folder:
        watch.report(0.02, "fetching the model")
        artifact = stores.models.download(work.version.key, Path(folder))
        rows = _stamped(stores, work, artifact, watch)
        first = next(rows)
        reader = pa.RecordBatchReader.from_batches(first.schema, chain([first], rows))
        return stores.engine.write(
            work.into, reader, mode="append", metadata=work.metadata(), transaction=work.transaction
        )


def _stamped(stores: Stores, work: Scoring, artifact: Path, watch: Progress) -> Iterator[pa.RecordBatch]:
    """The source's rows with stamp and answer; the model answers batch by batch, nothing is held but one batch."""
    schema = stores.engine.read(work.source, version=work.data.version, limit=0).schema
    work.check_columns(schema.names)
    stamp = work.stamp()
    waiting: deque[pa.RecordBatch] = deque()

    def asked() -> Iterator[pa.RecordBatch]:
        for batch in stores.engine.scan(work.source, version=work.data.version):
            if batch.num_rows:
                waiting.append(batch)
                yield batch

    done = 0
    for answer in predict(artifact, asked(), schema):
        watch.checkpoint()
        batch = waiting.popleft()
        yield _combined(stamp, batch, answer)
        done += batch.num_rows
        watch.report(0.05 + 0.9 * done / work.rows, f"scored {done} of {work.rows} rows")


def _combined(stamp: Mapping[str, pa.Scalar], batch: pa.RecordBatch, answer: pa.RecordBatch) -> pa.RecordBatch:
    stamped = {name: pa.repeat(value, batch.num_rows) for name, value in stamp.items()}
    answers = {name: answer.column(name) for name in ANSWER}
    source = {name: batch.column(name) for name in batch.schema.names}
    return pa.RecordBatch.from_pydict({**stamped, **answers, **source})


def _scored_tables(stores: Stores) -> set[str]:
    """Tables that a scoring ever wrote to, from the audit log."""
    scored = stores.audit.search(action=Action.PREDICTION_SCORE.value, outcome=Outcome.SUCCESS.value, limit=None)
    return {str(event.after["into"]).rpartition("@")[0] for event in scored if event.after.get("into")}


def _batches_of(stores: Stores, name: str) -> Iterator[PredictionBatch]:
    try:
        table = stores.catalog.resolve(name)
    except TableNotFound:
        return  # dropped since; the audit log still tells of its batches
    yield from _batches_in(stores, table)


def _batches_in(stores: Stores, table: Table) -> Iterator[PredictionBatch]:
    for commit in stores.engine.history(table):
        if BATCH in commit.metadata:
            yield _read(commit)


def _read(commit: Commit) -> PredictionBatch:
    raw = commit.metadata[BATCH]
    told = json.loads(raw) if isinstance(raw, str) else raw
    return PredictionBatch(
        batch_id=told["batch_id"],
        model=told["model"],
        model_version=told["model_version"],
        run_id=told["run_id"],
        source=TableVersion(table=told["source_table"], version=told["source_version"]),
        into=commit.key,
        rows=told["rows"],
        time=datetime.fromisoformat(told["time"]),
        actor=told["actor"],
    )
