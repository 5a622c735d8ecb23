"""Package a fitted Spark ML pipeline as an MLflow model folder."""

from __future__ import annotations

import os
import warnings
from importlib.metadata import version
from pathlib import Path
from typing import Any

from core.entities import Recipe
from core.errors import TrainingFailed
from core.learning.spark.training_rows import kind_of_column


def package_spark(
    fitted: Any, frame: Any, columns: tuple[str, ...], recipe: Recipe, folder: Path, labels: tuple[str, ...]
) -> Path:
    """Write the model below *folder* and return its own folder.

    The model has Spark's own format (JSON and Parquet, never a pickle), a signature and pinned requirements.
    """
    with warnings.catch_warnings():
        # MLflow warns about its own type hints while its modules are imported; no user can act on the warning.
        warnings.simplefilter("ignore")
        import mlflow.pyfunc
        import mlflow.spark
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, Schema

    types = {name: "string" if kind_of_column(frame, name) == "text" else "double" for name in columns}
    inputs = [ColSpec(type_name, name, required=False) for name, type_name in types.items()]
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
    if kind_of_column(frame, recipe.target) != "number":
        return "string"
    kind = frame.schema[recipe.target].dataType.typeName()
    if kind in ("byte", "short", "integer", "long"):
        return "long"
    return "boolean" if kind == "boolean" else "double"
