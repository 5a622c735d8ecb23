"""Pictures of a Spark ML model on its test rows, a sample of which comes to this process."""

from __future__ import annotations

from typing import Any

import numpy as np

from core.entities import Recipe, Task
from core.learning.comparison.answers import Answers
from core.learning.pictures.classification import classification_pictures
from core.learning.pictures.pictures import Pictures
from core.learning.pictures.regression import regression_pictures

_LABEL, _PREDICTION, _PROBABILITY = "__label", "__prediction", "__probability"
_MOST_ROWS = 50_000


def draw_pictures(scored: Any, recipe: Recipe, labels: tuple[str, ...]) -> Pictures:
    """Return the pictures of *scored*: test rows with label, prediction and probabilities, if there are any.

    At most 50,000 rows are drawn. *labels* are the classes in the order of their numbers, none for a regression.
    """
    from pyspark.ml.functions import vector_to_array

    has_chances = recipe.task is Task.CLASSIFICATION and _PROBABILITY in scored.columns
    columns = [scored[_LABEL], scored[_PREDICTION]]
    if has_chances:
        columns.append(vector_to_array(_PROBABILITY).alias(_PROBABILITY))
    rows = scored.select(*columns).limit(_MOST_ROWS).toArrow()
    actual, predicted = rows.column(_LABEL).to_numpy(), rows.column(_PREDICTION).to_numpy()
    if recipe.task is Task.REGRESSION:
        return regression_pictures(actual, predicted)
    names = np.array(labels, dtype=object)
    chances = None
    if has_chances:
        learned = np.array(rows.column(_PROBABILITY).to_pylist(), dtype=np.float64)
        # A class that the model did not learn has no place in the vector: its probability is 0.
        chances = np.pad(learned, ((0, 0), (0, len(labels) - learned.shape[1])))
    answers = Answers(predicted=names[predicted.astype(int)], probabilities=chances, classes=labels)
    return classification_pictures(names[actual.astype(int)], answers)
