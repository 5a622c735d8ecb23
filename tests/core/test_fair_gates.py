"""Gates on a fair comparison, on comparisons written by hand."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from core.entities import Stage
from core.errors import BadSettings
from core.features.promotion.fair_gates import (
    FAIR_GATES,
    BetterHeadToHead,
    NoSliceWorse,
    NotWorseHeadToHead,
    SameTestRows,
)
from core.features.promotion.gate_evidence import Evidence
from core.features.promotion.policy import policy_for

DATA = "iris_holdout@2"


def _values(difference: float, low: float, high: float, verdict: str) -> dict[str, Any]:
    return {
        "first": 0.8,
        "second": 0.8 + difference,
        "difference": difference,
        "low": low,
        "high": high,
        "verdict": verdict,
    }


def _comparison(verdict: str = "better", slices: tuple[tuple[str, int, float], ...] = ()) -> dict[str, Any]:
    return {
        "first": "iris/1",
        "second": "iris/2",
        "data": DATA,
        "rows": 400,
        "metrics": {"precision": _values(0.04, 0.01, 0.07, verdict)},
        "slices": [
            {"column": "region", "name": name, "rows": rows, "metrics": {"precision": _values(by, by, by, "better")}}
            for name, rows, by in slices
        ],
    }


def _evidence(*comparisons: dict[str, Any]) -> Evidence:
    return Evidence(
        candidate="iris/2",
        stage=Stage.NONE,
        to=Stage.PRODUCTION,
        metrics={},
        production="iris/1",
        production_key="iris/1",
        comparisons=comparisons,
    )


@pytest.mark.parametrize(
    ("verdict", "better", "not_worse"),
    [
        ("better", True, True),
        ("no difference shown", False, True),
        ("worse", False, False),
        ("undefined", False, False),
    ],
)
def test_the_interval_decides(verdict: str, better: bool, not_worse: bool) -> None:
    evidence = _evidence(_comparison(verdict))
    result = BetterHeadToHead(metric="precision", data=DATA).check(evidence)
    assert (result.passed, result.name) == (better, f"precision better than Production's on {DATA}")
    assert result.detail == (
        f"On 400 rows of {DATA}, precision is 0.84, and 0.8 for iris/1: difference +0.04, 95 % interval [+0.01, +0.07]."
    )
    assert NotWorseHeadToHead(metric="precision", data=DATA).check(evidence).passed is not_worse


def test_the_newest_comparison_on_the_named_rows_counts() -> None:
    other = {**_comparison("better"), "data": "other@1"}
    evidence = _evidence(other, _comparison("worse"), _comparison("better"))
    assert not BetterHeadToHead(metric="precision", data=DATA).check(evidence).passed
    assert BetterHeadToHead(metric="precision", data="other@1").check(evidence).passed


@pytest.mark.parametrize("name", [name for name in FAIR_GATES if name != "same_test_rows"])
def test_without_a_comparison_every_gate_fails_and_says_what_to_do(name: str) -> None:
    gate = FAIR_GATES[name](metric="precision", data=DATA)  # type: ignore[call-arg]
    result = gate.check(_evidence())
    assert not result.passed
    assert f"`head-to-head iris/1 iris/2 --table {DATA}`" in result.detail
    assert gate.check(replace(_evidence(), production=None)).passed
    missing = FAIR_GATES[name](metric="recall", data=DATA)  # type: ignore[call-arg]
    assert (
        missing.check(_evidence(_comparison())).detail == f"The comparison on {DATA} has no recall; it has precision."
    )


@pytest.mark.parametrize(
    ("slices", "passed"),
    [
        ((("north", 40, 0.01), ("south", 50, -0.02)), True),
        ((("north", 40, 0.01), ("south", 50, -0.0201)), False),
        ((("north", 40, 0.01), ("south", 30, -0.5)), True),
        ((("north", 30, 0.5),), False),
    ],
)
def test_only_slices_of_more_rows_count(slices: tuple[tuple[str, int, float], ...], passed: bool) -> None:
    gate = NoSliceWorse(metric="precision", data=DATA, rows=30, by=0.02)
    result = gate.check(_evidence(_comparison(slices=slices)))
    assert result.passed is passed, result
    assert result.detail


def test_a_policy_names_these_gates() -> None:
    lines = [{"gate": "no_slice_worse", "metric": "precision", "data": DATA, "rows": 20, "by": 0.01}]
    policy = policy_for("iris", Stage.PRODUCTION, None, {"iris": lines})
    assert policy.gates[0] == NoSliceWorse(metric="precision", data=DATA, rows=20, by=0.01)
    with pytest.raises(BadSettings, match="takes metric, data"):
        policy_for("iris", Stage.PRODUCTION, None, {"iris": [{"gate": "better_head_to_head"}]})


@pytest.mark.parametrize(
    ("candidate", "production", "passed"),
    [("0.3 of iris@2", "0.3 of iris@2", True), ("0.3 of iris@2", "0.3 of iris@0", False), (None, None, False)],
)
def test_kpis_compare_only_on_the_same_test_rows(candidate: str | None, production: str | None, passed: bool) -> None:
    evidence = replace(_evidence(), test_rows=candidate, production_test_rows=production)
    result = SameTestRows().check(evidence)
    assert result.passed is passed
    assert (candidate or "unknown rows") in result.detail
    assert SameTestRows().check(replace(evidence, production=None)).passed
