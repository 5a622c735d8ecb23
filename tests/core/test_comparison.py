"""Comparison of two models: differences, intervals and tests against scipy, statsmodels and the definitions."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from scipy import stats
from sklearn import metrics as sk

from core.learning.comparison.answers import Answers
from core.learning.comparison.bootstrap import resample_cells, resample_rows
from core.learning.comparison.compare_models import (
    Comparison,
    Difference,
    Verdict,
    compare_classifiers,
    compare_regressions,
)
from core.learning.comparison.delong import compare_areas
from core.learning.comparison.mcnemar import mcnemar
from core.learning.comparison.slices import compare_slices


def _classifiers(rows: int, *, classes: int = 3, seed: int = 1) -> tuple[np.ndarray, Answers, Answers]:
    """Two classifiers, of which the second has less noise."""
    random = np.random.default_rng(seed)
    actual = random.integers(0, classes, rows)
    answers = []
    for noise in (1.6, 1.0):
        scores = 1.5 * np.eye(classes)[actual] + noise * random.normal(size=(rows, classes))
        chances = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
        answers.append(Answers(predicted=chances.argmax(axis=1), probabilities=chances, classes=tuple(range(classes))))
    return actual, answers[0], answers[1]


def _by_name(comparison: Comparison) -> dict[str, Difference]:
    return {difference.metric: difference for difference in comparison.differences}


# ------------------------------------------------------------------------------------------------ bootstrap


def test_the_interval_of_few_rows_is_the_one_of_scipys_paired_bootstrap() -> None:
    random = np.random.default_rng(5)
    first, second = random.exponential(size=300), random.exponential(1.3, size=300)

    def difference(a: np.ndarray, b: np.ndarray, axis: int) -> np.ndarray:
        return np.asarray(np.sqrt(b.mean(axis=axis)) - np.sqrt(a.mean(axis=axis)))

    expected = stats.bootstrap(
        (first, second), difference, paired=True, n_resamples=20_000, method="percentile", random_state=1
    ).confidence_interval
    sums = resample_rows(np.column_stack([first, second]))
    low, high = sums.interval(lambda s: np.sqrt(s[..., 1] / 300) - np.sqrt(s[..., 0] / 300))
    # Both are simulations: their ends differ by the noise of 10,000 resamples.
    assert (low, high) == pytest.approx(expected, abs=0.06 * (expected.high - expected.low))


def test_many_rows_have_the_interval_of_the_normal_distribution() -> None:
    rows = np.random.default_rng(6).normal(2.0, 3.0, size=(200_000, 1))
    low, high = resample_rows(rows).interval(lambda s: s[..., 0] / 200_000)
    mean, error = rows.mean(), rows.std(ddof=1) / math.sqrt(200_000)
    assert (low, high) == pytest.approx((mean - 1.96 * error, mean + 1.96 * error), abs=0.1 * error)


def test_counted_rows_have_the_interval_of_the_same_rows_one_by_one() -> None:
    cells, counts = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]]), np.array([30, 50, 120])
    one_by_one = resample_rows(np.repeat(cells, counts, axis=0))
    counted = resample_cells(cells, counts)
    assert counted.observed.tolist() == one_by_one.observed.tolist() == [150.0, 170.0]
    intervals = [s.interval(lambda s: (s[..., 1] - s[..., 0]) / 200) for s in (one_by_one, counted)]
    assert intervals[0] == pytest.approx(intervals[1], abs=0.01)


def test_a_resample_without_a_value_leaves_the_interval_undefined() -> None:
    sums = resample_cells(np.array([[1.0], [0.0]]), np.array([1, 1]))
    assert all(math.isnan(end) for end in sums.interval(lambda s: 1.0 / s[..., 0]))


# ------------------------------------------------------------------------------------------------ McNemar


@pytest.mark.parametrize(
    ("only_first", "only_second", "p_value"),
    [
        # Approval of a prime minister by the same 1,600 people (Agresti, Categorical Data Analysis, table 10.1).
        (150, 86, 3.715936139571387e-05),
        (3, 9, 0.14599609375),
        (0, 0, 1.0),
    ],
)
def test_mcnemar_is_the_exact_test_of_statsmodels(only_first: int, only_second: int, p_value: float) -> None:
    result = mcnemar(only_first, only_second)
    assert (result.only_first, result.only_second) == (only_first, only_second)
    assert result.p_value == pytest.approx(p_value, rel=1e-9)


# ------------------------------------------------------------------------------------------------ DeLong


def _delong_by_definition(actual: np.ndarray, first: np.ndarray, second: np.ndarray) -> tuple[float, float]:
    """The difference and its standard error by the sums over all pairs of rows in DeLong's article, section 3."""
    components = []
    for scores in (first, second):
        pairs = np.subtract.outer(scores[actual == 1], scores[actual == 0])
        kernel = (pairs > 0) + 0.5 * (pairs == 0)
        components.append((kernel.mean(axis=1), kernel.mean(axis=0)))
    positive = np.cov([components[0][0], components[1][0]])
    negative = np.cov([components[0][1], components[1][1]])
    covariance = positive / np.sum(actual == 1) + negative / np.sum(actual == 0)
    contrast = np.array([-1.0, 1.0])
    difference = components[1][0].mean() - components[0][0].mean()
    return float(difference), float(np.sqrt(contrast @ covariance @ contrast))


