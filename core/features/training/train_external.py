"""Train recipes outside this process: pyspark.ml estimators on a cluster, and MLflow Projects."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar, cast

from core.delta.table_features import SPARK
from core.entities import ModelVersion, Recipe, RunStatus, Snapshot, Table, TableVersion, TrainingResult
from core.errors import BadSettings, TrainingFailed
from core.features.stores import Stores
from core.features.training.recipe_projects import project_of
from core.jobs.progress import Progress
from core.learning.external_training import is_spark
from core.learning.kpis import metric_names
from core.learning.pictures.pictures import FILE as PICTURES
from core.learning.pictures.pictures import to_json
from core.texts import text

if TYPE_CHECKING:
    from core.delta.spark.engine import SparkEngine

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class ExternalTraining:
    """One external training: the recipe, the pinned data, the run, and the progress to report to."""

    stores: Stores
    recipe: Recipe
    table: Table
    data: TableVersion
    snapshot: Snapshot
    run_id: str
    watch: Progress


def train_external(work: ExternalTraining) -> TrainingResult:
    """Train, log under the same names as every other training, and register the model.

    Raises:
        BadSettings: the estimator is from pyspark.ml and Spark is not the engine.
        TrainingFailed, BadParameter, JobCancelled
    """
    _check(work)
    digest = _log_data(work)
    trained = _on_spark(work) if is_spark(work.recipe.estimator) else _run_project(work)
    work.watch.checkpoint()
    version = _register(work, trained.source, digest)
    work.stores.runs.log(
        work.run_id, params={"ModelV": version.version}, metrics=trained.metrics, tags={"model.name": version.model}
    )
    work.stores.runs.end(work.run_id, RunStatus.FINISHED)
    work.watch.report(1.0, text("registered {model}", model=version.key))
    run = work.stores.runs.get(work.run_id)
    return TrainingResult(run_id=work.run_id, model=version.key, data=work.data, params=run.params, metrics=run.metrics)


@dataclass(frozen=True, kw_only=True)
class _Trained:
    source: str
    metrics: dict[str, float]


def _check(work: ExternalTraining) -> None:
    """Check the recipe before the first row is read, because reading may take an hour."""
    if is_spark(work.recipe.estimator):
        from core.learning.spark.training import check_on_frame

        engine = spark_engine(work.stores, work.recipe.estimator)
        check_on_frame(engine.frame(work.table, version=work.data.version), work.recipe)


def _log_data(work: ExternalTraining) -> str:
    """Log the data version to the run and return its content hash. Spark hashes the rows on the cluster."""
    work.watch.report(0.02, text("reading {data}", data=work.data))
    engine, version = work.stores.engine, work.data.version
    step = text("hashing {data}", data=work.data)
    content = _watched(work, lambda: engine.content(work.table, version=version), (0.02, 0.1), step)
    work.watch.line(text("{rows} rows, content SHA-256 {digest}", rows=content.rows, digest=content.sha256))
    work.stores.runs.log_dataset(
        work.run_id,
        data=work.data,
        uri=work.table.uri,
        digest=content.sha256,
        schema={field.name: field.type for field in work.snapshot.schema},
        rows=content.rows,
    )
    work.stores.runs.log(
        work.run_id, params={"DataV": work.data.version}, tags={"delta.content_sha256": content.sha256}
    )
    work.watch.checkpoint()
    return content.sha256


def _watched(work: ExternalTraining, action: Callable[[], T], share: tuple[float, float], step: str) -> T:
    """Return the result of *action*. On Spark its stages are reported, and cancelling the job ends them.

    *share* is the part of the whole progress that *action* covers, from and to.
    """
    if work.stores.engine.name != SPARK:
        return action()
    begin, end = share
    return spark_engine(work.stores, work.recipe.estimator).watch(
        action,
        report=lambda fraction, stage: work.watch.report(begin + (end - begin) * fraction, stage),
        checkpoint=work.watch.checkpoint,
        step=step,
        table=work.table,
    )


def _on_spark(work: ExternalTraining) -> _Trained:
    engine = spark_engine(work.stores, work.recipe.estimator)
    from core.learning.spark.training import SparkTraining, train_on_frame

    recipe, watch = work.recipe, work.watch
    work.stores.runs.log(
        work.run_id,
        params={
            "estimator": recipe.estimator,
            "target": recipe.target,
            "test_fraction": recipe.test_fraction,
            "seed": recipe.seed,
            **recipe.params,
        },
    )
    with tempfile.TemporaryDirectory(prefix="modelledger-") as folder:

        def fit() -> SparkTraining:
            frame = engine.frame(work.table, version=work.data.version)
            return train_on_frame(frame, recipe, Path(folder), report=lambda fraction, line: watch.line(line))

        trained = _watched(work, fit, (0.1, 0.85), text("fitting {estimator}", estimator=recipe.estimator))
        watch.report(0.9, text("saving the model"))
        source = work.stores.runs.log_model(work.run_id, trained.folder)
        work.stores.runs.log_text(work.run_id, to_json(trained.pictures), PICTURES)
    rows = {"TrainRows": float(trained.train_rows), "TestRows": float(trained.test_rows)}
    watch.line(", ".join(f"{name} {value:.4f}" for name, value in trained.metrics.items()))
    return _Trained(source=source, metrics={**rows, **trained.metrics})


def _run_project(work: ExternalTraining) -> _Trained:
    from core.learning.projects.project_run import ProjectData, logged_model, run_project

    project, tracking_uri, runs = (
        project_of(work.stores, work.recipe),
        work.stores.settings.tracking_uri,
        work.stores.runs,
    )
    data = ProjectData(table=work.data.table, uri=work.table.uri, version=work.data.version)
    runs.log(work.run_id, params={"estimator": work.recipe.estimator, "target": work.recipe.target})
    work.watch.report(0.1, text("running the project {project}", project=project.uri))
    project_run_id = run_project(
        project,
        run_id=work.run_id,
        tracking_uri=tracking_uri,
        data=data,
        on_line=work.watch.line,
        checkpoint=work.watch.checkpoint,
    )
    work.watch.report(0.9, text("looking for the model that the project logged"))
    source = logged_model(tracking_uri, project_run_id)
    if source is None:
        raise TrainingFailed(
            "The project {project} succeeded but logged no model to its run; it must call mlflow.*.log_model.",
            project=project.uri,
        )
    run, project_run = runs.get(work.run_id), runs.get(project_run_id)
    # MLflow never changes a parameter: those that the project logged itself stay unchanged.
    params = {**project_run.params, **project.arguments(data.parameters)}
    runs.log(work.run_id, params={name: value for name, value in params.items() if name not in run.params})
    if project_run_id != work.run_id:
        runs.log(work.run_id, metrics=project_run.metrics, tags={"project.run_id": project_run_id})
        runs.log(project_run_id, tags={"mlflow.parentRunId": work.run_id})
    expected = {"TrainRows", "TestRows", *metric_names(work.recipe.task)}
    if missing := sorted(expected - set(project_run.metrics)):
        work.watch.line(
            text(
                "warning: the project did not log these metrics for comparisons: {metrics}", metrics=", ".join(missing)
            )
        )
    return _Trained(source=source, metrics={})


def _register(work: ExternalTraining, source: str, digest: str) -> ModelVersion:
    work.watch.report(0.95, text("registering the model"))
    tags = {
        "delta.table": work.data.table,
        "delta.table_id": work.snapshot.table_id,
        "delta.version": str(work.data.version),
        "delta.content_sha256": digest,
        "recipe": work.recipe.name,
        "estimator": work.recipe.estimator,
        "task": work.recipe.task.value,
        "run_id": work.run_id,
    }
    return work.stores.models.register(work.recipe.model, source=source, run_id=work.run_id, tags=tags)


def spark_engine(stores: Stores, estimator: str) -> SparkEngine:
    """Return the Spark engine, which *estimator* needs. Raises BadSettings if the settings choose another engine."""
    if stores.engine.name != SPARK:
        raise BadSettings(
            "{estimator} is trained on Spark: set MODELLEDGER_ENGINE=spark and MODELLEDGER_SPARK_MASTER.",
            estimator=estimator,
            setting="MODELLEDGER_ENGINE",
        )
    return cast("SparkEngine", stores.engine)
