"""KPIs: their names, their direction, and the KPI that leads a comparison. Imports no machine-learning library."""

from __future__ import annotations

from core.entities import Task

CLASSIFICATION_METRICS = ("precision", "recall", "f1", "accuracy", "roc_auc", "log_loss")
REGRESSION_METRICS = ("rmse", "mae", "mape", "r2")
_LOWER_IS_BETTER = ("rmse", "mae", "mape", "mse", "log_loss", "loss", "error", "brier", "deviance", "perplexity")


def metric_names(task: Task) -> tuple[str, ...]:
    """Return the KPIs of a task, in the order in which they are shown."""
    return CLASSIFICATION_METRICS if task is Task.CLASSIFICATION else REGRESSION_METRICS


def primary_metric(task: Task) -> str:
    """Return the KPI that leads a comparison."""
    return "f1" if task is Task.CLASSIFICATION else "rmse"


def is_lower_better(metric: str) -> bool:
    """Whether a smaller value of *metric* is better; also for names of other tools, such as val_log_loss."""
    name = metric.lower()
    return any(name == word or name.endswith((f"_{word}", f".{word}", f" {word}")) for word in _LOWER_IS_BETTER)


def is_kpi(metric: str) -> bool:
    """Whether *metric* measures the quality of a model; TrainRows and TestRows do not."""
    return metric not in {"TrainRows", "TestRows"}