def test_delong_is_the_sum_over_all_pairs_of_rows() -> None:
    random = np.random.default_rng(9)
    actual = random.integers(0, 2, 140)
    # Rounded scores have ties.
    first = np.round(actual + random.normal(size=140), 1)
    second = np.round(actual + 0.8 * random.normal(size=140), 1)
    difference, error = _delong_by_definition(actual, first, second)
    tables = [np.column_stack([-scores, scores]) for scores in (first, second)]
    result = compare_areas(actual, *tables, classes=np.array([0, 1]))
    assert result.first == pytest.approx(sk.roc_auc_score(actual, first))
    assert result.second == pytest.approx(sk.roc_auc_score(actual, second))
    assert (result.difference, result.standard_error) == pytest.approx((difference, error))
    assert (result.low, result.high) == pytest.approx((difference - 1.959964 * error, difference + 1.959964 * error))
    assert result.p_value == pytest.approx(2 * stats.norm.sf(abs(difference) / error))


def test_the_interval_of_three_classes_is_the_one_of_a_bootstrap() -> None:
    actual, first, second = _classifiers(400)
    assert first.probabilities is not None
    assert second.probabilities is not None
    result = compare_areas(actual, first.probabilities, second.probabilities, np.arange(3))
    random, values = np.random.default_rng(2), []
    for _ in range(600):
        rows = random.integers(0, 400, 400)
        areas = [
            np.mean([sk.roc_auc_score(actual[rows] == label, answers.probabilities[rows, label]) for label in range(3)])
            for answers in (first, second)
            if answers.probabilities is not None
        ]
        values.append(areas[1] - areas[0])
    assert result.standard_error == pytest.approx(np.std(values), rel=0.12)


# ------------------------------------------------------------------------------------------------ comparison


def test_each_kpi_of_a_classifier_is_the_one_of_scikit_learn() -> None:
    actual, first, second = _classifiers(500)
    comparison = compare_classifiers(actual, first, second)
    differences = _by_name(comparison)
    for number, answers in enumerate((first, second)):
        expected = {
            "precision": sk.precision_score(actual, answers.predicted, average="macro"),
            "recall": sk.recall_score(actual, answers.predicted, average="macro"),
            "f1": sk.f1_score(actual, answers.predicted, average="macro"),
            "accuracy": sk.accuracy_score(actual, answers.predicted),
            "roc_auc": sk.roc_auc_score(actual, answers.probabilities, multi_class="ovr"),
            "log_loss": sk.log_loss(actual, answers.probabilities),
        }
        assert {name: (d.first, d.second)[number] for name, d in differences.items()} == pytest.approx(expected)
    for difference in differences.values():
        assert difference.low < difference.difference < difference.high
        assert difference.verdict is Verdict.BETTER, difference
    assert comparison.mcnemar is not None
    assert comparison.mcnemar.p_value < 0.001
    per_class = sk.precision_recall_fscore_support(actual, second.predicted)
    for index, part in enumerate(comparison.classes):
        assert part.rows == per_class[3][index]
        assert [d.second for d in part.differences] == pytest.approx([values[index] for values in per_class[:3]])


def test_the_interval_of_a_macro_average_is_the_one_of_a_plain_bootstrap() -> None:
    actual, first, second = _classifiers(200, seed=8)
    random, values = np.random.default_rng(3), []
    for _ in range(1_500):
        rows = random.integers(0, 200, 200)
        values.append(
            sk.f1_score(actual[rows], second.predicted[rows], average="macro")
            - sk.f1_score(actual[rows], first.predicted[rows], average="macro")
        )
    low, high = np.quantile(values, [0.025, 0.975])
    f1 = _by_name(compare_classifiers(actual, first, second))["f1"]
    assert (f1.low, f1.high) == pytest.approx((low, high), abs=0.1 * (high - low))


def test_equal_models_show_no_difference() -> None:
    actual, first, _ = _classifiers(60)
    comparison = compare_classifiers(actual, first, first)
    assert {d.verdict for d in comparison.differences} == {Verdict.NO_DIFFERENCE}
    assert comparison.mcnemar is not None
    assert comparison.mcnemar.p_value == 1.0


