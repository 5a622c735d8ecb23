"""Training: rows are split and an estimator is fitted, step by step where it can be.

scikit-learn is imported where it is used: it takes a second, and most commands and pages never fit anything.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pyarrow as pa

from core.entities import Recipe, Task
from core.errors import BadParameter, ColumnNotFound, TrainingFailed, first_line
from core.learning.estimators import Estimator, find_estimator
from core.learning.frames import ColumnKind, column_kind, features_frame, order_rows, target_values

if TYPE_CHECKING:
    from sklearn.base import BaseEstimator
    from sklearn.compose import ColumnTransformer
    from sklearn.pipeline import Pipeline

_FEWEST_ROWS = 5
_MOST_CLASSES = 100
_MOST_CATEGORIES = 100
_STEPS = 10

Tell = Callable[[float, str], None]


@dataclass(frozen=True, kw_only=True)
class Split:
    """Rows for training and rows for testing. *is_stratified*: both hold the classes in the same proportion."""

    train: pd.DataFrame
    test: pd.DataFrame
    train_target: np.ndarray
    test_target: np.ndarray
    is_stratified: bool


@dataclass(frozen=True, kw_only=True)
class Fitted:
    """A fitted pipeline (`prepare`, then `estimate`). *notes* are what the library warned of."""

    pipeline: Pipeline
    task: Task
    notes: tuple[str, ...]


def feature_columns(rows: pa.Table, recipe: Recipe) -> tuple[str, ...]:
    """The recipe's features, or every column but the target. Raises ColumnNotFound, BadParameter."""
    for name in (recipe.target, *recipe.features):
        if name not in rows.column_names:
            raise ColumnNotFound(
                f"{recipe.table} has no column {name!r}; its columns are {', '.join(rows.column_names)}.",
                table=recipe.table,
                column=name,
            )
    chosen = recipe.features or tuple(name for name in rows.column_names if name != recipe.target)
    if not chosen:
        raise BadParameter(f"{recipe.table} has no column but the target: there is nothing to learn from.")
    return chosen


def split(rows: pa.Table, recipe: Recipe) -> Split:
    """Splits *rows* by the recipe's seed; the same rows give the same split in whatever order they were read.

    Raises TrainingFailed (too few rows, one class, missing targets), BadParameter, ColumnNotFound.
    """
    columns = feature_columns(rows, recipe)
    if rows.num_rows < _FEWEST_ROWS:
        raise TrainingFailed(
            f"{rows.num_rows} rows are too few to train and test on; at least {_FEWEST_ROWS} are needed.",
            rows=rows.num_rows,
        )
    missing = _missing(rows.column(recipe.target))
    if missing:
        raise TrainingFailed(
            f"{missing} of {rows.num_rows} rows have no {recipe.target!r}; nothing can be learned from a row without a "
            "target. Write a version without them.",
            rows=missing,
        )
    ordered = order_rows(rows)
    frame, target = features_frame(ordered, columns), _checked_target(ordered, recipe)
    stratify = target if recipe.task is Task.CLASSIFICATION and _can_stratify(target, recipe.test_fraction) else None
    from sklearn.model_selection import train_test_split

    train, test, train_target, test_target = train_test_split(
        frame, target, test_size=recipe.test_fraction, random_state=recipe.seed, stratify=stratify
    )
    if recipe.task is Task.CLASSIFICATION and len(np.unique(train_target)) < 2:
        raise TrainingFailed("The training rows hold one class only; ingest more rows of the others.")
    return Split(
        train=train.reset_index(drop=True),
        test=test.reset_index(drop=True),
        train_target=train_target,
        test_target=test_target,
        is_stratified=stratify is not None,
    )


def fit(recipe: Recipe, data: Split, *, tell: Tell = lambda fraction, line: None) -> Fitted:
    """Fits the recipe's estimator; *tell* hears the fraction done and a line after each step.

    *tell* may raise to stop between steps. Raises TrainingFailed with the library's reason, BadParameter.
    """
    from sklearn.pipeline import Pipeline

    estimator = find_estimator(recipe.estimator, recipe.task)
    prepare, model = _preparation(data.train, estimator), estimator.make(recipe.params, recipe.seed)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            ready = prepare.fit_transform(data.train)
            tell(0.1, f"{ready.shape[1]} inputs from {data.train.shape[1]} columns")
            _fit_in_steps(estimator, model, ready, data.train_target, tell)
        except (ValueError, TypeError, FloatingPointError, MemoryError, np.linalg.LinAlgError) as error:
            raise TrainingFailed(
                f"{estimator.title} could not be fitted: {first_line(error)}.", estimator=estimator.name
            ) from error
    notes = tuple(dict.fromkeys(str(warning.message).strip().splitlines()[0] for warning in caught))
    return Fitted(pipeline=Pipeline([("prepare", prepare), ("estimate", model)]), task=recipe.task, notes=notes)


