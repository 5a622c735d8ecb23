"""Recipes: built in, and as TOML files of the user."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from core.entities import Recipe, Task
from core.errors import BadName, BadParameter
from core.learning.recipes import BUILT_IN, load_recipes, save_recipe


def own(**changes: object) -> Recipe:
    made = Recipe(
        name="churn",
        model="churn",
        task=Task.CLASSIFICATION,
        table="customers",
        target="left",
        estimator="random_forest",
        features=("age", 'say "hi"', "Größe \\ 1"),
        params={"n_estimators": 50, "class_weight": "balanced"},
        test_fraction=0.25,
        seed=7,
        description='Who leaves?\nLine two, "quoted".',
    )
    return replace(made, **changes)  # type: ignore[arg-type]


def test_a_saved_recipe_is_read_back_as_it_was(tmp_path: Path) -> None:
    save_recipe(own(), tmp_path)
    assert load_recipes(tmp_path)["churn"] == own()


def test_the_built_in_recipes_are_there_without_a_folder(tmp_path: Path) -> None:
    found = load_recipes(tmp_path / "none")
    assert set(found) == {"iris_classifier", "diabetes_progression"}
    assert found["iris_classifier"].table == "iris_training_data"
    assert found["diabetes_progression"].target == "progression"


def test_a_file_replaces_a_built_in_recipe(tmp_path: Path) -> None:
    save_recipe(replace(BUILT_IN["iris_classifier"], estimator="decision_tree"), tmp_path)
    assert load_recipes(tmp_path)["iris_classifier"].estimator == "decision_tree"


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"target": " "}, "needs a target"),
        ({"features": ("left",)}, "cannot also be a feature"),
        ({"test_fraction": 0.0}, "from 0.05 to 0.9"),
        ({"test_fraction": float("nan")}, "from 0.05 to 0.9"),
        ({"seed": -1}, "seed must be"),
        ({"estimator": "ridge"}, "'ridge' is not a classification estimator"),
        ({"params": {"depth": 3}}, "no parameter 'depth'"),
    ],
)
def test_a_recipe_that_cannot_be_trained_is_not_saved(
    tmp_path: Path, changes: dict[str, object], expected: str
) -> None:
    with pytest.raises(BadParameter, match=expected):
        save_recipe(own(**changes), tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["", "../up", "a b", "1st", "x" * 65, "<b>"])
def test_a_recipes_name_is_a_plain_word(tmp_path: Path, name: str) -> None:
    with pytest.raises(BadName):
        save_recipe(own(name=name), tmp_path)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("task = ", "is not a valid recipe"),
        ('task = "classification"', "table, target, estimator is missing"),
        ('task = "magic"\ntable = "t"\ntarget = "y"\nestimator = "ridge"', "not 'magic'"),
        ('task = "regression"\ntable = "t"\ntarget = "y"\nestimator = "ridge"\nfoo = 1', "no setting foo"),
        (
            'task = "regression"\ntable = "t"\ntarget = "y"\nestimator = "ridge"\nfeatures = "x"',
            "features must be a list",
        ),
        ('task = "regression"\ntable = "t"\ntarget = "y"\nestimator = "ridge"\nseed = "x"', "seed must be an integer"),
        (
            'task = "regression"\ntable = "t"\ntarget = "y"\nestimator = "ridge"\n[params]\nalpha = "x"',
            "alpha must be a number",
        ),
    ],
)
def test_a_file_that_cannot_be_used_is_named(tmp_path: Path, text: str, expected: str) -> None:
    (tmp_path / "mine.toml").write_text(text)
    with pytest.raises(BadParameter, match=rf"mine\.toml.*{expected}"):
        load_recipes(tmp_path)


def test_a_file_in_another_encoding_is_named(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_bytes('description = "Größe"'.encode("latin-1"))
    with pytest.raises(BadParameter, match=r"mine\.toml"):
        load_recipes(tmp_path)
