"""Evaluate: a model version predicts pinned rows with known answers, which gives its KPIs and its pictures."""

from __future__ import annotations

import json
import math
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from core.access.permissions import Action
from core.delta.table_features import SPARK
from core.entities import Actor, Event, Job, ModelVersionKey, Outcome, Table, TableVersion, Task
from core.features.head_to_head.judged_rows import (
    Side,
    open_side,
    require_same_kind,
    target_column,
    unseen_rows,
)
from core.features.stores import Stores
from core.jobs.progress import Progress, Silent
from core.learning.artifact_files import folder_sha256
from core.learning.comparison.answers import Answers, is_classification, predict_rows
from core.learning.comparison.compare_models import class_values
from core.learning.evaluation import evaluate_numbers
from core.learning.frames import target_values
from core.learning.pictures.classification import classification_pictures
from core.learning.pictures.importance import permutation_importance
from core.learning.pictures.pictures import Importance, Pictures, from_json
from core.learning.pictures.regression import regression_pictures
from core.learning.safety.inspect_model import SPARK_ML
from core.texts import text

JOB_KIND = "evaluate"

_Predict = Callable[[pa.Table], Answers]
_MOST_EVENTS = 20


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """A version on the rows of *data* that it was not trained on. *artifact* is the SHA-256 of the model's files."""

    model: ModelVersionKey
    data: TableVersion
    target: str
    rows: int
    left_out: int
    metrics: Mapping[str, float]
    pictures: Pictures
    notes: tuple[str, ...]
    artifact: str


def submit_evaluation(
    stores: Stores,
    actor: Actor,
    key: ModelVersionKey,
    *,
    table: str,
    version: int | None = None,
    target: str = "",
    reason: str = "",
) -> Job:
    """Submit an evaluation as a job for a worker. The data version is pinned now.

    Raises:
        ModelVersionNotFound, TableNotFound, VersionNotFound, Forbidden
    """
    stores.audit.require(actor, Action.MODEL_EVALUATE, str(key))
    stores.models.version(key)
    source, data = stores.pin(table, version)
    stores.engine.snapshot(source, version=data.version)
    arguments = {
        "model": key.model,
        "model_version": key.version,
        "table": data.table,
        "version": data.version,
        "target": target,
        "reason": reason,
    }
    return stores.jobs.submit(JOB_KIND, arguments, actor)


def evaluate(
    stores: Stores,
    actor: Actor,
    key: ModelVersionKey,
    *,
    table: str,
    version: int | None = None,
    target: str = "",
    reason: str = "",
    progress: Progress | None = None,
) -> Evaluation:
    """Let a version predict the rows of a data version (default: the latest) that it was not trained on.

    *target* is the column with the true values (default: the parameter `target` of the run). The model predicts in a
    process of its own. MLflow is not changed; the audit log keeps the KPIs and the pictures.

    Raises:
        ModelVersionNotFound, TableNotFound, VersionNotFound, DataUnreadable, ColumnNotFound
        BadParameter: no target is known, or too few rows are left.
        SchemaMismatch: the data does not fit the model, or the model predicts other values than the target has.
        ModelUnloadable: the model is not safe to load.
        RegistryUnavailable, JobCancelled, Forbidden
    """
    watch = progress or Silent()
    with stores.audit.recording(actor, Action.MODEL_EVALUATE, str(key), reason=reason) as record:
        watch.remember(operation=record.operation)
        source, data = stores.pin(table, version)
        with tempfile.TemporaryDirectory(prefix="modelledger-") as folder:
            side = open_side(stores, key, Path(folder, "model"))
            watch.checkpoint()
            watch.report(0.1, text("reading {data}", data=data))
            names = [field.name for field in stores.engine.snapshot(source, version=data.version).schema]
            column = target_column(names, data, [side], target)
            rows, left_out, notes, predict = _open_rows(stores, source, data, side, column, Path(folder))
            watch.report(0.2, text("scoring {rows} rows", rows=rows.num_rows))
            actual, answers = target_values(rows, column), predict(rows)
            require_same_kind(side, answers, actual, column)
            watch.checkpoint()
            watch.report(0.5, text("drawing the pictures"))
            metrics, pictures = _judge(side, rows, actual, answers, predict)
            artifact = folder_sha256(side.folder)
        evaluation = Evaluation(
            model=key,
            data=data,
            target=column,
            rows=rows.num_rows,
            left_out=left_out,
            metrics=metrics,
            pictures=pictures,
            notes=notes,
            artifact=artifact,
        )
        record.after = serialize(evaluation)
        watch.report(1.0, text("evaluated on {rows} rows", rows=rows.num_rows))
    return evaluation


