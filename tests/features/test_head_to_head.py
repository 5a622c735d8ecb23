"""Head to head: two versions on the rows that neither was trained on, recorded in the audit log."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pyarrow as pa
import pytest
from sklearn.metrics import accuracy_score

from core.access.permissions import Action
from core.entities import Actor, GateResult, ModelVersionKey, Outcome, Stage
from core.errors import BadParameter, ColumnNotFound, Forbidden, SchemaMismatch
from core.features.admin.sample import DIABETES_TABLE
from core.features.admin.sample import IRIS_TABLE as TABLE
from core.features.head_to_head.head_to_head import head_to_head, past_comparisons, submit_head_to_head
from core.features.head_to_head.result import serialize
from core.features.jobs.run_job import run_service
from core.features.promotion.evaluate_gates import evaluate_gates
from core.features.scoring.score import score
from core.features.stores import Stores
from core.features.training.recipes import find_recipe
from core.features.training.train import train
from core.learning.training import split
from tests.features.test_train import Watched

MODEL = "iris_classifier"
FIRST, SECOND = (ModelVersionKey(model=MODEL, version=number) for number in (1, 3))


def _holdout(stores: Stores, **columns: pa.Array) -> None:
    """A table of 60 rows under another name."""
    rows = stores.engine.read(stores.catalog.resolve(TABLE), version=2).slice(0, 60)
    for name, values in columns.items():
        rows = rows.drop_columns([name]) if name in rows.column_names else rows
        rows = rows.append_column(name, values)
    stores.engine.write(stores.catalog.place("iris_holdout"), rows, mode="append")


def test_only_rows_that_neither_was_trained_on_are_compared_and_the_log_keeps_the_result(
    sample_stores: Stores, scientist: Actor
) -> None:
    stores = sample_stores
    # /1 was trained on version 0, /3 on version 2.
    job = submit_head_to_head(stores, scientist, FIRST, SECOND, table=TABLE, reason="before the request")
    assert job.arguments["version"] == 2
    result = run_service(stores, scientist, "head-to-head", job.arguments, Watched())

    recipe, trained_on = find_recipe(stores, MODEL), set()
    for version in (0, 2):
        data = split(stores.engine.read(stores.catalog.resolve(TABLE), version=version), recipe)
        values = data.train.itertuples(index=False, name=None)
        trained_on |= {(*row, label) for row, label in zip(values, data.train_target, strict=True)}
    whole = stores.engine.read(stores.catalog.resolve(TABLE), version=2).to_pylist()
    left = [row for row in whole if tuple(row.values()) not in trained_on]
    assert (result["rows"], result["left_out"]) == (len(left), 150 - len(left))
    assert 20 < len(left) < 45

    (event,) = past_comparisons(stores, scientist, SECOND)
    assert (event.action, event.outcome, event.reason) == ("model.compare", Outcome.SUCCESS, "before the request")
    assert event.after["metrics"] == result["metrics"]
    assert event.after["data"] == f"{TABLE}@2"
    assert sorted(event.after["artifacts"]) == [str(FIRST), str(SECOND)]
    assert sum(part["rows"] for part in event.after["classes"]) == len(left)
    assert {part["column"] for part in event.after["slices"]} == set(whole[0]) - {"species"}
    assert event.after["method"] == {"level": 0.95, "resamples": 10_000, "slice_resamples": 2_000, "seed": 20_261_129}

    exchanged = head_to_head(stores, scientist, SECOND, FIRST, table=TABLE, version=2).comparison.differences
    for difference in exchanged:
        logged = result["metrics"][difference.metric]
        assert (difference.first, difference.second) == (logged["second"], logged["first"])
        assert difference.difference == pytest.approx(-logged["difference"])


def test_a_table_that_neither_was_trained_on_is_compared_whole(sample_stores: Stores, scientist: Actor) -> None:
    stores = sample_stores
    _holdout(stores, region=pa.array(["north", "south", "east"] * 20))
    result = head_to_head(stores, scientist, FIRST, SECOND, table="iris_holdout", slices=["region"])
    assert (result.comparison.rows, result.left_out) == (60, 0)
    assert result.notes == (f"{FIRST} was trained on {TABLE}@0.", f"{SECOND} was trained on {TABLE}@2.")
    assert [(s.column, s.part.name, s.part.rows) for s in result.slices] == [
        ("region", name, 20) for name in ("east", "north", "south")
    ]
    again = head_to_head(stores, scientist, FIRST, SECOND, table="iris_holdout", slices=["region"])
    assert serialize(again) == serialize(result)
    accuracy = {d.metric: (d.first, d.second) for d in result.comparison.differences}["accuracy"]
    for number, key in enumerate((FIRST, SECOND)):
        options = {"model": MODEL, "model_version": key.version, "table": "iris_holdout", "into": f"scored_{number}"}
        batch = score(stores, scientist, **options)
        scored = stores.engine.read(stores.catalog.resolve(batch.into.table), version=batch.into.version)
        assert accuracy[number] == accuracy_score(scored.column("species"), scored.column("prediction"))


def test_rows_without_a_target_are_left_out(sample_stores: Stores, scientist: Actor) -> None:
    whole = sample_stores.engine.read(sample_stores.catalog.resolve(TABLE), version=2).slice(0, 60)
    species = whole.column("species").to_pylist()
    _holdout(sample_stores, species=pa.array([None] * 7 + species[7:]))
    result = head_to_head(sample_stores, scientist, FIRST, SECOND, table="iris_holdout", slices=[])
    assert (result.comparison.rows, result.left_out) == (53, 7)
    assert result.notes[0] == "7 rows have no value of species and were left out."


def test_rows_whose_target_is_not_a_number_are_left_out(sample_stores: Stores, scientist: Actor) -> None:
    whole = sample_stores.engine.read(sample_stores.catalog.resolve(DIABETES_TABLE), version=1).slice(0, 60)
    numbers = [math.nan] * 5 + [None] * 2 + whole.column("progression").to_pylist()[7:]
    rows = whole.drop_columns(["progression"]).append_column("progression", pa.array(numbers, pa.float64()))
    sample_stores.engine.write(sample_stores.catalog.place("diabetes_holdout"), rows, mode="append")
    keys = [ModelVersionKey(model="diabetes_progression", version=number) for number in (1, 2)]
    result = head_to_head(sample_stores, scientist, *keys, table="diabetes_holdout", slices=[])
    assert (result.comparison.rows, result.left_out) == (53, 7)
    assert result.notes[0] == "7 rows have no value of progression and were left out."


def test_a_training_table_of_both_versions_is_read_once(
    sample_stores: Stores, scientist: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    train(sample_stores, scientist, recipe=MODEL, table=TABLE, version=2, params={"C": 0.5})
    read, count = sample_stores.engine.read, []

    def counted(*args: Any, **options: Any) -> pa.Table:
        count.append(options["version"])
        return read(*args, **options)

    monkeypatch.setattr(sample_stores.engine, "read", counted)
    rival = ModelVersionKey(model=MODEL, version=4)
    # 105 rows are the training's share, and one test row of Fisher's data is the copy of a training row.
    assert head_to_head(sample_stores, scientist, SECOND, rival, table=TABLE, version=2, slices=[]).left_out == 106
    assert count == [2]


def test_regressions_compare_too(sample_stores: Stores, scientist: Actor) -> None:
    keys = [ModelVersionKey(model="diabetes_progression", version=number) for number in (1, 2)]
    result = head_to_head(sample_stores, scientist, *keys, table=DIABETES_TABLE, version=1, slices=["sex"])
    assert [d.metric for d in result.comparison.differences] == ["rmse", "mae", "mape", "r2"]
    assert result.comparison.mcnemar is None
    assert all(math.isfinite(d.low) and d.low <= d.difference <= d.high for d in result.comparison.differences)


def test_what_cannot_be_compared_is_refused_in_a_sentence(sample_stores: Stores, scientist: Actor) -> None:
    stores = sample_stores
    with pytest.raises(BadParameter, match=r"Both are iris_classifier/1\. Name two versions"):
        head_to_head(stores, scientist, FIRST, FIRST, table=TABLE)
    with pytest.raises(ColumnNotFound, match="has no column 'weight'"):
        head_to_head(stores, scientist, FIRST, SECOND, table=TABLE, target="weight")
    with pytest.raises(ColumnNotFound, match="has no column 'weight' to slice by"):
        head_to_head(stores, scientist, FIRST, SECOND, table=TABLE, slices=["weight"])
    with pytest.raises(SchemaMismatch, match=r"iris_classifier/1 predicts '\w+', but 'petal_width_cm' holds [\d.]+:"):
        head_to_head(stores, scientist, FIRST, SECOND, table=TABLE, target="petal_width_cm")
    rows = stores.engine.read(stores.catalog.resolve(TABLE), version=0).slice(0, 9)
    stores.engine.write(stores.catalog.place("tiny"), rows, mode="append")
    with pytest.raises(BadParameter, match=r"9 of 9 rows of tiny@0 are left .* at least 10 are needed"):
        head_to_head(stores, scientist, FIRST, SECOND, table="tiny")


def test_an_admin_may_not_compare(sample_stores: Stores, admin: Actor) -> None:
    with pytest.raises(Forbidden, match=Action.MODEL_COMPARE.value):
        head_to_head(sample_stores, admin, FIRST, SECOND, table=TABLE)


def test_a_gate_counts_only_a_comparison_of_the_present_files(sample_stores: Stores, scientist: Actor) -> None:
    lines = [
        {"gate": "not_worse_head_to_head", "metric": "accuracy", "data": f"{TABLE}@2"},
        {"gate": "same_test_rows"},
    ]
    settings = sample_stores.settings.model_copy(update={"policies": {MODEL: lines}})
    stores = replace(sample_stores, settings=settings)
    stores.models.set_stages(MODEL, {1: Stage.PRODUCTION})

    def gate() -> GateResult:
        return evaluate_gates(stores, SECOND, Stage.PRODUCTION).gates[0]

    assert not gate().passed
    assert (
        evaluate_gates(stores, SECOND, Stage.PRODUCTION)
        .gates[1]
        .detail.startswith(
            f"{SECOND} was tested on 0.3 of {TABLE}@2, drawn with the seed 0, {FIRST} on 0.3 of {TABLE}@0"
        )
    )
    head_to_head(stores, scientist, FIRST, SECOND, table=TABLE, version=2, slices=[])
    assert gate().passed, gate()
    assert f"rows of {TABLE}@2, accuracy is" in gate().detail
    (file,) = Path(unquote(urlsplit(str(stores.models.version(SECOND).source)).path)).glob("*.skops")
    with file.open("ab") as model:
        model.write(b"x")
    assert "were not compared on" in gate().detail
