"""Recipes: how a model is made from a table. Two are built in, others are TOML files of the user."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from core.entities import Recipe, Task
from core.errors import BadName, BadParameter
from core.learning.estimators import find_estimator
from core.learning.external_training import check_outside, is_outside

_NAME = re.compile(r"^[A-Za-z][A-Za-z0-9_\-]{0,63}$")
_KNOWN = {
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
_NEEDED = ("task", "table", "target", "estimator")

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
            description="The species of an iris from the lengths and widths of its sepals and petals.",
        ),
        Recipe(
            name="diabetes_progression",
            model="diabetes_progression",
            task=Task.REGRESSION,
            table="diabetes_training_data",
            target="progression",
            estimator="ridge",
            description="The progression of diabetes within a year from ten baseline values.",
        ),
    )
}


def load_recipes(folder: Path) -> dict[str, Recipe]:
    """The built-in recipes and those of *folder* (NAME.toml), by name; a file may replace a built-in one.

    Raises BadParameter, which names the file that cannot be used.
    """
    found = dict(BUILT_IN)
    for file in sorted(folder.glob("*.toml")) if folder.is_dir() else []:
        recipe = _read(file)
        found[recipe.name] = recipe
    return dict(sorted(found.items()))


def save_recipe(recipe: Recipe, folder: Path) -> Path:
    """Writes *recipe* as NAME.toml, whole or not at all. Raises BadName, BadParameter."""
    check_recipe(recipe)
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{recipe.name}.toml"
    draft = file.with_suffix(".toml.new")
    draft.write_text(to_toml(recipe), encoding="utf-8")
    draft.replace(file)
    return file


def check_recipe(recipe: Recipe) -> None:
    """Raises BadName or BadParameter for a recipe that cannot be trained."""
    for what, name in (("recipe", recipe.name), ("model", recipe.model)):
        if not _NAME.match(name):
            raise BadName(
                f"{name!r} cannot name a {what}: start with a letter, then letters, digits, _ and -, at most 64.",
                name=name,
            )
    for what, text in (("table", recipe.table), ("target", recipe.target)):
        if not text.strip():
            raise BadParameter(f"The recipe needs a {what}.", name=what)
    if recipe.target in recipe.features:
        raise BadParameter(f"The target {recipe.target!r} cannot be a feature too.", name="features")
    if not 0.05 <= recipe.test_fraction <= 0.9:
        raise BadParameter(
            f"test_fraction takes a number from 0.05 to 0.9; {recipe.test_fraction} is outside.", name="test_fraction"
        )
    if not 0 <= recipe.seed < 2**32:
        raise BadParameter(f"seed takes an integer from 0 to {2**32 - 1}; {recipe.seed} is outside.", name="seed")
    check_params(recipe)


def check_params(recipe: Recipe) -> dict[str, Any]:
    """The recipe's parameters, checked and with every default filled in. Raises BadParameter."""
    if is_outside(recipe.estimator):
        return check_outside(recipe.estimator, recipe.params)
    return dict(find_estimator(recipe.estimator, recipe.task).check(recipe.params))


def to_toml(recipe: Recipe) -> str:
    """A recipe as TOML; load_recipes reads it back."""
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
    text = str(value).replace("\\", "\\\\").replace('"', '\\"')
    return '"' + "".join(c if c.isprintable() else f"\\u{ord(c):04X}" for c in text) + '"'


def _read(file: Path) -> Recipe:
    try:
        written = tomllib.loads(file.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
        raise BadParameter(f"{file.name} is no recipe: {error}.", file=file.name) from error
    try:
        recipe = _from_mapping(file.stem, written)
        check_recipe(recipe)
    except (BadParameter, BadName) as error:
        raise BadParameter(f"{file.name} cannot be used: {error}", file=file.name) from error
    return recipe


def _from_mapping(name: str, written: Mapping[str, Any]) -> Recipe:
    unknown = ", ".join(sorted(set(written) - _KNOWN))
    if unknown:
        raise BadParameter(f"{unknown} is no setting of a recipe; there are {', '.join(sorted(_KNOWN))}.", name=unknown)
    missing = ", ".join(key for key in _NEEDED if key not in written)
    if missing:
        raise BadParameter(f"{missing} is missing.", name=missing)
    try:
        task = Task(written["task"])
    except ValueError as error:
        raise BadParameter(
            f"task is classification or regression; {written['task']!r} is neither.", name="task"
        ) from error
    params, features = written.get("params", {}), written.get("features", [])
    fraction, seed = written.get("test_fraction", 0.3), written.get("seed", 0)
    if not isinstance(params, dict) or not isinstance(features, list):
        raise BadParameter("params is a table and features a list of column names.", name="params")
    if isinstance(fraction, bool) or not isinstance(fraction, int | float) or not isinstance(seed, int):
        raise BadParameter("test_fraction is a number and seed an integer.", name="test_fraction")
    return Recipe(
        name=str(written.get("name", name)),
        model=str(written.get("model", name)),
        task=task,
        table=str(written["table"]),
        target=str(written["target"]),
        estimator=str(written["estimator"]),
        features=tuple(str(feature) for feature in features),
        params=dict(params),
        test_fraction=float(fraction),
        seed=seed,
        description=str(written.get("description", "")),
    )
