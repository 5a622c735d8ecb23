"""The trainings of all coalitions: pinned, and repeated on other draws of the training rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd
import pyarrow as pa

from core.entities import Recipe, TableVersion, Task
from core.errors import TrainingFailed
from core.features.head_to_head.unseen_rows import shared_columns
from core.features.kpi_change.what_differs import Differences
from core.learning.comparison.answers import Answers
from core.learning.comparison.bootstrap import poisson_counts
from core.learning.frames import features_frame, hash_rows
from core.learning.training import Split, fit, split, training_rows


@dataclass(frozen=True, kw_only=True)
class Trainings:
    """Trains the coalitions of *differences* on *tables*, the rows of each data version."""

    differences: Differences
    tables: Mapping[TableVersion, pa.Table]
    _splits: dict[object, Split] = field(default_factory=dict)
    _training_rows: dict[object, pa.Table] = field(default_factory=dict)

    @property
    def count(self) -> int:
        """The number of coalitions."""
        return 1 << len(self.differences.factors)

    def all_training_rows(self) -> Iterator[pa.Table]:
        """Yield the training rows of every coalition, equal ones once. Raises BadParameter, TrainingFailed."""
        for coalition in range(self.count):
            self._rows_of(*self.differences.training(coalition))
        yield from self._training_rows.values()

    def train(self, coalition: int, rows: pa.Table, *, repeat: int = 0, checkpoint: Callable[[], None]) -> Answers:
        """Train a coalition and return its answers for *rows*.

        The repeat 0 is the pinned training. Any other *repeat* draws the training rows with replacement and changes
        the seed of the estimator; a row is drawn equally often for every coalition that trains on it.

        Raises:
            TrainingFailed: the settings cannot be trained together.
        """
        data, recipe = self.differences.training(coalition)
        key = (data, recipe.features, recipe.test_fraction, recipe.seed)
        if key not in self._splits:
            self._splits[key] = split(self.tables[data], recipe)
        chosen = self._splits[key]
        if repeat:
            training, columns = self._rows_of(data, recipe), shared_columns(*self.tables.values())
            chosen = _drawn(chosen, hash_rows(training, columns), recipe.task, repeat)
            recipe = replace(recipe, seed=(recipe.seed + repeat) % 2**32)
        try:
            fitted = fit(recipe, chosen, report=lambda fraction, line: checkpoint())
        except TrainingFailed as error:
            raise TrainingFailed(
                "{settings} cannot be trained on {data}: {reason}",
                settings=", ".join(f"{name} {value}" for name, value in recipe.params.items()) or recipe.estimator,
                data=str(data),
                reason=str(error),
            ) from error
        frame = features_frame(rows, recipe.features)
        predicted = fitted.pipeline.predict(frame)
        if recipe.task is Task.REGRESSION:
            return Answers(predicted=predicted)
        return Answers(
            predicted=predicted,
            probabilities=fitted.pipeline.predict_proba(frame),
            classes=tuple(fitted.pipeline.classes_.tolist()),
        )

    def _rows_of(self, data: TableVersion, recipe: Recipe) -> pa.Table:
        key = (data, recipe.test_fraction, recipe.seed)
        if key not in self._training_rows:
            self._training_rows[key] = training_rows(self.tables[data], recipe)
        return self._training_rows[key]


def _drawn(data: Split, keys: np.ndarray, task: Task, repeat: int) -> Split:
    """Return *data* with training rows drawn by *keys* (rows,). A class of which no row is drawn keeps its rows."""
    counts, target = poisson_counts(keys, seed=repeat), data.train_target
    if task is Task.CLASSIFICATION:
        lost = np.setdiff1d(target, target[counts > 0])
        counts = np.where(np.isin(target, lost), 1, counts)
    places = np.repeat(np.arange(len(keys)), counts)
    train: pd.DataFrame = data.train.iloc[places].reset_index(drop=True)
    return replace(data, train=train, train_target=target[places])
