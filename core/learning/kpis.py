"""KPIs: their names, which way is better, and which one a comparison leads with. No library is needed to know that."""

from __future__ import annotations

from core.entities import Task

CLASSIFICATION_METRICS = ("precision", "recall", "f1", "accuracy", "roc_auc", "log_loss")
REGRESSION_METRICS = ("rmse", "mae", "mape", "r2")
_LOWER_IS_BETTER = ("rmse", "mae", "mape", "mse", "log_loss", "loss", "error", "brier", "deviance", "perplexity")


def metric_names(task: Task) -> tuple[str, ...]:
    """The KPIs of a task, in the order in which they are shown."""
    return CLASSIFICATION_METRICS if task is Task.CLASSIFICATION else REGRESSION_METRICS


def primary_metric(task: Task) -> str:
    """The KPI that a comparison leads with."""
    return "f1" if task is Task.CLASSIFICATION else "rmse"


def is_lower_better(metric: str) -> bool:
    """Whether a smaller value of *metric* is the better one; also for names of others such as val_log_loss."""
    name = metric.lower()
    return any(name == word or name.endswith((f"_{word}", f".{word}", f" {word}")) for word in _LOWER_IS_BETTER)


def is_kpi(metric: str) -> bool:
    """Whether *metric* says how good a model is; TrainRows and TestRows do not."""
    return metric not in {"TrainRows", "TestRows"}
