"""The process that loads models: `check FOLDER`, or `predict FOLDER` with Arrow streams as input and output.

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

PREDICTION, PROBABILITY = "prediction", "probability"
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


def predict(model: Any, info: ModelInfo, rows: pa.Table) -> pa.RecordBatch:
    """Return one batch with the prediction and, for a classifier, the probability of the predicted class.

    If a classifier predicted by its probabilities, the metadata of the schema names its classes in their order.
    """
    frame = features_frame(rows, tuple(column.name for column in info.inputs))
    if not len(frame):
        empty = np.empty(0, dtype=model.classes_.dtype if hasattr(model, "classes_") else np.float64)
        return _batch(empty, None if not hasattr(model, "classes_") else np.empty(0))
    if not hasattr(model, "predict_proba"):
        return _batch(model.predict(frame), None)
    probabilities = model.predict_proba(frame)
    best = probabilities.argmax(axis=1)
    batch = _batch(model.classes_[best], probabilities[np.arange(len(best)), best])
    return batch.replace_schema_metadata({CLASSES: json.dumps(model.classes_.tolist())})


def _batch(predictions: np.ndarray, probabilities: np.ndarray | None) -> pa.RecordBatch:
    is_text = predictions.dtype == object or predictions.dtype.kind == "U"
    answers = pa.array(predictions.tolist() if is_text else predictions, type=pa.string() if is_text else None)
    chances = pa.nulls(len(answers), pa.float64()) if probabilities is None else pa.array(probabilities, pa.float64())
    return pa.RecordBatch.from_arrays([answers, chances], names=[PREDICTION, PROBABILITY])


def _serve(model: Any, info: ModelInfo) -> None:
    """Answer each batch before the next is read: memory holds one batch."""
    out: pa.RecordBatchStreamWriter | None = None
    with pa.ipc.open_stream(sys.stdin.buffer) as source:
        for batch in source:
            answer = predict(model, info, pa.Table.from_batches([batch]))
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
        if command == "predict":
            _serve(model, info)
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
