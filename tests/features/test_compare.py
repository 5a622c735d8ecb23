"""Compare runs: differences, their direction, and unusual runs."""

from __future__ import annotations

import math

import pytest

from core.entities import Actor, Role, RunStatus, Stage
from core.errors import Forbidden, RunNotFound
from core.features.runs.compare import Direction, compare_runs, direction
from core.features.runs.search import RunQuery, search_runs
from core.features.stores import Stores


def make_run(
    stores: Stores,
    metrics: dict[str, float],
    *,
    data: int | None = 0,
    params: dict[str, object] | None = None,
    model: str | None = "m",
    name: str = "run",
) -> str:
    """A finished run, registered as the next version of *model*."""
    tags = {} if data is None else {"delta.table": "sales", "delta.version": str(data)}
    run_id = stores.runs.start("compare", name, "scientist", tags)
    stores.runs.log(run_id, params=params or {}, metrics=metrics)
    if model is not None:
        stores.models.register(model, source=f"s3://nowhere/{run_id}", run_id=run_id, tags=tags)
    stores.runs.end(run_id, RunStatus.FINISHED)
    return run_id


def test_deltas_are_against_the_production_run_and_have_a_direction(stores: Stores, auditor: Actor) -> None:
    base = make_run(stores, {"rmse": 10.0, "r2": 0.5, "TrainRows": 70})
    other = make_run(stores, {"rmse": 8.5, "r2": 0.4, "TrainRows": 90})
    stores.models.set_stages("m", {1: Stage.PRODUCTION})
    found = compare_runs(stores, auditor, [other, base])
    assert found.baseline is not None
    assert found.baseline.run_id == base
    assert found.baseline_reason == "m/1 is in Production"
    assert found.deltas[other] == pytest.approx({"rmse": -1.5, "r2": -0.1, "TrainRows": 20})
    assert found.directions[other] == {
        "rmse": Direction.BETTER,
        "r2": Direction.WORSE,
        "TrainRows": Direction.UNKNOWN,
    }
    assert set(found.directions[base].values()) == {Direction.SAME, Direction.UNKNOWN}
    assert [version.version for version in found.versions[other]] == [2]


def test_differing_names_are_separated_from_shared_ones(stores: Stores, auditor: Actor) -> None:
    one = make_run(stores, {"f1": 0.5, "nan": math.nan}, params={"seed": 0, "C": 1})
    two = make_run(stores, {"f1": 0.5, "nan": math.nan, "extra": 1.0}, params={"seed": 0, "C": 2, "late": "x"})
    found = compare_runs(stores, auditor, [one, two])
    assert found.differing_params == ("C", "late")
    assert found.differing_metrics == ("extra",)
    assert set(found.params) == {"seed", "C", "late"}


def test_a_single_run_differs_from_its_baseline(stores: Stores, auditor: Actor) -> None:
    base, one = make_run(stores, {"f1": 0.5}, params={"C": 1}), make_run(stores, {"f1": 0.6}, params={"C": 1})
    assert compare_runs(stores, auditor, [one]).differing_metrics == ()
    assert compare_runs(stores, auditor, [one], baseline=base).differing_metrics == ("f1",)


def test_values_that_are_not_finite_have_no_delta_and_are_noted(stores: Stores, auditor: Actor) -> None:
    base = make_run(stores, {"f1": 0.5, "log_loss": 0.2})
    odd = make_run(stores, {"f1": math.nan, "log_loss": math.inf})
    found = compare_runs(stores, auditor, [odd], baseline=base)
    assert found.deltas[odd] == {}
    assert found.notes[odd] == ("no finite value of f1, log_loss",)
    assert found.baseline_reason == "chosen by you"


def test_a_run_without_a_data_version_is_noted(stores: Stores, auditor: Actor) -> None:
    run_id = make_run(stores, {"f1": 0.5}, data=None)
    found = compare_runs(stores, auditor, [run_id])
    assert found.notes[run_id] == ("no data version was logged",)


def test_a_deleted_run_is_compared_and_noted(stores: Stores, auditor: Actor) -> None:
    from mlflow import MlflowClient

    gone = make_run(stores, {"f1": 0.4})
    kept = make_run(stores, {"f1": 0.5})
    MlflowClient(stores.settings.tracking_uri).delete_run(gone)
    stores.models.set_stages("m", {1: Stage.PRODUCTION})
    found = compare_runs(stores, auditor, [kept, gone])
    assert "deleted in MLflow" in found.notes[gone]
    assert found.deltas[kept]["f1"] == pytest.approx(0.1)


