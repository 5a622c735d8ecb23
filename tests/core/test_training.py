"""Training on frames: splits, fitting in steps, every estimator on real data, and data that cannot be trained on."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pytest
from sklearn.datasets import load_diabetes, load_iris

from core.entities import Recipe, Task
from core.errors import BadParameter, ColumnNotFound, TrainingFailed
from core.learning.estimators import ESTIMATORS, estimators_for, find_estimator
from core.learning.frames import features_frame
from core.learning.training import evaluate, fit, split


def iris() -> pa.Table:
    bunch = load_iris(as_frame=True)
    frame = bunch.data.assign(species=[str(bunch.target_names[code]) for code in bunch.target])
    return pa.Table.from_pandas(frame, preserve_index=False)


def diabetes() -> pa.Table:
    return pa.Table.from_pandas(load_diabetes(as_frame=True).frame, preserve_index=False)


def recipe(task: Task = Task.CLASSIFICATION, **changes: object) -> Recipe:
    made = Recipe(
        name="r",
        model="m",
        task=task,
        table="t",
        target="species" if task is Task.CLASSIFICATION else "target",
        estimator="logistic_regression" if task is Task.CLASSIFICATION else "ridge",
    )
    return replace(made, **changes)  # type: ignore[arg-type]


def test_a_split_holds_every_row_once_and_the_classes_in_proportion() -> None:
    data = split(iris(), recipe(test_fraction=0.2))
    assert (len(data.train), len(data.test), data.is_stratified) == (120, 30, True)
    classes, counts = np.unique(data.test_target, return_counts=True)
    assert dict(zip(classes, counts, strict=True)) == {"setosa": 10, "versicolor": 10, "virginica": 10}


def test_the_order_in_which_rows_were_read_does_not_change_the_split() -> None:
    rows = iris()
    shuffled = rows.take(pa.array(np.random.default_rng(0).permutation(rows.num_rows)))
    one, other = split(rows, recipe(seed=3)), split(shuffled, recipe(seed=3))
    assert one.train.equals(other.train)
    assert (one.test_target == other.test_target).all()
    assert not one.train.equals(split(rows, recipe(seed=4)).train)


@pytest.mark.parametrize("estimator", sorted(ESTIMATORS))
def test_every_estimator_learns_real_data(estimator: str) -> None:
    task = ESTIMATORS[estimator].task
    rows = iris() if task is Task.CLASSIFICATION else diabetes()
    chosen = recipe(task, estimator=estimator, params={"max_depth": 3} if "tree" in estimator else {})
    data = split(rows, chosen)
    found = evaluate(fit(chosen, data), data)
    if task is Task.CLASSIFICATION:
        assert found["accuracy"] > 0.85  # three classes: guessing gives 0.33
    else:
        assert found["rmse"] < 76  # the standard deviation of the target is 77


@pytest.mark.parametrize("estimator", [name for name, one in ESTIMATORS.items() if one.grows])
def test_fitting_in_steps_gives_the_model_that_fitting_at_once_gives(estimator: str) -> None:
    chosen = recipe(ESTIMATORS[estimator].task, estimator=estimator)
    rows = iris() if chosen.task is Task.CLASSIFICATION else diabetes()
    data = split(rows, chosen)
    lines: list[str] = []
    fitted = fit(chosen, data, report=lambda fraction, line: lines.append(line))
    at_once = find_estimator(estimator, chosen.task).make({}, chosen.seed)
    at_once.fit(fitted.pipeline["prepare"].transform(data.train), data.train_target)
    ready = fitted.pipeline["prepare"].transform(data.test)
    assert (fitted.pipeline["estimate"].predict(ready) == at_once.predict(ready)).all()
    assert len([line for line in lines if " of 100" in line]) == 10


def test_a_listener_can_stop_the_fitting_between_steps() -> None:
    chosen = recipe(estimator="random_forest")
    fractions: list[float] = []

    def stop(fraction: float, line: str) -> None:
        fractions.append(fraction)
        if fraction > 0.4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit(chosen, split(iris(), chosen), report=stop)
    assert max(fractions) < 0.6


def test_texts_times_decimals_booleans_and_missing_values_are_learned() -> None:
    rows = 400
    table = pa.table(
        {
            "colour": pa.array(["red", "blue", None, "green"] * 100).dictionary_encode(),
            "city": pa.array(["Köln", "Bonn"] * 200),
            "price": pa.array([Decimal("1.50"), None] * 200, pa.decimal128(10, 2)),
            "sold": pa.array([True, False] * 200),
            "when": pa.array([datetime(2026, 1, 1 + day % 28, tzinfo=UTC) for day in range(rows)]),
            "count": pa.array([None if number % 7 == 0 else number for number in range(rows)], pa.int64()),
            "nothing": pa.array([None] * rows, pa.float64()),
            "species": pa.array(["x" if number % 2 else "y" for number in range(rows)]),
        }
    )
    for estimator in (one.name for one in estimators_for(Task.CLASSIFICATION)):
        chosen = recipe(estimator=estimator)
        data = split(table, chosen)
        assert evaluate(fit(chosen, data), data)["accuracy"] == 1.0  # the city determines the class


def test_times_become_seconds_and_booleans_numbers() -> None:
    table = pa.table({"at": pa.array([datetime(1970, 1, 1, 0, 1, tzinfo=UTC), None]), "yes": pa.array([True, None])})
    frame = features_frame(table, ("at", "yes"))
    assert frame["at"].tolist()[0] == 60.0
    assert frame["yes"].tolist()[0] == 1.0
    assert frame.isna().to_numpy()[1].all()


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (["a"] * 10, "needs at least two classes"),
        (["a"] * 9 + [None], "1 of 10 rows have no value of the target 'species'"),
        (["a"] * 9 + ["b"], "The class b of the target 'species' has only one row"),
        (["a", "b"], "The data has 2 rows"),
        ([], "The data has 0 rows"),
    ],
)
def test_data_that_cannot_be_trained_on_fails_with_its_reason(values: list[str | None], expected: str) -> None:
    table = pa.table({"x": pa.array(range(len(values)), pa.int64()), "species": pa.array(values, pa.string())})
    with pytest.raises(TrainingFailed, match=expected):
        split(table, recipe())


def test_a_target_that_is_not_a_number_is_missing() -> None:
    table = pa.table({"x": [1.0] * 6, "target": [1.0, 2.0, float("nan"), 4.0, 5.0, 6.0]})
    with pytest.raises(TrainingFailed, match="1 of 6 rows have no value of the target 'target'"):
        split(table, recipe(Task.REGRESSION))


def test_an_infinite_target_fails() -> None:
    table = pa.table({"x": [1.0] * 6, "target": [1.0, 2.0, float("inf"), 4.0, 5.0, 6.0]})
    with pytest.raises(TrainingFailed, match="infinite"):
        split(table, recipe(Task.REGRESSION))


def test_a_target_with_many_values_is_not_a_classification() -> None:
    table = pa.table({"x": list(range(300)), "species": [number / 2 for number in range(300)]})
    with pytest.raises(TrainingFailed, match=r"300 distinct values in 300 rows.*regression"):
        split(table, recipe())


def test_a_regression_on_text_is_refused() -> None:
    table = pa.table({"x": [1.0] * 6, "target": list("abcdef")})
    with pytest.raises(BadParameter, match="holds text"):
        split(table, recipe(Task.REGRESSION))


def test_a_missing_column_is_named_with_the_existing_columns() -> None:
    with pytest.raises(ColumnNotFound, match=r"'specie'.*sepal length"):
        split(iris(), recipe(target="specie"))
    with pytest.raises(ColumnNotFound, match="'height'"):
        split(iris(), recipe(features=("height",)))


def test_a_list_column_is_refused_by_name() -> None:
    table = pa.table({"tags": [["a"]] * 6, "species": ["a", "b"] * 3})
    with pytest.raises(BadParameter, match="'tags' has the type list<"):
        split(table, recipe())


def test_a_warning_of_the_library_is_kept_as_a_note() -> None:
    chosen = recipe(params={"max_iter": 1})
    assert any("converge" in note for note in fit(chosen, split(iris(), chosen)).notes)


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        ({"n_estimators": "many"}, "n_estimators must be an integer from 1 to 2000, not 'many'"),
        ({"n_estimators": 0}, "from 1 to 2000, not '0'"),
        ({"n_estimators": "1.5"}, "an integer"),
        ({"trees": 5}, "no parameter 'trees'"),
        ({"class_weight": "heavy"}, "one of none, balanced"),
    ],
)
def test_parameters_are_checked_by_type_and_range(params: dict[str, object], expected: str) -> None:
    with pytest.raises(BadParameter, match=expected):
        find_estimator("random_forest", Task.CLASSIFICATION).check(params)


def test_nan_is_not_a_valid_parameter() -> None:
    with pytest.raises(BadParameter, match="alpha must be a number from 0 to"):
        find_estimator("ridge", Task.REGRESSION).check({"alpha": "nan"})


def test_an_estimator_of_the_other_task_is_refused() -> None:
    with pytest.raises(BadParameter, match="'ridge' is not a classification estimator"):
        find_estimator("ridge", Task.CLASSIFICATION)
