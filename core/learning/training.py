"""Training: split rows, fit an estimator (in steps if it supports steps), and evaluate it.

scikit-learn is imported where it is used: the import takes a second, and most commands and pages never fit a model.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pyarrow as pa

from core.entities import Recipe, Task
from core.errors import BadParameter, ColumnNotFound, TrainingFailed, first_line
from core.learning.comparison.answers import Answers
from core.learning.estimators import Estimator, find_estimator
from core.learning.frames import ColumnKind, column_kind, features_frame, has_value, order_rows, target_values
from core.learning.pictures.classification import classification_pictures
from core.learning.pictures.importance import permutation_importance
from core.learning.pictures.pictures import LearningCurve, Pictures
from core.learning.pictures.regression import regression_pictures
from core.texts import text

if TYPE_CHECKING:
    from sklearn.base import BaseEstimator
    from sklearn.compose import ColumnTransformer
    from sklearn.pipeline import Pipeline

_FEWEST_ROWS = 5
_MOST_CLASSES = 100
_MOST_CATEGORIES = 100
_STEPS = 10

# Called with the finished fraction and a line for the log.
Report = Callable[[float, str], None]


@dataclass(frozen=True, kw_only=True)
class Split:
    """Rows for training and rows for testing. *is_stratified*: both hold the classes in the same proportions."""

    train: pd.DataFrame
    test: pd.DataFrame
    train_target: np.ndarray
    test_target: np.ndarray
    is_stratified: bool


@dataclass(frozen=True, kw_only=True)
class Fitted:
    """A fitted pipeline with the steps `prepare` and `estimate`. *notes* are the warnings of the library.

    *curve* has the scores after each step of an estimator that is fitted in steps, else None.
    """

    pipeline: Pipeline
    task: Task
    notes: tuple[str, ...]
    curve: LearningCurve | None = None


def feature_columns(rows: pa.Table, recipe: Recipe) -> tuple[str, ...]:
    """Return the recipe's features, or every column except the target. Raises ColumnNotFound, BadParameter."""
    for name in (recipe.target, *recipe.features):
        if name not in rows.column_names:
            raise ColumnNotFound(
                "{table} has no column {column!r}; its columns are {columns}.",
                table=recipe.table,
                column=name,
                columns=", ".join(rows.column_names),
            )
    features = recipe.features or tuple(name for name in rows.column_names if name != recipe.target)
    if not features:
        raise BadParameter("{table} has no column except the target, so no feature is left.", table=recipe.table)
    return features


def split(rows: pa.Table, recipe: Recipe) -> Split:
    """Split *rows* by the recipe's seed. The same rows give the same split, in whatever order they were read.

    Raises:
        TrainingFailed: too few rows, only one class, or rows without a target.
        BadParameter, ColumnNotFound: the recipe does not fit the rows.
    """
    columns = feature_columns(rows, recipe)
    if rows.num_rows < _FEWEST_ROWS:
        raise TrainingFailed(
            "The data has {rows} rows; a training needs at least {needed}.", rows=rows.num_rows, needed=_FEWEST_ROWS
        )
    missing = int((~has_value(rows.column(recipe.target))).sum())
    if missing:
        raise TrainingFailed(
            "{rows} of {total} rows have no value of the target {target!r}. Write a version without these rows.",
            rows=missing,
            total=rows.num_rows,
            target=recipe.target,
        )
    ordered = order_rows(rows)
    frame, target = features_frame(ordered, columns), _checked_target(ordered, recipe)
    train, test, is_stratified = _positions(target, recipe)
    if recipe.task is Task.CLASSIFICATION and len(np.unique(target[train])) < 2:
        raise TrainingFailed("The training rows hold only one class; ingest more rows of the other classes.")
    return Split(
        train=frame.iloc[train].reset_index(drop=True),
        test=frame.iloc[test].reset_index(drop=True),
        train_target=target[train],
        test_target=target[test],
        is_stratified=is_stratified,
    )


def training_rows(rows: pa.Table, recipe: Recipe) -> pa.Table:
    """Return the rows of *rows* that `split` gives to the training, with all columns. Raises BadParameter."""
    ordered = order_rows(rows)
    train, _, _ = _positions(_checked_target(ordered, recipe), recipe)
    return ordered.take(pa.array(train))


def fit(recipe: Recipe, data: Split, *, report: Report = lambda fraction, line: None) -> Fitted:
    """Fit the recipe's estimator. *report* is called after each step, and may raise an error to stop the training.

    Raises:
        TrainingFailed: the library refused the data; the message gives its reason.
        BadParameter: a parameter of the recipe is invalid.
    """
    from sklearn.pipeline import Pipeline

    estimator = find_estimator(recipe.estimator, recipe.task)
    prepare, model = _preparation(data.train, estimator), estimator.make(recipe.params, recipe.seed)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            ready = prepare.fit_transform(data.train)
            report(
                0.1, text("{inputs} inputs from {columns} columns", inputs=ready.shape[1], columns=data.train.shape[1])
            )
            curve = _fit_in_steps(
                estimator, model, (ready, data.train_target), (prepare.transform(data.test), data.test_target), report
            )
        except (ValueError, TypeError, FloatingPointError, MemoryError, np.linalg.LinAlgError) as error:
            raise TrainingFailed(
                "{title} could not be fitted: {reason}.",
                title=estimator.title,
                reason=first_line(error),
                estimator=estimator.name,
            ) from error
    notes = tuple(dict.fromkeys(str(warning.message).strip().splitlines()[0] for warning in caught))
    return Fitted(
        pipeline=Pipeline([("prepare", prepare), ("estimate", model)]), task=recipe.task, notes=notes, curve=curve
    )


