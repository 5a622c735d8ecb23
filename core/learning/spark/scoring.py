"""Scoring on Spark: a model folder's predictions as two columns of a Spark frame, made where the rows are."""

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
from core.learning.safety.model_process import CLASSES, PREDICTION, PROBABILITY
from core.learning.scoring import check_signature, predict
from core.learning.spark.models import with_spark_predictions

# What an answer is on Spark, by what it is in Arrow: the type of mlflow's udf, and the column's own.
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
_STAMP_TYPES = {pa.string(): "string", pa.int64(): "bigint"}

# This process forbids MLflow to load any model (registry/connection.py); executors may load this one: it holds
# nothing but what require_safe has looked through.
_MAY_LOAD = {"MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "true", "MLFLOW_DISABLE_TELEMETRY": "true"}


def with_predictions(frame: Any, folder: Path, *, scratch: Path) -> Any:
    """*frame* with `prediction` and `probability` (of the chosen class; null for a regression), nothing computed yet.

    The same answers as scoring.predict gives. One row is scored here first, so that a model that does not load or
    does not fit the data ends before the cluster starts. *scratch* outlives the job.
    Raises ModelUnloadable (unsafe, broken) and SchemaMismatch.
    """
    info = require_safe(folder)
    sample = frame.limit(1).toArrow()
    columns = check_signature(info, sample.schema)
    if info.format == SPARK_ML:
        return with_spark_predictions(frame, folder, scratch)
    answer = _try_one(folder, sample)
    of_udf, of_column = _types(answer, info)
    inputs = _inputs(frame, columns, sample.schema)
    classes = (answer.schema.metadata or {}).get(CLASSES)
    from pyspark.sql import functions as f

    if classes is None:
        ask = _udf(frame.sparkSession, _only_checked(folder, info, scratch, "predict"), of_udf)
        return frame.withColumns({PREDICTION: ask(inputs).cast(of_column), PROBABILITY: f.lit(None).cast("double")})
    ask = _udf(frame.sparkSession, _only_checked(folder, info, scratch, "predict_proba"), "array<double>")
    labels = f.array(*[f.lit(label).cast(of_column) for label in json.loads(classes)])
    chances = f.col(_CHANCES)
    # As numpy.argmax does: of equal chances the first.
    place = f.array_position(chances, f.array_max(chances)).cast("int")
    return (
        frame.withColumn(_CHANCES, ask(inputs))
        .withColumns({PREDICTION: f.element_at(labels, place), PROBABILITY: f.array_max(chances)})
        .drop(_CHANCES)
    )


_CHANCES = "__chances"


def with_stamp(frame: Any, stamp: Mapping[str, pa.Scalar], *, then: tuple[str, ...]) -> Any:
    """The columns of *stamp*, the same on every row, and after them those of *frame* that *then* names."""
    from pyspark.sql import functions as f

    made = []
    for name, value in stamp.items():
        if pa.types.is_timestamp(value.type):
            column = f.timestamp_micros(f.lit(value.value))
        else:
            column = f.lit(value.as_py()).cast(_STAMP_TYPES[value.type])
        made.append(column.alias(name))
    return frame.select(*made, *[frame[quote_spark(name)] for name in then])


def _try_one(folder: Path, sample: pa.Table) -> pa.RecordBatch:
    batches = sample.combine_chunks().to_batches() if sample.num_rows else [_row_of_nulls(sample.schema)]
    return next(iter(predict(folder, batches, sample.schema)))


def _row_of_nulls(schema: pa.Schema) -> pa.RecordBatch:
    nullable = pa.schema([field.with_nullable(True) for field in schema])
    return pa.record_batch([pa.nulls(1, field.type) for field in nullable], schema=nullable)


def _types(answer: pa.RecordBatch, info: ModelInfo) -> tuple[str, str]:
    kind = answer.schema.field(PREDICTION).type
    if kind not in _SPARK_TYPES:
        outputs = ", ".join(column.type for column in info.outputs)
        raise ModelUnloadable(f"The model answers with {kind} ({outputs}), which has no column type on Spark.")
    return _SPARK_TYPES[kind]


def _udf(session: Any, model: Path, result_type: str) -> Any:
    """MLflow's udf. Executors run the Python that this process runs, unless PYSPARK_PYTHON says otherwise."""
    import logging

    import mlflow.pyfunc

    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    # Its advice to rebuild the environment on each executor is for clusters whose Python is another one: docs/spark.md.
    logging.getLogger("mlflow.pyfunc").setLevel(logging.ERROR)
    made = mlflow.pyfunc.spark_udf(
        session, str(model), result_type=result_type, env_manager="local", extra_env=_MAY_LOAD
    )
    is_connect = type(session).__module__.startswith("pyspark.sql.connect")
    return _carrying(model, made, result_type) if is_connect else made


def _carrying(model: Path, asked: Any, result_type: str) -> Any:
    """MLflow's udf with the model folder in it.

    Over Connect MLflow has the executors load the model from the path that it has here, which they see only where
    they share our disk. Where they do not, the folder is unpacked first.
    """
    from pyspark.sql.functions import pandas_udf

    packed, place, on_executor = _zipped(model), str(model), asked.func

    def answers(iterator: Iterator[Any]) -> Iterator[Any]:
        # Nothing of this application is there: only what is imported here.
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
                if not os.path.isdir(place):  # another task was first
                    raise
        yield from on_executor(iterator)

    # By these pyspark tells what kind of function it is.
    answers.__annotations__ = dict(on_executor.__annotations__)
    return pandas_udf(answers, returnType=result_type)


def _zipped(folder: Path) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in files_below(folder):
            archive.write(file, file.relative_to(folder))
    return out.getvalue()


def _inputs(frame: Any, columns: tuple[str, ...], schema: pa.Schema) -> Any:
    """The model's inputs as one struct: numbers as double (times as seconds since 1970), texts as they are.

    The same conversions as frames.features_frame makes for the embedded engine.
    """
    from pyspark.sql import functions as f

    made = []
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
        made.append(value.alias(name))
    return f.struct(*made)


def _only_checked(folder: Path, info: ModelInfo, scratch: Path, answers_by: str) -> Path:
    """The model as executors load it: the skops file that was looked through, under a description of our own.

    The author's MLmodel stays behind: what it says beyond what was checked would be believed by MLflow. Without a
    signature nothing is converted a second time.
    """
    from mlflow.models import Model

    place = scratch / "checked"
    place.mkdir()
    name = "model.skops"
    shutil.copyfile(folder / (info.model_file or name), place / name)
    model = Model()
    model.add_flavor("python_function", loader_module="mlflow.sklearn", model_path=name, predict_fn=answers_by)
    model.add_flavor(
        "sklearn",
        pickled_model=name,
        serialization_format="skops",
        skops_trusted_types=list(info.trusted_types),
        code=None,
    )
    model.save(str(place / "MLmodel"))
    return place
