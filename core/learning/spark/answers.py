"""Answers on Spark: what a model predicts for rows of this process, computed on the executors."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from core.learning.comparison.answers import Answers
from core.learning.safety.model_process import PREDICTION, PROBABILITIES
from core.learning.spark.scoring import with_predictions

# A column that no table has, because Spark does not keep the order of rows.
_POSITION = "__position"


def predict_rows_on_spark(session: Any, folder: Path, rows: pa.Table, *, scratch: Path) -> Answers:
    """Return the answers of the model in *folder* for *rows*, as answers.predict_rows does for other models.

    *scratch* is an empty folder. Raises ModelUnloadable, SchemaMismatch.
    """
    frame = session.createDataFrame(rows.append_column(_POSITION, pa.array(range(rows.num_rows), pa.int64())))
    scored = with_predictions(frame, folder, scratch=scratch, all_classes=True)
    answers = scored.select(_POSITION, PREDICTION, PROBABILITIES).toArrow().sort_by(_POSITION)
    predicted = answers.column(PREDICTION)
    is_text = pa.types.is_string(predicted.type) or pa.types.is_large_string(predicted.type)
    values = np.array(predicted.to_pylist(), dtype=object) if is_text else predicted.to_numpy()
    chances = [dict(entry) if entry else None for entry in answers.column(PROBABILITIES).to_pylist()]
    if not chances or chances[0] is None:
        return Answers(predicted=values)
    names = list(chances[0])
    # The keys of the map are texts; the classes have the type of the predictions.
    classes = tuple(pa.array(names).cast(predicted.type).to_pylist())
    table = np.array([[entry[name] for name in names] for entry in chances if entry])
    return Answers(predicted=values, probabilities=table, classes=classes)
