"""Recipes that are trained outside this process: a pyspark.ml estimator, or an MLflow Project. Told by their names."""

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


def is_outside(estimator: str) -> bool:
    """Whether the estimator is none of learning.estimators."""
    return is_spark(estimator) or is_project(estimator)


def check_outside(estimator: str, params: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters as they are: only Spark or the project knows them. Raises BadParameter for a name that is none."""
    if is_spark(estimator) and not _SPARK_NAME.match(estimator):
        raise BadParameter(
            f"{estimator!r} names no estimator of pyspark.ml; write pyspark.ml.classification.NAME or "
            "pyspark.ml.regression.NAME.",
            name="estimator",
        )
    if is_project(estimator) and not estimator.removeprefix(PROJECT).strip():
        raise BadParameter("Name the project: mlproject:FOLDER or mlproject:https://…", name="estimator")
    return dict(params)
