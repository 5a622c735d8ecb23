"""Pictures of the sample's models: written by the training into MLflow, and read from there."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from mlflow import MlflowClient

from core.entities import Actor, ModelVersionKey
from core.errors import BadFile
from core.features.runs.pictures import run_pictures, version_pictures
from core.features.stores import Stores
from core.learning.pictures.pictures import FILE

IRIS = ModelVersionKey(model="iris_classifier", version=3)
DIABETES = ModelVersionKey(model="diabetes_progression", version=2)


def test_a_training_logs_the_pictures_of_its_test_rows(sample_stores: Stores, auditor: Actor) -> None:
    iris = version_pictures(sample_stores, auditor, IRIS)
    assert iris is not None
    metrics = sample_stores.runs.get(str(sample_stores.models.version(IRIS).run_id)).metrics
    assert iris.rows == metrics["TestRows"]
    assert iris.confusion is not None
    right = sum(row[place] for place, row in enumerate(iris.confusion.counts))
    assert right / iris.rows == pytest.approx(metrics["accuracy"])
    assert sum(entry.recall for entry in iris.classes) / 3 == pytest.approx(metrics["recall"])
    assert sum(curve.summary or 0 for curve in iris.roc) / 3 == pytest.approx(metrics["roc_auc"])
    assert {entry.column.rpartition("_")[0] for entry in iris.importance} == {
        "petal_length",
        "petal_width",
        "sepal_length",
        "sepal_width",
    }
    diabetes = version_pictures(sample_stores, auditor, DIABETES)
    assert diabetes is not None
    metrics = sample_stores.runs.get(str(sample_stores.models.version(DIABETES).run_id)).metrics
    assert diabetes.predicted_actual is not None
    pairs = list(zip(diabetes.predicted_actual.x, diabetes.predicted_actual.y, strict=True))
    assert len(pairs) == metrics["TestRows"]
    assert (sum((a - p) ** 2 for a, p in pairs) / len(pairs)) ** 0.5 == pytest.approx(metrics["rmse"])


def test_a_run_without_pictures_has_none(sample_stores: Stores, auditor: Actor, tmp_path: Path) -> None:
    client = MlflowClient(sample_stores.settings.tracking_uri)
    run_id = client.create_run(client.create_experiment("theirs", artifact_location=tmp_path.as_uri())).info.run_id
    assert run_pictures(sample_stores, auditor, run_id) is None


@pytest.mark.parametrize("content", [json.dumps({"task": "classification"}), "x" * 2_000_001], ids=["other", "large"])
def test_a_file_of_that_name_that_is_something_else_is_refused(
    sample_stores: Stores, auditor: Actor, content: str, tmp_path: Path
) -> None:
    client = MlflowClient(sample_stores.settings.tracking_uri)
    run_id = client.create_run(client.create_experiment("theirs", artifact_location=tmp_path.as_uri())).info.run_id
    client.log_text(run_id, content, FILE)
    with pytest.raises(BadFile, match=FILE):
        run_pictures(sample_stores, auditor, run_id)
