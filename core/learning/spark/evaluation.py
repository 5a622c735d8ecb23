"""Evaluation on Spark: the KPIs of learning/evaluation.py, computed where the test rows are.

Same names and same definitions: macro averages, one class against the rest, NaN where a KPI is undefined.
"""

from __future__ import annotations

import math
from typing import Any

from core.entities import Recipe, Task

_LABEL, _PREDICTION, _PROBABILITY = "__label", "__prediction", "__probability"
# What scikit-learn clips probabilities to before the logarithm: the smallest step of a double.
_EPSILON = 2.220446049250313e-16


def evaluate(scored: Any, recipe: Recipe, labels: tuple[str, ...]) -> dict[str, float]:
    """KPIs of *scored*: the test rows with label, prediction and, where the estimator has them, probabilities."""
    if recipe.task is Task.REGRESSION:
        return _numbers(scored)
    # Asked several times: the three columns are kept on the cluster, on its disks where memory does not hold them.
    kept = scored.select(*[name for name in (_LABEL, _PREDICTION, _PROBABILITY) if name in scored.columns]).persist()
    try:
        return _classes(kept, labels)
    finally:
        kept.unpersist()


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
        # As scikit-learn has it where all actual values are one: nothing to explain, explained or not.
        return 0.0 if mse else 1.0
    return 1.0 - mse / variance


def _classes(scored: Any, labels: tuple[str, ...]) -> dict[str, float]:
    counts = {
        (int(row[_LABEL]), int(row[_PREDICTION])): int(row["count"])
        for row in scored.groupBy(_LABEL, _PREDICTION).count().collect()
    }
    seen = sorted({label for pair in counts for label in pair})
    rows = sum(counts.values())
    precision, recall, f1 = [], [], []
    for label in seen:
        hit = counts.get((label, label), 0)
        said = sum(count for (_, predicted), count in counts.items() if predicted == label)
        are = sum(count for (actual, _), count in counts.items() if actual == label)
        precision.append(hit / said if said else 0.0)
        recall.append(hit / are if are else 0.0)
        f1.append(2 * hit / (said + are) if said + are else 0.0)
    return {
        "precision": math.fsum(precision) / len(seen),
        "recall": math.fsum(recall) / len(seen),
        "f1": math.fsum(f1) / len(seen),
        "accuracy": sum(counts.get((label, label), 0) for label in seen) / rows,
        "roc_auc": _roc_auc(scored, len(labels), {actual for actual, _ in counts}),
        "log_loss": _log_loss(scored),
    }


def _roc_auc(scored: Any, classes: int, present: set[int]) -> float:
    """Mean over the classes of "this one against the rest"; NaN without probabilities or where a class is missing."""
    if _PROBABILITY not in scored.columns or present != set(range(classes)):
        return math.nan
    from pyspark.ml.evaluation import BinaryClassificationEvaluator
    from pyspark.ml.functions import vector_to_array
    from pyspark.sql import functions as f

    areas = []
    for label in range(classes):
        # A class that was never learned has no place in the vector: nothing was given to it.
        chance = f.coalesce(f.get(vector_to_array(_PROBABILITY), f.lit(label)), f.lit(0.0))
        one = scored.select((f.col(_LABEL) == label).cast("double").alias("is_this"), chance.alias("chance"))
        # Bins would make it an estimate: none, so that it is the same number as in the embedded engine.
        evaluator = BinaryClassificationEvaluator(rawPredictionCol="chance", labelCol="is_this", numBins=0)
        areas.append(evaluator.evaluate(one))
    return float(math.fsum(areas) / len(areas))


def _log_loss(scored: Any) -> float:
    """NaN where a test row's class was never learned: no probability was given to it."""
    if _PROBABILITY not in scored.columns:
        return math.nan
    from pyspark.ml.functions import vector_to_array
    from pyspark.sql import functions as f

    chance = f.get(vector_to_array(_PROBABILITY), f.col(_LABEL).cast("int"))
    clipped = f.least(f.greatest(chance, f.lit(_EPSILON)), f.lit(1.0 - _EPSILON))
    row = scored.agg(f.avg(-f.log(clipped)).alias("loss"), f.count_if(chance.isNull()).alias("unknown")).collect()[0]
    return math.nan if row["unknown"] else float(row["loss"])
