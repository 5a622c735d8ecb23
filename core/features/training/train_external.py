"""Trains recipes that are not fitted in this process: pyspark.ml estimators on the cluster, and MLflow Projects."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar

from core.entities import ModelVersion, Recipe, RunStatus, Snapshot, Table, TableVersion, TrainingResult
from core.errors import BadSettings, TrainingFailed
from core.features.stores import Stores
from core.features.training.recipe_projects import project_of
from core.jobs.progress import Progress
from core.learning.external_training import is_spark
from core.learning.kpis import metric_names

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Outside:
    """What one training outside this process works on."""

    stores: Stores
    recipe: Recipe
    table: Table
    data: TableVersion
    snapshot: Snapshot
    run_id: str
    watch: Progress


def train_outside(work: Outside) -> TrainingResult:
    """Trains, logs under the same names as every training here, and registers the model.

    Raises BadSettings (a pyspark.ml estimator without the Spark engine), TrainingFailed, BadParameter, JobCancelled.
    """
    _check(work)
    digest = _log_data(work)
    trained = _on_spark(work) if is_spark(work.recipe.estimator) else _as_project(work)
    work.watch.checkpoint()
    version = _register(work, trained.source, digest)
    work.stores.runs.log(
        work.run_id, params={"ModelV": version.version}, metrics=trained.metrics, tags={"model.name": version.model}
    )
    work.stores.runs.end(work.run_id, RunStatus.FINISHED)
    work.watch.report(1.0, f"registered {version.key}")
    run = work.stores.runs.get(work.run_id)
    return TrainingResult(run_id=work.run_id, model=version.key, data=work.data, params=run.params, metrics=run.metrics)


@dataclass(frozen=True, kw_only=True)
class _Trained:
    source: str
    metrics: dict[str, float]


def _check(work: Outside) -> None:
    """What is wrong with the recipe is told before the first row is read, which may take an hour."""
    if is_spark(work.recipe.estimator):
        from core.learning.spark.training import check_on_frame

        engine = spark_engine(work.stores, f"{work.recipe.estimator} is trained on Spark")
        check_on_frame(engine.frame(work.table, version=work.data.version), work.recipe)


def _log_data(work: Outside) -> str:
    """Stamps the run with its data version; the rows are hashed where they are: on Spark none comes here."""
    work.watch.report(0.02, f"reading {work.data}")
    engine, version = work.stores.engine, work.data.version
    content = _watched(work, lambda: engine.content(work.table, version=version), (0.02, 0.1), f"hashing {work.data}")
    work.watch.line(f"{content.rows} rows, content SHA-256 {content.sha256}")
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


def _watched(work: Outside, act: Callable[[], T], share: tuple[float, float], what: str) -> T:
    """Does *act*; on Spark its stages are told, as the *share* of the whole, and a cancelled job ends them."""
    if work.stores.engine.name != "spark":
        return act()
    begin, end = share
    done: T = spark_engine(work.stores, what).watched(
        act,
        report=lambda fraction, step: work.watch.report(begin + (end - begin) * fraction, step),
        checkpoint=work.watch.checkpoint,
        what=what,
        table=work.table,
    )
    return done


def _on_spark(work: Outside) -> _Trained:
    engine = spark_engine(work.stores, f"{work.recipe.estimator} is trained on Spark")
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

        trained = _watched(work, fit, (0.1, 0.85), f"fitting {recipe.estimator}")
        watch.report(0.9, "saving the model")
        source = work.stores.runs.log_model(work.run_id, trained.folder)
    rows = {"TrainRows": float(trained.train_rows), "TestRows": float(trained.test_rows)}
    watch.line(", ".join(f"{name} {value:.4f}" for name, value in trained.metrics.items()))
    return _Trained(source=source, metrics={**rows, **trained.metrics})


def _as_project(work: Outside) -> _Trained:
    from core.learning.projects.project_run import ProjectData, logged_model, run_project

    project, tracking, runs = project_of(work.stores, work.recipe), work.stores.settings.tracking_uri, work.stores.runs
    data = ProjectData(table=work.data.table, uri=work.table.uri, version=work.data.version)
    runs.log(work.run_id, params={"estimator": work.recipe.estimator, "target": work.recipe.target})
    work.watch.report(0.1, f"running the project {project.uri}")
    logged_in = run_project(
        project,
        run_id=work.run_id,
        tracking_uri=tracking,
        data=data,
        on_line=work.watch.line,
        checkpoint=work.watch.checkpoint,
    )
    work.watch.report(0.9, "looking for the model that it logged")
    source = logged_model(tracking, logged_in)
    if source is None:
        raise TrainingFailed(
            f"The project {project.uri} ended well but logged no model to its run; let it call mlflow.*.log_model.",
            project=project.uri,
        )
    run, theirs = runs.get(work.run_id), runs.get(logged_in)
    # A parameter of MLflow's is never changed: what the project logged itself stays as it wrote it.
    given = {**theirs.params, **project.arguments(data.parameters)}
    runs.log(work.run_id, params={name: value for name, value in given.items() if name not in run.params})
    if logged_in != work.run_id:
        runs.log(work.run_id, metrics=theirs.metrics, tags={"project.run_id": logged_in})
        runs.log(logged_in, tags={"mlflow.parentRunId": work.run_id})
    wanted = {"TrainRows", "TestRows", *metric_names(work.recipe.task)}
    if missing := sorted(wanted - set(theirs.metrics)):
        work.watch.line(f"warning: the project logged no {', '.join(missing)}; runs are compared by them")
    return _Trained(source=source, metrics={})


def _register(work: Outside, source: str, digest: str) -> ModelVersion:
    work.watch.report(0.95, "registering")
    tags = {
        "delta.table": work.data.table,
        "delta.version": str(work.data.version),
        "delta.content_sha256": digest,
        "recipe": work.recipe.name,
        "estimator": work.recipe.estimator,
        "task": work.recipe.task.value,
        "run_id": work.run_id,
    }
    return work.stores.models.register(work.recipe.model, source=source, run_id=work.run_id, tags=tags)


class SparkLike(Protocol):
    """What the services use of the Spark engine beyond the contract of every engine."""

    def frame(self, table: Table, *, version: int | None = None) -> Any: ...

    def watched(self, work: Any, *, report: Any, checkpoint: Any, what: str, table: Table | None = None) -> Any: ...

    def write_frame(
        self,
        table: Table,
        frame: Any,
        *,
        mode: Any,
        metadata: Any = None,
        transaction: str | None = None,
        expected_version: int | None = None,
    ) -> int: ...


def spark_engine(stores: Stores, why: str) -> SparkLike:
    """The Spark engine, where the settings choose it. Raises BadSettings."""
    if stores.engine.name != "spark":
        raise BadSettings(
            f"{why}: set MODELLEDGER_ENGINE=spark and MODELLEDGER_SPARK_MASTER.", setting="MODELLEDGER_ENGINE"
        )
    return stores.engine  # type: ignore[return-value]