def evaluate(fitted: Fitted, data: Split) -> dict[str, float]:
    """Return the KPIs of *fitted* on the test rows."""
    from core.learning.evaluation import evaluate_classes, evaluate_numbers

    predicted = fitted.pipeline.predict(data.test)
    if fitted.task is Task.REGRESSION:
        return evaluate_numbers(data.test_target, predicted)
    probabilities = fitted.pipeline.predict_proba(data.test)
    return evaluate_classes(data.test_target, predicted, probabilities, fitted.pipeline.classes_)


# Prepared rows and their target.
_Rows = tuple[np.ndarray, np.ndarray]


def _fit_in_steps(
    estimator: Estimator, model: BaseEstimator, training: _Rows, test: _Rows, report: Report
) -> LearningCurve | None:
    """Fit a forest or a boosting in ten steps, with the same trees as in one step; fit any other estimator at once."""
    started = time.perf_counter()
    if estimator.grows is None:
        model.fit(*training)
        report(1.0, text("fitted in {seconds:.2f} s", seconds=time.perf_counter() - started))
        return None
    rounds = int(model.get_params()[estimator.grows])
    marks = sorted({max(1, round(rounds * step / _STEPS)) for step in range(1, _STEPS + 1)})
    scores = []
    for number in marks:
        model.set_params(**{estimator.grows: number, "warm_start": number != rounds or len(marks) > 1})
        model.fit(*training)
        scores.append((float(model.score(*training)), float(model.score(*test))))
        line = text(
            "{parameter} {number} of {rounds}: score on training rows {score:.4f}, {seconds:.2f} s",
            parameter=estimator.grows,
            number=number,
            rounds=rounds,
            score=scores[-1][0],
            seconds=time.perf_counter() - started,
        )
        report(0.1 + 0.9 * number / rounds, line)
    model.set_params(warm_start=False)
    on_training, on_test = zip(*scores, strict=True)
    return LearningCurve(parameter=estimator.grows, rounds=tuple(marks), training=on_training, test=on_test)


def _preparation(frame: pd.DataFrame, estimator: Estimator) -> ColumnTransformer:
    """Return the preparation of the features.

    A missing number becomes the median. Each text becomes a column of its own; so does a missing text.
    """
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


def draw_pictures(fitted: Fitted, data: Split) -> Pictures:
    """Return the pictures of *fitted* on the test rows, with the importance of each column."""
    predicted = fitted.pipeline.predict(data.test)
    if fitted.task is Task.REGRESSION:
        pictures = regression_pictures(data.test_target, predicted)
    else:
        answers = Answers(
            predicted=predicted,
            probabilities=fitted.pipeline.predict_proba(data.test),
            classes=tuple(fitted.pipeline.classes_.tolist()),
        )
        pictures = classification_pictures(data.test_target, answers)
    importance = permutation_importance(data.test, data.test_target, fitted.pipeline.predict, fitted.task)
    return replace(pictures, importance=importance, learning_curve=fitted.curve)


def _positions(target: np.ndarray, recipe: Recipe) -> tuple[np.ndarray, np.ndarray, bool]:
    """Return the positions of the training and of the test rows, and whether both hold the classes alike."""
    from sklearn.model_selection import train_test_split

    stratify = target if recipe.task is Task.CLASSIFICATION and _can_stratify(target, recipe.test_fraction) else None
    train, test = train_test_split(
        np.arange(len(target)), test_size=recipe.test_fraction, random_state=recipe.seed, stratify=stratify
    )
    return train, test, stratify is not None


def _checked_target(rows: pa.Table, recipe: Recipe) -> np.ndarray:
    kind = rows.column(recipe.target).type
    if column_kind(kind) is None or pa.types.is_temporal(kind):
        raise BadParameter(
            "The target {column!r} has the type {type}, which no estimator here can predict.",
            column=recipe.target,
            type=str(kind),
        )
    target = target_values(rows, recipe.target)
    if recipe.task is Task.REGRESSION:
        if column_kind(kind) is not ColumnKind.NUMBER:
            raise BadParameter(
                "The target {column!r} holds text; a regression needs numbers. Use a classification instead.",
                column=recipe.target,
            )
        numbers = target.astype(np.float64)
        if not np.isfinite(numbers).all():
            raise TrainingFailed("The target {column!r} holds infinite values.", column=recipe.target)
        return numbers
    classes, counts = np.unique(target, return_counts=True)
    if len(classes) < 2:
        raise TrainingFailed(
            "Every row has the value {value} in the target {column!r}; a classification needs at least two classes.",
            value=str(classes[0]),
            column=recipe.target,
        )
    if len(classes) > _MOST_CLASSES:
        raise TrainingFailed(
            "The target {column!r} has {classes} distinct values in {rows} rows; a classification can have at most "
            "{most}. Is it a regression?",
            column=recipe.target,
            classes=len(classes),
            rows=len(target),
            most=_MOST_CLASSES,
        )
    if counts.min() < 2:
        raise TrainingFailed(
            "The class {value} of the target {column!r} has only one row; a class needs two rows, one to train on and "
            "one to test on.",
            value=str(classes[counts.argmin()]),
            column=recipe.target,
        )
    return target


def _can_stratify(target: np.ndarray, test_fraction: float) -> bool:
    classes, tested = len(np.unique(target)), int(np.ceil(len(target) * test_fraction))
    return classes <= tested and classes <= len(target) - tested
