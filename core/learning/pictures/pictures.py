"""Pictures of a model on test rows, and their form as JSON. Each has at most a few hundred numbers."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
from pydantic import FiniteFloat, NonNegativeInt, TypeAdapter, ValidationError

from core.entities import Task
from core.errors import BadFile

# The file in the artifacts of a run.
FILE = "evaluation/pictures.json"
MAX_BYTES = 2_000_000
_MOST_POINTS = 200


@dataclass(frozen=True, kw_only=True)
class ConfusionMatrix:
    """*counts* has a row per actual class and a column per predicted class, in the order of *labels*."""

    labels: tuple[str, ...]
    counts: tuple[tuple[NonNegativeInt, ...], ...]


@dataclass(frozen=True, kw_only=True)
class ClassKpis:
    label: str
    precision: FiniteFloat
    recall: FiniteFloat
    f1: FiniteFloat
    rows: NonNegativeInt


@dataclass(frozen=True, kw_only=True)
class Curve:
    """A curve of one class against the rest: points (x, y), and the area or the average that sums it up."""

    label: str
    x: tuple[FiniteFloat, ...]
    y: tuple[FiniteFloat, ...]
    summary: FiniteFloat | None = None


@dataclass(frozen=True, kw_only=True)
class Histogram:
    """Counts between neighbouring *edges*, by series."""

    edges: tuple[FiniteFloat, ...]
    counts: dict[str, tuple[NonNegativeInt, ...]]


@dataclass(frozen=True, kw_only=True)
class Importance:
    """How much the leading KPI worsens when the values of *column* are shuffled."""

    column: str
    mean: FiniteFloat
    deviation: FiniteFloat


@dataclass(frozen=True, kw_only=True)
class LearningCurve:
    """Scores of scikit-learn (accuracy or r2) after so many *rounds*, of training and test rows."""

    parameter: str
    rounds: tuple[NonNegativeInt, ...]
    training: tuple[FiniteFloat, ...]
    test: tuple[FiniteFloat, ...]


@dataclass(frozen=True, kw_only=True)
class Pictures:
    """The pictures of one model on *rows* test rows. None or empty where the model or the task has no such picture.

    *roc* has the false and true positive rates, *precision_recall* recall and precision, *calibration* the mean
    probability and the share of the class in each tenth of the probabilities. *scores* counts right and wrong answers
    by the probability of the predicted class. *predicted_actual* is a sample of (actual, predicted), and *residuals*
    counts predicted minus actual.
    """

    task: Task
    rows: NonNegativeInt
    confusion: ConfusionMatrix | None = None
    classes: tuple[ClassKpis, ...] = ()
    roc: tuple[Curve, ...] = ()
    precision_recall: tuple[Curve, ...] = ()
    calibration: tuple[Curve, ...] = ()
    scores: Histogram | None = None
    predicted_actual: Curve | None = None
    residuals: Histogram | None = None
    importance: tuple[Importance, ...] = ()
    learning_curve: LearningCurve | None = None


def to_json(pictures: Pictures) -> str:
    """Return *pictures* as JSON."""
    return json.dumps(asdict(pictures))


def from_json(content: bytes) -> Pictures:
    """Return the pictures in a file that anybody may have written. Raises BadFile."""
    try:
        pictures = TypeAdapter(Pictures).validate_json(content)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise BadFile(
            "{file} does not hold pictures of a model: {place}: {cause}.", file=FILE, place=place, cause=first["msg"]
        ) from error
    curves = (*pictures.roc, *pictures.precision_recall, *pictures.calibration)
    matrix = pictures.confusion
    sizes = [len(curve.x) == len(curve.y) for curve in curves]
    sizes += [all(len(row) == len(matrix.labels) for row in matrix.counts)] if matrix else []
    if not all(sizes):
        raise BadFile("{file} does not hold pictures of a model: its lists differ in length.", file=FILE)
    return pictures


def thinned(size: int) -> Sequence[int]:
    """Return at most 200 positions of a curve with *size* points, the first and the last among them."""
    return [int(place) for place in np.unique(np.linspace(0, size - 1, min(size, _MOST_POINTS)).round())]
