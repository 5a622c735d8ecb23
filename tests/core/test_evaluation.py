"""KPIs against values worked out by hand or printed in scikit-learn's documentation."""

from __future__ import annotations

import math

import numpy as np
import pytest

from core.entities import Task
from core.learning.evaluation import evaluate_classes, evaluate_numbers
from core.learning.kpis import is_kpi, is_lower_better, metric_names, primary_metric, use_directions


def test_two_classes_worked_out_by_hand() -> None:
    actual, predicted = ["a", "a", "b", "b"], ["a", "b", "b", "b"]
    probabilities = np.array([[0.9, 0.1], [0.4, 0.6], [0.2, 0.8], [0.3, 0.7]])
    found = evaluate_classes(actual, predicted, probabilities, ["a", "b"])
    # a: precision 1/1, recall 1/2, f1 2/3. b: precision 2/3, recall 2/2, f1 4/5.
    assert found["precision"] == pytest.approx(5 / 6)
    assert found["recall"] == pytest.approx(3 / 4)
    assert found["f1"] == pytest.approx(11 / 15)
    assert found["accuracy"] == pytest.approx(3 / 4)
    # Every b has a higher probability of b (0.8, 0.7) than every a (0.1, 0.6).
    assert found["roc_auc"] == pytest.approx(1.0)
    assert found["log_loss"] == pytest.approx(-(math.log(0.9) + math.log(0.4) + math.log(0.8) + math.log(0.7)) / 4)


def test_three_classes_as_in_the_documentation_of_precision_recall_and_f1() -> None:
    actual, predicted = [0, 1, 2, 0, 1, 2], [0, 2, 1, 0, 0, 1]
    probabilities = np.eye(3)[predicted] * 0.7 + 0.1
    found = evaluate_classes(actual, predicted, probabilities, [0, 1, 2])
    assert found["precision"] == pytest.approx(2 / 9)  # printed as 0.22
    assert found["recall"] == pytest.approx(1 / 3)  # printed as 0.33
    assert found["f1"] == pytest.approx(4 / 15)  # printed as 0.26


def test_log_loss_as_in_its_documentation() -> None:
    probabilities = np.array([[0.1, 0.9], [0.9, 0.1], [0.8, 0.2], [0.35, 0.65]])
    found = evaluate_classes(
        ["spam", "ham", "ham", "spam"], ["spam", "ham", "ham", "spam"], probabilities, ["ham", "spam"]
    )
    assert found["log_loss"] == pytest.approx(0.21616, abs=1e-5)


def test_regression_as_in_the_documentation() -> None:
    found = evaluate_numbers([3, -0.5, 2, 7], [2.5, 0.0, 2, 8])
    assert found == pytest.approx({"rmse": 0.61237, "mae": 0.5, "mape": 0.32738, "r2": 0.94861}, abs=1e-5)


def test_mape_is_undefined_where_an_actual_value_is_zero() -> None:
    found = evaluate_numbers([0.0, 2.0], [1.0, 2.0])
    assert math.isnan(found["mape"])
    assert found["mae"] == 0.5


def test_r2_of_one_row_is_undefined() -> None:
    assert math.isnan(evaluate_numbers([1.0], [2.0])["r2"])


def test_roc_auc_is_undefined_where_the_test_rows_lack_a_class() -> None:
    found = evaluate_classes(["a", "a"], ["a", "b"], np.array([[0.9, 0.1], [0.4, 0.6]]), ["a", "b"])
    assert math.isnan(found["roc_auc"])
    assert found["accuracy"] == 0.5


def test_a_class_that_was_never_learned_leaves_log_loss_undefined() -> None:
    found = evaluate_classes(["a", "c"], ["a", "b"], np.array([[0.9, 0.1], [0.4, 0.6]]), ["a", "b"])
    assert math.isnan(found["log_loss"])
    assert found["accuracy"] == 0.5


def test_a_class_that_is_never_predicted_counts_as_zero_precision() -> None:
    found = evaluate_classes(["a", "b"], ["a", "a"], np.array([[0.9, 0.1], [0.6, 0.4]]), ["a", "b"])
    assert found["precision"] == pytest.approx((1 / 2 + 0) / 2)


@pytest.mark.parametrize("name", ["rmse", "mae", "mape", "log_loss", "val_log_loss", "test.rmse", "RMSE", "loss"])
def test_errors_and_losses_are_better_when_smaller(name: str) -> None:
    assert is_lower_better(name)


@pytest.mark.parametrize(
    "name",
    [
        *(
            "logloss",
            "validation_0-logloss",
            "val/loss",
            "valid_0-l2",
            "rmsle",
            "smape",
            "cross_entropy",
            "brier_score",
        ),
        *(
            "brier_score",
            "latency_ms",
            "crossEntropy",
            "testRMSE",
            "mean_squared_error",
            "neg_log_likelihood",
            "eval.err",
            "fpr",
        ),
    ],
)
def test_names_of_other_tools_are_better_when_smaller(name: str) -> None:
    assert is_lower_better(name) is True


@pytest.mark.parametrize(
    "name",
    [
        *("precision", "recall", "f1", "accuracy", "roc_auc", "r2", "val_acc", "validation_1-auc", "testF1", "ndcg@10"),
        *("neg_mean_squared_error", "average_precision", "log_likelihood", "macro avg/f1-score", "AUC"),
    ],
)
def test_scores_are_better_when_larger(name: str) -> None:
    assert is_lower_better(name) is False


@pytest.mark.parametrize("name", ["lossless", "uplift", "custom_7", "coverage", "TrainRows"])
def test_direction_of_other_names_is_unknown(name: str) -> None:
    assert is_lower_better(name) is None


def test_the_setting_names_directions_and_outranks_the_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("core.learning.kpis._directions", {})
    use_directions({"uplift*": "higher", "uplift_cost": "lower", "val/loss": "higher", "seg?": "lower"})
    answers = {name: is_lower_better(name) for name in ("uplift@10", "uplift_cost", "val/loss", "seg1", "seg10", "mae")}
    assert answers == {
        "uplift@10": False,
        "uplift_cost": True,
        "val/loss": False,
        "seg1": True,
        "seg10": None,
        "mae": True,
    }


def test_the_kpis_have_exactly_the_names_of_the_design() -> None:
    assert metric_names(Task.CLASSIFICATION) == ("precision", "recall", "f1", "accuracy", "roc_auc", "log_loss")
    assert metric_names(Task.REGRESSION) == ("rmse", "mae", "mape", "r2")
    assert primary_metric(Task.CLASSIFICATION) == "f1"
    assert primary_metric(Task.REGRESSION) == "rmse"
    assert not is_kpi("TrainRows")
    assert is_kpi("f1")
