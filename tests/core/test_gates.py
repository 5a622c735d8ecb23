"""Gates: what lets a version through, what does not, and in which words."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from typing import Any

import pytest

from core.entities import (
    Agreement,
    Comparison,
    Fact,
    GateNumbers,
    GateResult,
    Identity,
    IdentityVerdict,
    Readability,
    ReadVerdict,
    Stage,
    TableVersion,
    Task,
)
from core.errors import BadSettings
from core.features.promotion.gate_evidence import Evidence
from core.features.promotion.gates import (
    GATES,
    ArtifactSafe,
    AtLeast,
    AtMost,
    BetterThanProduction,
    DataReadable,
    DataRecorded,
    EnoughTestRows,
    Gate,
    KpisLogged,
    NoHighFinding,
    NotBelowProduction,
    RowsNotShrunk,
    StageChanges,
    passes,
)
from core.features.promotion.policy import AllOf, check_policies, policy_for

READABLE = ReadVerdict(verdict=Readability.READABLE, reason="all 3 data files are there")
VACUUMED = ReadVerdict(verdict=Readability.FILES_VACUUMED, reason="1 of 3 data files was vacuumed")
# What MLflow gives back for an infinity.
MLFLOW_INFINITY = 1.7976931348623157e308


# Where a policy does not speak of artifacts.
SAFE = "artifact runs no code on load"


def evidence(metrics: dict[str, float] | None = None, against: dict[str, float] | None = None, **more: Any) -> Evidence:
    facts: dict[str, Any] = {
        "candidate": "iris/3",
        "stage": Stage.NONE,
        "to": Stage.PRODUCTION,
        "metrics": metrics if metrics is not None else {"precision": 0.9, "f1": 0.9},
        "production": "iris/2" if against is not None else None,
        "production_metrics": against or {},
        "data": TableVersion(table="iris_training_data", version=0),
        "verdict": READABLE,
        "artifact_format": "skops",
        "is_artifact_safe": True,
    }
    return Evidence(**(facts | more))


@pytest.mark.parametrize(
    ("gate", "metrics", "against", "passed"),
    [
        (NotBelowProduction("precision"), {"precision": 0.95}, {"precision": 0.90}, True),
        (NotBelowProduction("precision"), {"precision": 0.90}, {"precision": 0.90}, True),
        (NotBelowProduction("precision"), {"precision": 0.89}, {"precision": 0.90}, False),
        (NotBelowProduction("precision", 0.02), {"precision": 0.89}, {"precision": 0.90}, True),
        (NotBelowProduction("precision", 0.02), {"precision": 0.87}, {"precision": 0.90}, False),
        (NotBelowProduction("precision", 0.02), {"precision": 0.88}, {"precision": 0.90}, True),
        (NotBelowProduction("rmse"), {"rmse": 50.0}, {"rmse": 55.0}, True),
        (NotBelowProduction("rmse"), {"rmse": 56.0}, {"rmse": 55.0}, False),
        (NotBelowProduction("log_loss"), {"log_loss": 0.3}, {"log_loss": 0.2}, False),
        (NotBelowProduction("mae"), {"mae": 0.0}, {"mae": 0.0}, True),
        (NotBelowProduction("mape", 0.1), {"mape": 0.25}, {"mape": 0.2}, True),
        (BetterThanProduction("f1"), {"f1": 0.91}, {"f1": 0.90}, True),
        (BetterThanProduction("f1"), {"f1": 0.90}, {"f1": 0.90}, False),
        (BetterThanProduction("f1", 0.05), {"f1": 0.91}, {"f1": 0.90}, False),
        (BetterThanProduction("f1", 0.1), {"f1": 0.9}, {"f1": 0.8}, True),
        (BetterThanProduction("rmse", 5), {"rmse": 49.0}, {"rmse": 55.0}, True),
        (BetterThanProduction("rmse", 5), {"rmse": 51.0}, {"rmse": 55.0}, False),
        (AtLeast("precision", 0.9), {"precision": 0.9}, None, True),
        (AtLeast("precision", 0.9), {"precision": 0.899}, None, False),
        (AtMost("rmse", 55), {"rmse": 55.0}, None, True),
        (AtMost("rmse", 55), {"rmse": 55.1}, None, False),
        (EnoughTestRows(30), {"TestRows": 30.0}, None, True),
        (EnoughTestRows(30), {"TestRows": 29.0}, None, False),
        (RowsNotShrunk(), {"TrainRows": 70.0, "TestRows": 30.0}, {"TrainRows": 70.0, "TestRows": 30.0}, True),
        (RowsNotShrunk(), {"TrainRows": 69.0, "TestRows": 30.0}, {"TrainRows": 70.0, "TestRows": 30.0}, False),
        (RowsNotShrunk(0.1), {"TrainRows": 63.0, "TestRows": 27.0}, {"TrainRows": 70.0, "TestRows": 30.0}, True),
        (KpisLogged(), {"rmse": 1.0}, None, True),
        (KpisLogged(), {"TrainRows": 105.0, "TestRows": 45.0}, None, False),
    ],
)
def test_gate_holds_or_not(
    gate: Gate, metrics: dict[str, float], against: dict[str, float] | None, passed: bool
) -> None:
    assert gate.check(evidence(metrics, against)).passed is passed


METRIC_GATES: list[Gate] = [
    NotBelowProduction("precision"),
    BetterThanProduction("precision"),
    AtLeast("precision", 0.5),
    AtMost("precision", 0.5),
]


@pytest.mark.parametrize("gate", METRIC_GATES, ids=lambda gate: gate.name)
@pytest.mark.parametrize(
    "metrics",
    [{}, {"precision": math.nan}, {"precision": math.inf}, {"precision": -math.inf}, {"precision": MLFLOW_INFINITY}],
    ids=["missing", "NaN", "inf", "-inf", "MLflow's inf"],
)
def test_metric_without_a_value_fails_and_is_named(gate: Gate, metrics: dict[str, float]) -> None:
    result = gate.check(evidence(metrics, {"precision": 0.5}))
    assert not result.passed
    assert "iris/3 has no precision" in result.detail


@pytest.mark.parametrize("gate", [NotBelowProduction("f1"), BetterThanProduction("f1")], ids=lambda gate: gate.name)
def test_production_without_the_metric_fails_the_comparison(gate: Gate) -> None:
    result = gate.check(evidence({"f1": 0.99}, {"f1": math.nan}))
    assert not result.passed
    assert "iris/2 in Production has no f1" in result.detail


@pytest.mark.parametrize(
    "gate", [NotBelowProduction("f1"), BetterThanProduction("f1", 0.5), RowsNotShrunk()], ids=lambda gate: gate.name
)
def test_where_nothing_serves_yet_a_comparison_passes_and_says_so(gate: Gate) -> None:
    result = gate.check(evidence({"f1": 0.4, "TrainRows": 7, "TestRows": 3}))
    assert result.passed
    assert "No version is in Production to compare with" in result.detail


def test_detail_of_a_comparison_has_both_numbers_and_the_direction() -> None:
    result = NotBelowProduction("rmse").check(evidence({"rmse": 53.25}, {"rmse": 55.5}))
    assert result == GateResult(
        name="rmse not worse than Production",
        passed=True,
        detail="rmse is 53.25, and 55.5 for iris/2; lower is better.",
        numbers=GateNumbers(kpi="rmse", bound=55.5, is_most=True),
    )


@pytest.mark.parametrize(
    ("gate", "numbers"),
    [
        (AtLeast("f1", 0.8), GateNumbers(kpi="f1", bound=0.8)),
        (AtMost("rmse", 60), GateNumbers(kpi="rmse", bound=60, is_most=True)),
        (NotBelowProduction("f1", 0.25), GateNumbers(kpi="f1", bound=0.5)),
        (BetterThanProduction("f1", 0.125), GateNumbers(kpi="f1", bound=0.875)),
        (BetterThanProduction("rmse", 5.5), GateNumbers(kpi="rmse", bound=50, is_most=True)),
        (NotBelowProduction("accuracy"), None),
        (StageChanges(), None),
    ],
)
def test_numbers_are_the_bound_of_the_kpi(gate: Gate, numbers: GateNumbers | None) -> None:
    seen = evidence({"f1": 0.5, "rmse": 53.25}, {"f1": 0.75, "rmse": 55.5})
    result = gate.check(seen)
    assert result.numbers == numbers
    assert GateResult.from_record(json.loads(json.dumps(result.record))) == result


def test_record_of_an_earlier_version_has_no_numbers() -> None:
    record = {"name": "f1 at least 0.8", "passed": True, "detail": "f1 is 0.9; at least 0.8 is required."}
    result = GateResult.from_record(record)
    assert result.numbers is None
    assert result.record == record


def test_version_that_is_there_already_does_not_pass() -> None:
    result = StageChanges().check(evidence(stage=Stage.PRODUCTION))
    assert (result.passed, result.detail) == (False, "iris/3 is already in Production.")


def test_data_version_zero_is_a_version() -> None:
    assert DataRecorded().check(evidence()).detail == "Trained on iris_training_data@0."
    assert DataReadable().check(evidence()).passed


@pytest.mark.parametrize(
    ("gate", "facts", "words"),
    [
        (DataRecorded(), {"data": None}, "records no data version"),
        (DataRecorded(), {"run_problem": "Run r of iris/3 was deleted."}, "was deleted"),
        (DataReadable(), {"data": None, "verdict": None}, "No data version"),
        (DataReadable(), {"verdict": VACUUMED}, "1 of 3 data files was vacuumed"),
        (ArtifactSafe(), {"artifact_format": "pickle", "is_artifact_safe": False}, "pickle"),
        (NoHighFinding(), {"findings": ("metric changed (finding ab12)",)}, "Open: metric changed (finding ab12)."),
        (ArtifactSafe(allow=("onnx",)), {"artifact_format": "pickle", "is_artifact_safe": False}, "pickle"),
    ],
)
def test_what_cannot_be_seen_fails(gate: Gate, facts: dict[str, Any], words: str) -> None:
    result = gate.check(evidence(**facts))
    assert not result.passed
    assert words in result.detail


ANOTHER_TABLE = Identity(
    verdict=IdentityVerdict.ANOTHER_TABLE,
    comparisons=(
        Comparison(
            fact=Fact.TABLE_ID, recorded="a", now="b", agreement=Agreement.CONTRADICTS, detail="It is another table."
        ),
    ),
)


def with_content(agreement: Agreement, verdict: IdentityVerdict) -> Identity:
    content = Comparison(fact=Fact.CONTENT, recorded="c", now="c", agreement=agreement)
    return Identity(verdict=verdict, comparisons=(*ANOTHER_TABLE.comparisons, content))


def test_another_table_of_the_same_name_is_not_the_readable_data() -> None:
    result = DataReadable().check(replace(evidence(), identities=(ANOTHER_TABLE,)))
    assert (result.passed, result.detail) == (False, "It is another table.")


def test_gate_on_content_passes_a_copy_and_fails_without_a_hash() -> None:
    gate = DataReadable(check_content=True)
    assert not gate.check(evidence()).passed
    unknown = with_content(Agreement.UNKNOWN, IdentityVerdict.UNPROVEN)
    assert "no content SHA-256" in gate.check(replace(evidence(), identities=(unknown,))).detail
    copy = gate.check(replace(evidence(), identities=(with_content(Agreement.AGREES, IdentityVerdict.SAME_ROWS),)))
    assert copy.passed
    assert "It is another table." in copy.detail


def test_policy_may_allow_a_format_by_its_name() -> None:
    unsafe = evidence(artifact_format="cloudpickle", is_artifact_safe=False)
    assert ArtifactSafe(allow=("cloudpickle",)).check(unsafe).passed


def test_a_candidate_that_nothing_is_found_about_passes() -> None:
    assert NoHighFinding().check(evidence()).detail == "No such finding is open about iris/3."


def test_empty_policy_lets_nothing_through() -> None:
    results = AllOf(()).check(evidence())
    assert not passes(results)
    assert "no gates" in results[0].detail
    assert not passes(())


def test_one_gate_that_fails_fails_the_policy_and_all_are_told() -> None:
    results = AllOf((StageChanges(), AtLeast("f1", 0.99), DataReadable())).check(evidence())
    assert [result.passed for result in results] == [True, False, True]
    assert not passes(results)


def names(policy: AllOf) -> list[str]:
    return [gate.name for gate in policy.gates]


def test_default_policy_compares_what_the_task_measures() -> None:
    common = [
        "stage changes",
        "data version recorded",
        "data still readable",
        "artifact runs no code on load",
        "no high finding open",
    ]
    assert names(policy_for("m", Stage.PRODUCTION, Task.CLASSIFICATION, {})) == [
        *common,
        "precision not worse than Production",
        "f1 not worse than Production",
    ]
    assert names(policy_for("m", Stage.PRODUCTION, Task.REGRESSION, {})) == [*common, "rmse not worse than Production"]
    assert names(policy_for("m", Stage.PRODUCTION, None, {})) == [*common, "KPIs logged"]


def test_own_policy_wins_over_that_of_all_models() -> None:
    policies = {"*": [{"gate": "data_readable"}], "iris": [{"gate": "at_least", "metric": "f1", "bound": 0.9}]}
    assert names(policy_for("iris", Stage.PRODUCTION, None, policies)) == ["f1 at least 0.9", SAFE]
    assert names(policy_for("other", Stage.PRODUCTION, None, policies)) == ["data still readable", SAFE]


def test_empty_policy_in_settings_is_a_policy_and_lets_nothing_through() -> None:
    assert not passes(policy_for("m", Stage.PRODUCTION, None, {"m": []}).check(evidence()))


@pytest.mark.parametrize("to", [Stage.STAGING, Stage.ARCHIVED, Stage.NONE])
def test_other_stages_than_production_ask_only_for_a_change(to: Stage) -> None:
    assert names(policy_for("m", to, Task.CLASSIFICATION, {"m": []})) == ["stage changes"]


EXAMPLES: dict[str, dict[str, Any]] = {
    "not_below_production": {"metric": "f1", "tolerance": 0.01},
    "better_than_production": {"metric": "f1", "by": 0.01},
    "at_least": {"metric": "f1", "bound": 0.9},
    "at_most": {"metric": "rmse", "bound": 60},
    "enough_test_rows": {"rows": 30},
    "rows_not_shrunk": {"by": 0.1},
    "artifact_safe": {"allow": ["pickle"]},
}


@pytest.mark.parametrize("name", GATES)
def test_every_gate_can_be_written_in_settings(name: str) -> None:
    gate, *safe = policy_for("m", Stage.PRODUCTION, None, {"m": [{"gate": name, **EXAMPLES.get(name, {})}]}).gates
    assert [one.name for one in safe] == ([] if name == "artifact_safe" else [SAFE])
    assert isinstance(gate, GATES[name])
    assert all(
        getattr(gate, key) in (value, tuple(value) if isinstance(value, list) else value)
        for key, value in EXAMPLES.get(name, {}).items()
    )


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ({"gate": "at_least"}, "must be a list of gates"),
        ("strict", "must be a list of gates"),
        ([{"gate": "accuracy"}], "is not a valid gate"),
        ([{"metric": "f1"}], "is not a valid gate"),
        (["data_readable"], "is not a valid gate"),
        ([{"gate": "at_least", "metric": "f1"}], "takes metric, bound"),
        ([{"gate": "data_recorded", "bound": 1}], "takes nothing"),
        ([{"gate": "data_readable", "check_content": 1}], "must be true or false"),
        ([{"gate": "at_least", "metric": "f1", "bound": "0.9"}], "bound of gate 'at_least' of 'm' must be a number"),
        ([{"gate": "at_least", "metric": "f1", "bound": True}], "must be a number"),
        ([{"gate": "at_least", "metric": "f1", "bound": math.nan}], "must be a number"),
        ([{"gate": "at_least", "metric": "", "bound": 1}], "must be a name"),
        ([{"gate": "enough_test_rows", "rows": 1.5}], "must be a whole number"),
        ([{"gate": "artifact_safe", "allow": "pickle"}], "must be a list of names"),
    ],
)
def test_policy_that_cannot_be_used_is_told_in_one_sentence(lines: Any, words: str) -> None:
    with pytest.raises(BadSettings, match="MODELLEDGER_POLICIES") as caught:
        check_policies({"fine": [{"gate": "data_readable"}], "m": lines})
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_comparison_of_a_metric_of_unknown_direction_fails_until_the_policy_tells() -> None:
    values, baseline = {"custom_7": 2.0}, {"custom_7": 0.2}
    unknown = NotBelowProduction("custom_7").check(evidence(values, baseline))
    assert not unknown.passed
    assert '"better": "lower" or "higher"' in unknown.detail
    assert NotBelowProduction("custom_7", better="higher").check(evidence(values, baseline)).passed
    assert not NotBelowProduction("custom_7", better="lower").check(evidence(values, baseline)).passed
    assert BetterThanProduction("custom_7", by=1.5, better="higher").check(evidence(values, baseline)).passed
    assert not BetterThanProduction("custom_7").check(evidence(values, baseline)).passed


def test_loss_by_another_name_does_not_pass_when_it_grew() -> None:
    for name in ("validation_0-logloss", "val/loss", "valid_0-l2", "latency_ms"):
        assert not NotBelowProduction(name).check(evidence({name: 2.0}, {name: 0.2})).passed


def test_policy_takes_the_direction_of_a_metric() -> None:
    line = {"gate": "not_below_production", "metric": "custom_7", "better": "lower"}
    check_policies({"churn": [line]})
    with pytest.raises(BadSettings, match='"lower" or "higher"'):
        check_policies({"churn": [{**line, "better": "smaller"}]})
