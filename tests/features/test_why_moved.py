"""Why did the KPI move: what differs, the parts of the change, and what is refused."""

from __future__ import annotations

import math
from pathlib import Path

import pyarrow as pa
import pytest

from core.access.permissions import Action
from core.entities import Actor, ModelVersionKey, Outcome, RunStatus
from core.errors import BadParameter, ColumnNotFound, Forbidden, JobCancelled, NotReproducible
from core.features.admin.sample import DIABETES_TABLE
from core.features.admin.sample import IRIS_TABLE as TABLE
from core.features.head_to_head.head_to_head import head_to_head
from core.features.jobs.run_job import run_service
from core.features.kpi_change.result import answer, serialize, steps
from core.features.kpi_change.what_differs import what_differs
from core.features.kpi_change.why_moved import past_answers, submit_why_moved, why_moved
from core.features.stores import Stores
from core.features.training.train import train
from tests.features.test_train import Watched

MODEL = "iris_classifier"
FIRST, SECOND, THIRD, FOURTH = (ModelVersionKey(model=MODEL, version=number) for number in (1, 2, 3, 4))


def _registered_elsewhere(stores: Stores, params: dict[str, str]) -> ModelVersionKey:
    """Register the files of /3 from a run that names its data and logged only *params*."""
    known = stores.models.version(THIRD)
    tags = stores.runs.get(str(known.run_id)).tags
    data = {name: value for name, value in tags.items() if name.startswith("delta.")}
    run_id = stores.runs.start(stores.settings.experiment, "elsewhere", "somebody", data)
    stores.runs.log(run_id, params=params)
    stores.runs.end(run_id, RunStatus.FINISHED)
    return stores.models.register(MODEL, source=str(known.source), run_id=run_id, tags={}).key


def test_where_only_the_data_differs_the_whole_change_comes_from_the_data(
    sample_stores: Stores, scientist: Actor
) -> None:
    stores = sample_stores
    versions = stores.models.versions()
    commit = {"mlflow.source.git.commit": "0123456789abcdef", "modelledger.source.git.dirty": "false"}
    stores.runs.log(str(stores.models.version(FIRST).run_id), tags=commit)
    job = submit_why_moved(stores, scientist, FIRST, THIRD, repeats=2, reason="before the request")
    progress = Watched()
    result = run_service(stores, scientist, job.kind, job.arguments, progress)
    assert [step for _, step in progress.steps if step.startswith("training ")][-1] == "training 6 of 6"

    # Both models on the same rows, as head to head has them: rows that neither was trained on.
    compared = head_to_head(stores, scientist, FIRST, THIRD, table=TABLE, version=2, slices=[])
    assert (result["data"], result["rows"], result["left_out"]) == (
        f"{TABLE}@2",
        compared.comparison.rows,
        compared.left_out,
    )
    assert result["factors"] == [{"name": "data", "before": f"{TABLE}@0", "after": f"{TABLE}@2"}]
    logged = [stores.runs.get(str(stores.models.version(key).run_id)).metrics for key in (FIRST, THIRD)]
    for difference in compared.comparison.differences:
        values = result["metrics"][difference.metric]
        assert (values["first"], values["second"]) == pytest.approx((difference.first, difference.second))
        (part,) = values["parts"]
        assert part["difference"] == pytest.approx(difference.difference)
        assert part["low"] <= part["difference"] <= part["high"]
        assert values["not_explained"] == {"difference": 0.0, "low": 0.0, "high": 0.0}
        # The waterfall goes from the KPI that the first run logged to that of the second.
        whole = logged[1][difference.metric] - logged[0][difference.metric]
        assert part["difference"] + values["test_rows"] == pytest.approx(whole)

    (event,) = past_answers(stores, scientist, THIRD)
    assert (event.action, event.outcome, event.reason) == ("model.explain", Outcome.SUCCESS, "before the request")
    assert event.after["metrics"] == result["metrics"]
    assert sorted(event.after["artifacts"]) == [str(FIRST), str(THIRD)]
    assert event.after["notes"][-1].startswith("The code differs (0123456789ab → ")
    assert [entry["second"] for entry in event.after["coalitions"]] == [[], ["data"]]
    values = result["metrics"]["accuracy"]
    assert answer(event.after, "accuracy") == (
        f"Of {values['logged_difference']:+.3g} accuracy, {values['parts'][0]['difference']:+.3g} "
        f"[{values['parts'][0]['low']:+.3g}, {values['parts'][0]['high']:+.3g}] comes from data {TABLE}@0 → 2; "
        f"{values['test_rows']:+.3g} comes from different test rows."
    )
    assert [step.name for step in steps(event.after, "accuracy")] == [
        str(FIRST),
        "data",
        "not explained",
        "different test rows",
        str(THIRD),
    ]
    assert stores.models.versions() == versions


