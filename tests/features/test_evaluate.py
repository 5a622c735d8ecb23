"""Evaluate: a version, also a foreign one, on a table version: its KPIs and pictures, kept in the audit log."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from sklearn.datasets import load_breast_cancer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, confusion_matrix, roc_auc_score

from core.access.permissions import Action
from core.entities import Actor, ModelVersionKey, Outcome
from core.errors import BadParameter, Forbidden
from core.features.head_to_head.evaluate import (
    evaluate,
    past_evaluations,
    pictures_of,
    serialize,
    submit_evaluation,
)
from core.features.jobs.run_job import run_service
from core.features.runs.pictures import version_pictures
from core.features.stores import Stores
from core.jobs.progress import Silent

KEY = ModelVersionKey(model="cancer", version=1)
TABLE = "patients"


@pytest.fixture
def foreign(stores: Stores, tmp_path: Path) -> tuple[Stores, LogisticRegression]:
    """A classifier of whole numbers that plain MLflow logged, without params or pictures, and a table with answers."""
    data = load_breast_cancer(as_frame=True)
    rows = data.data[["mean radius", "mean texture", "mean smoothness"]]
    model = LogisticRegression(max_iter=1_000).fit(rows.iloc[:300], data.target.iloc[:300])
    folder = tmp_path / "model"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # MLflow warns about type hints of its own
        import mlflow.sklearn
        from mlflow.models import infer_signature

        mlflow.sklearn.save_model(
            model,
            folder,
            signature=infer_signature(rows, model.predict(rows)),
            pip_requirements=["scikit-learn"],
            serialization_format="skops",
        )
    client = mlflow.MlflowClient(stores.settings.tracking_uri)
    run = client.create_run(client.create_experiment("theirs", artifact_location=(tmp_path / "theirs").as_uri()))
    client.log_artifacts(run.info.run_id, str(folder), "model")
    client.create_registered_model(KEY.model)
    client.create_model_version(KEY.model, f"{run.info.artifact_uri}/model", run.info.run_id)
    table = pa.Table.from_pandas(rows.assign(malignant=data.target), preserve_index=False).slice(300)
    stores.engine.write(stores.catalog.place(TABLE), table, mode="append")
    return stores, model


def test_a_foreign_model_is_evaluated_on_a_table_and_mlflow_is_left_as_it_is(
    foreign: tuple[Stores, LogisticRegression], scientist: Actor
) -> None:
    stores, model = foreign
    job = submit_evaluation(stores, scientist, KEY, table=TABLE, target="malignant", reason="validation")
    result = run_service(stores, scientist, job.kind, job.arguments, Silent())
    rows = stores.engine.read(stores.catalog.resolve(TABLE), version=0).to_pandas()
    actual, inputs = rows.pop("malignant"), rows
    assert result["rows"] == len(actual) == 269
    assert result["metrics"]["accuracy"] == accuracy_score(actual, model.predict(inputs))
    assert result["metrics"]["roc_auc"] == pytest.approx(roc_auc_score(actual, model.predict_proba(inputs)[:, 1]))
    (event,) = past_evaluations(stores, scientist, KEY)
    pictures = pictures_of(event)
    assert pictures.confusion is not None
    np.testing.assert_array_equal(pictures.confusion.counts, confusion_matrix(actual, model.predict(inputs)))
    assert {entry.column for entry in pictures.importance} == set(inputs.columns)
    assert (event.outcome, event.reason) == (Outcome.SUCCESS, "validation")
    assert event.after["notes"] == ["Which rows cancer/1 was trained on is unknown; none was left out."]
    assert version_pictures(stores, scientist, KEY) is None


def test_without_a_target_the_sentence_says_what_to_do(
    foreign: tuple[Stores, LogisticRegression], scientist: Actor
) -> None:
    with pytest.raises(BadParameter, match=r"No run logged its target\. Name the column with the true values"):
        evaluate(foreign[0], scientist, KEY, table=TABLE)


def test_a_regression_has_the_rows_that_it_was_not_trained_on(sample_stores: Stores, scientist: Actor) -> None:
    key = ModelVersionKey(model="diabetes_progression", version=1)
    evaluation = evaluate(sample_stores, scientist, key, table="diabetes_training_data", version=0)
    # The recipe keeps 30 % of the 200 rows for the test.
    assert (evaluation.rows, evaluation.left_out) == (60, 140)
    logged = version_pictures(sample_stores, scientist, key)
    assert logged is not None
    assert logged.residuals is not None
    assert evaluation.pictures.residuals is not None
    assert evaluation.pictures.residuals.counts == logged.residuals.counts
    assert set(serialize(evaluation)["metrics"]) == {"rmse", "mae", "mape", "r2"}


def test_an_admin_may_not_evaluate(sample_stores: Stores, admin: Actor) -> None:
    with pytest.raises(Forbidden, match=Action.MODEL_EVALUATE.value):
        evaluate(sample_stores, admin, ModelVersionKey(model="iris_classifier", version=1), table="iris_training_data")