def past_evaluations(stores: Stores, actor: Actor, key: ModelVersionKey) -> tuple[Event, ...]:
    """Return the newest 20 evaluations of *key*, newest first; their `after` is the result of `serialize`."""
    stores.audit.require(actor, Action.MODEL_READ, str(key))
    return stores.audit.search(
        action=Action.MODEL_EVALUATE.value, subject=str(key), outcome=Outcome.SUCCESS.value, limit=_MOST_EVENTS
    )


def pictures_of(evaluation: Event) -> Pictures:
    """Return the pictures that a past evaluation recorded."""
    return from_json(json.dumps(evaluation.after["pictures"]).encode())


def serialize(evaluation: Evaluation) -> dict[str, Any]:
    """Return *evaluation* as the audit log and the command line store it; numbers of pictures have six digits."""
    document = {**asdict(evaluation), "model": str(evaluation.model), "data": str(evaluation.data)}
    return {**document, "metrics": dict(evaluation.metrics), "pictures": _shortened(document["pictures"])}


def _open_rows(
    stores: Stores, source: Table, data: TableVersion, side: Side, target: str, folder: Path
) -> tuple[pa.Table, int, tuple[str, ...], _Predict]:
    """Return the rows that *side* was not trained on, how many were left out, notes, and how *side* predicts rows.

    A model predicts in a process of its own, or on Spark if only Spark can load it.
    """
    if stores.engine.name != SPARK or side.info.format != SPARK_ML:
        rows = stores.engine.read(source, version=data.version)
        return *unseen_rows(stores, rows, data, [side], target), partial(predict_rows, side.folder)
    # pyspark is an extra, and only its engine needs it.
    from core.features.head_to_head.compare_on_spark import unseen_frame
    from core.learning.spark.answers import predict_rows_on_spark

    frame, left_out, notes = unseen_frame(stores, source, data, [side], target)

    def predict(rows: pa.Table) -> Answers:
        scratch = Path(tempfile.mkdtemp(dir=folder))
        return predict_rows_on_spark(frame.sparkSession, side.folder, rows, scratch=scratch)

    return frame.toArrow(), left_out, notes, predict


def _judge(
    side: Side, rows: pa.Table, actual: np.ndarray, answers: Answers, predict: _Predict
) -> tuple[dict[str, float], Pictures]:
    """Return the KPIs and the pictures; a model without probabilities has fewer of both."""
    if is_classification(actual, answers):
        labels = np.array(answers.classes, dtype=object if actual.dtype == object else None)
        values = class_values(actual, answers, labels)
        metrics = {name: value for name, value in values.items() if not math.isnan(value)}
        pictures = classification_pictures(actual, answers)
    else:
        metrics, pictures = evaluate_numbers(actual, answers.predicted), regression_pictures(actual, answers.predicted)
    return metrics, replace(pictures, importance=_importance(side, rows, actual, pictures.task, predict))


def _importance(
    side: Side, rows: pa.Table, actual: np.ndarray, task: Task, predict: _Predict
) -> tuple[Importance, ...]:
    """Return the importance of the model's inputs. The positions of the rows are shuffled, so no type is converted."""
    positions = pd.DataFrame({column.name: np.arange(rows.num_rows) for column in side.info.inputs})

    def predict_shuffled(shuffled: pd.DataFrame) -> np.ndarray:
        columns = {name: rows.column(name).take(pa.array(shuffled[name])) for name in shuffled.columns}
        return predict(pa.table(columns)).predicted

    return permutation_importance(positions, actual, predict_shuffled, task)


def _shortened(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _shortened(entry) for name, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_shortened(entry) for entry in value]
    return float(f"{value:.6g}") if isinstance(value, float) else value
