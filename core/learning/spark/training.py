"""Training on Spark: fit, evaluate and save a pyspark.ml estimator; the rows stay on the cluster."""

from __future__ import annotations

import importlib
import inspect
import os
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from core.entities import Recipe, Task
from core.errors import BadParameter, ColumnNotFound, TrainingFailed, first_line
from core.identifiers import quote_spark, quote_spark_text
from core.learning.spark import evaluation
from core.texts import text

# Called with the finished fraction and a line for the log.
Report = Callable[[float, str], None]

# Names of the columns that Spark adds; no column of a table has such a name.
LABEL, FEATURES, RAW = "__label", "__features", "__raw"
PREDICTION, PROBABILITY = "__prediction", "__probability"
_FEWEST_ROWS = 5
_MOST_CLASSES = 100
_MOST_CATEGORIES = 1_000
_SHARES = 1_000_000


@dataclass(frozen=True, kw_only=True)
class SparkTraining:
    """The result of a training on Spark. *folder* holds the model as MLflow stores it."""

    folder: Path
    metrics: dict[str, float]
    train_rows: int
    test_rows: int


def check_on_frame(frame: Any, recipe: Recipe) -> None:
    """Check *recipe* before a row is read. Raises ColumnNotFound, BadParameter."""
    _columns(frame, recipe)
    _estimator(recipe)


def train_on_frame(
    frame: Any, recipe: Recipe, folder: Path, *, report: Report = lambda fraction, line: None
) -> SparkTraining:
    """Fit, evaluate and save the recipe's pyspark.ml estimator; no row comes to this process.

    Rows are split by a hash of their contents and the recipe's seed: the same data version gives the same split on any
    cluster, however it is partitioned.

    Raises:
        ColumnNotFound, BadParameter: the recipe does not fit the table.
        TrainingFailed: the data cannot be trained on; the message gives the reason.
    """
    columns = _columns(frame, recipe)
    estimator = _estimator(recipe)
    _check_rows(frame, recipe, columns)
    in_test = is_test(frame, recipe)
    labels, train_rows, test_rows = _count(frame, in_test, recipe)
    train, test = frame.where(~in_test), frame.where(in_test)
    split = text(
        "{train} training rows, {test} test rows, split by a hash of the rows and the seed {seed}",
        train=train_rows,
        test=test_rows,
        seed=recipe.seed,
    )
    report(0.1, split)
    prepare, inputs = _preparation(frame, columns)
    from pyspark.ml import Pipeline, PipelineModel

    target = _target_stage(recipe, labels)
    try:
        fitted = Pipeline(stages=[target, *prepare, estimator]).fit(train)
    except (TypeError, ValueError) as error:
        raise TrainingFailed(
            "{estimator} could not be fitted: {reason}.", estimator=recipe.estimator, reason=first_line(error)
        ) from error
    report(0.7, text("fitted {estimator} on {columns} columns", estimator=recipe.estimator, columns=inputs))
    metrics = evaluation.evaluate(fitted.transform(test), recipe, labels)
    report(0.85, text("saving the model"))
    # Rows that are scored later have no target: the saved model leaves the target stage out.
    model = _save(PipelineModel(fitted.stages[1:]), frame, columns, recipe, folder, labels)
    return SparkTraining(folder=model, metrics=metrics, train_rows=train_rows, test_rows=test_rows)


def _columns(frame: Any, recipe: Recipe) -> tuple[str, ...]:
    for name in (recipe.target, *recipe.features):
        if name not in frame.columns:
            raise ColumnNotFound(
                "{table} has no column {column!r}; its columns are {columns}.",
                table=recipe.table,
                column=name,
                columns=", ".join(frame.columns),
            )
    features = recipe.features or tuple(name for name in frame.columns if name != recipe.target)
    if not features:
        raise BadParameter("{table} has no column except the target, so no feature is left.", table=recipe.table)
    for name in features:
        if _kind(frame, name) is None:
            raise BadParameter(
                "Column {column!r} has the type {type}, which no estimator here can use; leave it out of the features.",
                column=name,
                type=frame.schema[name].dataType.simpleString(),
            )
    return tuple(features)


