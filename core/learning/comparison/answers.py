"""Answers: what a model predicts for the rows of a comparison."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa

from core.learning.safety.model_process import CLASSES, PREDICTION, PROBABILITIES
from core.learning.scoring import predict

_ROWS_PER_BATCH = 50_000


@dataclass(frozen=True, kw_only=True)
class Answers:
    """What a model predicted for (rows,).

    A classifier has *classes* and, if it predicts them, *probabilities* (rows, classes) in the order of *classes*.
    """

    predicted: np.ndarray
    probabilities: np.ndarray | None = None
    classes: tuple[object, ...] = ()

    def of(self, mask: np.ndarray) -> Answers:
        """Return the answers for the rows of *mask* (rows,), without probabilities."""
        return Answers(predicted=self.predicted[mask], classes=self.classes)


def predict_rows(folder: Path, rows: pa.Table) -> Answers:
    """Return the answers of the model in *folder*. Raises ModelUnloadable, BadSettings, SchemaMismatch."""
    batches = list(predict(folder, rows.to_batches(max_chunksize=_ROWS_PER_BATCH), rows.schema, all_classes=True))
    answers = pa.Table.from_batches(batches)
    classes = tuple(json.loads((answers.schema.metadata or {}).get(CLASSES, b"[]")))
    predicted = answers.column(PREDICTION)
    values = (
        np.array(predicted.to_pylist(), dtype=object) if pa.types.is_string(predicted.type) else predicted.to_numpy()
    )
    lists = answers.column(PROBABILITIES).combine_chunks()
    if lists.null_count or not classes:
        return Answers(predicted=values, classes=classes)
    return Answers(
        predicted=values, classes=classes, probabilities=lists.flatten().to_numpy().reshape(-1, len(classes))
    )


def is_classification(actual: np.ndarray, answers: Answers) -> bool:
    """Return whether *actual* (rows,) are classes: texts, or numbers that a classifier predicts."""
    return actual.dtype == object or bool(answers.classes)


def align_classes(first: Answers, second: Answers) -> tuple[Answers, Answers]:
    """Return both with the same classes in the same order. A class that a model did not learn has the probability 0."""
    classes = _sorted((*first.classes, *second.classes))
    return _with_classes(first, classes), _with_classes(second, classes)


def _sorted(classes: Sequence[object]) -> tuple[object, ...]:
    return tuple(
        np.unique(np.array(classes, dtype=object if any(isinstance(c, str) for c in classes) else None)).tolist()
    )


def _with_classes(answers: Answers, classes: tuple[object, ...]) -> Answers:
    if answers.probabilities is None:
        return replace(answers, classes=classes)
    probabilities = np.zeros((len(answers.predicted), len(classes)))
    for column, label in enumerate(answers.classes):
        probabilities[:, classes.index(label)] = answers.probabilities[:, column]
    return replace(answers, classes=classes, probabilities=probabilities)
