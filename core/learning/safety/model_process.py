"""The process that loads models: `check FOLDER`, or `predict FOLDER` with Arrow streams as input and output.

`predict-all FOLDER` adds the probability of every class.

The process gets no settings and no credentials. It loads only skops files that hold types on our own list. It does not
import MLflow.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from core.errors import CoreError, ModelUnloadable, first_line
from core.learning.frames import features_frame
from core.learning.safety.inspect_model import SPARK_ML, ModelInfo, require_safe
from core.learning.safety.spark_ml import require_whole

PREDICTION, PROBABILITY, PROBABILITIES = "prediction", "probability", "probabilities"
CLASSES = b"classes"


def load(folder: Path) -> tuple[Any, ModelInfo]:
    """Return the pipeline and its description. Call this function only in a process of its own.

    Raises:
        ModelUnloadable: the model is not safe to load, or it is a Spark ML model.
    """
    import skops.io

    info = require_safe(folder)
    if info.format == SPARK_ML:
        raise ModelUnloadable("Only Spark loads a Spark ML model.", folder=str(folder))
    # skops refuses every type that it does not trust by itself and that is not in this list.
    model = skops.io.load(str(folder / (info.model_file or "model.skops")), trusted=list(info.trusted_types))
    return model, info


def predict(model: Any, info: ModelInfo, rows: pa.Table, *, all_classes: bool = False) -> pa.RecordBatch:
    """Return one batch with the prediction and, for a classifier, the probability of the predicted class.

    If a classifier predicted by its probabilities, the metadata of the schema names its classes in their order. With
    *all_classes* every classifier names them, and a third column holds the list of all probabilities in this order;
    null if the model has none.
    """
    frame = features_frame(rows, tuple(column.name for column in info.inputs))
    classes = getattr(model, "classes_", None)
    if not len(frame):
        empty = np.empty(0, dtype=np.float64 if classes is None else classes.dtype)
        return _batch(empty, None if classes is None else np.empty((0, len(classes))), classes, all_classes=all_classes)
    if not hasattr(model, "predict_proba"):
        return _batch(model.predict(frame), None, classes, all_classes=all_classes)
    probabilities = model.predict_proba(frame)
    return _batch(model.classes_[probabilities.argmax(axis=1)], probabilities, classes, all_classes=all_classes)


def _batch(
    predictions: np.ndarray, probabilities: np.ndarray | None, classes: np.ndarray | None, *, all_classes: bool
) -> pa.RecordBatch:
    is_text = predictions.dtype == object or predictions.dtype.kind == "U"
    rows = len(predictions)
    columns = {
        PREDICTION: pa.array(predictions.tolist() if is_text else predictions, type=pa.string() if is_text else None),
        PROBABILITY: pa.nulls(rows, pa.float64())
        if probabilities is None
        else pa.array(probabilities.max(axis=1, initial=0.0), pa.float64()),
    }
    if all_classes:
        columns[PROBABILITIES] = (
            pa.nulls(rows, pa.list_(pa.float64()))
            if probabilities is None
            else pa.array(list(probabilities), pa.list_(pa.float64()))
        )
    batch = pa.RecordBatch.from_arrays(list(columns.values()), names=list(columns))
    if classes is None or not (all_classes or (rows and probabilities is not None)):
        return batch
    return batch.replace_schema_metadata({CLASSES: json.dumps(classes.tolist())})


def _serve(model: Any, info: ModelInfo, *, all_classes: bool) -> None:
    """Answer each batch before the next is read: memory holds one batch."""
    out: pa.RecordBatchStreamWriter | None = None
    with pa.ipc.open_stream(sys.stdin.buffer) as source:
        for batch in source:
            answer = predict(model, info, pa.Table.from_batches([batch]), all_classes=all_classes)
            if out is None:
                out = pa.ipc.new_stream(sys.stdout.buffer, answer.schema)
            out.write_batch(answer)
            sys.stdout.buffer.flush()
    if out is not None:
        out.close()
    sys.stdout.buffer.flush()


def main(arguments: list[str]) -> int:
    """Return 0 if the model loaded (and predicted); else 1, with the reason as the last line on stderr."""
    command, folder = arguments
    try:
        if command == "check" and require_safe(Path(folder)).format == SPARK_ML:
            require_whole(Path(folder))
            return 0
        model, info = load(Path(folder))
        if command != "check":
            _serve(model, info, all_classes=command == "predict-all")
    except CoreError as error:
        print(str(error), file=sys.stderr)
        return 1
    except Exception as error:  # noqa: BLE001 - the boundary of the process: the parent reads the reason
        print(
            f"{type(error).__name__}: {first_line(error)}",
            file=sys.stderr,
        )
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
