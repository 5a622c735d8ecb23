"""Recipes: list, find and save them."""

from __future__ import annotations

from typing import Any

from core.access.permissions import Action, require
from core.entities import Actor, Recipe
from core.errors import RecipeNotFound
from core.features.stores import Stores
from core.learning.recipes import load_recipes
from core.learning.recipes import save_recipe as write_recipe


def list_recipes(stores: Stores, actor: Actor) -> tuple[Recipe, ...]:
    """Return the built-in recipes and those of the recipes folder, by name. Raises BadParameter for an invalid file."""
    require(actor, Action.RUN_READ)
    return tuple(load_recipes(stores.settings.recipes_folder).values())


def find_recipe(stores: Stores, name: str) -> Recipe:
    """Return the recipe *name*. Raises RecipeNotFound, whose message lists all recipes."""
    recipes = load_recipes(stores.settings.recipes_folder)
    if name not in recipes:
        raise RecipeNotFound(
            "There is no recipe {recipe!r}; choose one of {recipes}.", recipe=name, recipes=", ".join(recipes)
        )
    return recipes[name]


def save_recipe(stores: Stores, actor: Actor, recipe: Recipe, *, reason: str = "") -> Recipe:
    """Save a recipe in the recipes folder and replace one of the same name. Raises BadName, BadParameter."""
    before = load_recipes(stores.settings.recipes_folder).get(recipe.name)
    with stores.audit.recording(
        actor,
        Action.RECIPE_WRITE,
        f"recipe {recipe.name}",
        reason=reason,
        before=_serialize(before) if before else None,
    ) as recording:
        stores.catalog.resolve(recipe.table)
        write_recipe(recipe, stores.settings.recipes_folder)
        recording.after = _serialize(recipe)
    return recipe


def _serialize(recipe: Recipe) -> dict[str, Any]:
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
