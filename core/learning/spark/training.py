"""Training on Spark: fit, evaluate and save a pyspark.ml estimator; the rows stay on the cluster."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.entities import Recipe, Task
from core.errors import BadParameter, TrainingFailed, first_line
from core.identifiers import quote_spark, quote_spark_text
from core.learning.pictures.pictures import Pictures
from core.learning.spark import evaluation
from core.learning.spark.packaging import package_spark
from core.learning.spark.pictures import draw_pictures
from core.learning.spark.training_rows import check_rows, count_rows, feature_columns, is_test, kind_of_column
from core.texts import text

# Called with the finished fraction and a line for the log.
Report = Callable[[float, str], None]

# Names of the columns that Spark adds; no column of a table has such a name.
LABEL, FEATURES, RAW = "__label", "__features", "__raw"
PREDICTION, PROBABILITY = "__prediction", "__probability"


@dataclass(frozen=True, kw_only=True)
class SparkTraining:
    """The result of a training on Spark. *folder* holds the model as MLflow stores it."""

    folder: Path
    metrics: dict[str, float]
    pictures: Pictures
    train_rows: int
    test_rows: int


def check_on_frame(frame: Any, recipe: Recipe) -> None:
    """Check *recipe* before a row is read. Raises ColumnNotFound, BadParameter."""
    feature_columns(frame, recipe)
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
    columns = feature_columns(frame, recipe)
    estimator = _estimator(recipe)
    check_rows(frame, recipe, columns)
    in_test = is_test(frame, recipe)
    labels, train_rows, test_rows = count_rows(frame, in_test, recipe)
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
    scored = fitted.transform(test)
    metrics, pictures = evaluation.evaluate(scored, recipe, labels), draw_pictures(scored, recipe, labels)
    report(0.85, text("saving the model"))
    # Rows that are scored later have no target: the saved model leaves the target stage out.
    model = package_spark(PipelineModel(fitted.stages[1:]), frame, columns, recipe, folder, labels)
    return SparkTraining(folder=model, metrics=metrics, pictures=pictures, train_rows=train_rows, test_rows=test_rows)


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


def _preparation(frame: Any, columns: tuple[str, ...]) -> tuple[list[Any], int]:
    """Return the stages that prepare the features, and the number of columns.

    A missing number becomes the median. Each text becomes a column of its own; so does an unknown text.
    """
    from pyspark.ml.feature import Imputer, OneHotEncoder, SQLTransformer, StringIndexer, VectorAssembler

    numbers = [name for name in columns if kind_of_column(frame, name) != "text"]
    texts = [name for name in columns if kind_of_column(frame, name) == "text"]
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


def _as_double(frame: Any, name: str) -> str:
    column = quote_spark(name)
    if kind_of_column(frame, name) == "time":
        return f"unix_micros(CAST({column} AS TIMESTAMP)) / 1e6"
    if frame.schema[name].dataType.typeName() == "boolean":
        return f"CAST(CAST({column} AS INT) AS DOUBLE)"
    return f"CAST({column} AS DOUBLE)"
