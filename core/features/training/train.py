"""Train: a recipe on a pinned data version, logged to MLflow and registered as the next model version."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from core.access.permissions import Action, require
from core.delta.content_hash import content_sha256
from core.entities import Actor, Job, ModelVersion, Recipe, RunStatus, Snapshot, Table, TableVersion, TrainingResult
from core.errors import CoreError, JobCancelled, LeaseLost, RecipeNotFound
from core.features.stores import Stores
from core.features.training.git_commit import code_tags, project_code_tags
from core.features.training.recipe_projects import project_of
from core.jobs.progress import Progress, Silent
from core.learning.external_training import is_external, is_project
from core.learning.packaging import package
from core.learning.recipes import check_params, check_recipe, load_recipes
from core.learning.recipes import save_recipe as write_recipe
from core.learning.training import Fitted, Split, evaluate, fit, split


def list_recipes(stores: Stores, actor: Actor) -> tuple[Recipe, ...]:
    """Built-in recipes and those of the recipes folder, by name. Raises BadParameter for a file that cannot be used."""
    require(actor, Action.RUN_READ)
    return tuple(load_recipes(stores.settings.recipes_folder).values())


def find_recipe(stores: Stores, name: str) -> Recipe:
    """Raises RecipeNotFound, which lists the recipes there are."""
    known = load_recipes(stores.settings.recipes_folder)
    if name not in known:
        raise RecipeNotFound(f"There is no recipe {name!r}; there are {', '.join(known)}.", recipe=name)
    return known[name]


def save_recipe(stores: Stores, actor: Actor, recipe: Recipe, *, reason: str = "") -> Recipe:
    """Keeps a recipe in the recipes folder; one of the same name is replaced. Raises BadName, BadParameter."""
    before = load_recipes(stores.settings.recipes_folder).get(recipe.name)
    with stores.audit.recording(
        actor,
        Action.RECIPE_WRITE,
        f"recipe {recipe.name}",
        reason=reason,
        before=_described(before) if before else None,
    ) as recording:
        stores.catalog.resolve(recipe.table)
        write_recipe(recipe, stores.settings.recipes_folder)
        recording.after = _described(recipe)
    return recipe


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
    """Puts a training into the job table; a worker does it. The version is pinned now, not when the worker comes to it.

    Raises what can be known now: RecipeNotFound, TableNotFound, VersionNotFound, BadParameter, Forbidden.
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
    """Trains *recipe* on a data version (default: the recipe's table, its latest version) and registers the model.

    The run ends as finished, as failed with its reason, or as killed where the job was cancelled; nothing is
    registered then. Raises RecipeNotFound, TableNotFound, VersionNotFound, DataUnreadable, TrainingFailed,
    BadParameter, RegistryUnavailable, JobCancelled, Forbidden.
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
        watch.line(f"run {run_id} on {pinned}")
        try:
            if is_external(chosen.estimator):
                from core.features.training.train_external import Outside, train_outside

                result = train_outside(
                    Outside(
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
            # Interrupted and faults of ours included: the run must not look as if it still ran.
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
    watch.report(0.02, f"reading {pinned}")
    rows = stores.engine.read(table, version=pinned.version)
    digest = content_sha256(rows.schema, rows.to_batches())
    watch.line(f"{rows.num_rows} rows, content SHA-256 {digest}")
    schema = {field.name: field.type for field in snapshot.schema}
    stores.runs.log_dataset(run_id, data=pinned, uri=table.uri, digest=digest, schema=schema, rows=rows.num_rows)
    watch.report(0.1, "splitting the rows")
    watch.checkpoint()
    data = split(rows, recipe)
    how = "stratified" if data.is_stratified else "at random"
    watch.line(f"{len(data.train)} rows to train on, {len(data.test)} to test on, split {how}, seed {recipe.seed}")
    stores.runs.log(
        run_id,
        params=_params(recipe, pinned),
        metrics={"TrainRows": len(data.train), "TestRows": len(data.test)},
        tags={"delta.content_sha256": digest},
    )
    fitted = _fit(recipe, data, watch)
    watch.report(0.8, "evaluating")
    metrics = evaluate(fitted, data)
    stores.runs.log(run_id, metrics=metrics)
    watch.line(", ".join(f"{name} {value:.4f}" for name, value in metrics.items()))
    watch.report(0.85, "saving the model")
    version = _register(stores, recipe, pinned, data, fitted, digest, run_id, watch)
    stores.runs.log(run_id, params={"ModelV": version.version}, tags={"model.name": version.model})
    stores.runs.end(run_id, RunStatus.FINISHED)
    watch.report(1.0, f"registered {version.key}")
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


def _fit(recipe: Recipe, data: Split, watch: Progress) -> Fitted:
    def tell(fraction: float, line: str) -> None:
        watch.checkpoint()
        watch.report(0.15 + 0.65 * fraction, f"fitting {recipe.estimator}")
        watch.line(line)

    watch.report(0.15, f"fitting {recipe.estimator}")
    fitted = fit(recipe, data, report=tell)
    for note in fitted.notes:
        watch.line(f"warning: {note}")
    return fitted


def _register(
    stores: Stores,
    recipe: Recipe,
    pinned: TableVersion,
    data: Split,
    fitted: Fitted,
    digest: str,
    run_id: str,
    watch: Progress,
) -> ModelVersion:
    with tempfile.TemporaryDirectory(prefix="modelledger-") as folder:
        source = stores.runs.log_model(run_id, package(fitted, data, recipe, Path(folder)))
    watch.report(0.95, "registering")
    watch.checkpoint()
    tags = {
        "delta.table": pinned.table,
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
    except CoreError as second:
        # MLflow is what failed, most likely. The first error is the one to tell; this one goes with it.
        error.add_note(f"The run {run_id} could not be ended: {second}")


def _with_params(recipe: Recipe, params: Mapping[str, Any] | None) -> Recipe:
    """The recipe with the parameters of this training, each checked and every default filled in."""
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


def _described(recipe: Recipe) -> dict[str, Any]:
    return {
        "model": recipe.model,
        "task": recipe.task.value,
        "table": recipe.table,
        "target": recipe.target,
        "estimator": recipe.estimator,
        "features": list(recipe.features),
        "params": dict(recipe.params),
        "test_fraction": recipe.test_fraction,
        "seed": recipe.seed,
    }
