"""Convert MLflow's entities to ModelLedger's: the only module that knows their shape."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from core.entities import (
    Artifact,
    DatasetInput,
    LoggedModel,
    MetricPoint,
    ModelMetric,
    ModelOutput,
    ModelVersion,
    RegisteredModel,
    Run,
    RunStatus,
    Stage,
)

# MLflow's databases cannot store infinity: MLflow returns the largest double instead, or a value just below.
_INFINITE = 1.797e308
_CONTEXT_TAG = "mlflow.data.context"
# A model that was logged as in MLflow 3 lies beside its experiment's runs; a version names it by its id or its folder.
_LOGGED_MODEL = re.compile(r"^models:/(m-[0-9a-f]+)(?:/|$)|/models/(m-[0-9a-f]{32})/artifacts(?:/|$)")


def to_time(milliseconds: int | None) -> datetime | None:
    """Return MLflow's *milliseconds* since 1970 as a time in UTC; None stays None."""
    return None if milliseconds is None else datetime.fromtimestamp(milliseconds / 1000, tz=UTC)


def to_number(value: float) -> float:
    """Return a metric's value, with infinity for the number that MLflow stores instead."""
    return math.copysign(math.inf, value) if abs(value) >= _INFINITE else float(value)


def to_run(run: Any, experiments: Mapping[str, str]) -> Run:
    """Return *run*; *experiments* maps ids to names."""
    info, tags = run.info, dict(run.data.tags)
    inputs = tuple(to_input(item) for item in run.inputs.dataset_inputs) if run.inputs is not None else ()
    return Run(
        run_id=info.run_id,
        name=info.run_name or tags.get("mlflow.runName", ""),
        experiment=experiments.get(info.experiment_id, info.experiment_id),
        status=RunStatus(str(info.status).lower()),
        started=to_time(info.start_time),
        ended=to_time(info.end_time or None),
        user=tags.get("mlflow.user") or info.user_id or None,
        params=dict(run.data.params),
        metrics={name: to_number(value) for name, value in run.data.metrics.items()},
        tags=tags,
        inputs=inputs,
        is_deleted=info.lifecycle_stage == "deleted",
        outputs=_outputs(run),
    )


def to_input(item: Any) -> DatasetInput:
    """Return a dataset input of a run."""
    dataset, tags = item.dataset, {tag.key: tag.value for tag in item.tags or ()}
    return DatasetInput(
        name=dataset.name,
        digest=dataset.digest,
        source_type=dataset.source_type or "",
        source=dataset.source or "",
        context=tags.get(_CONTEXT_TAG) or None,
    )


def _outputs(run: Any) -> tuple[ModelOutput, ...]:
    """Return the logged models of a run; a run of a server before MLflow 3 has none."""
    listed = run.outputs.model_outputs if run.outputs is not None else ()
    outputs = {output.model_id: ModelOutput(model_id=output.model_id, step=output.step or 0) for output in listed}
    return tuple(sorted(outputs.values(), key=lambda output: (output.step, output.model_id)))


def to_logged_model(model: Any) -> LoggedModel:
    """Return a logged model with the newest value of each metric, dataset and run."""
    newest: dict[tuple[str, str | None, str | None, str | None], ModelMetric] = {}
    for metric in model.metrics or ():
        value = _to_model_metric(metric)
        key = (value.name, value.dataset, value.digest, value.run_id)
        if key not in newest or (newest[key].step, newest[key].timestamp) <= (value.step, value.timestamp):
            newest[key] = value
    created = to_time(model.creation_timestamp)
    assert created is not None
    return LoggedModel(
        model_id=model.model_id,
        name=model.name or "",
        run_id=model.source_run_id or None,
        status=str(getattr(model.status, "value", model.status)).lower(),
        created=created,
        params=dict(model.params or {}),
        tags=dict(model.tags or {}),
        metrics=tuple(newest.values()),
    )


def _to_model_metric(metric: Any) -> ModelMetric:
    time = to_time(metric.timestamp)
    assert time is not None
    return ModelMetric(
        name=metric.key,
        value=to_number(metric.value),
        timestamp=time,
        step=metric.step or 0,
        dataset=metric.dataset_name or None,
        digest=metric.dataset_digest or None,
        run_id=metric.run_id or None,
    )


def logged_model_id(version: Any) -> str | None:
    """Return the id of the logged model that *version* was registered from; None for files of a run.

    MLflow's own registry leaves `model_id` empty; the source names the model.
    """
    match = _LOGGED_MODEL.search(version.source or "")
    return getattr(version, "model_id", None) or ((match[1] or match[2]) if match else None)


def to_point(metric: Any) -> MetricPoint:
    """Return one logged value of a metric."""
    time = to_time(metric.timestamp)
    assert time is not None
    return MetricPoint(value=to_number(metric.value), timestamp=time, step=metric.step)


def to_artifact(info: Any) -> Artifact:
    """Return one file or folder of an artifact listing."""
    return Artifact(path=info.path, is_folder=bool(info.is_dir), size_bytes=None if info.is_dir else info.file_size)


def to_model(model: Any) -> RegisteredModel:
    """Return a registered model."""
    created, updated = to_time(model.creation_timestamp), to_time(model.last_updated_timestamp)
    assert created is not None
    return RegisteredModel(
        name=model.name,
        description=model.description or "",
        created=created,
        updated=updated or created,
        tags=dict(model.tags or {}),
    )


def to_version(version: Any, *, stage: Stage, aliases: Iterable[str]) -> ModelVersion:
    """Return a model version with the *stage* and *aliases* that the registry determined."""
    created, updated = to_time(version.creation_timestamp), to_time(version.last_updated_timestamp)
    assert created is not None
    return ModelVersion(
        model=version.name,
        version=int(version.version),
        stage=stage,
        run_id=version.run_id or None,
        source=version.source or None,
        created=created,
        updated=updated or created,
        description=version.description or "",
        tags=dict(version.tags or {}),
        aliases=tuple(sorted(aliases)),
        model_id=logged_model_id(version),
    )
