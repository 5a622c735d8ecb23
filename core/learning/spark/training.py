"""Training on Spark: a pyspark.ml estimator on the rows of a frame, evaluated and saved without moving them here."""

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

Tell = Callable[[float, str], None]

# Names that no column of a table has: what Spark adds must not meet what is there.
LABEL, FEATURES, RAW = "__label", "__features", "__raw"
PREDICTED, CHANCES = "__prediction", "__probability"
_FEWEST_ROWS = 5
_MOST_CLASSES = 100
_MOST_CATEGORIES = 1_000
_SHARES = 1_000_000


@dataclass(frozen=True, kw_only=True)
class SparkTraining:
    """What a training on Spark gave; *folder* holds the model as MLflow keeps it."""

    folder: Path
    metrics: dict[str, float]
    train_rows: int
    test_rows: int


def check_on_frame(frame: Any, recipe: Recipe) -> None:
    """Raises ColumnNotFound or BadParameter for what can be known before a row is read."""
    _columns(frame, recipe)
    _estimator(recipe)


def train_on_frame(
    frame: Any, recipe: Recipe, folder: Path, *, tell: Tell = lambda fraction, line: None
) -> SparkTraining:
    """Fits, evaluates and saves the recipe's pyspark.ml estimator; no row comes to this process.

    Rows are split by a hash of their contents and the recipe's seed: the same version gives the same split on any
    cluster, however it is partitioned.
    Raises ColumnNotFound, BadParameter, TrainingFailed.
    """
    columns = _columns(frame, recipe)
    estimator = _estimator(recipe)
    _check_rows(frame, recipe, columns)
    tested = is_test(frame, recipe)
    labels, train_rows, test_rows = _counted(frame, tested, recipe)
    train, test = frame.where(~tested), frame.where(tested)
    tell(0.1, f"{train_rows} rows to train on, {test_rows} to test on, split by a hash of the rows, seed {recipe.seed}")
    prepare, inputs = _preparation(frame, columns)
    from pyspark.ml import Pipeline, PipelineModel

    target = _target_stage(recipe, labels)
    try:
        fitted = Pipeline(stages=[target, *prepare, estimator]).fit(train)
    except (TypeError, ValueError) as error:
        raise TrainingFailed(f"{recipe.estimator} could not be fitted: {first_line(error)}.") from error
    tell(0.7, f"fitted {recipe.estimator} on {inputs} columns")
    metrics = evaluation.evaluate(fitted.transform(test), recipe, labels)
    tell(0.85, "saving the model")
    # Rows that are scored later have no target: the model that is kept does not ask for one.
    place = _save(PipelineModel(fitted.stages[1:]), frame, columns, recipe, folder, labels)
    return SparkTraining(folder=place, metrics=metrics, train_rows=train_rows, test_rows=test_rows)


def _columns(frame: Any, recipe: Recipe) -> tuple[str, ...]:
    for name in (recipe.target, *recipe.features):
        if name not in frame.columns:
            raise ColumnNotFound(
                f"{recipe.table} has no column {name!r}; its columns are {', '.join(frame.columns)}.",
                table=recipe.table,
                column=name,
            )
    chosen = recipe.features or tuple(name for name in frame.columns if name != recipe.target)
    if not chosen:
        raise BadParameter(f"{recipe.table} has no column but the target: there is nothing to learn from.")
    for name in chosen:
        if _kind(frame, name) is None:
            raise BadParameter(
                f"Column {name!r} holds {frame.schema[name].dataType.simpleString()}, which no estimator here takes; "
                "leave it out of the features.",
                column=name,
            )
    return tuple(chosen)


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
    made = getattr(importlib.import_module(module_name), name, None)
    kind = "classification" if recipe.task is Task.CLASSIFICATION else "regression"
    if not inspect.isclass(made) or not issubclass(made, JavaEstimator) or not module_name.endswith(kind):
        raise BadParameter(f"There is no {kind} estimator {recipe.estimator!r} in this pyspark.", name="estimator")
    estimator: Any = made()
    if "seed" in [param.name for param in estimator.params] and "seed" not in recipe.params:
        estimator.set(estimator.getParam("seed"), recipe.seed)
    for key, value in recipe.params.items():
        if not estimator.hasParam(key) or key.endswith("Col"):
            known = ", ".join(sorted(param.name for param in estimator.params if not param.name.endswith("Col")))
            raise BadParameter(f"{recipe.estimator} has no parameter {key!r}; it takes {known}.", name=key)
        param = estimator.getParam(key)
        try:
            estimator.set(param, param.typeConverter(value))
        except (TypeError, ValueError) as error:
            raise BadParameter(f"{key} of {recipe.estimator}: {first_line(error)}.", name=key) from error
    names = {
        "featuresCol": FEATURES,
        "labelCol": LABEL,
        "predictionCol": PREDICTED,
        "probabilityCol": CHANCES,
        "rawPredictionCol": RAW,
    }
    for key, name in names.items():
        if estimator.hasParam(key):
            estimator.set(estimator.getParam(key), name)
    return estimator


