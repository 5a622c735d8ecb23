"""Pictures of a model: the numbers of scikit-learn, bounded, and read back only if they are what was written."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from sklearn import metrics as sk
from sklearn.datasets import load_iris
from sklearn.ensemble import RandomForestClassifier
from sklearn.inspection import permutation_importance as reference_importance

from core.entities import Task
from core.errors import BadFile
from core.learning.comparison.answers import Answers
from core.learning.pictures.classification import classification_pictures
from core.learning.pictures.importance import permutation_importance
from core.learning.pictures.pictures import Pictures, from_json, to_json
from core.learning.pictures.regression import regression_pictures


def _answers(rows: int, classes: int = 3) -> tuple[np.ndarray, Answers]:
    random = np.random.default_rng(1)
    actual = random.integers(0, classes, rows)
    scores = 1.2 * np.eye(classes)[actual] + random.normal(size=(rows, classes))
    chances = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    return actual, Answers(predicted=chances.argmax(axis=1), probabilities=chances, classes=tuple(range(classes)))


def test_matrix_and_classes_are_those_of_scikit_learn() -> None:
    actual, answers = _answers(300)
    pictures = classification_pictures(actual, answers)
    assert pictures.confusion is not None
    assert pictures.confusion.labels == ("0", "1", "2")
    assert [list(row) for row in pictures.confusion.counts] == sk.confusion_matrix(actual, answers.predicted).tolist()
    report = sk.classification_report(actual, answers.predicted, output_dict=True)
    for entry in pictures.classes:
        expected = report[entry.label]
        assert (entry.precision, entry.recall, entry.f1, entry.rows) == pytest.approx(
            (expected["precision"], expected["recall"], expected["f1-score"], expected["support"])
        )


def test_curves_have_few_points_and_the_area_of_all_rows() -> None:
    actual, answers = _answers(50_000)
    assert answers.probabilities is not None
    pictures = classification_pictures(actual, answers)
    for number, (roc, recall) in enumerate(zip(pictures.roc, pictures.precision_recall, strict=True)):
        chance = answers.probabilities[:, number]
        assert roc.summary == pytest.approx(sk.roc_auc_score(actual == number, chance))
        assert recall.summary == pytest.approx(sk.average_precision_score(actual == number, chance))
        assert (roc.x[0], roc.y[0], roc.x[-1], roc.y[-1]) == (0.0, 0.0, 1.0, 1.0)
        assert len(roc.x) <= 200
        # The drawn points lie on the curve: their area is the area.
        assert np.trapezoid(roc.y, roc.x) == pytest.approx(roc.summary, abs=2e-3)
    assert pictures.scores is not None
    assert sum(map(sum, pictures.scores.counts.values())) == 50_000
    assert sum(pictures.scores.counts["right"]) == int(np.sum(answers.predicted == actual))
    assert len(to_json(pictures)) < 60_000


def test_two_classes_have_one_curve() -> None:
    actual, answers = _answers(100, classes=2)
    assert [curve.label for curve in classification_pictures(actual, answers).roc] == ["1"]


def test_a_class_that_no_row_has_gets_no_curve() -> None:
    actual, answers = _answers(60)
    actual = np.where(actual == 2, 0, actual)
    assert [curve.label for curve in classification_pictures(actual, answers).roc] == ["0", "1"]


def test_many_classes_have_ten_curves() -> None:
    actual, answers = _answers(2_000, classes=30)
    assert len(classification_pictures(actual, answers).roc) == 10


def test_without_probabilities_there_is_a_matrix_only() -> None:
    actual, answers = _answers(60)
    pictures = classification_pictures(actual, replace(answers, probabilities=None))
    assert pictures.confusion is not None
    assert pictures.roc == ()
    assert pictures.scores is None


def test_a_regression_keeps_a_sample_and_counts_all_residuals() -> None:
    random = np.random.default_rng(2)
    actual = random.normal(size=5_000)
    predicted = actual + random.normal(size=5_000)
    pictures = regression_pictures(actual, predicted)
    assert pictures.predicted_actual is not None
    assert len(pictures.predicted_actual.x) == 500
    pairs = dict(zip(actual.tolist(), predicted.tolist(), strict=True))
    drawn = zip(pictures.predicted_actual.x, pictures.predicted_actual.y, strict=True)
    assert all(pairs[x] == y for x, y in drawn)
    assert pictures.residuals is not None
    assert sum(pictures.residuals.counts["residuals"]) == 5_000
    assert pictures.residuals.edges[0] == pytest.approx((predicted - actual).min())


def test_importance_is_the_one_of_scikit_learn() -> None:
    bunch = load_iris(as_frame=True)
    rows, actual = bunch.data, bunch.target.to_numpy()
    model = RandomForestClassifier(n_estimators=20, random_state=0).fit(rows, actual)
    own = {entry.column: entry for entry in permutation_importance(rows, actual, model.predict, Task.CLASSIFICATION)}
    reference = reference_importance(model, rows, actual, scoring="f1_macro", n_repeats=30, random_state=1)
    for name, mean, deviation in zip(rows.columns, reference.importances_mean, reference.importances_std, strict=True):
        assert own[name].mean == pytest.approx(mean, abs=3 * deviation + 1e-9)
    assert list(own) == sorted(own, key=lambda name: -own[name].mean)


def test_importance_calls_the_model_once_with_a_bounded_number_of_rows() -> None:
    calls: list[int] = []

    def predict(frame: pd.DataFrame) -> np.ndarray:
        calls.append(len(frame))
        return frame["x"].to_numpy()

    rows = pd.DataFrame({"x": np.arange(5_000.0), "self": 1.0})
    entries = permutation_importance(rows, np.arange(5_000.0), predict, Task.REGRESSION)
    assert calls == [1_000 * (1 + 2 * 5)]
    assert [(entry.column, entry.mean > 0) for entry in entries] == [("x", True), ("self", False)]


def test_pictures_come_back_from_json() -> None:
    actual, answers = _answers(80)
    pictures = classification_pictures(actual, answers)
    assert from_json(to_json(pictures).encode()) == pictures


@pytest.mark.parametrize(
    "change",
    [
        {"rows": -1},
        {"rows": "many"},
        {"roc": [{"label": "a", "x": [0.0], "y": [0.0, 1.0]}]},
        {"roc": [{"label": "a", "x": ["nan"], "y": [0.0]}]},
        {"confusion": {"labels": ["a", "b"], "counts": [[1]]}},
        {"task": "forecast"},
    ],
)
def test_a_file_of_somebody_else_is_refused_in_a_sentence(change: dict[str, object]) -> None:
    written = json.loads(to_json(Pictures(task=Task.CLASSIFICATION, rows=3)))
    with pytest.raises(BadFile, match="does not hold pictures of a model") as caught:
        from_json(json.dumps(written | change).encode())
    assert "\n" not in str(caught.value)
    with pytest.raises(BadFile):
        from_json(b"[1, 2")
