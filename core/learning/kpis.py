"""KPIs: their names, their direction, and the KPI that leads a comparison. Imports no machine-learning library."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from typing import Literal

from core.entities import Task

CLASSIFICATION_METRICS = ("precision", "recall", "f1", "accuracy", "roc_auc", "log_loss")
REGRESSION_METRICS = ("rmse", "mae", "mape", "r2")
_MAIN = ("f1", "roc_auc", "accuracy", "precision", "recall", "log_loss", *REGRESSION_METRICS)

# MLflow logs the load of the machine (system/cpu_utilization_percentage) beside the metrics of the training.
SYSTEM_PREFIX = "system/"

# Whole words of a metric's name, in any spelling: validation_0-logloss, val/loss, valid_0-l2, latencyMs.
_LOWER = frozenset(
    [
        *("loss", "logloss", "error", "err", "mae", "mape", "smape", "wape", "mase", "mse", "msle", "rmse", "rmsle"),
        *("medae", "l1", "l2", "entropy", "crossentropy", "xentropy", "brier", "deviance", "perplexity", "hinge"),
        *("hamming", "pinball", "nll", "divergence", "distance", "residual", "aic", "bic", "inertia", "wer", "cer"),
        *("fpr", "fnr", "fdr", "latency", "duration", "seconds", "ms", "memory", "cost", "eer", "ece"),
    ]
)
_HIGHER = frozenset(
    [
        *("precision", "recall", "f1", "f2", "fbeta", "accuracy", "acc", "auc", "roc", "auprc", "aucpr", "prauc", "ap"),
        *("map", "ndcg", "mrr", "r2", "explained", "gini", "ks", "kappa", "mcc", "matthews", "iou", "dice", "jaccard"),
        *("sensitivity", "specificity", "tpr", "tnr", "ppv", "npv", "bleu", "rouge", "meteor", "likelihood"),
        *("loglikelihood", "silhouette", "hit", "lift", "throughput", "score"),
    ]
)
Better = Literal["lower", "higher"]

# The setting MODELLEDGER_METRIC_DIRECTIONS. Every comparison in a process uses the same directions.
_directions: Mapping[str, Better] = {}
_WORD = re.compile(r"[A-Z]+(?![a-z])[0-9]*|[A-Z]?[a-z]+[0-9]*|[0-9]+")


def metric_names(task: Task) -> tuple[str, ...]:
    """Return the KPIs of a task, in the order in which they are shown."""
    return CLASSIFICATION_METRICS if task is Task.CLASSIFICATION else REGRESSION_METRICS


def primary_metric(task: Task) -> str:
    """Return the KPI that leads a comparison."""
    return "f1" if task is Task.CLASSIFICATION else "rmse"


def main_kpi(names: Iterable[str]) -> str | None:
    """Return the KPI of *names* that stands for a model in a list: a usual one, else one whose direction is known."""
    kpis = sorted(filter(is_kpi, names))
    usual = [name for name in _MAIN if name in kpis]
    known = [name for name in kpis if is_lower_better(name) is not None]
    return next(iter((*usual, *known, *kpis)), None)


def use_directions(directions: Mapping[str, Better]) -> None:
    """Make `is_lower_better` answer by *directions*: a name, or a pattern with * and ?, to the better direction."""
    global _directions
    _directions = dict(directions)


def is_lower_better(metric: str) -> bool | None:
    """Return whether a smaller value of *metric* is better, also for names of other tools; None if unknown.

    The setting decides first: the exact name, then the first pattern that matches. Else the words of the name decide:
    `loss` outweighs `score` (brier_score), and `neg` turns the direction (neg_mean_squared_error).
    """
    for name, better in ((metric, _directions.get(metric)), *_directions.items()):
        if better is not None and (name == metric or fnmatchcase(metric, name)):
            return better == "lower"
    words = [word.lower() for word in _WORD.findall(metric)]
    if any(word in _LOWER for word in words):
        lower = True
    elif any(word in _HIGHER for word in words):
        lower = False
    else:
        return None
    return not lower if words[0] in ("neg", "negative") else lower


def metric_text(value: float, digits: int = 4) -> str:
    """Return a metric with *digits* significant digits; undefined values as NaN, ∞ or −∞."""
    if math.isnan(value):
        return "NaN"
    return f"{value:.{digits}g}" if math.isfinite(value) else "∞" if value > 0 else "−∞"


def is_kpi(metric: str) -> bool:
    """Whether *metric* measures the quality of a model; TrainRows, TestRows and MLflow's system metrics do not."""
    return metric not in {"TrainRows", "TestRows"} and not metric.startswith(SYSTEM_PREFIX)
