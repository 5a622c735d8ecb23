"""Recipes: how a model is made from a table. Two recipes are built in; users add others as TOML files."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from core.entities import Recipe, Task
from core.errors import BadName, BadParameter, first_line
from core.learning.estimators import find_estimator
from core.learning.external_training import check_external, is_external

_NAME = re.compile(r"^[A-Za-z][A-Za-z0-9_\-]{0,63}$")
_SETTINGS = {
    "name",
    "model",
    "task",
    "table",
    "target",
    "estimator",
    "features",
    "params",
    "test_fraction",
    "seed",
    "description",
}
_REQUIRED = ("task", "table", "target", "estimator")

BUILT_IN: dict[str, Recipe] = {
    recipe.name: recipe
    for recipe in (
        Recipe(
            name="iris_classifier",
            model="iris_classifier",
            task=Task.CLASSIFICATION,
            table="iris_training_data",
            target="species",
            estimator="logistic_regression",
            description="Predicts the species of an iris from the lengths and widths of its sepals and petals.",
        ),
        Recipe(
            name="diabetes_progression",
            model="diabetes_progression",
            task=Task.REGRESSION,
            table="diabetes_training_data",
            target="progression",
            estimator="ridge",
            description="Predicts the progression of diabetes within a year from ten baseline values.",
        ),
    )
}


def load_recipes(folder: Path) -> dict[str, Recipe]:
    """Return the built-in recipes and the recipes of *folder* (NAME.toml) by name. A file can replace a built-in one.

    Raises:
        BadParameter: a file cannot be used; the message names the file.
    """
    recipes = dict(BUILT_IN)
    for file in sorted(folder.glob("*.toml")) if folder.is_dir() else []:
        recipe = _read(file)
        recipes[recipe.name] = recipe
    return dict(sorted(recipes.items()))


def save_recipe(recipe: Recipe, folder: Path) -> Path:
    """Write *recipe* as NAME.toml, either whole or not at all. Raises BadName, BadParameter."""
    check_recipe(recipe)
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{recipe.name}.toml"
    draft = file.with_suffix(".toml.new")
    draft.write_text(to_toml(recipe), encoding="utf-8")
    draft.replace(file)
    return file


def check_recipe(recipe: Recipe) -> None:
    """Raise BadName or BadParameter if *recipe* cannot be trained."""
    for name in (recipe.name, recipe.model):
        if not _NAME.match(name):
            raise BadName(
                "{name!r} is not a valid name for a recipe or a model: start with a letter, then use letters, digits, "
                "_ and -, 64 characters at most.",
                name=name,
            )
    if not recipe.table.strip():
        raise BadParameter("The recipe needs a table.", name="table")
    if not recipe.target.strip():
        raise BadParameter("The recipe needs a target.", name="target")
    if recipe.target in recipe.features:
        raise BadParameter("The target {target!r} cannot also be a feature.", target=recipe.target, name="features")
    if not 0.05 <= recipe.test_fraction <= 0.9:
        raise BadParameter(
            "test_fraction must be a number from 0.05 to 0.9, not {value}.",
            value=recipe.test_fraction,
            name="test_fraction",
        )
    if not 0 <= recipe.seed < 2**32:
        raise BadParameter(
            "seed must be an integer from 0 to {most}, not {value}.", most=2**32 - 1, value=recipe.seed, name="seed"
        )
    check_params(recipe)


def check_params(recipe: Recipe) -> dict[str, Any]:
    """Return the recipe's parameters, checked and completed by defaults. Raises BadParameter."""
    if is_external(recipe.estimator):
        return check_external(recipe.estimator, recipe.params)
    return dict(find_estimator(recipe.estimator, recipe.task).check(recipe.params))


def to_toml(recipe: Recipe) -> str:
    """Return *recipe* as TOML, which load_recipes reads."""
    lines = [f"{name} = {_toml(getattr(recipe, name))}" for name in ("name", "model")]
    lines.append(f"task = {_toml(recipe.task.value)}")
    lines += [
        f"{name} = {_toml(getattr(recipe, name))}"
        for name in ("table", "target", "estimator", "features", "test_fraction", "seed", "description")
    ]
    lines += ["", "[params]", *(f"{_toml(name)} = {_toml(value)}" for name, value in recipe.params.items())]
    return "\n".join(lines) + "\n"


def _toml(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, tuple | list):
        return f"[{', '.join(_toml(item) for item in value)}]"
    escaped = str(value).replace("\\", "\\\\").replace('"', '\\"')
    return '"' + "".join(c if c.isprintable() else f"\\u{ord(c):04X}" for c in escaped) + '"'


def _read(file: Path) -> Recipe:
    try:
        settings = tomllib.loads(file.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
        raise BadParameter(
            "{file} is not a valid recipe: {reason}.", file=file.name, reason=first_line(error)
        ) from error
    try:
        recipe = _from_settings(file.stem, settings)
        check_recipe(recipe)
    except (BadParameter, BadName) as error:
        raise BadParameter("{file} cannot be used: {reason}", file=file.name, reason=str(error)) from error
    return recipe


def _from_settings(name: str, settings: Mapping[str, Any]) -> Recipe:
    unknown = ", ".join(sorted(set(settings) - _SETTINGS))
    if unknown:
        raise BadParameter(
            "a recipe has no setting {name}; its settings are {settings}.",
            name=unknown,
            settings=", ".join(sorted(_SETTINGS)),
        )
    missing = ", ".join(key for key in _REQUIRED if key not in settings)
    if missing:
        raise BadParameter("{name} is missing.", name=missing)
    try:
        task = Task(settings["task"])
    except ValueError as error:
        raise BadParameter(
            "task must be classification or regression, not {value!r}.", value=settings["task"], name="task"
        ) from error
    params, features = settings.get("params", {}), settings.get("features", [])
    fraction, seed = settings.get("test_fraction", 0.3), settings.get("seed", 0)
    if not isinstance(params, dict) or not isinstance(features, list):
        raise BadParameter("params must be a table, and features must be a list of column names.", name="params")
    if isinstance(fraction, bool) or not isinstance(fraction, int | float) or not isinstance(seed, int):
        raise BadParameter("test_fraction must be a number, and seed must be an integer.", name="test_fraction")
    return Recipe(
        name=str(settings.get("name", name)),
        model=str(settings.get("model", name)),
        task=task,
        table=str(settings["table"]),
        target=str(settings["target"]),
        estimator=str(settings["estimator"]),
        features=tuple(str(feature) for feature in features),
        params=dict(params),
        test_fraction=float(fraction),
        seed=seed,
        description=str(settings.get("description", "")),
    )
