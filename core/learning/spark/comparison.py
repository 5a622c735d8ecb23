"""Comparison on Spark: two models predict the rows where they are, and only aggregates come to this process.

The KPIs, verdicts and tests are those of learning/comparison. Cells of the confusion matrices are resampled exactly.
Sums over rows are resampled by their means and covariances, which needs many rows.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import combinations_with_replacement, pairwise
from pathlib import Path
from typing import Any

import numpy as np

from core.errors import SchemaMismatch
from core.identifiers import quote_spark
from core.learning.comparison.bootstrap import LEVEL, RESAMPLES, Resampled, resample_moments
from core.learning.comparison.compare_models import (
    Comparison,
    Difference,
    Part,
    compare_counts,
    compare_sums,
    make_difference,
)
from core.learning.comparison.slices import FEW_NUMBERS, MOST_VALUES, SLICE_RESAMPLES, Slice
from core.learning.spark.evaluation import EPSILON
from core.learning.spark.scoring import with_predictions
from core.learning.spark.training_rows import kind_of_column
from core.texts import text

_ACTUAL = "__actual"
_PREDICTIONS, _CHANCES = ("__first", "__second"), ("__first_chances", "__second_chances")
# Probabilities are put into bins for the areas under the ROC curves; within a bin they count as equal.
_BINS = 512
# The columns of the sums of a regression that hold errors divided by the actual value.
_RELATIVE = [5, 8]
_QUANTILE_ERROR = 0.001


def compare_on_frame(
    frame: Any, target: str, folders: tuple[Path, Path], *, columns: Sequence[str], scratch: Path
) -> tuple[Comparison, tuple[Slice, ...]]:
    """Return the comparison on the rows of *frame*, and on its slices by *columns*, the smallest first.

    *folders* hold the first and the second model. *scratch* is a folder that outlives this call.

    Raises:
        ModelUnloadable, SchemaMismatch: as with_predictions; or a model predicts other values than *target* has.
    """
    scored = _scored(frame, target, folders, columns, scratch).persist()
    try:
        is_classes = not _is_numeric(scored, _ACTUAL) or scored.where(f"{_CHANCES[0]} is not null").limit(1).count() > 0
        whole = _classification(scored) if is_classes else _regression(scored)
        slices = [entry for name in columns for entry in _slices(scored, name, is_classes)]
    finally:
        scored.unpersist()
    return whole, tuple(sorted(slices, key=lambda entry: (entry.part.rows, entry.column, entry.part.name)))


def _scored(frame: Any, target: str, folders: tuple[Path, Path], columns: Sequence[str], scratch: Path) -> Any:
    """Return the rows with the actual value, the predictions and probabilities of both models, and *columns*."""
    from pyspark.sql import functions as f

    rows = frame.withColumn(_ACTUAL, frame[quote_spark(target)])
    for place, folder in enumerate(folders):
        below = scratch / str(place)
        below.mkdir()
        rows = with_predictions(rows, folder, scratch=below, all_classes=True)
        rows = rows.withColumnsRenamed({"prediction": _PREDICTIONS[place], "probabilities": _CHANCES[place]})
        rows = rows.drop("probability")
        if _is_numeric(rows, _PREDICTIONS[place]) is not _is_numeric(rows, _ACTUAL):
            raise SchemaMismatch(
                "{model} predicts {predicted}, but {column!r} holds {actual}: they cannot be compared.",
                model=folder.name,
                predicted=rows.schema[_PREDICTIONS[place]].dataType.simpleString(),
                column=target,
                actual=rows.schema[_ACTUAL].dataType.simpleString(),
            )
    return rows.select(
        _ACTUAL, *_PREDICTIONS, *_CHANCES, *[f.col(quote_spark(name)) for name in columns if name != _ACTUAL]
    )


def _is_numeric(frame: Any, name: str) -> bool:
    return kind_of_column(frame, name) == "number"


def _classes(scored: Any) -> list[Any]:
    """Return the actual and the predicted classes as columns of text, all of one type before."""
    kind = scored.schema[_PREDICTIONS[0]].dataType
    return [scored[name].cast(kind).cast("string").alias(name) for name in (_ACTUAL, *_PREDICTIONS)]


def _classification(scored: Any) -> Comparison:
    labelled = scored.select(*_classes(scored), *_CHANCES)
    compared = _counted(labelled.groupBy(_ACTUAL, *_PREDICTIONS).count().collect(), RESAMPLES)
    if labelled.where(f"{_CHANCES[0]} is null or {_CHANCES[1]} is null").limit(1).count():
        return compared
    differences = (*compared.differences, _areas(labelled), _log_loss(labelled, compared.rows))
    return replace(compared, differences=differences)


def _counted(cells: Sequence[Any], resamples: int) -> Comparison:
    actual, first, second = (np.array([row[name] for row in cells]) for name in (_ACTUAL, *_PREDICTIONS))
    counts = np.array([row["count"] for row in cells])
    return compare_counts(actual, first, second, counts, resamples=resamples)


def _log_loss(labelled: Any, rows: int) -> Difference:
    from pyspark.sql import functions as f

    losses = []
    for chances in _CHANCES:
        chance = f.try_element_at(chances, f.col(_ACTUAL))
        losses.append(-f.log(f.least(f.greatest(chance, f.lit(EPSILON)), f.lit(1.0 - EPSILON))))
    means, covariance, known = _moments(labelled, losses)
    if known < rows:
        # A model did not learn the class of a row.
        nan = math.nan
        return Difference(metric="log_loss", first=nan, second=nan, low=nan, high=nan)
    sums = resample_moments(means, covariance, rows)
    values = [{"log_loss": float(mean)} for mean in means]
    return make_difference("log_loss", values, sums.interval(lambda found: (found[..., 1] - found[..., 0]) / rows))


def _regression(scored: Any, resamples: int = RESAMPLES) -> Comparison:
    sums = _error_sums(scored, resamples)
    return compare_sums(sums, _regression_values(sums.observed))


def _error_sums(scored: Any, resamples: int) -> Resampled:
    from pyspark.sql import functions as f

    actual = scored[_ACTUAL].cast("double")
    columns = [f.lit(1.0), actual, actual * actual]
    for name in _PREDICTIONS:
        error = scored[name].cast("double") - actual
        columns += [error * error, f.abs(error), f.coalesce(f.abs(f.try_divide(error, actual)), f.lit(0.0))]
    means, covariance, rows = _moments(scored, columns)
    sums = resample_moments(means, covariance, rows, resamples=resamples)
    if scored.where(actual == 0).limit(1).count():
        # mape is undefined.
        sums.observed[_RELATIVE], sums.resamples[:, _RELATIVE] = math.nan, math.nan
    return sums


def _regression_values(sums: np.ndarray) -> list[dict[str, float]]:
    rows, total, squares = sums[:3]
    variance = squares - total**2 / rows
    values = []
    for start in (3, 6):
        squared, absolute, relative = sums[start : start + 3]
        values.append(
            {
                "rmse": math.sqrt(squared / rows),
                "mae": absolute / rows,
                "mape": relative / rows,
                "r2": 1.0 - squared / variance if variance > 0 else math.nan,
            }
        )
    return values


def _moments(frame: Any, columns: Sequence[Any]) -> tuple[np.ndarray, np.ndarray, int]:
    """Return means (columns,), covariances (columns, columns) and the number of rows that have all values."""
    from pyspark.sql import functions as f

    names = [f"c{place}" for place in range(len(columns))]
    values = frame.select(*[column.alias(name) for column, name in zip(columns, names, strict=True)]).dropna()
    pairs = list(combinations_with_replacement(range(len(columns)), 2))
    row = values.agg(
        f.count("*"),
        *[f.avg(name) for name in names],
        *[f.covar_pop(names[one], names[other]) for one, other in pairs],
    ).collect()[0]
    rows, means, products = row[0], row[1 : 1 + len(names)], row[1 + len(names) :]
    covariance = np.zeros((len(columns), len(columns)))
    for (one, other), value in zip(pairs, products, strict=True):
        covariance[one, other] = covariance[other, one] = value
    return np.array(means, dtype=np.float64), covariance, int(rows)


@dataclass(frozen=True, kw_only=True)
class _Bins:
    """How many rows of a class (1) and of all others (0) one model gave a probability in each bin: (2, bins)."""

    counts: np.ndarray

    def components(self) -> np.ndarray:
        """Return for a member in each bin the share of the others below it, and for another row that of the members
        above it; a row in the same bin counts half. (2, bins), others first.
        """
        others, members = self.counts
        below = (np.cumsum(others) - others / 2) / others.sum()
        above = (members.sum() - np.cumsum(members) + members / 2) / members.sum()
        return np.stack([above, below])

    def area(self) -> float:
        return float((self.components()[1] * self.counts[1]).sum() / self.counts[1].sum())


def _areas(labelled: Any) -> Difference:
    """Return the difference of the areas with DeLong's interval; NaN if the rows lack a class.

    Source: as learning/comparison/delong.py, with probabilities in 512 bins.
    """
    from pyspark.sql import functions as f
    from scipy.stats import norm

    nan = math.nan
    undefined = Difference(metric="roc_auc", first=nan, second=nan, low=nan, high=nan)
    # Every row has the same classes.
    learned = labelled.select(*_CHANCES).limit(1).collect()[0]
    classes = sorted({label for chances in learned for label in chances})
    actual = {row[0] for row in labelled.select(_ACTUAL).distinct().collect()}
    if not set(classes) <= actual or len(actual) < 2:
        return undefined
    # With two classes both areas are equal, and one of them is DeLong's.
    drawn = classes[1:] if len(classes) == 2 else classes
    terms = f.lit(0.0)
    areas = np.zeros(2)
    for label in drawn:
        is_member = f.col(_ACTUAL) == f.lit(label)
        for place, chances in enumerate(_CHANCES):
            chance = f.coalesce(f.try_element_at(chances, f.lit(label)), f.lit(0.0))
            bin_number = f.least((chance * _BINS).cast("int"), f.lit(_BINS - 1))
            bins = _bins(labelled, is_member, bin_number)
            area = bins.area()
            areas[place] += area / len(drawn)
            deviations = (bins.components() - area) / bins.counts.sum(axis=1, keepdims=True)
            others, members = (f.array(*[f.lit(float(value)) for value in row]) for row in deviations)
            term = f.element_at(f.when(is_member, members).otherwise(others), bin_number + 1)
            terms = terms + (term if place else -term) / len(drawn)
    error = math.sqrt(labelled.agg(f.sum(terms * terms)).collect()[0][0])
    margin = float(norm.ppf(0.5 + LEVEL / 2.0)) * error
    difference = float(areas[1] - areas[0])
    values = [{"roc_auc": float(area)} for area in areas]
    return make_difference("roc_auc", values, (difference - margin, difference + margin))


def _bins(labelled: Any, is_member: Any, bin_number: Any) -> _Bins:
    counts = np.zeros((2, _BINS))
    groups = labelled.groupBy(is_member.cast("int").alias("member"), bin_number.alias("bin")).count()
    for row in groups.collect():
        counts[row["member"], row["bin"]] = row["count"]
    return _Bins(counts=counts)


def _slices(scored: Any, column: str, is_classes: bool) -> Iterator[Slice]:
    """Yield the slices of *column*, as learning/comparison/slices.py makes them."""
    from pyspark.sql import functions as f

    kind = kind_of_column(scored, column)
    if kind is None:
        return
    value = f.col(quote_spark(column))
    name = _text_slices(scored, value) if kind == "text" else _number_slices(scored, value, kind)
    named = scored.withColumn("__slice", name)
    if is_classes:
        rows = named.select(*_classes(named), "__slice").groupBy("__slice", _ACTUAL, *_PREDICTIONS).count().collect()
        groups = {row["__slice"] for row in rows}
        parts = {group: _counted([row for row in rows if row["__slice"] == group], SLICE_RESAMPLES) for group in groups}
    else:
        groups = {row[0] for row in named.select("__slice").distinct().collect()}
        parts = {group: _regression(named.where(f.col("__slice") == group), SLICE_RESAMPLES) for group in groups}
    if len(parts) > 1:
        for group, compared in parts.items():
            yield Slice(column=column, part=Part(name=group, rows=compared.rows, differences=compared.differences))


def _text_slices(scored: Any, value: Any) -> Any:
    from pyspark.sql import functions as f

    frequent = scored.where(value.isNotNull()).groupBy(value.alias("value")).count()
    chosen = [row["value"] for row in frequent.orderBy(f.desc("count"), "value").limit(MOST_VALUES).collect()]
    others = f.lit(text("other values"))
    return f.when(value.isNull(), f.lit(text("no value"))).when(value.isin(chosen), value).otherwise(others)


def _number_slices(scored: Any, value: Any, kind: str) -> Any:
    from pyspark.sql import functions as f

    number = (f.unix_micros(value.cast("timestamp")) / f.lit(1e6)) if kind == "time" else value.cast("double")
    number = f.nanvl(number, f.lit(None).cast("double"))
    missing = f.when(number.isNull(), f.lit(text("no value")))
    numbers = scored.select(number.alias("number")).dropna()
    distinct = sorted(row[0] for row in numbers.distinct().limit(FEW_NUMBERS + 1).collect())
    if len(distinct) <= FEW_NUMBERS:
        name = missing
        for entry in distinct:
            name = name.when(number == f.lit(entry), f.lit(f"{entry:g}"))
        return name
    edges = sorted(set(numbers.approxQuantile("number", [0.0, 0.25, 0.5, 0.75, 1.0], _QUANTILE_ERROR)))
    name = missing
    for low, high in reversed(list(pairwise(edges))):
        name = name.when(number >= f.lit(low), f.lit(text("{low:g} to {high:g}", low=low, high=high)))
    return name
