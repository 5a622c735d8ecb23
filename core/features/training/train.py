"""Train a recipe on a pinned data version; log the run to MLflow and register the next model version."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from core.access.permissions import Action
from core.delta.content_hash import content_sha256
from core.entities import Actor, Job, ModelVersion, Recipe, RunStatus, Snapshot, Table, TableVersion, TrainingResult
from core.errors import CoreError, JobCancelled, LeaseLost
from core.features.stores import Stores
from core.features.training.git_commit import code_tags, project_code_tags
from core.features.training.recipe_projects import project_of
from core.features.training.recipes import find_recipe
from core.jobs.progress import Progress, Silent
from core.learning.external_training import is_external, is_project
from core.learning.packaging import package
from core.learning.pictures.pictures import FILE as PICTURES
from core.learning.pictures.pictures import to_json
from core.learning.recipes import check_params, check_recipe
from core.learning.training import Fitted, Split, draw_pictures, evaluate, fit, split
from core.texts import text


def submit_training(
    stores: Stores,
    actor: Actor,
    *,
    recipe: str,
    table: str | None = None,
    version: int | None = None,
    params: Mapping[str, Any] | None = None,
    reason: str = "",
) -> Job:
    """Submit a training as a job for a worker. The data version is pinned now, not when the worker starts.

    Raises:
        RecipeNotFound, TableNotFound, VersionNotFound, BadParameter, Forbidden
    """
    stores.audit.require(actor, Action.RUN_TRAIN, recipe)
    chosen = _with_params(find_recipe(stores, recipe), params)
    if is_project(chosen.estimator):
        project_of(stores, replace(chosen, table=table or chosen.table))
    resolved, pinned = stores.pin(table or chosen.table, version)
    stores.engine.snapshot(resolved, version=pinned.version)
    arguments = {
        "recipe": recipe,
        "table": pinned.table,
        "version": pinned.version,
        "params": dict(params or {}),
        "reason": reason,
    }
    return stores.jobs.submit("train", arguments, actor)


def train(
    stores: Stores,
    actor: Actor,
    *,
    recipe: str,
    table: str | None = None,
    version: int | None = None,
    params: Mapping[str, Any] | None = None,
    reason: str = "",
    progress: Progress | None = None,
) -> TrainingResult:
    """Train *recipe* on a data version (default: the latest version of the recipe's table) and register the model.

    The run ends as finished, as failed with its reason, or as killed if the job was cancelled. A failed or killed run
    registers nothing.

    Raises:
        RecipeNotFound, TableNotFound, VersionNotFound, DataUnreadable, TrainingFailed, BadParameter,
        RegistryUnavailable, JobCancelled, Forbidden
    """
    watch = progress or Silent()
    with stores.audit.recording(actor, Action.RUN_TRAIN, recipe, reason=reason) as recording:
        chosen = _with_params(find_recipe(stores, recipe), params)
        resolved, pinned = stores.pin(table or chosen.table, version)
        chosen = replace(chosen, table=pinned.table)
        code = code_tags()
        if is_project(chosen.estimator):
            project = project_of(stores, chosen)
            code = project_code_tags(project.uri, project.version)
        snapshot = stores.engine.snapshot(resolved, version=pinned.version)
        run_id = stores.runs.start(
            stores.settings.experiment,
            f"{chosen.name} on {pinned}",
            actor.name,
            {**code, **_tags(chosen, pinned, snapshot, actor)},
        )
        recording.after = {"run_id": run_id, "data": str(pinned)}
        watch.remember(run_id=run_id, operation=recording.operation)
        watch.line(text("run {run} on {data}", run=run_id, data=pinned))
        try:
            if is_external(chosen.estimator):
                from core.features.training.train_external import ExternalTraining, train_external

                result = train_external(
                    ExternalTraining(
                        stores=stores,
                        recipe=chosen,
                        table=resolved,
                        data=pinned,
                        snapshot=snapshot,
                        run_id=run_id,
                        watch=watch,
                    )
                )
            else:
                result = _train(stores, chosen, resolved, pinned, snapshot, run_id, watch)
        except (JobCancelled, LeaseLost) as error:
            stores.runs.end(run_id, RunStatus.KILLED, str(error))
            raise
        except BaseException as error:
            # Interruptions and our own faults too: the run must not stay in the state running.
            _end_failed(stores, run_id, error)
            raise
        recording.subject = str(result.model)
        recording.after = {
            "run_id": run_id,
            "data": str(pinned),
            "model": str(result.model),
            "metrics": dict(result.metrics),
            "recipe": recipe,
        }
    return result


def _train(
    stores: Stores, recipe: Recipe, table: Table, pinned: TableVersion, snapshot: Snapshot, run_id: str, watch: Progress
) -> TrainingResult:
    watch.report(0.02, text("reading {data}", data=pinned))
    rows = stores.engine.read(table, version=pinned.version)
    digest = content_sha256(rows.schema, rows.to_batches())
    watch.line(text("{rows} rows, content SHA-256 {digest}", rows=rows.num_rows, digest=digest))
    schema = {field.name: field.type for field in snapshot.schema}
    stores.runs.log_dataset(run_id, data=pinned, uri=table.uri, digest=digest, schema=schema, rows=rows.num_rows)
    watch.report(0.1, text("splitting the rows"))
    watch.checkpoint()
    data = split(rows, recipe)
    watch.line(_split_line(data, recipe.seed))
    stores.runs.log(
        run_id,
        params=_params(recipe, pinned),
        metrics={"TrainRows": len(data.train), "TestRows": len(data.test)},
        tags={"delta.content_sha256": digest},
    )
    fitted = _fit(recipe, data, watch)
    watch.report(0.8, text("evaluating"))
    metrics = evaluate(fitted, data)
    stores.runs.log(run_id, metrics=metrics)
    watch.line(", ".join(f"{name} {value:.4f}" for name, value in metrics.items()))
    stores.runs.log_text(run_id, to_json(draw_pictures(fitted, data)), PICTURES)
    watch.report(0.85, text("saving the model"))
    version = _register(stores, recipe, pinned, snapshot, data, fitted, digest, run_id, watch)
    stores.runs.log(run_id, params={"ModelV": version.version}, tags={"model.name": version.model})
    stores.runs.end(run_id, RunStatus.FINISHED)
    watch.report(1.0, text("registered {model}", model=version.key))
    return TrainingResult(
        run_id=run_id,
        model=version.key,
        data=pinned,
        params={
            **{name: str(value) for name, value in _params(recipe, pinned).items()},
            "ModelV": str(version.version),
        },
        metrics={"TrainRows": len(data.train), "TestRows": len(data.test), **metrics},
    )


def _split_line(data: Split, seed: int) -> str:
    counts = {"train": len(data.train), "test": len(data.test), "seed": seed}
    if data.is_stratified:
        return text("{train} training rows, {test} test rows, stratified split with the seed {seed}", **counts)
    return text("{train} training rows, {test} test rows, random split with the seed {seed}", **counts)


def _fit(recipe: Recipe, data: Split, watch: Progress) -> Fitted:
    step = text("fitting {estimator}", estimator=recipe.estimator)

    def report(fraction: float, line: str) -> None:
        watch.checkpoint()
        watch.report(0.15 + 0.65 * fraction, step)
        watch.line(line)

    watch.report(0.15, step)
    fitted = fit(recipe, data, report=report)
    for note in fitted.notes:
        watch.line(text("warning: {warning}", warning=note))
    return fitted


def _register(
    stores: Stores,
    recipe: Recipe,
    pinned: TableVersion,
    snapshot: Snapshot,
    data: Split,
    fitted: Fitted,
    digest: str,
    run_id: str,
    watch: Progress,
) -> ModelVersion:
    with tempfile.TemporaryDirectory(prefix="modelledger-") as folder:
        source = stores.runs.log_model(run_id, package(fitted, data, recipe, Path(folder)))
    watch.report(0.95, text("registering the model"))
    watch.checkpoint()
    tags = {
        "delta.table": pinned.table,
        "delta.table_id": snapshot.table_id,
        "delta.version": str(pinned.version),
        "delta.content_sha256": digest,
        "recipe": recipe.name,
        "estimator": recipe.estimator,
        "task": recipe.task.value,
        "run_id": run_id,
    }
    return stores.models.register(recipe.model, source=source, run_id=run_id, tags=tags)


def _end_failed(stores: Stores, run_id: str, error: BaseException) -> None:
    reason = str(error).strip() or type(error).__name__
    try:
        stores.runs.end(run_id, RunStatus.FAILED, reason)
    except CoreError as end_error:
        # MLflow probably failed both times. The first error is the one to raise, with the second as a note.
        error.add_note(f"The run {run_id} could not be ended: {end_error}")


def _with_params(recipe: Recipe, params: Mapping[str, Any] | None) -> Recipe:
    """Return *recipe* with the parameters of this training, checked and completed by defaults."""
    check_recipe(recipe)
    changed = replace(recipe, params={**recipe.params, **(params or {})})
    return replace(changed, params=check_params(changed))


def _params(recipe: Recipe, pinned: TableVersion) -> dict[str, Any]:
    return {
        "DataV": pinned.version,
        "estimator": recipe.estimator,
        "target": recipe.target,
        "test_fraction": recipe.test_fraction,
        "seed": recipe.seed,
        **recipe.params,
    }


def _tags(recipe: Recipe, pinned: TableVersion, snapshot: Snapshot, actor: Actor) -> dict[str, str]:
    return {
        "delta.table": pinned.table,
        "delta.table_id": snapshot.table_id,
        "delta.version": str(pinned.version),
        "recipe": recipe.name,
        "task": recipe.task.value,
        "modelledger.channel": actor.channel,
    }
