"""The recipe of a run, from what the run logged and the signature of its model."""

from __future__ import annotations

from core.entities import ModelVersionKey, Recipe, Run, TableVersion, Task
from core.errors import BadParameter, RecipeNotFound
from core.learning.estimators import find_estimator
from core.learning.external_training import is_external
from core.learning.safety.inspect_model import ModelInfo


def logged_recipe(run: Run, key: ModelVersionKey, data: TableVersion, info: ModelInfo) -> Recipe:
    """Return the recipe as *run* logged it; the features are the inputs of the model's signature.

    Raises:
        RecipeNotFound: the run did not log its recipe, or something outside trained it.
    """
    refuse_external(run, data)
    estimator = run.params.get("estimator", "")
    missing = [name for name in ("estimator", "target", "test_fraction", "seed") if name not in run.params]
    if missing:
        raise RecipeNotFound(
            "The run did not log {parameters}: ModelLedger did not train it, and its recipe is unknown.",
            parameters=", ".join(missing),
        )
    if not info.inputs:
        raise RecipeNotFound("The model has no signature, so its features are unknown.")
    try:
        task = Task(run.tags.get("task", ""))
        names = {parameter.name for parameter in find_estimator(estimator, task).parameters}
        return Recipe(
            name=run.tags.get("recipe", key.model),
            model=key.model,
            task=task,
            table=data.table,
            target=run.params["target"],
            estimator=estimator,
            features=tuple(column.name for column in info.inputs),
            params={name: value for name, value in run.params.items() if name in names},
            test_fraction=float(run.params["test_fraction"]),
            seed=int(run.params["seed"]),
        )
    except (ValueError, BadParameter) as error:
        raise RecipeNotFound("The parameters of the run are no longer valid: {reason}", reason=str(error)) from error


def refuse_external(run: Run, data: TableVersion) -> None:
    """Raise RecipeNotFound if something outside of ModelLedger trained the model of *run*."""
    estimator = run.params.get("estimator", "")
    if is_external(estimator):
        raise RecipeNotFound(
            "{estimator} trained this version. Train it again on {data} and compare the two runs.",
            estimator=estimator,
            data=str(data),
        )
