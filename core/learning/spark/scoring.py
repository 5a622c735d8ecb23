"""Scoring on Spark: add the predictions of a model to a Spark frame, computed where the rows are."""

from __future__ import annotations

import io
import json
import os
import shutil
import sys
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa

from core.errors import ModelUnloadable
from core.identifiers import quote_spark
from core.learning.artifact_files import files_below
from core.learning.frames import ColumnKind, column_kind
from core.learning.safety.inspect_model import SPARK_ML, ModelInfo, require_safe
from core.learning.safety.model_process import CLASSES, PREDICTION, PROBABILITIES, PROBABILITY
from core.learning.scoring import check_signature, predict
from core.learning.spark.models import with_spark_predictions

# By the Arrow type of a prediction: the result type of MLflow's udf, and the type of the Spark column.
_SPARK_TYPES = {
    pa.string(): ("string", "string"),
    pa.large_string(): ("string", "string"),
    pa.bool_(): ("boolean", "boolean"),
    pa.int8(): ("long", "tinyint"),
    pa.int16(): ("long", "smallint"),
    pa.int32(): ("long", "int"),
    pa.int64(): ("long", "bigint"),
    pa.float32(): ("double", "float"),
    pa.float64(): ("double", "double"),
}
# A column that no table has, for the probabilities of all classes.
_CHANCES = "__chances"
_MAP = "map<string,double>"
_STAMP_TYPES = {pa.string(): "string", pa.int64(): "bigint"}