def evaluate(fitted: Fitted, data: Split) -> dict[str, float]:
    """The KPIs of *fitted* on the test rows."""
    from core.learning.evaluation import evaluate_classes, evaluate_numbers

    predicted = fitted.pipeline.predict(data.test)
    if fitted.task is Task.REGRESSION:
        return evaluate_numbers(data.test_target, predicted)
    probabilities = fitted.pipeline.predict_proba(data.test)
    return evaluate_classes(data.test_target, predicted, probabilities, fitted.pipeline.classes_)


def _fit_in_steps(
    estimator: Estimator, model: BaseEstimator, ready: np.ndarray, target: np.ndarray, tell: Tell
) -> None:
    """Fits a forest or a boosting in ten steps (the same trees as in one), anything else at once."""
    started = time.perf_counter()
    if estimator.grows is None:
        model.fit(ready, target)
        tell(1.0, f"fitted in {time.perf_counter() - started:.2f} s")
        return
    rounds = int(model.get_params()[estimator.grows])
    marks = sorted({max(1, round(rounds * step / _STEPS)) for step in range(1, _STEPS + 1)})
    for number in marks:
        model.set_params(**{estimator.grows: number, "warm_start": number != rounds or len(marks) > 1})
        model.fit(ready, target)
        score, passed_s = model.score(ready, target), time.perf_counter() - started
        line = f"{estimator.grows} {number} of {rounds}: score on training rows {score:.4f}, {passed_s:.2f} s"
        tell(0.1 + 0.9 * number / rounds, line)
    model.set_params(warm_start=False)


def _preparation(frame: pd.DataFrame, estimator: Estimator) -> ColumnTransformer:
    """Missing numbers become the median, missing texts a category of their own; texts become one column each."""
    from sklearn.compose import ColumnTransformer
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    texts = [name for name in frame.columns if frame[name].dtype == object]
    numbers = [name for name in frame.columns if name not in texts]
    steps: list[tuple[str, BaseEstimator]] = [("impute", SimpleImputer(strategy="median", keep_empty_features=True))]
    if estimator.scales:
        steps.append(("scale", StandardScaler()))
    encode = Pipeline(
        [
            ("impute", SimpleImputer(strategy="constant", fill_value="(missing)", missing_values=None)),
            (
                "encode",
                OneHotEncoder(
                    handle_unknown="infrequent_if_exist", max_categories=_MOST_CATEGORIES, sparse_output=False
                ),
            ),
        ]
    )
    parts = [("numbers", Pipeline(steps), numbers), ("texts", encode, texts)]
    return ColumnTransformer([part for part in parts if part[2]], sparse_threshold=0.0)


def _missing(column: pa.ChunkedArray) -> int:
    missing = column.null_count
    if pa.types.is_floating(column.type):
        missing += int(np.isnan(column.drop_null().to_numpy()).sum())
    return int(missing)


def _checked_target(rows: pa.Table, recipe: Recipe) -> np.ndarray:
    kind = rows.column(recipe.target).type
    if column_kind(kind) is None or pa.types.is_temporal(kind):
        raise BadParameter(f"The target {recipe.target!r} holds {kind}, which cannot be learned.", column=recipe.target)
    target = target_values(rows, recipe.target)
    if recipe.task is Task.REGRESSION:
        if column_kind(kind) is not ColumnKind.NUMBER:
            raise BadParameter(
                f"The target {recipe.target!r} holds text; a regression needs numbers. Make it a classification.",
                column=recipe.target,
            )
        numbers = target.astype(np.float64)
        if not np.isfinite(numbers).all():
            raise TrainingFailed(f"The target {recipe.target!r} holds infinite values.", column=recipe.target)
        return numbers
    classes, counts = np.unique(target, return_counts=True)
    if len(classes) < 2:
        raise TrainingFailed(
            f"Every row has the {recipe.target!r} {classes[0]!s}: one class only, nothing to tell apart.",
            column=recipe.target,
        )
    if len(classes) > _MOST_CLASSES:
        raise TrainingFailed(
            f"The target {recipe.target!r} has {len(classes)} distinct values in {len(target)} rows; a classification "
            f"takes at most {_MOST_CLASSES}. Is it a regression?",
            column=recipe.target,
        )
    if counts.min() < 2:
        raise TrainingFailed(
            f"The class {classes[counts.argmin()]!s} of {recipe.target!r} has one row; it needs two, one to train and "
            "one to test on.",
            column=recipe.target,
        )
    return target


def _can_stratify(target: np.ndarray, test_fraction: float) -> bool:
    classes, tested = len(np.unique(target)), int(np.ceil(len(target) * test_fraction))
    return classes <= tested and classes <= len(target) - tested
