"""Spark ML models on disk: whether their stages are Spark's own and every file can be read. Starts no Spark."""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from core.errors import ModelUnloadable
from core.learning.safety.mlmodel import SPARK, read_mlmodel, why_foreign
from core.texts import text

# Stages of Spark itself. Spark looks up any other stage by its class name and runs it.
_SPARK_CLASSES = ("org.apache.spark.ml.", "pyspark.ml.")
_PIPELINE = "pyspark.ml.pipeline.PipelineModel"
# Functions that a SQL stage may call. Spark SQL also has functions that call any Java method (reflect) or read files.
_SQL_FUNCTIONS = frozenset(
    """
    abs array array_position cast ceil coalesce concat exp float double int bigint string floor greatest if ifnull
    isnan isnull least length ln log log10 log1p lower nullif nvl pow power replace round sign sqrt substring trim
    try_cast try_divide unix_micros unix_millis unix_seconds unix_timestamp upper year month day hour minute second
    dayofweek dayofyear datediff date timestamp and or not in when then else case between select as
    """.split()  # noqa: SIM905 - seventy words read better as prose
)
# From left to right: a quoted name or literal, or a token that hides where a literal ends (comments, r'…', "…").
_TOKEN = re.compile(r"`(?:[^`]|``)*`|'(?:[^'\\]|\\.)*'|\"|--|/\*|\w['\"]", re.DOTALL)
_CALL = re.compile(r"([\w.§]+)\s*\(")
_SOURCES = re.compile(r"\b(?:select|from|join|table|with|values|lateral|union)\b")


def why_unsafe(folder: Path) -> str:
    """Return why loading the Spark ML model would run more than Spark's own stages; empty if it would not.

    Raises:
        ModelUnloadable: the model is damaged.
    """
    flavors = read_mlmodel(folder)["flavors"]
    flavor = flavors.get(SPARK)
    if not flavor or flavor.get("code") or flavor.get("model_class", _PIPELINE) != _PIPELINE:
        return text("the model is not a plain Spark ML pipeline.")
    name = str(flavor.get("model_data") or "sparkml")
    data = (folder / name).resolve()
    if folder.resolve() not in data.parents:
        return text("the stages of the model are outside its folder.")
    if Path(name).name != name:
        # MLflow's python_function reads the MLmodel beside the stages, which must be the inspected MLmodel.
        return text("the stages of the model are in {folder}; they must be in a folder beside MLmodel.", folder=name)
    reason = why_foreign(flavors, SPARK)
    if reason:
        return reason
    stages = list(_stages(data))
    if not stages:
        raise ModelUnloadable("The Spark ML model is damaged: it has no stages.", folder=str(folder))
    foreign = sorted({str(stage["class"]) for stage in stages if not str(stage["class"]).startswith(_SPARK_CLASSES)})
    if foreign:
        return text("the stages {classes} are not Spark's own.", classes=", ".join(foreign))
    # Spark takes a parameter from either of the two maps.
    params = [stage.get(key) or {} for stage in stages for key in ("defaultParamMap", "paramMap")]
    statements = [str(values.get("statement", "")) for values in params]
    return next((reason for reason in map(_why_unsafe_sql, filter(None, statements)) if reason), "")


def require_whole(folder: Path) -> None:
    """Read every file of every stage of a model that is safe to load.

    Raises:
        ModelUnloadable: a file is missing or damaged.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    data = folder / read_mlmodel(folder)["flavors"][SPARK].get("model_data", "sparkml")
    stages = list(_stages(data))
    expected = {str(uid) for stage in stages for uid in (stage.get("paramMap") or {}).get("stageUids", ())}
    if missing := sorted(expected - {str(stage.get("uid")) for stage in stages}):
        raise _damaged(", ".join(missing))
    for file in sorted(data.rglob("*.parquet")):
        try:
            pq.read_table(file)
        except (OSError, pa.ArrowException) as error:
            raise _damaged(str(file.relative_to(folder))) from error


def _why_unsafe_sql(statement: str) -> str:
    """Return why the SQL of a stage is not run; empty if the SQL only computes on the rows that it gets."""
    plain = _TOKEN.sub(lambda token: "§" if token[0][0] in "`'" else '"', statement).lower()
    if '"' in plain or "${" in statement:
        return text("it is unclear where a literal ends in the SQL of a stage.")
    if not plain.rstrip().endswith("from __this__") or len(_SOURCES.findall(plain)) != 2:
        return text("the SQL of a stage reads more than the rows that it gets.")
    calls = sorted({"a quoted name" if "§" in name else name for name in _CALL.findall(plain)} - _SQL_FUNCTIONS)
    if calls:
        return text("the SQL of a stage calls {functions}, which may do more than compute.", functions=", ".join(calls))
    return ""


def _stages(data: Path) -> Iterator[dict[str, Any]]:
    """Yield the description of each stage, from every metadata file that Spark would read."""
    for place in sorted(data.rglob("metadata")):
        parts = [place] if place.is_file() else sorted(part for part in place.iterdir() if part.is_file())
        for part in parts:
            if part.name.startswith(("_", ".")):
                continue
            raw = part.read_bytes()
            try:
                content = gzip.decompress(raw).decode("utf-8") if part.suffix == ".gz" else raw.decode("utf-8")
                for line in filter(None, content.splitlines()):
                    stage = json.loads(line)
                    yield {**stage, "class": stage["class"]}
            except (ValueError, KeyError, TypeError, OSError, EOFError) as error:
                raise _damaged(part.name) from error


def _damaged(name: str) -> ModelUnloadable:
    return ModelUnloadable("The Spark ML model is damaged: {name} cannot be read.", name=name)