def _check_rows(frame: Any, recipe: Recipe, columns: tuple[str, ...]) -> None:
    """One pass: enough rows, each with a target, something in every feature. Raises TrainingFailed, BadParameter."""
    from pyspark.sql import functions as f

    target = frame[quote_spark(recipe.target)]
    is_number = _kind(frame, recipe.target) == "number"
    if recipe.task is Task.REGRESSION and not is_number:
        raise BadParameter(
            f"The target {recipe.target!r} holds no numbers; a regression needs them.", column=recipe.target
        )
    value = target.cast("double") if is_number else target
    unknown = target.isNull() | f.isnan(value) if is_number else target.isNull()
    endless = f.abs(value) == f.lit(float("inf")) if is_number else f.lit(False)
    asked = [f.count("*"), f.count_if(unknown), f.count_if(endless)]
    for name in columns:
        column = frame[quote_spark(name)]
        # approx_count_distinct counts no null: 0 where there is no value at all.
        floating = frame.schema[name].dataType.typeName() in ("float", "double")
        asked.append(f.approx_count_distinct(f.nanvl(column, f.lit(None).cast("double")) if floating else column))
    rows, missing, infinite, *distinct = frame.select(*asked).collect()[0]
    if rows < _FEWEST_ROWS:
        raise TrainingFailed(f"{rows} rows are too few to train and test on; at least {_FEWEST_ROWS} are needed.")
    if missing:
        raise TrainingFailed(
            f"{missing} of {rows} rows have no {recipe.target!r}; nothing can be learned from a row without a target. "
            "Write a version without them.",
            rows=missing,
        )
    if infinite and recipe.task is Task.REGRESSION:
        raise TrainingFailed(f"The target {recipe.target!r} holds infinite values.", column=recipe.target)
    for name, values in zip(columns, distinct, strict=True):
        if not values:
            raise TrainingFailed(f"Column {name!r} holds no value; leave it out of the features.", column=name)
        if _kind(frame, name) == "text" and values > _MOST_CATEGORIES:
            raise TrainingFailed(
                f"Column {name!r} holds about {values} different texts, and each would be a column of its own (at most "
                f"{_MOST_CATEGORIES}); leave it out of the features.",
                column=name,
            )


def is_test(frame: Any, recipe: Recipe) -> Any:
    """A column: whether the row is kept for testing, by nothing but its contents and the recipe's seed."""
    from pyspark.sql import functions as f

    plain = sorted(name for name in frame.columns if _kind(frame, name))
    place = f.pmod(f.xxhash64(f.lit(recipe.seed), *[frame[quote_spark(name)] for name in plain]), f.lit(_SHARES))
    return place < f.lit(int(recipe.test_fraction * _SHARES))


