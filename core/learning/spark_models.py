"""Spark ML models as MLflow keeps them: what is in the folder, told without loading it; and their predictions."""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from core.errors import ModelUnloadable

FLAVOR = "spark"
# Stages of Spark itself. Anything else would be looked up by name and run.
_QUOTED = re.compile(r"`(?:[^`]|``)*`|'(?:[^'\\\\]|\\\\.)*'")
_SOURCES = re.compile(r"\b(?:select|from|join|table|with)\b")
_OWN = ("org.apache.spark.ml.", "pyspark.ml.")


def is_spark_model(folder: Path) -> bool:
    """Whether the model folder holds a Spark ML pipeline rather than a scikit-learn one."""
    try:
        return FLAVOR in (_description(folder).get("flavors") or {})
    except ModelUnloadable:
        return False


def require_spark_model(folder: Path) -> dict[str, Any]:
    """The folder's MLmodel, once every stage is known to be Spark's own. Raises ModelUnloadable. Starts no Spark."""
    description = _description(folder)
    flavor = (description.get("flavors") or {}).get(FLAVOR)
    if not flavor or flavor.get("code"):
        raise ModelUnloadable("This model is not loaded: it is no plain Spark ML pipeline.", folder=str(folder))
    data = folder / str(flavor.get("model_data") or "sparkml")
    stages = list(_stages(data))
    found = [str(stage["class"]) for stage in stages]
    if not found:
        raise ModelUnloadable("The Spark ML model is damaged: it has no stages.", folder=str(folder))
    foreign = sorted({name for name in found if not name.startswith(_OWN)})
    if foreign:
        raise ModelUnloadable(
            f"This model is not loaded: its stages {', '.join(foreign)} are not Spark's own.", folder=str(folder)
        )
    for stage in stages:
        statement = str((stage.get("paramMap") or {}).get("statement", ""))
        if statement and not _reads_only_its_input(statement):
            raise ModelUnloadable(
                "This model is not loaded: its SQL reads more than the rows it is given.", folder=str(folder)
            )
    return description


def _reads_only_its_input(statement: str) -> bool:
    plain = _QUOTED.sub("", statement).lower()
    return plain.rstrip().endswith("from __this__") and len(_SOURCES.findall(plain)) == 2


def with_spark_predictions(frame: Any, folder: Path, scratch: Path) -> Any:
    """*frame* with `prediction` and `probability` by the Spark ML pipeline in *folder*; nothing is computed yet."""
    from pyspark.ml.functions import vector_to_array
    from pyspark.sql import functions as f

    description = require_spark_model(folder)
    metadata = description.get("metadata") or {}
    labels = [str(label) for label in metadata.get("labels") or ()]
    scored = _load(frame.sparkSession, folder, description, scratch).transform(frame)
    answer: Any = f.col("__prediction")
    if labels:
        answer = f.element_at(f.array(*[f.lit(label) for label in labels]), (answer + 1).cast("int"))
        outputs = json.loads((description.get("signature") or {}).get("outputs") or "[{}]")
        answer = answer.cast("long") if outputs[0].get("type") == "long" else answer
    sure: Any = f.lit(None).cast("double")
    if "__probability" in scored.columns:
        sure = f.array_max(vector_to_array("__probability"))
    own = [scored["`" + name.replace("`", "``") + "`"] for name in frame.columns]
    return scored.select(*own, answer.alias("prediction"), sure.alias("probability"))


def _load(session: Any, folder: Path, description: dict[str, Any], scratch: Path) -> Any:
    data = folder / description["flavors"][FLAVOR]["model_data"]
    if type(session).__module__.startswith("pyspark.sql.connect"):
        from pyspark.ml import PipelineModel

        return PipelineModel.load(data.resolve().as_uri())
    import mlflow.spark

    return mlflow.spark.load_model(str(folder), dfs_tmpdir=str(scratch / "dfs"))


def _stages(data: Path) -> Iterator[dict[str, Any]]:
    """What each metadata file of the pipeline says of its stage."""
    for place in sorted(data.rglob("metadata")):
        for part in sorted(place.glob("part-*")):
            raw = part.read_bytes()
            try:
                text = gzip.decompress(raw).decode("utf-8") if part.suffix == ".gz" else raw.decode("utf-8")
                for line in filter(None, text.splitlines()):
                    stage = json.loads(line)
                    yield {**stage, "class": stage["class"]}
            except (ValueError, KeyError, TypeError, OSError) as error:
                raise ModelUnloadable(f"The Spark ML model is damaged: {part.name} cannot be read.") from error


def _description(folder: Path) -> dict[str, Any]:
    try:
        found = yaml.safe_load((folder / "MLmodel").read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ModelUnloadable(f"This is no MLflow model: its MLmodel cannot be read ({error}).") from error
    if not isinstance(found, dict):
        raise ModelUnloadable("This is no MLflow model: its MLmodel is empty.", folder=str(folder))
    return found
