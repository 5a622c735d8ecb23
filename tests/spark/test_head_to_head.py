"""Head to head on Spark by aggregates: the numbers of the embedded engine, and versions that only Spark can load."""

from __future__ import annotations

from pathlib import Path

import pytest

from core.bootstrap import open_stores
from core.entities import Actor, ModelVersionKey
from core.features.head_to_head.evaluate import evaluate
from core.features.head_to_head.head_to_head import head_to_head
from core.features.stores import Stores
from core.features.training.recipes import save_recipe
from core.features.training.train import train
from core.learning.comparison.compare_models import Difference
from core.learning.spark.training_rows import is_test
from core.settings import load_settings
from tests.conftest import copy_sample
from tests.spark.conftest import Opener
from tests.spark.loans import GRADE, TABLE, loans
from tests.spark.slow import on_spark

pytestmark = [pytest.mark.spark, pytest.mark.slow]


@pytest.fixture(scope="module")
def both(java: None, sample_home: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Stores, Stores]:
    """The same sample through the embedded engine and through Spark."""
    home = tmp_path_factory.mktemp("compared") / "home"
    copy_sample(sample_home, home)
    return open_stores(load_settings(home=home)), on_spark(home, "local[2]")


@pytest.fixture
def always_on_spark(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also small tables are compared by aggregates."""
    monkeypatch.setattr("core.features.head_to_head.head_to_head._is_for_spark", lambda *arguments: True)


@pytest.mark.parametrize(
    ("model", "versions", "table", "slices"),
    [
        ("iris_classifier", (1, 3), "iris_training_data", ["species"]),
        ("diabetes_progression", (1, 2), "diabetes_training_data", ["sex"]),
    ],
)
@pytest.mark.usefixtures("always_on_spark")
def test_both_engines_compare_the_same_rows_with_the_same_result(
    both: tuple[Stores, Stores],
    person: Actor,
    monkeypatch: pytest.MonkeyPatch,
    model: str,
    versions: tuple[int, int],
    table: str,
    slices: list[str],
) -> None:
    embedded, spark = both
    first, second = (ModelVersionKey(model=model, version=number) for number in versions)
    found = head_to_head(spark, person, first, second, table=table, slices=slices)
    monkeypatch.undo()
    wanted = head_to_head(embedded, person, first, second, table=table, slices=slices)
    assert any("by aggregates" in note for note in found.notes)
    assert (found.comparison.rows, found.left_out) == (wanted.comparison.rows, wanted.left_out)
    assert found.comparison.mcnemar == wanted.comparison.mcnemar
    assert_same(found.comparison.differences, wanted.comparison.differences)
    assert [(part.name, part.rows) for part in found.comparison.classes] == [
        (part.name, part.rows) for part in wanted.comparison.classes
    ]
    assert [(entry.column, entry.part.name, entry.part.rows) for entry in found.slices] == [
        (entry.column, entry.part.name, entry.part.rows) for entry in wanted.slices
    ]


def assert_same(found: tuple[Difference, ...], wanted: tuple[Difference, ...]) -> None:
    """The KPIs are equal. Areas come from bins. Intervals of few rows differ by the way of resampling."""
    assert [difference.metric for difference in found] == [difference.metric for difference in wanted]
    for one, other in zip(found, wanted, strict=True):
        exact = {"abs": 2e-3} if one.metric == "roc_auc" else {"rel": 1e-9}
        assert one.first == pytest.approx(other.first, **exact), one.metric
        assert one.second == pytest.approx(other.second, **exact), one.metric
        width = other.high - other.low
        assert (one.low, one.high) == pytest.approx((other.low, other.high), abs=0.2 * width + 1e-9), one.metric


def test_versions_of_spark_ml_are_compared_on_the_rows_that_neither_was_trained_on(
    opened: Opener, person: Actor
) -> None:
    stores, data = opened("local[2]"), loans()
    stores.engine.write(stores.catalog.place(TABLE), data.slice(0, 400), mode="append")
    stores.engine.write(stores.catalog.place(TABLE), data.slice(400), mode="append")
    frame = stores.engine.frame(stores.catalog.resolve(TABLE), version=1)  # type: ignore[attr-defined]
    save_recipe(stores, person, GRADE)
    first = train(stores, person, recipe=GRADE.name, version=0, params={"maxIter": 1})
    second = train(stores, person, recipe=GRADE.name, version=1)
    result = head_to_head(stores, person, first.model, second.model, table=TABLE, version=1, slices=["age"])
    # The training of /2 was tested on the same rows, and Spark's own evaluators computed its KPIs.
    assert result.comparison.rows == second.metrics["TestRows"] == frame.where(is_test(frame, GRADE)).count()
    for difference in result.comparison.differences:
        exact = {"abs": 2e-3} if difference.metric == "roc_auc" else {"rel": 1e-6}
        assert difference.second == pytest.approx(second.metrics[difference.metric], **exact), difference.metric
    assert sum(entry.part.rows for entry in result.slices) == result.comparison.rows
    assert len(result.slices) == 4
    evaluation = evaluate(stores, person, second.model, table=TABLE, version=1)
    for name, value in evaluation.metrics.items():
        assert value == pytest.approx(second.metrics[name], rel=1e-6), name
    assert {entry.column for entry in evaluation.pictures.importance} == set(GRADE.features)
