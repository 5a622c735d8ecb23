"""Pictures of a classifier: confusion matrix, KPIs per class, ROC, precision-recall, calibration, scores."""

from __future__ import annotations

import numpy as np

from core.entities import Task
from core.learning.comparison.answers import Answers
from core.learning.pictures.pictures import ClassKpis, ConfusionMatrix, Curve, Histogram, Pictures, thinned

RIGHT, WRONG = "right", "wrong"
_MOST_CLASSES = 10
_BINS = 20


def classification_pictures(actual: np.ndarray, answers: Answers) -> Pictures:
    """Return the pictures for rows with the classes *actual* (rows,).

    Curves are of each class against the rest, of the ten most frequent classes. With two classes there is one curve,
    of the second class, as scikit-learn counts it.
    """
    from sklearn import metrics as sk

    labels = np.unique(np.concatenate([actual, answers.predicted]))
    counts = sk.confusion_matrix(actual, answers.predicted, labels=labels)
    parts = sk.precision_recall_fscore_support(actual, answers.predicted, labels=labels, zero_division=0.0)
    columns = _charted(actual, answers)
    return Pictures(
        task=Task.CLASSIFICATION,
        rows=len(actual),
        confusion=ConfusionMatrix(
            labels=tuple(str(label) for label in labels), counts=tuple(tuple(row) for row in counts.tolist())
        ),
        classes=tuple(
            ClassKpis(label=str(label), precision=precision, recall=recall, f1=f1, rows=int(rows))
            for label, precision, recall, f1, rows in zip(labels, *(part.tolist() for part in parts), strict=True)
        ),
        roc=tuple(_roc(*column) for column in columns),
        precision_recall=tuple(_precision_recall(*column) for column in columns),
        calibration=tuple(_calibration(*column) for column in columns),
        scores=None if answers.probabilities is None else _scores(answers.probabilities, answers.predicted == actual),
    )


def _charted(actual: np.ndarray, answers: Answers) -> list[tuple[str, np.ndarray, np.ndarray]]:
    """Return name, membership and probability of the classes to draw: those that have members and other rows."""
    if answers.probabilities is None:
        return []
    members = {number: actual == label for number, label in enumerate(answers.classes)}
    drawn = [number for number, member in members.items() if member.any() and not member.all()]
    drawn = sorted(sorted(drawn, key=lambda number: -int(members[number].sum()))[:_MOST_CLASSES])
    if len(answers.classes) == 2:
        drawn = drawn[1:]
    return [(str(answers.classes[number]), members[number], answers.probabilities[:, number]) for number in drawn]


def _roc(label: str, member: np.ndarray, chance: np.ndarray) -> Curve:
    from sklearn import metrics as sk

    x, y, _ = sk.roc_curve(member, chance)
    return _thinned_curve(label, x, y, float(sk.roc_auc_score(member, chance)))


def _precision_recall(label: str, member: np.ndarray, chance: np.ndarray) -> Curve:
    from sklearn import metrics as sk

    precision, recall, _ = sk.precision_recall_curve(member, chance)
    return _thinned_curve(label, recall, precision, float(sk.average_precision_score(member, chance)))


def _thinned_curve(label: str, x: np.ndarray, y: np.ndarray, summary: float) -> Curve:
    points = thinned(len(x))
    return Curve(label=label, x=tuple(x[points].tolist()), y=tuple(y[points].tolist()), summary=summary)


def _calibration(label: str, member: np.ndarray, chance: np.ndarray) -> Curve:
    from sklearn.calibration import calibration_curve

    share, mean = calibration_curve(member, np.clip(chance, 0.0, 1.0), n_bins=10)
    return Curve(label=label, x=tuple(mean.tolist()), y=tuple(share.tolist()))


def _scores(probabilities: np.ndarray, is_right: np.ndarray) -> Histogram:
    best, edges = probabilities.max(axis=1), np.linspace(0.0, 1.0, _BINS + 1)
    counts = {name: np.histogram(best[rows], bins=edges)[0] for name, rows in ((RIGHT, is_right), (WRONG, ~is_right))}
    return Histogram(
        edges=tuple(edges.tolist()), counts={name: tuple(numbers.tolist()) for name, numbers in counts.items()}
    )
