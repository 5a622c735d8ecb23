"""Shapley values, KPIs on resamples and intervals: against worked examples, all orders, scikit-learn and scipy."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from scipy import stats
from sklearn import metrics as sk

from core.learning.comparison.answers import Answers
from core.learning.comparison.bootstrap import poisson_counts
from core.learning.comparison.kpi_change import split_change
from core.learning.comparison.resampled_kpis import ResampledKpi, resample_kpis
from core.learning.comparison.shapley import shapley_values

# ------------------------------------------------------------------------------------------------ Shapley values


def test_the_glove_game_and_the_airport_game_have_their_published_values() -> None:
    # One left glove and two right ones: a pair is worth 1. Bit 0 is the owner of the left glove.
    glove = np.array([0, 0, 0, 1, 0, 1, 0, 1], dtype=float)
    assert shapley_values(glove) == pytest.approx([2 / 3, 1 / 6, 1 / 6])
    # Littlechild and Owen 1973: a runway for planes that need 1, 2 and 3 costs what its longest plane needs.
    runway = np.array([0, 1, 2, 2, 3, 3, 3, 3], dtype=float)
    assert shapley_values(runway) == pytest.approx([1 / 3, 1 / 3 + 1 / 2, 1 / 3 + 1 / 2 + 1])


@pytest.mark.parametrize("factors", [1, 2, 3, 4, 5])
def test_a_part_is_the_mean_over_all_orders_in_which_the_factors_change(factors: int) -> None:
    values = np.random.default_rng(factors).normal(size=2**factors)
    parts = np.zeros(factors)
    for order in itertools.permutations(range(factors)):
        coalition = 0
        for factor in order:
            parts[factor] += values[coalition | 1 << factor] - values[coalition]
            coalition |= 1 << factor
    assert shapley_values(values) == pytest.approx(parts / math.factorial(factors))
    assert shapley_values(values).sum() == pytest.approx(values[-1] - values[0])


def test_a_factor_without_effect_has_nothing_and_equal_factors_have_equal_parts() -> None:
    #           none a    b    ab   c    ac   bc   abc: a and b do the same and only together; c does nothing.
    values = np.array([0.1, 0.1, 0.1, 0.9, 0.1, 0.1, 0.1, 0.9])
    assert shapley_values(values) == pytest.approx([0.4, 0.4, 0.0])
    assert shapley_values(np.stack([values, 2 * values])) == pytest.approx(np.array([[0.4, 0.4, 0], [0.8, 0.8, 0]]))


# ------------------------------------------------------------------------------------------------ resamples


def _classifier(random: np.random.Generator, actual: np.ndarray, noise: float) -> Answers:
    scores = 1.5 * np.eye(3)[actual] + noise * random.normal(size=(len(actual), 3))
    chances = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    return Answers(predicted=chances.argmax(axis=1), probabilities=chances, classes=(0, 1, 2))


def test_the_kpis_of_classifiers_are_those_of_scikit_learn_and_resamples_are_paired() -> None:
    random = np.random.default_rng(3)
    actual = random.integers(0, 3, 400)
    models = [_classifier(random, actual, noise) for noise in (1.6, 1.0)]
    kpis = resample_kpis(actual, models, is_classification=True, resamples=2_000)
    for place, model in enumerate(models):
        assert model.probabilities is not None
        macro = {"average": "macro", "zero_division": 0.0}
        assert {name: kpi.observed[place] for name, kpi in kpis.items()} == pytest.approx(
            {
                "precision": sk.precision_score(actual, model.predicted, **macro),
                "recall": sk.recall_score(actual, model.predicted, **macro),
                "f1": sk.f1_score(actual, model.predicted, **macro),
                "accuracy": sk.accuracy_score(actual, model.predicted),
                "roc_auc": sk.roc_auc_score(actual, model.probabilities, multi_class="ovr"),
                "log_loss": sk.log_loss(actual, model.probabilities),
            }
        )
    right = [(model.predicted == actual).astype(float) for model in models]
    difference = kpis["accuracy"].resamples[:, 1] - kpis["accuracy"].resamples[:, 0]
    # The standard error of a mean of paired differences; 2,000 resamples know it within 5 %.
    assert difference.std() == pytest.approx((right[1] - right[0]).std() / math.sqrt(400), rel=0.08)
    area = kpis["roc_auc"].resamples[:, 0]
    bootstrapped = [
        sk.roc_auc_score(actual[rows], models[0].probabilities[rows], multi_class="ovr")  # type: ignore[index]
        for rows in random.integers(0, 400, (150, 400))
    ]
    assert area.std() == pytest.approx(np.std(bootstrapped), rel=0.25)


def test_the_kpis_of_regressions_are_those_of_scikit_learn() -> None:
    random = np.random.default_rng(4)
    actual = 100 + random.normal(size=500)
    model = Answers(predicted=actual + random.normal(size=500))
    kpis = resample_kpis(actual, [model], is_classification=False, resamples=2_000)
    assert {name: kpi.observed[0] for name, kpi in kpis.items()} == pytest.approx(
        {
            "rmse": sk.root_mean_squared_error(actual, model.predicted),
            "mae": sk.mean_absolute_error(actual, model.predicted),
            "mape": sk.mean_absolute_percentage_error(actual, model.predicted),
            "r2": sk.r2_score(actual, model.predicted),
        }
    )
    error = np.abs(model.predicted - actual)
    assert kpis["mae"].resamples.std() == pytest.approx(error.std() / math.sqrt(500), rel=0.08)
    without = resample_kpis(
        np.append(actual, 0.0), [Answers(predicted=np.append(actual, 1.0))], is_classification=False, resamples=10
    )
    assert np.isnan(without["mape"].observed).all()


def test_a_class_that_no_row_has_leaves_its_kpis_undefined() -> None:
    random = np.random.default_rng(5)
    actual = random.integers(0, 2, 50)
    kpis = resample_kpis(actual, [_classifier(random, actual, 1.0)], is_classification=True, resamples=10)
    assert np.isnan(kpis["roc_auc"].observed).all()
    assert np.isfinite(kpis["log_loss"].resamples).all()


# ------------------------------------------------------------------------------------------------ the change


def test_the_parts_sum_to_the_total_and_its_interval_is_that_of_the_stored_models() -> None:
    random = np.random.default_rng(6)
    resamples = random.normal(size=(3_000, 6))
    change = split_change(ResampledKpi(observed=resamples[0], resamples=resamples), np.empty((0, 4)))
    total = sum(part.difference for part in change.parts) + change.not_explained.difference
    assert total == pytest.approx(change.total.difference) == pytest.approx(resamples[0, 5] - resamples[0, 4])
    ends = np.quantile(resamples[:, 5] - resamples[:, 4], [0.025, 0.975])
    assert (change.total.low, change.total.high) == pytest.approx(ends)
    # Coalitions: none, a, b, ab.
    part_of_a = (resamples[:, 1] - resamples[:, 0] + resamples[:, 3] - resamples[:, 2]) / 2
    assert (change.parts[0].low, change.parts[0].high) == pytest.approx(np.quantile(part_of_a, [0.025, 0.975]))


def test_repeated_trainings_widen_the_interval_around_the_pinned_value() -> None:
    observed = np.array([0.5, 0.8, 0.5, 0.8])
    kpi = ResampledKpi(observed=observed, resamples=np.tile(observed, (20_000, 1)))
    repeats = np.column_stack([np.zeros(200), np.random.default_rng(7).normal(0.2, 0.05, 200)])
    (part,) = split_change(kpi, repeats).parts
    assert part.difference == pytest.approx(0.3)
    assert (part.low, part.high) == pytest.approx((0.3 - 1.96 * 0.05, 0.3 + 1.96 * 0.05), abs=0.02)
    (without,) = split_change(kpi, repeats[:0]).parts
    assert (without.low, without.high) == pytest.approx((0.3, 0.3))


def test_an_undefined_kpi_has_no_interval() -> None:
    kpi = ResampledKpi(observed=np.full(4, np.nan), resamples=np.full((10, 4), np.nan))
    change = split_change(kpi, np.empty((0, 2)))
    assert all(math.isnan(value) for value in (change.parts[0].difference, change.total.low, change.total.high))


def test_rows_are_drawn_by_poisson_counts_that_depend_on_the_row_and_the_seed_alone() -> None:
    keys = np.random.default_rng(8).integers(0, 2**63, 20_000).astype(np.uint64)
    counts = poisson_counts(keys, seed=1)
    observed = np.bincount(np.minimum(counts, 5), minlength=6)
    expected = np.append(stats.poisson.pmf(range(5), 1.0), stats.poisson.sf(4, 1.0)) * len(keys)
    assert stats.chisquare(observed, expected).pvalue > 0.001
    assert (poisson_counts(keys[::-1][:500], seed=1) == counts[::-1][:500]).all()
    assert abs(np.corrcoef(counts, poisson_counts(keys, seed=2))[0, 1]) < 0.03