def test_without_probabilities_the_kpis_that_need_them_are_left_out() -> None:
    actual, first, second = _classifiers(60)
    comparison = compare_classifiers(actual, Answers(predicted=first.predicted, classes=first.classes), second)
    assert list(_by_name(comparison)) == ["precision", "recall", "f1", "accuracy"]


def test_a_class_that_the_rows_lack_leaves_the_area_undefined() -> None:
    actual, first, second = _classifiers(60)
    kept = actual != 2
    parts = [replace(a.of(kept), probabilities=a.probabilities[kept]) for a in (first, second)]  # type: ignore[index]
    area = _by_name(compare_classifiers(actual[kept], *parts))["roc_auc"]
    assert math.isnan(area.first)
    assert area.verdict is Verdict.UNDEFINED


def test_text_classes_compare_like_numbers() -> None:
    actual, first, second = _classifiers(90)
    names = np.array(["setosa", "versicolor", "virginica"], dtype=object)
    texts = [replace(a, predicted=names[a.predicted], classes=tuple(names)) for a in (first, second)]
    by_text = compare_classifiers(names[actual], *texts)
    assert by_text.differences == compare_classifiers(actual, first, second).differences
    assert [part.name for part in by_text.classes] == list(names)


def test_each_kpi_of_a_regression_is_the_one_of_scikit_learn() -> None:
    random = np.random.default_rng(4)
    actual = random.normal(10, 2, 400)
    first, second = actual + random.normal(0, 1.0, 400), actual + random.normal(0, 1.3, 400)
    differences = _by_name(compare_regressions(actual, Answers(predicted=first), Answers(predicted=second)))
    for number, predicted in enumerate((first, second)):
        assert {name: (d.first, d.second)[number] for name, d in differences.items()} == pytest.approx(
            {
                "rmse": sk.root_mean_squared_error(actual, predicted),
                "mae": sk.mean_absolute_error(actual, predicted),
                "mape": sk.mean_absolute_percentage_error(actual, predicted),
                "r2": sk.r2_score(actual, predicted),
            }
        )
    assert {d.verdict for d in differences.values()} == {Verdict.WORSE}
    assert differences["r2"].high < 0 < differences["rmse"].low


# ------------------------------------------------------------------------------------------------ slices


def test_slices_cover_every_row_of_a_column_once_the_smallest_first() -> None:
    rows = pa.table(
        {
            "region": ["north"] * 5 + ["south"] * 3 + [None] * 2,
            "grade": [1, 1, 2, 2, 2, 2, 2, 2, 2, 2],
            "amount": [float(value) for value in range(10)],
            "constant": [1] * 10,
            "items": [[1]] * 10,
        }
    )
    actual = np.arange(10.0)

    def compare(mask: np.ndarray) -> Comparison:
        answers = Answers(predicted=actual[mask] + 1.0)
        return compare_regressions(actual[mask], answers, answers, resamples=20)

    slices = compare_slices(rows, tuple(rows.column_names), compare)
    found = {column: [(s.part.name, s.part.rows) for s in slices if s.column == column] for column in rows.column_names}
    assert found["region"] == [("no value", 2), ("south", 3), ("north", 5)]
    assert found["grade"] == [("1", 2), ("2", 8)]
    assert [rows for _, rows in found["amount"]] == [10 // 10] * 10
    assert found["constant"] == found["items"] == []
    assert [s.part.rows for s in slices] == sorted(s.part.rows for s in slices)


def test_a_column_of_many_numbers_is_cut_at_its_quartiles() -> None:
    rows = pa.table({"amount": np.arange(100.0)})
    actual = np.arange(100.0)

    def compare(mask: np.ndarray) -> Comparison:
        answers = Answers(predicted=actual[mask])
        return compare_regressions(actual[mask], answers, answers, resamples=20)

    parts = [s.part for s in compare_slices(rows, ("amount",), compare)]
    assert [part.rows for part in parts] == [25, 25, 25, 25]
    assert {part.name for part in parts} == {"0 to 24.75", "24.75 to 49.5", "49.5 to 74.25", "74.25 to 99"}


def test_many_texts_leave_the_rare_ones_together() -> None:
    values = [f"v{number:02}" for number in range(30) for _ in range(number + 1)]
    actual = np.arange(float(len(values)))

    def compare(mask: np.ndarray) -> Comparison:
        answers = Answers(predicted=actual[mask])
        return compare_regressions(actual[mask], answers, answers, resamples=20)

    parts = {s.part.name: s.part.rows for s in compare_slices(pa.table({"v": values}), ("v",), compare)}
    assert len(parts) == 21
    assert parts["10 other values"] == sum(range(1, 11))