# This process forbids MLflow to load any model (registry/connection.py). Executors may load this copy, because
# require_safe inspected everything in it.
_MAY_LOAD = {"MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "true", "MLFLOW_DISABLE_TELEMETRY": "true"}


def with_predictions(frame: Any, folder: Path, *, scratch: Path, all_classes: bool = False) -> Any:
    """Return *frame* with `prediction` and `probability` (of the predicted class; null for a regression).

    Nothing is computed yet, and the predictions are those of scoring.predict. One row is scored here first, so that a
    model that does not load or does not fit the data fails before the cluster starts. *scratch* must outlive the job.
    With *all_classes* the map `probabilities` follows, by class; null for a model without probabilities.

    Raises:
        ModelUnloadable: the model is not safe to load or is damaged.
        SchemaMismatch: the data does not fit the signature.
    """
    info = require_safe(folder)
    sample = frame.limit(1).toArrow()
    columns = check_signature(info, sample.schema)
    if info.format == SPARK_ML:
        return with_spark_predictions(frame, folder, scratch, all_classes=all_classes)
    answer = _score_one(folder, sample)
    udf_type, column_type = _types(answer, info)
    inputs = _inputs(frame, columns, sample.schema)
    classes = (answer.schema.metadata or {}).get(CLASSES)
    from pyspark.sql import functions as f

    if classes is None:
        predictions = _udf(frame.sparkSession, _safe_copy(folder, info, scratch, "predict"), udf_type)
        answers = {PREDICTION: predictions(inputs).cast(column_type), PROBABILITY: f.lit(None).cast("double")}
        return frame.withColumns(answers | ({PROBABILITIES: f.lit(None).cast(_MAP)} if all_classes else {}))
    probabilities = _udf(frame.sparkSession, _safe_copy(folder, info, scratch, "predict_proba"), "array<double>")
    labels = f.array(*[f.lit(label).cast(column_type) for label in json.loads(classes)])
    chances = f.col(_CHANCES)
    # As numpy.argmax does: the first of equal probabilities.
    best = f.array_position(chances, f.array_max(chances)).cast("int")
    answers = {PREDICTION: f.element_at(labels, best), PROBABILITY: f.array_max(chances)}
    if all_classes:
        answers[PROBABILITIES] = f.map_from_arrays(labels.cast("array<string>"), chances)
    return frame.withColumn(_CHANCES, probabilities(inputs)).withColumns(answers).drop(_CHANCES)


def with_stamp(frame: Any, stamp: Mapping[str, pa.Scalar], *, then: tuple[str, ...]) -> Any:
    """Return the columns of *stamp*, the same on every row, followed by the columns of *frame* that *then* names."""
    from pyspark.sql import functions as f

    columns = []
    for name, value in stamp.items():
        if pa.types.is_timestamp(value.type):
            column = f.timestamp_micros(f.lit(value.value))
        else:
            column = f.lit(value.as_py()).cast(_STAMP_TYPES[value.type])
        columns.append(column.alias(name))
    return frame.select(*columns, *[frame[quote_spark(name)] for name in then])


def _score_one(folder: Path, sample: pa.Table) -> pa.RecordBatch:
    batches = sample.combine_chunks().to_batches() if sample.num_rows else [_row_of_nulls(sample.schema)]
    return next(iter(predict(folder, batches, sample.schema)))


def _row_of_nulls(schema: pa.Schema) -> pa.RecordBatch:
    nullable = pa.schema([field.with_nullable(True) for field in schema])
    return pa.record_batch([pa.nulls(1, field.type) for field in nullable], schema=nullable)


def _types(answer: pa.RecordBatch, info: ModelInfo) -> tuple[str, str]:
    kind = answer.schema.field(PREDICTION).type
    if kind not in _SPARK_TYPES:
        outputs = ", ".join(column.type for column in info.outputs)
        raise ModelUnloadable(
            "The model predicts {type} ({outputs}), which has no column type on Spark.",
            type=str(kind),
            outputs=outputs,
        )
    return _SPARK_TYPES[kind]


def _udf(session: Any, model: Path, result_type: str) -> Any:
    """Return MLflow's udf. Executors run the Python of this process, unless PYSPARK_PYTHON names another Python."""
    import logging

    import mlflow.pyfunc

    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    # MLflow advises to rebuild the environment on each executor; only clusters with another Python need that.
    logging.getLogger("mlflow.pyfunc").setLevel(logging.ERROR)
    udf = mlflow.pyfunc.spark_udf(
        session, str(model), result_type=result_type, env_manager="local", extra_env=_MAY_LOAD
    )
    is_connect = type(session).__module__.startswith("pyspark.sql.connect")
    return _with_model(model, udf, result_type) if is_connect else udf


def _with_model(model: Path, udf: Any, result_type: str) -> Any:
    """Return MLflow's *udf* with the model folder in it.

    Over Spark Connect, executors load the model from its path on this machine, which they can read only if they share
    our disk. If they do not, they unpack the folder first.
    """
    from pyspark.sql.functions import pandas_udf

    packed, place, on_executor = _zipped(model), str(model), udf.func

    def answers(iterator: Iterator[Any]) -> Iterator[Any]:
        # This application is not installed on executors: only the imports below are available.
        import io
        import os
        import tempfile
        import zipfile

        if not os.path.isdir(place):
            above = os.path.dirname(place)
            os.makedirs(above, mode=0o700, exist_ok=True)
            draft = tempfile.mkdtemp(dir=above)
            with zipfile.ZipFile(io.BytesIO(packed)) as archive:
                archive.extractall(draft)
            try:
                os.rename(draft, place)
            except OSError:
                if not os.path.isdir(place):  # another task unpacked it first
                    raise
        yield from on_executor(iterator)

    # pyspark finds the kind of a function by its annotations.
    answers.__annotations__ = dict(on_executor.__annotations__)
    return pandas_udf(answers, returnType=result_type)


def _zipped(folder: Path) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in files_below(folder):
            archive.write(file, file.relative_to(folder))
    return out.getvalue()


def _inputs(frame: Any, columns: tuple[str, ...], schema: pa.Schema) -> Any:
    """Return the model's inputs as one struct: numbers as double (times in seconds since 1970), texts unchanged.

    The conversions are those of frames.features_frame in the embedded engine.
    """
    from pyspark.sql import functions as f

    values = []
    for name in columns:
        kind, column = schema.field(name).type, frame[quote_spark(name)]
        if column_kind(kind) is ColumnKind.CATEGORY:
            value = column.cast("string")
        elif pa.types.is_timestamp(kind) or pa.types.is_date(kind):
            value = f.unix_micros(column.cast("timestamp")) / f.lit(1e6)
        elif pa.types.is_boolean(kind):
            value = column.cast("int").cast("double")
        else:
            value = column.cast("double")
        values.append(value.alias(name))
    return f.struct(*values)


def _safe_copy(folder: Path, info: ModelInfo, scratch: Path, predict_fn: str) -> Path:
    """Return the model as executors load it: the inspected skops file with a description of our own.

    The author's MLmodel is not copied: MLflow would believe every key in it. The copy has no signature, because the
    inputs are already converted.
    """
    from mlflow.models import Model

    copy = scratch / "checked"
    copy.mkdir()
    name = "model.skops"
    shutil.copyfile(folder / (info.model_file or name), copy / name)
    model = Model()
    model.add_flavor("python_function", loader_module="mlflow.sklearn", model_path=name, predict_fn=predict_fn)
    model.add_flavor(
        "sklearn",
        pickled_model=name,
        serialization_format="skops",
        skops_trusted_types=list(info.trusted_types),
        code=None,
    )
    model.save(str(copy / "MLmodel"))
    return copy
