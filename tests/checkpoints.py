"""Runs that logged several models as in MLflow 3, made by MLflow's client alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mlflow import MlflowClient
from mlflow.entities import LoggedModelOutput


@dataclass(frozen=True)
class Checkpoint:
    """One logged model of a run: the step, its metrics, and its metrics by dataset (name, digest)."""

    step: int
    metrics: Mapping[str, float]
    on_datasets: Mapping[tuple[str, str], Mapping[str, float]] | None = None


def log_checkpoints(
    client: MlflowClient,
    checkpoints: Sequence[Checkpoint],
    *,
    experiment: str = "checkpoints",
    model: str = "",
    run_metrics: Mapping[str, float] | None = None,
    tags: Mapping[str, Any] | None = None,
) -> tuple[str, list[str]]:
    """Log one finished run with *checkpoints*, register each under the name *model*; return run and model ids."""
    existing = client.get_experiment_by_name(experiment)
    experiment_id = existing.experiment_id if existing else client.create_experiment(experiment)
    run_id = client.create_run(experiment_id, run_name="with checkpoints", tags=dict(tags or {})).info.run_id
    model_ids = []
    for number, checkpoint in enumerate(checkpoints):
        logged = client.create_logged_model(
            experiment_id, f"checkpoint-{number}", run_id, params={"step": str(checkpoint.step)}
        )
        client.log_outputs(run_id, [LoggedModelOutput(logged.model_id, step=checkpoint.step)])
        for name, value in checkpoint.metrics.items():
            client.log_metric(run_id, name, value, step=checkpoint.step, model_id=logged.model_id)
        for (dataset, digest), metrics in (checkpoint.on_datasets or {}).items():
            for name, value in metrics.items():
                client.log_metric(
                    run_id,
                    name,
                    value,
                    step=checkpoint.step,
                    model_id=logged.model_id,
                    dataset_name=dataset,
                    dataset_digest=digest,
                )
        client.finalize_logged_model(logged.model_id, "READY")
        model_ids.append(logged.model_id)
    for name, value in (run_metrics or {}).items():
        client.log_metric(run_id, name, value)
    client.set_terminated(run_id)
    if model:
        if not client.search_registered_models(f"name = '{model}'"):
            client.create_registered_model(model)
        for model_id in model_ids:
            client.create_model_version(model, f"models:/{model_id}", run_id, model_id=model_id)
    return run_id, model_ids