def test_a_failed_run_says_why(stores: Stores, auditor: Actor) -> None:
    run_id = stores.runs.start("compare", "bad", "scientist", {"delta.table": "t", "delta.version": "0"})
    stores.runs.end(run_id, RunStatus.FAILED, "one class only")
    assert compare_runs(stores, auditor, [run_id]).notes[run_id] == ("failed: one class only",)


@pytest.mark.parametrize("kind", ["nothing in Production", "not registered", "run erased"])
def test_a_missing_baseline_has_a_reason(stores: Stores, auditor: Actor, kind: str) -> None:
    one = make_run(stores, {"f1": 0.5}, model=None if kind == "not registered" else "m")
    ids, expected = [one], ""
    if kind == "nothing in Production":
        expected = "m has no version in Production"
    elif kind == "not registered":
        expected = "none of these runs was registered as a model"
    else:
        stores.models.register("m", source="s3://nowhere/x", run_id="f" * 32, tags={})
        stores.models.set_stages("m", {2: Stage.PRODUCTION})
        expected = "the run of m/2, which is in Production, is not in MLflow"
    found = compare_runs(stores, auditor, ids)
    assert found.baseline is None
    assert expected in found.baseline_reason
    assert all(not deltas for deltas in found.deltas.values())


def test_runs_of_several_models_have_the_baseline_of_their_own_model(stores: Stores, auditor: Actor) -> None:
    bases = {model: make_run(stores, {"f1": value}, model=model) for model, value in (("m", 0.5), ("n", 0.8))}
    for model in bases:
        stores.models.set_stages(model, {1: Stage.PRODUCTION})
    of_m, of_n = make_run(stores, {"f1": 0.6}, model="m"), make_run(stores, {"f1": 0.6}, model="n")
    found = compare_runs(stores, auditor, [of_m, of_n])
    assert found.baseline is None
    assert found.baseline_reason == "m/1 is in Production; n/1 is in Production"
    assert found.deltas[of_m]["f1"] == pytest.approx(0.1)
    assert found.deltas[of_n]["f1"] == pytest.approx(-0.2)


def test_runs_that_do_not_exist_are_all_named(stores: Stores, auditor: Actor) -> None:
    run_id = make_run(stores, {"f1": 0.5})
    with pytest.raises(RunNotFound) as caught:
        compare_runs(stores, auditor, [run_id, "a" * 32, "b" * 32])
    assert caught.value.values["missing"] == ("a" * 32, "b" * 32)


def test_a_run_that_is_requested_twice_is_shown_once(stores: Stores, auditor: Actor) -> None:
    run_id = make_run(stores, {"f1": 0.5})
    assert len(compare_runs(stores, auditor, [run_id, run_id]).runs) == 1


@pytest.mark.parametrize(
    ("metric", "delta", "expected"),
    [
        ("f1", 0.1, Direction.BETTER),
        ("f1", -0.1, Direction.WORSE),
        ("log_loss", -0.1, Direction.BETTER),
        ("mape", 0.1, Direction.WORSE),
        ("f1", 0.0, Direction.SAME),
        ("f1", math.nan, Direction.UNKNOWN),
        ("f1", None, Direction.UNKNOWN),
        ("TestRows", 5.0, Direction.UNKNOWN),
    ],
)
def test_direction(metric: str, delta: float | None, expected: Direction) -> None:
    assert direction(metric, delta) is expected


def test_runs_are_listed_by_data_version(stores: Stores, auditor: Actor) -> None:
    zero = make_run(stores, {}, data=0)
    make_run(stores, {}, data=1)
    page = search_runs(stores, auditor, RunQuery(table="sales", version=0))
    assert [run.run_id for run in page.runs] == [zero]
    (data,) = page.runs[0].data
    assert (data.table, data.version) == ("sales", 0)


def test_an_actor_without_a_role_sees_no_runs(stores: Stores) -> None:
    nobody = Actor(name="nobody", roles=frozenset[Role]())
    with pytest.raises(Forbidden):
        search_runs(stores, nobody)
    with pytest.raises(Forbidden):
        compare_runs(stores, nobody, ["a" * 32])


def test_reasons_of_many_models_name_those_in_production_and_count_the_others(stores: Stores, auditor: Actor) -> None:
    ids = [make_run(stores, {"f1": 0.5}, model=f"m{number}") for number in range(8)]
    stores.models.set_stages("m7", {1: Stage.PRODUCTION})
    reasons = compare_runs(stores, auditor, ids).baseline_reason.split("; ")
    assert reasons[:2] == ["m7/1 is in Production", "m0 has no version in Production"]
    assert (len(reasons), reasons[-1]) == (6, "3 more models")