def test_a_parameter_without_effect_has_the_part_0_and_a_part_with_one_has_all(
    sample_stores: Stores, scientist: Actor
) -> None:
    train(sample_stores, scientist, recipe=MODEL, table=TABLE, version=2, params={"max_iter": 300, "C": 0.01})
    differences = what_differs(sample_stores, scientist, THIRD, FOURTH)
    assert [(factor.name, factor.before, factor.after) for factor in differences.factors] == [
        ("C", "1.0", "0.01"),
        ("max_iter", "1000", "300"),
    ]
    result = why_moved(sample_stores, scientist, THIRD, FOURTH, repeats=2)
    document = serialize(result)
    for values in document["metrics"].values():
        strength, rounds = values["parts"]
        # The solver needs far fewer than 300 iterations.
        assert (rounds["difference"], rounds["low"], rounds["high"]) == (0.0, 0.0, 0.0)
        assert strength["difference"] == pytest.approx(values["total"]["difference"])
    assert document["metrics"]["log_loss"]["parts"][0]["low"] > 0.0


def test_regressions_and_a_table_of_ones_own_are_explained_too(sample_stores: Stores, scientist: Actor) -> None:
    stores = sample_stores
    rows = stores.engine.read(stores.catalog.resolve(DIABETES_TABLE), version=1).slice(0, 90)
    noisy = [value + 0.25 for value in rows.column("bmi").to_pylist()]
    target = [math.nan] * 5 + rows.column("progression").to_pylist()[5:]
    rows = rows.drop_columns(["bmi", "progression"]).append_column("bmi", pa.array(noisy))
    stores.engine.write(
        stores.catalog.place("holdout"), rows.append_column("progression", pa.array(target)), mode="append"
    )
    keys = [ModelVersionKey(model="diabetes_progression", version=number) for number in (1, 2)]
    document = serialize(why_moved(stores, scientist, *keys, table="holdout", repeats=0))
    assert (document["data"], document["rows"], document["left_out"]) == ("holdout@0", 85, 5)
    assert list(document["metrics"]) == ["rmse", "mae", "mape", "r2"]
    with pytest.raises(ColumnNotFound, match="has no column 'progression'"):
        why_moved(stores, scientist, *keys, table=TABLE, repeats=0)


def test_code_and_environment_are_named_and_not_separated(sample_stores: Stores, scientist: Actor) -> None:
    stores = sample_stores
    commit = {"mlflow.source.git.commit": "0123456789abcdef", "modelledger.source.git.dirty": "false"}
    stores.runs.log(str(stores.models.version(FIRST).run_id), tags=commit)
    stores.runs.log(str(stores.models.version(SECOND).run_id), tags={**commit, "mlflow.source.git.commit": "fedcba987"})
    differences = what_differs(stores, scientist, FIRST, SECOND)
    assert [(d.name, d.before, d.after) for d in differences.inseparable] == [("code", "0123456789ab", "fedcba987")]
    train(stores, scientist, recipe=MODEL, table=TABLE, version=1)
    with pytest.raises(BadParameter, match=r"differ only in code \(fedcba987 → "):
        submit_why_moved(stores, scientist, SECOND, FOURTH)