def _kind(frame: Any, name: str) -> str | None:
    kind = frame.schema[name].dataType.typeName()
    if kind in ("string", "varchar", "char"):
        return "text"
    if kind in ("timestamp", "timestamp_ntz", "date"):
        return "time"
    numbers = ("byte", "short", "integer", "long", "float", "double", "boolean", "decimal")
    return "number" if kind in numbers else None


def _estimator(recipe: Recipe) -> Any:
    from pyspark.ml.wrapper import JavaEstimator

    module_name, _, name = recipe.estimator.rpartition(".")
    estimator_class = getattr(importlib.import_module(module_name), name, None)
    kind = "classification" if recipe.task is Task.CLASSIFICATION else "regression"
    if (
        not inspect.isclass(estimator_class)
        or not issubclass(estimator_class, JavaEstimator)
        or not module_name.endswith(kind)
    ):
        raise BadParameter(
            "The installed pyspark has no {task} estimator {estimator!r}.",
            task=kind,
            estimator=recipe.estimator,
            name="estimator",
        )
    estimator: Any = estimator_class()
    if "seed" in [param.name for param in estimator.params] and "seed" not in recipe.params:
        estimator.set(estimator.getParam("seed"), recipe.seed)
    for key, value in recipe.params.items():
        if not estimator.hasParam(key) or key.endswith("Col"):
            settable = ", ".join(sorted(param.name for param in estimator.params if not param.name.endswith("Col")))
            raise BadParameter(
                "{estimator} has no parameter {name!r}; its parameters are {parameters}.",
                estimator=recipe.estimator,
                name=key,
                parameters=settable,
            )
        param = estimator.getParam(key)
        try:
            estimator.set(param, param.typeConverter(value))
        except (TypeError, ValueError) as error:
            raise BadParameter(
                "{name} of {estimator} is not valid: {reason}.",
                name=key,
                estimator=recipe.estimator,
                reason=first_line(error),
            ) from error
    names = {
        "featuresCol": FEATURES,
        "labelCol": LABEL,
        "predictionCol": PREDICTION,
        "probabilityCol": PROBABILITY,
        "rawPredictionCol": RAW,
    }
    for key, name in names.items():
        if estimator.hasParam(key):
            estimator.set(estimator.getParam(key), name)
    return estimator


def _check_rows(frame: Any, recipe: Recipe, columns: tuple[str, ...]) -> None:
    """Check in one pass that there are enough rows, each with a target, and a value in every feature.

    Raises TrainingFailed, BadParameter.
    """
    from pyspark.sql import functions as f

    target = frame[quote_spark(recipe.target)]
    is_number = _kind(frame, recipe.target) == "number"
    if recipe.task is Task.REGRESSION and not is_number:
        raise BadParameter(
            "The target {column!r} does not hold numbers; a regression needs numbers.", column=recipe.target
        )
    value = target.cast("double") if is_number else target
    is_missing = target.isNull() | f.isnan(value) if is_number else target.isNull()
    is_infinite = f.abs(value) == f.lit(float("inf")) if is_number else f.lit(False)
    counts = [f.count("*"), f.count_if(is_missing), f.count_if(is_infinite)]
    for name in columns:
        column = frame[quote_spark(name)]
        # approx_count_distinct ignores null: it is 0 if the column has no value at all.
        floating = frame.schema[name].dataType.typeName() in ("float", "double")
        counts.append(f.approx_count_distinct(f.nanvl(column, f.lit(None).cast("double")) if floating else column))
    rows, missing, infinite, *distinct = frame.select(*counts).collect()[0]
    if rows < _FEWEST_ROWS:
        raise TrainingFailed(
            "The data has {rows} rows; a training needs at least {needed}.", rows=rows, needed=_FEWEST_ROWS
        )
    if missing:
        raise TrainingFailed(
            "{rows} of {total} rows have no value of the target {target!r}. Write a version without these rows.",
            rows=missing,
            total=rows,
            target=recipe.target,
        )
    if infinite and recipe.task is Task.REGRESSION:
        raise TrainingFailed("The target {column!r} holds infinite values.", column=recipe.target)
    for name, values in zip(columns, distinct, strict=True):
        if not values:
            raise TrainingFailed("Column {column!r} has no values; leave it out of the features.", column=name)
        if _kind(frame, name) == "text" and values > _MOST_CATEGORIES:
            raise TrainingFailed(
                "Column {column!r} holds about {distinct} different texts; at most {most} are allowed, because each "
                "text becomes a column of its own. Leave the column out of the features.",
                column=name,
                distinct=values,
                most=_MOST_CATEGORIES,
            )


