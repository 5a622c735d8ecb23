"""Spark ML models as MLflow keeps them: what is in the folder, told without loading it; and their predictions."""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from core.errors import ModelUnloadable
from core.identifiers import quote_spark
from core.learning.safety.mlmodel import SPARK, read_mlmodel, why_foreign

FLAVOR = SPARK
# Stages of Spark itself. Anything else would be looked up by name and run.
_OWN = ("org.apache.spark.ml.", "pyspark.ml.")
_PIPELINE = "pyspark.ml.pipeline.PipelineModel"
# What a stage of SQL may call. Spark's SQL has functions that call any Java method (reflect) or read files.
_FUNCTIONS = frozenset(
    """
    abs array array_position cast ceil coalesce concat exp float double int bigint string floor greatest if ifnull
    isnan isnull least length ln log log10 log1p lower nullif nvl pow power replace round sign sqrt substring trim
    try_cast try_divide unix_micros unix_millis unix_seconds unix_timestamp upper year month day hour minute second
    dayofweek dayofyear datediff date timestamp and or not in when then else case between select as
    """.split()  # noqa: SIM905 - seventy words read better as prose
)
# From left to right: a quoted name or text, or what would hide where one ends (comments, r'…', "…").
_TOKEN = re.compile(r"`(?:[^`]|``)*`|'(?:[^'\\]|\\.)*'|\"|--|/\*|\w['\"]", re.DOTALL)
_CALLED = re.compile(r"([\w..]+)\s*\(")
_SOURCES = re.compile(r"\b(?:select|from|join|table|with|values|lateral|union)\b")


def is_spark_model(folder: Path) -> bool:
    """Whether the model folder holds a Spark ML pipeline rather than a scikit-learn one."""
    try:
        return FLAVOR in read_mlmodel(folder)["flavors"]
    except ModelUnloadable:
        return False


def require_spark_model(folder: Path) -> dict[str, Any]:
    """The folder's MLmodel, once every stage is known to be Spark's own. Raises ModelUnloadable. Starts no Spark."""
    reason = why_unsafe(folder)
    if reason:
        raise ModelUnloadable(f"This model is not loaded: {reason}", folder=str(folder))
    return read_mlmodel(folder)


def why_unsafe(folder: Path) -> str:
    """Why loading the Spark ML model would run more than Spark's own stages; empty where it would not.

    Raises ModelUnloadable where it is damaged.
    """
    flavors = read_mlmodel(folder)["flavors"]
    flavor = flavors.get(FLAVOR)
    if not flavor or flavor.get("code") or flavor.get("model_class", _PIPELINE) != _PIPELINE:
        return "it is no plain Spark ML pipeline."
    named = str(flavor.get("model_data") or "sparkml")
    data = (folder / named).resolve()
    if folder.resolve() not in data.parents:
        return "its stages lie outside its folder."
    if Path(named).name != named:
        # MLflow's python_function reads the MLmodel beside the stages: it must be this one.
        return f"its stages lie in {named}, not in a folder of its own beside MLmodel."
    reason = why_foreign(flavors, FLAVOR)
    if reason:
        return reason
    stages = list(_stages(data))
    if not stages:
        raise ModelUnloadable("The Spark ML model is damaged: it has no stages.", folder=str(folder))
    foreign = sorted({str(stage["class"]) for stage in stages if not str(stage["class"]).startswith(_OWN)})
    if foreign:
        return f"its stages {', '.join(foreign)} are not Spark's own."
    # Spark takes a parameter from either of the two.
    params = [stage.get(key) or {} for stage in stages for key in ("defaultParamMap", "paramMap")]
    statements = [str(found.get("statement", "")) for found in params]
    return next((why for why in map(_why_sql, filter(None, statements)) if why), "")


def require_whole(folder: Path) -> None:
    """Reads every file of every stage, without Spark. Raises ModelUnloadable where one cannot be read."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    data = folder / require_spark_model(folder)["flavors"][FLAVOR].get("model_data", "sparkml")
    stages = list(_stages(data))
    named = {str(uid) for stage in stages for uid in (stage.get("paramMap") or {}).get("stageUids", ())}
    if missing := sorted(named - {str(stage.get("uid")) for stage in stages}):
        raise ModelUnloadable(f"The Spark ML model is damaged: {', '.join(missing)} cannot be read.")
    for file in sorted(data.rglob("*.parquet")):
        try:
            pq.read_table(file)
        except (OSError, pa.ArrowException) as error:
            raise ModelUnloadable(
                f"The Spark ML model is damaged: {file.relative_to(folder)} cannot be read."
            ) from error


def _why_sql(statement: str) -> str:
    """Why a stage's SQL is not run; empty where it only computes on the rows that it is given."""
    plain = _TOKEN.sub(lambda found: "." if found[0][0] in "`'" else '"', statement).lower()
    if '"' in plain or "${" in statement:
        return "a stage's SQL cannot be told apart from its texts."
    if not plain.rstrip().endswith("from __this__") or len(_SOURCES.findall(plain)) != 2:
        return "its SQL reads more than the rows it is given."
    called = sorted({"a quoted name" if "." in name else name for name in _CALLED.findall(plain)} - _FUNCTIONS)
    return f"its SQL calls {', '.join(called)}, which may do more than compute." if called else ""


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
        kind = outputs[0].get("type") if outputs else "string"
        answer = answer.cast(kind) if kind in ("long", "boolean", "double") else answer
    sure: Any = f.lit(None).cast("double")
    if "__probability" in scored.columns:
        sure = f.array_max(vector_to_array("__probability"))
    own = [scored[quote_spark(name)] for name in frame.columns]
    return scored.select(*own, answer.alias("prediction"), sure.alias("probability"))


def _load(session: Any, folder: Path, description: dict[str, Any], scratch: Path) -> Any:
    data = folder / description["flavors"][FLAVOR]["model_data"]
    if type(session).__module__.startswith("pyspark.sql.connect"):
        from pyspark.ml import PipelineModel

        return PipelineModel.load(data.resolve().as_uri())
    import mlflow.spark

    return mlflow.spark.load_model(str(folder), dfs_tmpdir=str(scratch / "dfs"))


def _stages(data: Path) -> Iterator[dict[str, Any]]:
    """What each metadata file of the pipeline says of its stage: every file that Spark would read."""
    for place in sorted(data.rglob("metadata")):
        parts = [place] if place.is_file() else sorted(part for part in place.iterdir() if part.is_file())
        for part in parts:
            if part.name.startswith(("_", ".")):
                continue
            raw = part.read_bytes()
            try:
                text = gzip.decompress(raw).decode("utf-8") if part.suffix == ".gz" else raw.decode("utf-8")
                for line in filter(None, text.splitlines()):
                    stage = json.loads(line)
                    yield {**stage, "class": stage["class"]}
            except (ValueError, KeyError, TypeError, OSError, EOFError) as error:
                raise ModelUnloadable(f"The Spark ML model is damaged: {part.name} cannot be read.") from error
