"""Spark ML models: load the pipeline in a model folder and predict with it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from core.identifiers import quote_spark
from core.learning.safety.inspect_model import require_safe
from core.learning.safety.mlmodel import SPARK, read_mlmodel


def with_spark_predictions(frame: Any, folder: Path, scratch: Path, *, all_classes: bool = False) -> Any:
    """Return *frame* with the columns `prediction` and `probability` by the Spark ML pipeline in *folder*.

    With *all_classes* the map `probabilities` follows, as in scoring.with_predictions.

    Nothing is computed yet; *scratch* must outlive the Spark job.

    Raises:
        ModelUnloadable: the model is not safe to load.
    """
    from pyspark.ml.functions import vector_to_array
    from pyspark.sql import functions as f

    require_safe(folder)
    description = read_mlmodel(folder)
    metadata = description.get("metadata") or {}
    labels = [str(label) for label in metadata.get("labels") or ()]
    scored = _load(frame.sparkSession, folder, description, scratch).transform(frame)
    prediction: Any = f.col("__prediction")
    if labels:
        prediction = f.element_at(f.array(*[f.lit(label) for label in labels]), (prediction + 1).cast("int"))
        outputs = json.loads((description.get("signature") or {}).get("outputs") or "[{}]")
        kind = outputs[0].get("type") if outputs else "string"
        prediction = prediction.cast(kind) if kind in ("long", "boolean", "double") else prediction
    probability: Any = f.lit(None).cast("double")
    if "__probability" in scored.columns:
        probability = f.array_max(vector_to_array("__probability"))
    columns = [scored[quote_spark(name)] for name in frame.columns]
    columns += [prediction.alias("prediction"), probability.alias("probability")]
    if all_classes:
        chances: Any = f.lit(None).cast("map<string,double>")
        if "__probability" in scored.columns and labels:
            chances = f.map_from_arrays(f.array(*[f.lit(label) for label in labels]), vector_to_array("__probability"))
        columns.append(chances.alias("probabilities"))
    return scored.select(*columns)


def _load(session: Any, folder: Path, description: dict[str, Any], scratch: Path) -> Any:
    data = folder / description["flavors"][SPARK]["model_data"]
    if type(session).__module__.startswith("pyspark.sql.connect"):
        from pyspark.ml import PipelineModel

        return PipelineModel.load(data.resolve().as_uri())
    import mlflow.spark

    return mlflow.spark.load_model(str(folder), dfs_tmpdir=str(scratch / "dfs"))