def is_test(frame: Any, recipe: Recipe) -> Any:
    """Return a column that says whether a row is a test row; it depends only on the row and the recipe's seed."""
    from pyspark.sql import functions as f

    names = sorted(name for name in frame.columns if _kind(frame, name))
    share = f.pmod(f.xxhash64(f.lit(recipe.seed), *[frame[quote_spark(name)] for name in names]), f.lit(_SHARES))
    return share < f.lit(int(recipe.test_fraction * _SHARES))


def _count(frame: Any, in_test: Any, recipe: Recipe) -> tuple[tuple[str, ...], int, int]:
    """Return the classes by name (none for a regression), training rows and test rows. Raises TrainingFailed."""
    from pyspark.sql import functions as f

    is_classes = recipe.task is Task.CLASSIFICATION
    label = frame[quote_spark(recipe.target)].cast("string") if is_classes else f.lit("")
    groups = frame.groupBy(label.alias("label"), in_test.alias("is_test")).count()
    counts = groups.limit(2 * _MOST_CLASSES + 1).collect()
    labels = sorted({row["label"] for row in counts})
    train = {row["label"]: row["count"] for row in counts if not row["is_test"]}
    train_rows, test_rows = sum(train.values()), sum(row["count"] for row in counts if row["is_test"])
    if len(labels) > _MOST_CLASSES:
        raise TrainingFailed(
            "The target {column!r} has more than {most} distinct values. Is it a regression?",
            column=recipe.target,
            most=_MOST_CLASSES,
        )
    if is_classes and len(labels) < 2:
        raise TrainingFailed(
            "Every row has the value {value} in the target {column!r}; a classification needs at least two classes.",
            value=labels[0],
            column=recipe.target,
        )
    if not train_rows or not test_rows:
        raise TrainingFailed(
            "The split gives {train} training rows and {test} test rows; add rows.", train=train_rows, test=test_rows
        )
    if untrained := [label for label in labels if label not in train]:
        raise TrainingFailed(
            "No training row has the class {value} of the target {column!r}; add rows of this class or choose another "
            "seed.",
            value=untrained[0],
            column=recipe.target,
        )
    return (tuple(labels) if is_classes else ()), train_rows, test_rows


def _preparation(frame: Any, columns: tuple[str, ...]) -> tuple[list[Any], int]:
    """Return the stages that prepare the features, and the number of columns.

    A missing number becomes the median. Each text becomes a column of its own; so does an unknown text.
    """
    from pyspark.ml.feature import Imputer, OneHotEncoder, SQLTransformer, StringIndexer, VectorAssembler

    numbers = [name for name in columns if _kind(frame, name) != "text"]
    texts = [name for name in columns if _kind(frame, name) == "text"]
    casts = [f"{_as_double(frame, name)} AS __n{i}" for i, name in enumerate(numbers)]
    casts += [f"{quote_spark(name)} AS __t{i}" for i, name in enumerate(texts)]
    stages: list[Any] = [SQLTransformer(statement=f"SELECT *, {', '.join(casts)} FROM __THIS__")]  # noqa: S608 - quoted
    ready: list[str] = []
    if numbers:
        filled = [f"__f{i}" for i in range(len(numbers))]
        stages.append(Imputer(strategy="median", inputCols=[f"__n{i}" for i in range(len(numbers))], outputCols=filled))
        ready += filled
    if texts:
        indexes, encoded = [f"__i{i}" for i in range(len(texts))], [f"__e{i}" for i in range(len(texts))]
        stages.append(
            StringIndexer(inputCols=[f"__t{i}" for i in range(len(texts))], outputCols=indexes, handleInvalid="keep")
        )
        stages.append(OneHotEncoder(inputCols=indexes, outputCols=encoded, handleInvalid="keep"))
        ready += encoded
    stages.append(VectorAssembler(inputCols=ready, outputCol=FEATURES))
    return stages, len(columns)


