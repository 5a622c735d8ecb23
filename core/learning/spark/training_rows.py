"""The rows of a training on Spark: check them against the recipe, split them, and count them."""

from __future__ import annotations

from typing import Any

from core.entities import Recipe, Task
from core.errors import BadParameter, ColumnNotFound, TrainingFailed
from core.identifiers import quote_spark

_FEWEST_ROWS = 5
_MOST_CLASSES = 100
_MOST_CATEGORIES = 1_000
_SHARES = 1_000_000


def feature_columns(frame: Any, recipe: Recipe) -> tuple[str, ...]:
    """Return the recipe's features, or every column except the target. Raises ColumnNotFound, BadParameter."""
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
        if kind_of_column(frame, name) is None:
            raise BadParameter(
                "Column {column!r} has the type {type}, which no estimator here can use; leave it out of the features.",
                column=name,
                type=frame.schema[name].dataType.simpleString(),
            )
    return tuple(features)


def kind_of_column(frame: Any, name: str) -> str | None:
    """Return "number", "text" or "time", or None for a type that no estimator can use."""
    kind = frame.schema[name].dataType.typeName()
    if kind in ("string", "varchar", "char"):
        return "text"
    if kind in ("timestamp", "timestamp_ntz", "date"):
        return "time"
    numbers = ("byte", "short", "integer", "long", "float", "double", "boolean", "decimal")
    return "number" if kind in numbers else None


def check_rows(frame: Any, recipe: Recipe, columns: tuple[str, ...]) -> None:
    """Check in one pass that there are enough rows, each with a target, and a value in every feature.

    Raises TrainingFailed, BadParameter.
    """
    from pyspark.sql import functions as f

    target = frame[quote_spark(recipe.target)]
    is_number = kind_of_column(frame, recipe.target) == "number"
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
        if kind_of_column(frame, name) == "text" and values > _MOST_CATEGORIES:
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

    names = sorted(name for name in frame.columns if kind_of_column(frame, name))
    share = f.pmod(f.xxhash64(f.lit(recipe.seed), *[frame[quote_spark(name)] for name in names]), f.lit(_SHARES))
    return share < f.lit(int(recipe.test_fraction * _SHARES))


def count_rows(frame: Any, in_test: Any, recipe: Recipe) -> tuple[tuple[str, ...], int, int]:
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