def _counted(frame: Any, tested: Any, recipe: Recipe) -> tuple[tuple[str, ...], int, int]:
    """The classes by name (none for a regression), rows to train on, rows to test on. Raises TrainingFailed."""
    from pyspark.sql import functions as f

    is_classes = recipe.task is Task.CLASSIFICATION
    label = frame[quote_spark(recipe.target)].cast("string") if is_classes else f.lit("")
    counted = frame.groupBy(label.alias("label"), tested.alias("is_test")).count()
    found = counted.limit(2 * _MOST_CLASSES + 1).collect()
    labels = sorted({row["label"] for row in found})
    train = {row["label"]: row["count"] for row in found if not row["is_test"]}
    train_rows, test_rows = sum(train.values()), sum(row["count"] for row in found if row["is_test"])
    if len(labels) > _MOST_CLASSES:
        raise TrainingFailed(
            f"The target {recipe.target!r} has more than {_MOST_CLASSES} distinct values. Is it a regression?"
        )
    if is_classes and len(labels) < 2:
        raise TrainingFailed(
            f"Every row has the {recipe.target!r} {labels[0]}: one class only, nothing to tell apart.",
            column=recipe.target,
        )
    if not train_rows or not test_rows:
        raise TrainingFailed(f"The split left {train_rows} rows to train and {test_rows} to test on; add rows.")
    if unseen := [label for label in labels if label not in train]:
        raise TrainingFailed(
            f"No row of the class {unseen[0]} of {recipe.target!r} fell among the rows to train on; add rows of it, or "
            "choose another seed.",
            column=recipe.target,
        )
    return (tuple(labels) if is_classes else ()), train_rows, test_rows


def _preparation(frame: Any, columns: tuple[str, ...]) -> tuple[list[Any], int]:
    """Missing numbers become the median, unknown texts a category of their own; texts become one column each."""
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
    """The target as a number: the position of its class, or its value."""
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
    """The model in Spark's own format (JSON and Parquet, no pickle), with signature and requirements."""
    with warnings.catch_warnings():
        # MLflow warns about its own type hints while its modules are imported; nobody here can act on that.
        warnings.simplefilter("ignore")
        import mlflow.pyfunc
        import mlflow.spark
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, Schema

    inputs = [ColSpec("string" if _kind(frame, name) == "text" else "double", name, required=False) for name in columns]
    output = ColSpec(_answer_type(frame, recipe) if labels else "double", recipe.target)
    place = folder / "model"
    kept = {
        "signature": ModelSignature(inputs=Schema(inputs), outputs=Schema([output])),
        "metadata": {
            "recipe": recipe.name,
            "estimator": recipe.estimator,
            "target": recipe.target,
            "labels": list(labels),
        },
    }
    needs = [f"{name}=={version(name)}" for name in ("mlflow", "pyspark", "pandas", "pyarrow")]
    if type(frame).__module__.startswith("pyspark.sql.connect"):
        _save_over_connect(fitted, place, needs, kept)
        return place
    # MLflow keeps the file system of the first Java that this process ever had; a lost session has another one.
    mlflow.spark._HadoopFileSystem._filesystem = None
    # On a cluster of several machines the executors write parts of the model: MLFLOW_DFS_TMP names what they share.
    shared = None if os.environ.get("MLFLOW_DFS_TMP") else str(folder / "dfs")
    mlflow.spark.save_model(fitted, str(place), dfs_tmpdir=shared, pip_requirements=needs, **kept)
    return place


def _save_over_connect(fitted: Any, place: Path, needs: list[str], kept: dict[str, Any]) -> None:
    """What mlflow.spark.save_model does, without the JVM that it asks for. The server writes: its disk must be ours."""
    from mlflow import pyfunc
    from mlflow.models import Model

    place.mkdir(parents=True)
    fitted.save((place / "sparkml").resolve().as_uri())
    if not (place / "sparkml").is_dir():
        raise TrainingFailed(
            "The Spark Connect server wrote the model to its own disk, which this process cannot read; train on "
            "spark:// or local[*], or run the worker on the server's machine."
        )
    model = Model(**kept)
    pyfunc.add_to_model(model, loader_module="mlflow.spark", data="sparkml")
    model.add_flavor(
        "spark",
        pyspark_version=version("pyspark"),
        model_data="sparkml",
        code=None,
        model_class="pyspark.ml.pipeline.PipelineModel",
    )
    model.save(str(place / "MLmodel"))
    (place / "requirements.txt").write_text("\n".join(needs) + "\n", encoding="utf-8")


def _answer_type(frame: Any, recipe: Recipe) -> str:
    """MLflow's type of a class: as the embedded engine answers."""
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