def _target_stage(recipe: Recipe, labels: tuple[str, ...]) -> Any:
    """Return the stage that makes the target a number: the position of its class, or its value."""
    from pyspark.ml.feature import SQLTransformer

    target = quote_spark(recipe.target)
    if not labels:
        return SQLTransformer(statement=f"SELECT *, CAST({target} AS DOUBLE) AS {LABEL} FROM __THIS__")  # noqa: S608
    listed = ", ".join(quote_spark_text(label) for label in labels)
    position = f"CAST(array_position(array({listed}), CAST({target} AS STRING)) - 1 AS DOUBLE)"
    return SQLTransformer(statement=f"SELECT *, {position} AS {LABEL} FROM __THIS__")  # noqa: S608 - quoted


def _save(
    fitted: Any, frame: Any, columns: tuple[str, ...], recipe: Recipe, folder: Path, labels: tuple[str, ...]
) -> Path:
    """Save the model in Spark's own format (JSON and Parquet, no pickle), with signature and requirements."""
    with warnings.catch_warnings():
        # MLflow warns about its own type hints while its modules are imported; no user can act on the warning.
        warnings.simplefilter("ignore")
        import mlflow.pyfunc
        import mlflow.spark
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, Schema

    inputs = [ColSpec("string" if _kind(frame, name) == "text" else "double", name, required=False) for name in columns]
    output = ColSpec(_answer_type(frame, recipe) if labels else "double", recipe.target)
    target = folder / "model"
    description = {
        "signature": ModelSignature(inputs=Schema(inputs), outputs=Schema([output])),
        "metadata": {
            "recipe": recipe.name,
            "estimator": recipe.estimator,
            "target": recipe.target,
            "labels": list(labels),
        },
    }
    requirements = [f"{name}=={version(name)}" for name in ("mlflow", "pyspark", "pandas", "pyarrow")]
    if type(frame).__module__.startswith("pyspark.sql.connect"):
        _save_over_connect(fitted, target, requirements, description)
        return target
    # MLflow caches the file system of the first Java process; a session that replaces a lost one has another process.
    mlflow.spark._HadoopFileSystem._filesystem = None
    # On a cluster the executors write parts of the model: MLFLOW_DFS_TMP names the folder that all of them share.
    shared = None if os.environ.get("MLFLOW_DFS_TMP") else str(folder / "dfs")
    mlflow.spark.save_model(fitted, str(target), dfs_tmpdir=shared, pip_requirements=requirements, **description)
    return target


def _save_over_connect(fitted: Any, folder: Path, requirements: list[str], description: dict[str, Any]) -> None:
    """Do what mlflow.spark.save_model does, without the JVM that it needs. The server writes to a shared disk."""
    from mlflow import pyfunc
    from mlflow.models import Model

    folder.mkdir(parents=True)
    fitted.save((folder / "sparkml").resolve().as_uri())
    if not (folder / "sparkml").is_dir():
        raise TrainingFailed(
            "The Spark Connect server wrote the model to its own disk, which this process cannot read. Train on "
            "spark:// or local[*], or run the worker on the server's machine."
        )
    model = Model(**description)
    pyfunc.add_to_model(model, loader_module="mlflow.spark", data="sparkml")
    model.add_flavor(
        "spark",
        pyspark_version=version("pyspark"),
        model_data="sparkml",
        code=None,
        model_class="pyspark.ml.pipeline.PipelineModel",
    )
    model.save(str(folder / "MLmodel"))
    (folder / "requirements.txt").write_text("\n".join(requirements) + "\n", encoding="utf-8")


def _answer_type(frame: Any, recipe: Recipe) -> str:
    """Return MLflow's type for the classes of the target, the same as in the embedded engine."""
    if _kind(frame, recipe.target) != "number":
        return "string"
    kind = frame.schema[recipe.target].dataType.typeName()
    if kind in ("byte", "short", "integer", "long"):
        return "long"
    return "boolean" if kind == "boolean" else "double"


def _as_double(frame: Any, name: str) -> str:
    column = quote_spark(name)
    if _kind(frame, name) == "time":
        return f"unix_micros(CAST({column} AS TIMESTAMP)) / 1e6"
    if frame.schema[name].dataType.typeName() == "boolean":
        return f"CAST(CAST({column} AS INT) AS DOUBLE)"
    return f"CAST({column} AS DOUBLE)"
