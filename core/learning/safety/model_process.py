"""The process in which models are loaded: `check FOLDER`, or `predict FOLDER` with Arrow streams in and out.

It gets no settings and no credentials, loads skops files only, and only types on our own list. It imports no MLflow.
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
from core.learning.safety.allowed_types import split_trusted
from core.learning.safety.artifacts import SPARK_ML, ModelInfo, require_safe
from core.learning.spark.models import require_whole

PREDICTION, PROBABILITY = "prediction", "probability"
CLASSES = b"classes"


def load(folder: Path) -> tuple[Any, ModelInfo]:
    """The pipeline and its description. Raises ModelUnloadable. Call it in a process of its own only."""
    import skops.io

    info = require_safe(folder)
    if info.format == SPARK_ML:
        raise ModelUnloadable("A Spark ML model is loaded by Spark alone.", folder=str(folder))
    file = folder / (info.model_file or "model.skops")
    known, foreign = split_trusted(skops.io.get_untrusted_types(file=str(file)))
    if foreign:
        raise ModelUnloadable(f"This model is not loaded: it holds {', '.join(foreign)}.", folder=str(folder))
    return skops.io.load(str(file), trusted=list(known)), info


def predict(model: Any, info: ModelInfo, rows: pa.Table) -> pa.RecordBatch:
    """One batch: the prediction, and for a classifier the probability of the class that it chose.

    Where it was chosen by its probability, the schema's metadata names the classes in the order of their chances.
    """
    frame = features_frame(rows, tuple(column.name for column in info.inputs))
    if not len(frame):
        empty = np.empty(0, dtype=model.classes_.dtype if hasattr(model, "classes_") else np.float64)
        return _batch(empty, None if not hasattr(model, "classes_") else np.empty(0))
    if not hasattr(model, "predict_proba"):
        return _batch(model.predict(frame), None)
    probabilities = model.predict_proba(frame)
    chosen = probabilities.argmax(axis=1)
    answer = _batch(model.classes_[chosen], probabilities[np.arange(len(chosen)), chosen])
    return answer.replace_schema_metadata({CLASSES: json.dumps(model.classes_.tolist())})


def _batch(predictions: np.ndarray, probabilities: np.ndarray | None) -> pa.RecordBatch:
    kind = pa.string() if predictions.dtype == object or predictions.dtype.kind == "U" else None
    made = pa.array(predictions.tolist() if kind is not None else predictions, type=kind)
    sure = pa.nulls(len(made), pa.float64()) if probabilities is None else pa.array(probabilities, pa.float64())
    return pa.RecordBatch.from_arrays([made, sure], names=[PREDICTION, PROBABILITY])


def _serve(model: Any, info: ModelInfo) -> None:
    """Answers each batch before it reads the next: memory holds one."""
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
    """0 where it loaded (and predicted); 1 with the reason as the last line on stderr."""
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
    except Exception as error:  # noqa: BLE001 - the boundary of the process: the reason goes to whoever started it
        print(
            f"{type(error).__name__}: {first_line(error)}",
            file=sys.stderr,
        )
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