def test_what_cannot_be_explained_is_refused_in_a_sentence(sample_stores: Stores, scientist: Actor) -> None:
    stores = sample_stores
    with pytest.raises(BadParameter, match=r"Both are iris_classifier/1\. Name two versions"):
        submit_why_moved(stores, scientist, FIRST, FIRST)
    regression = ModelVersionKey(model="diabetes_progression", version=1)
    with pytest.raises(BadParameter, match="is a classification and diabetes_progression/1 is a regression"):
        submit_why_moved(stores, scientist, FIRST, regression)
    with pytest.raises(BadParameter, match="0 or a number from 2 to 200, not 1"):
        submit_why_moved(stores, scientist, FIRST, THIRD, repeats=1)
    train(stores, scientist, recipe=MODEL, table=TABLE, version=2)
    with pytest.raises(BadParameter, match=r"do not differ in anything that ModelLedger records.*f1 \+0"):
        why_moved(stores, scientist, THIRD, FOURTH)
    stores.engine.write(
        stores.catalog.place("tiny"),
        stores.engine.read(stores.catalog.resolve(TABLE), version=0).slice(0, 9),
        mode="append",
    )
    with pytest.raises(BadParameter, match=r"rows of tiny@0 are left that no training used; the comparison needs 10"):
        why_moved(stores, scientist, FIRST, THIRD, table="tiny", repeats=0)

    version = stores.models.register(MODEL, source=str(stores.models.version(THIRD).source), run_id=None, tags={})
    with pytest.raises(NotReproducible, match=f"{version.key} cannot be trained again, .* The run is not in MLflow"):
        why_moved(stores, scientist, FIRST, version.key)
    for params, why in (
        ({"estimator": "pyspark.ml.classification.LogisticRegression"}, "LogisticRegression trained this version"),
        ({"depth": "3"}, "did not log estimator, target, test_fraction, seed"),
    ):
        foreign = _registered_elsewhere(stores, params)
        with pytest.raises(NotReproducible, match=f"{foreign} cannot be trained again, .*{why}"):
            why_moved(stores, scientist, FIRST, foreign)

    for folder in Path(stores.catalog.resolve(TABLE).uri.removeprefix("file://")).glob("*.parquet"):
        folder.unlink()
    with pytest.raises(NotReproducible, match=f"{FIRST} cannot be trained again, .*{TABLE}@0 can no longer be read"):
        why_moved(stores, scientist, FIRST, THIRD)


def test_a_cancelled_job_ends_and_the_log_says_so(sample_stores: Stores, scientist: Actor) -> None:
    with pytest.raises(JobCancelled):
        why_moved(sample_stores, scientist, FIRST, THIRD, repeats=2, progress=Watched(stop_at=3))
    last = sample_stores.audit.search(action=Action.MODEL_EXPLAIN.value)[0]
    assert (last.subject, last.outcome) == (str(THIRD), Outcome.FAILED)


def test_an_admin_may_not_explain(sample_stores: Stores, admin: Actor) -> None:
    with pytest.raises(Forbidden, match=Action.MODEL_EXPLAIN.value):
        why_moved(sample_stores, admin, FIRST, THIRD)


def test_other_packages_are_the_environment(
    sample_stores: Stores, scientist: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("core.learning.packaging.requirements", lambda: ("scikit-learn==1.0.2", "skops==0.16.0"))
    train(sample_stores, scientist, recipe=MODEL, table=TABLE, version=2, params={"C": 0.1})
    differences = what_differs(sample_stores, scientist, THIRD, FOURTH)
    assert [factor.name for factor in differences.factors] == ["C"]
    (environment,) = differences.inseparable
    assert environment.name == "environment"
    assert "scikit-learn==1.0.2" in environment.after
    assert "numpy –" in environment.after
