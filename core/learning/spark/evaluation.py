"""Evaluation on Spark: compute the KPIs of learning/evaluation.py where the test rows are.

Names and definitions are the same: macro averages, one class against the rest, NaN if a KPI is undefined.
"""

from __future__ import annotations

import math
from typing import Any

from core.entities import Recipe, Task

_LABEL, _PREDICTION, _PROBABILITY = "__label", "__prediction", "__probability"
# scikit-learn clips probabilities to this value before the logarithm: the smallest step of a double.
EPSILON = 2.220446049250313e-16


def evaluate(scored: Any, recipe: Recipe, labels: tuple[str, ...]) -> dict[str, float]:
    """Return the KPIs of *scored*: test rows with label, prediction and, if the estimator gives them, probabilities."""
    if recipe.task is Task.REGRESSION:
        return _numbers(scored)
    # Several queries read these columns: the cluster keeps them, in memory or on its disks.
    columns = scored.select(*[name for name in (_LABEL, _PREDICTION, _PROBABILITY) if name in scored.columns]).persist()
    try:
        return _classes(columns, labels)
    finally:
        columns.unpersist()


def _numbers(scored: Any) -> dict[str, float]:
    from pyspark.sql import functions as f

    actual, predicted = f.col(_LABEL), f.col(_PREDICTION)
    error = actual - predicted
    row = scored.agg(
        f.count("*").alias("rows"),
        f.avg(error * error).alias("mse"),
        f.avg(f.abs(error)).alias("mae"),
        f.avg(f.try_divide(f.abs(error), f.abs(actual))).alias("mape"),
        f.count_if(actual == 0).alias("zeros"),
        f.var_pop(actual).alias("variance"),
    ).collect()[0]
    return {
        "rmse": math.sqrt(row["mse"]),
        "mae": float(row["mae"]),
        "mape": math.nan if row["zeros"] else float(row["mape"]),
        "r2": _r2(row["rows"], row["mse"], row["variance"]),
    }


def _r2(rows: int, mse: float, variance: float) -> float:
    if rows < 2:
        return math.nan
    if not variance:
        # As in scikit-learn, if all actual values are equal.
        return 0.0 if mse else 1.0
    return 1.0 - mse / variance


def _classes(scored: Any, labels: tuple[str, ...]) -> dict[str, float]:
    counts = {
        (int(row[_LABEL]), int(row[_PREDICTION])): int(row["count"])
        for row in scored.groupBy(_LABEL, _PREDICTION).count().collect()
    }
    present = sorted({label for pair in counts for label in pair})
    rows = sum(counts.values())
    precision, recall, f1 = [], [], []
    for label in present:
        correct = counts.get((label, label), 0)
        predictions = sum(count for (_, predicted), count in counts.items() if predicted == label)
        actuals = sum(count for (actual, _), count in counts.items() if actual == label)
        precision.append(correct / predictions if predictions else 0.0)
        recall.append(correct / actuals if actuals else 0.0)
        f1.append(2 * correct / (predictions + actuals) if predictions + actuals else 0.0)
    return {
        "precision": math.fsum(precision) / len(present),
        "recall": math.fsum(recall) / len(present),
        "f1": math.fsum(f1) / len(present),
        "accuracy": sum(counts.get((label, label), 0) for label in present) / rows,
        "roc_auc": _roc_auc(scored, len(labels), {actual for actual, _ in counts}),
        "log_loss": _log_loss(scored),
    }


def _roc_auc(scored: Any, classes: int, present: set[int]) -> float:
    """Return the mean area of each class against the rest; NaN without probabilities or if a class is absent."""
    if _PROBABILITY not in scored.columns or present != set(range(classes)):
        return math.nan
    from pyspark.ml.evaluation import BinaryClassificationEvaluator
    from pyspark.ml.functions import vector_to_array
    from pyspark.sql import functions as f

    areas = []
    for label in range(classes):
        # A class that the model did not learn has no place in the vector: its probability is 0.
        chance = f.coalesce(f.get(vector_to_array(_PROBABILITY), f.lit(label)), f.lit(0.0))
        rows = scored.select((f.col(_LABEL) == label).cast("double").alias("is_label"), chance.alias("chance"))
        # With bins the area would be an estimate; without bins it equals the area in the embedded engine.
        evaluator = BinaryClassificationEvaluator(rawPredictionCol="chance", labelCol="is_label", numBins=0)
        areas.append(evaluator.evaluate(rows))
    return float(math.fsum(areas) / len(areas))


def _log_loss(scored: Any) -> float:
    """Return the log loss; NaN if the model did not learn the class of a test row, because it has no probability."""
    if _PROBABILITY not in scored.columns:
        return math.nan
    from pyspark.ml.functions import vector_to_array
    from pyspark.sql import functions as f

    chance = f.get(vector_to_array(_PROBABILITY), f.col(_LABEL).cast("int"))
    clipped = f.least(f.greatest(chance, f.lit(EPSILON)), f.lit(1.0 - EPSILON))
    row = scored.agg(f.avg(-f.log(clipped)).alias("loss"), f.count_if(chance.isNull()).alias("unknown")).collect()[0]
    return math.nan if row["unknown"] else float(row["loss"])
