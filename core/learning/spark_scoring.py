"""Scoring on Spark: a model folder's predictions as two columns of a Spark frame, made where the rows are."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import yaml

from core.errors import ModelUnloadable
from core.learning.artifacts import ModelInfo, require_safe
from core.learning.frames import ColumnKind, column_kind
from core.learning.model_process import PREDICTION, PROBABILITY
from core.learning.scoring import check_signature, predict
from core.learning.spark_models import is_spark_model, with_spark_predictions

_SPARK_TYPES = {pa.string(): "string", pa.large_string(): "string", pa.bool_(): "boolean", pa.float64(): "double"}


# This process forbids MLflow to load any model (registry/connection.py); executors may load this one: require_safe
# found nothing in it that would run.
_MAY_LOAD = {"MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "true"}


def with_predictions(frame: Any, folder: Path, *, scratch: Path, served_as: str | None = None) -> Any:
    """*frame* with `prediction` and `probability` (of the chosen class; null for a regression), nothing computed yet.

    The model is loaded on the executors by mlflow.pyfunc.spark_udf; before that, one row is scored here, so that a
    model that does not load or does not fit the data ends before the cluster starts. *scratch* outlives the job.
    *served_as* is an address from which far executors fetch the model (models:/NAME/N) where no disk is shared;
    such a batch has no probabilities.
    Raises ModelUnloadable (unsafe, broken) and SchemaMismatch.
    """
    if is_spark_model(folder):
        return with_spark_predictions(frame, folder, scratch)
    info = require_safe(folder)
    sample = frame.limit(1).toArrow()
    columns = check_signature(info, sample.schema)
    answer = _try_one(folder, sample)
    inputs = _inputs(frame, columns, sample.schema)
    scored = frame.withColumn(
        PREDICTION, _udf(frame.sparkSession, served_as or str(folder), _spark_type(answer, info))(inputs)
    )
    if answer.column(PROBABILITY).null_count == len(answer) or served_as is not None:
        return scored.selectExpr("*", f"cast(null as double) as {PROBABILITY}")
    from pyspark.sql import functions as f

    chances = _udf(frame.sparkSession, str(_answering_chances(folder, scratch)), "array<double>")(inputs)
    return scored.withColumn(PROBABILITY, f.array_max(chances))


def _try_one(folder: Path, sample: pa.Table) -> pa.RecordBatch:
    batches = sample.combine_chunks().to_batches() if sample.num_rows else [_row_of_nulls(sample.schema)]
    return next(iter(predict(folder, batches, sample.schema)))


def _row_of_nulls(schema: pa.Schema) -> pa.RecordBatch:
    nullable = pa.schema([field.with_nullable(True) for field in schema])
    return pa.record_batch([pa.nulls(1, field.type) for field in nullable], schema=nullable)


def _spark_type(answer: pa.RecordBatch, info: ModelInfo) -> str:
    kind = answer.schema.field(PREDICTION).type
    if pa.types.is_integer(kind):
        return "long"
    if kind not in _SPARK_TYPES:
        outputs = ", ".join(column.type for column in info.outputs)
        raise ModelUnloadable(f"The model answers with {kind} ({outputs}), which has no column type on Spark.")
    return _SPARK_TYPES[kind]


def _udf(session: Any, model: str, result_type: str) -> Any:
    """MLflow's udf. Executors run the Python that this process runs, unless PYSPARK_PYTHON says otherwise."""
    import logging

    import mlflow.pyfunc

    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    # Its advice to rebuild the environment on each executor is for clusters whose Python is another one: docs/spark.md.
    logging.getLogger("mlflow.pyfunc").setLevel(logging.ERROR)
    return mlflow.pyfunc.spark_udf(session, model, result_type=result_type, env_manager="local", extra_env=_MAY_LOAD)


def _inputs(frame: Any, columns: tuple[str, ...], schema: pa.Schema) -> Any:
    """The model's inputs as one struct: numbers as double (times as seconds since 1970), texts as they are.

    The same conversions as frames.features_frame makes for the embedded engine.
    """
    from pyspark.sql import functions as f

    made = []
    for name in columns:
        kind, column = schema.field(name).type, frame[_quoted(name)]
        if column_kind(kind) is ColumnKind.CATEGORY:
            value = column.cast("string")
        elif pa.types.is_timestamp(kind) or pa.types.is_date(kind):
            value = f.unix_micros(column.cast("timestamp")) / f.lit(1e6)
        elif pa.types.is_boolean(kind):
            value = column.cast("int").cast("double")
        else:
            value = column.cast("double")
        made.append(value.alias(name))
    return f.struct(*made)


def _answering_chances(folder: Path, scratch: Path) -> Path:
    """A copy of the model folder whose pyfunc answers with predict_proba: what an MLmodel says is one line."""
    place = scratch / "chances"
    shutil.copytree(folder, place)
    description = yaml.safe_load((place / "MLmodel").read_text(encoding="utf-8"))
    description["flavors"]["python_function"]["predict_fn"] = "predict_proba"
    # The signature's output is one column; predict_proba answers with one per class.
    description["signature"].pop("outputs", None)
    (place / "MLmodel").write_text(yaml.safe_dump(description), encoding="utf-8")
    return place


def _quoted(name: str) -> str:
    return "`" + name.replace("`", "``") + "`"
