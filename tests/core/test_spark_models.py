"""Spark ML models judged without Spark: Spark's own stages pass; stages that run or read more are refused by name."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from core.errors import BadSettings, ModelUnloadable
from core.learning.safety.check_loads import check_loads
from core.learning.safety.inspect_model import inspect_model, require_safe
from core.learning.scoring import predict

SQL = "org.apache.spark.ml.feature.SQLTransformer"
CAST = (
    "SELECT *, CAST(`sepal ``length` AS DOUBLE) AS __n0, unix_micros(CAST(`a--b` AS TIMESTAMP)) / 1e6 AS __n1, "
    "CASE WHEN (a IS NULL) AND (b IN ('x', 'it\\'s -- /*')) THEN (1) ELSE (0) END AS __n2 FROM __THIS__"
)
INPUTS = json.dumps([{"type": "double", "name": "x", "required": False}])


def model(folder: Path, *stages: dict[str, Any], **flavor: Any) -> Path:
    """A model folder as MLflow stores a Spark ML pipeline: a metadata file per stage and one file of numbers."""
    for number, stage in enumerate(({"class": "org.apache.spark.ml.PipelineModel", "paramMap": {}}, *stages)):
        place = folder / "sparkml" / ("" if number == 0 else f"stages/{number}_stage") / "metadata"
        place.mkdir(parents=True)
        (place / "part-00000").write_text(json.dumps(stage) + "\n")
        (place / "_SUCCESS").touch()
    data = folder / "sparkml" / "stages" / "data"
    data.mkdir(parents=True)
    pq.write_table(pa.table({"coefficient": [0.5]}), data / "part-00000.snappy.parquet")
    description = {
        "flavors": {
            "spark": {"model_data": "sparkml", "code": None, "pyspark_version": "4.2.0", **flavor},
            "python_function": {"loader_module": "mlflow.spark", "data": "sparkml"},
        },
        "signature": {"inputs": INPUTS, "outputs": json.dumps([{"type": "double", "name": "y"}])},
    }
    (folder / "MLmodel").write_text(yaml.safe_dump(description))
    return folder


def sql(statement: str) -> dict[str, Any]:
    return {"class": SQL, "paramMap": {"statement": statement}}


def test_a_pipeline_of_sparks_own_stages_is_safe(tmp_path: Path) -> None:
    info = inspect_model(model(tmp_path, sql(CAST), {"class": "org.apache.spark.ml.feature.ImputerModel"}))
    assert (info.format, info.is_safe) == ("spark ml", True)
    assert [column.name for column in info.inputs] == ["x"]
    assert check_loads(tmp_path).format == "spark ml"


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        ("SELECT reflect('java.lang.Runtime', 'getRuntime') FROM __THIS__", "calls reflect"),
        ("SELECT `reflect`('java.lang.Runtime', 'getRuntime') FROM __THIS__", "calls a quoted name"),
        ("SELECT java_method ('a', 'b') AS x FROM __THIS__", "calls java_method"),
        ("SELECT system.builtin.reflect('a', 'b') FROM __THIS__", r"calls system\.builtin\.reflect"),
        ("SELECT /* ' */ reflect('a', 'b') /* ' */ FROM __THIS__", "unclear where a literal ends"),
        ("SELECT \"'\", reflect('a', 'b'), \"'\" FROM __THIS__", "unclear where a literal ends"),
        (r"SELECT r'\', reflect(1), '\' FROM __THIS__", "unclear where a literal ends"),
        ("SELECT '${env:DB_PASSWORD}' AS x FROM __THIS__", "unclear where a literal ends"),
        ("SELECT * FROM delta.`/etc` JOIN __THIS__", "reads more"),
        ("SELECT (SELECT max(a) FROM salaries) FROM __THIS__", "reads more"),
        ("SELECT * FROM parquet.`/data/salaries`", "reads more"),
        ("SELECT transform(array(1), x -> x) FROM __THIS__", "calls transform"),
    ],
)
def test_sql_that_does_more_than_compute_on_its_rows_is_refused(tmp_path: Path, statement: str, expected: str) -> None:
    info = inspect_model(model(tmp_path, sql(statement)))
    assert not info.is_safe
    with pytest.raises(ModelUnloadable, match=expected):
        require_safe(tmp_path)


@pytest.mark.parametrize("name", ["com.evil.Stage", "org.apache.spark.mllib.Stage", "evil.PipelineModel", "ml.evil"])
def test_stages_that_are_not_sparks_own_are_named(tmp_path: Path, name: str) -> None:
    with pytest.raises(ModelUnloadable, match=f"{name} are not Spark's own"):
        require_safe(model(tmp_path, {"class": name}))


@pytest.mark.parametrize(
    "flavor",
    [{"code": "code"}, {"model_class": "pyspark.ml.connect.classification.LogisticRegressionModel"}],
    ids=["code", "model_class"],
)
def test_a_flavor_that_brings_code_is_refused(tmp_path: Path, flavor: dict[str, str]) -> None:
    with pytest.raises(ModelUnloadable, match="not a plain Spark ML pipeline"):
        require_safe(model(tmp_path, **flavor))


def test_stages_outside_the_model_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelUnloadable, match="outside its folder"):
        require_safe(model(tmp_path / "model", model_data="../other"))


def test_every_file_that_spark_would_read_is_inspected(tmp_path: Path) -> None:
    place = model(tmp_path, {"class": SQL}) / "sparkml" / "stages" / "1_stage" / "metadata"
    (place / "a-first").write_text(json.dumps({"class": "com.evil.Stage"}))
    with pytest.raises(ModelUnloadable, match=r"com\.evil\.Stage"):
        require_safe(tmp_path)
    (place / "a-first").unlink()
    (place / "part-00001.gz").write_bytes(gzip.compress(json.dumps({"class": "com.evil.Zipped"}).encode()))
    with pytest.raises(ModelUnloadable, match=r"com\.evil\.Zipped"):
        require_safe(tmp_path)


def test_a_damaged_model_is_reported_as_damaged(tmp_path: Path) -> None:
    folder = model(tmp_path, {"class": SQL})
    numbers = next(folder.rglob("*.parquet"))
    numbers.write_bytes(numbers.read_bytes()[:20])
    with pytest.raises(ModelUnloadable, match=r"damaged: sparkml/stages/data/part-00000\.snappy\.parquet"):
        check_loads(folder)
    (folder / "sparkml" / "metadata" / "part-00000").write_text("{")
    with pytest.raises(ModelUnloadable, match="damaged: part-00000 cannot be read"):
        require_safe(folder)


def test_the_embedded_engine_says_that_spark_is_needed(tmp_path: Path) -> None:
    rows = pa.table({"x": [1.0]})
    with pytest.raises(BadSettings, match=r"Spark ML model: set MODELLEDGER_ENGINE=spark and MODELLEDGER_SPARK_MASTER"):
        list(predict(model(tmp_path), rows.to_batches(), rows.schema))


def test_sql_in_a_stages_defaults_is_judged_too(tmp_path: Path) -> None:
    """Spark sets a stage's defaults from the file as it sets its parameters."""
    hidden = {"class": SQL, "paramMap": {}, "defaultParamMap": {"statement": "SELECT reflect('a', 'b') FROM __THIS__"}}
    assert "calls reflect" in inspect_model(model(tmp_path, hidden)).why


def test_a_pipeline_that_names_a_missing_stage_is_damaged(tmp_path: Path) -> None:
    inner = {"class": "org.apache.spark.ml.PipelineModel", "uid": "inner", "paramMap": {"stageUids": ["here", "gone"]}}
    model(tmp_path, inner, {"class": "org.apache.spark.ml.feature.ImputerModel", "uid": "here"})
    with pytest.raises(ModelUnloadable, match="damaged: gone cannot be read"):
        check_loads(tmp_path)
