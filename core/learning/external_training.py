"""External training: recipes whose estimator is a pyspark.ml class or an MLflow Project, recognized by its name."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from core.errors import BadParameter

SPARK = "pyspark.ml."
PROJECT = "mlproject:"

_SPARK_NAME = re.compile(r"^pyspark\.ml\.(classification|regression)\.[A-Z]\w+$")


def is_spark(estimator: str) -> bool:
    """Whether the recipe names a pyspark.ml estimator (pyspark.ml.classification.LogisticRegression)."""
    return estimator.startswith(SPARK)


def is_project(estimator: str) -> bool:
    """Whether the recipe is an MLflow Project (mlproject:FOLDER or mlproject:https://…#subfolder)."""
    return estimator.startswith(PROJECT)


def is_external(estimator: str) -> bool:
    """Whether the estimator is not one of learning.estimators."""
    return is_spark(estimator) or is_project(estimator)


def check_external(estimator: str, params: Mapping[str, Any]) -> dict[str, Any]:
    """Return *params* unchanged: only Spark or the project can check them. Raises BadParameter for an invalid name."""
    if is_spark(estimator) and not _SPARK_NAME.match(estimator):
        raise BadParameter(
            "{estimator!r} is not an estimator of pyspark.ml; write pyspark.ml.classification.NAME or "
            "pyspark.ml.regression.NAME.",
            name="estimator",
            estimator=estimator,
        )
    if is_project(estimator) and not estimator.removeprefix(PROJECT).strip():
        raise BadParameter("Name the project as mlproject:FOLDER or mlproject:https://…", name="estimator")
    return dict(params)
