"""Filters of runs: MLflow's syntax is accepted, anything else is refused with what is wrong in it."""

from __future__ import annotations

import pytest
from mlflow.utils.search_utils import SearchUtils

from core.errors import BadFilter
from core.registry.search.filters import comparison, condition, joined, parse_filter


def in_mlflow(filter_text: str) -> list[tuple[object, ...]]:
    """What MLflow itself understands."""
    parsed = SearchUtils.parse_search_filter(filter_text)
    return [(item["type"], item["key"], item["comparator"], item["value"]) for item in parsed]


@pytest.mark.parametrize(
    "written",
    [
        "",
        "metrics.rmse < 0.3 AND params.depth = '3'",
        "metric.rmse<0.3 and param.depth='3'",
        "metrics.`val loss` >= -1",
        'metrics."val/loss" != 2.50',
        "tags.mlflow.user = 'ana'",
        "tags.`mlflow.user` LIKE 'a%'",
        'params.who = "Anna\'s"',
        "params.who = ' AND metrics.f1 > 1'",
        "attributes.status = 'FINISHED' AND run_name ILIKE '%x%'",
        "start_time > 1760000000000",
        "run_id IN ('a', 'b')",
        "params.depth IS NULL AND tags.x IS NOT NULL",
        "dataset.name = 'sales'",
        "params.`a\"b` = ''",
    ],
)
def test_what_mlflow_accepts_means_the_same(written: str) -> None:
    assert in_mlflow(joined(parse_filter(written))) == in_mlflow(written)


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("metrics.val/loss < 3", "metrics.`val/loss` < 3"),
        ("metrics.f1 > 1e-3", "metrics.f1 > 0.001"),
        ("status = 'finished'", "status = 'FINISHED'"),
        ("start_time >= '2026-01-01'", "start_time >= 1767225600000"),
        ("end_time < '2026-01-01T01:00:00+01:00'", "end_time < 1767225600000"),
    ],
)
def test_what_mlflow_would_refuse_is_written_as_it_accepts_it(written: str, meant: str) -> None:
    assert in_mlflow(joined(parse_filter(written))) == in_mlflow(meant)


@pytest.mark.parametrize(
    ("written", "cause"),
    [
        ("rmse < 3", "rmse is not a field; write metrics.rmse, params.rmse or tags.rmse"),
        ("foo.bar = 1", "foo is not a kind of field"),
        ("attributes.foo = 'x'", "a run has no attribute foo"),
        ("dataset.source = 'x'", "a dataset has no field source"),
        ("metrics. < 3", "a name is missing after metrics."),
        ("params.depth = 3", "the value of params.depth is a text; write it in quotes: '3'"),
        ("metrics.rmse < 'low'", "metrics.rmse is compared with a number, and 'low' is not one"),
        ("metrics.rmse < '3'", "metrics.rmse is compared with a number"),
        ("metrics.rmse < nan", "metrics.rmse is compared with a number"),
        ("metrics.rmse == 3", "== is not an operator; write = or !="),
        ("metrics.f1 LIKE 3", "metrics.f1 cannot be compared by LIKE"),
        ("params.depth > '3'", "params.depth cannot be compared by >"),
        ("metrics.rmse", "an operator is missing after metrics.rmse"),
        ("metrics.rmse <", "a value is missing after metrics.rmse <"),
        ("metrics.rmse < 3 AND", "a condition is missing after AND"),
        ("params.x = 'a' metrics.y > 1", "AND is missing before metrics.y"),
        ("metrics.a b > 1", "an operator is missing after metrics.a"),
        ("metrics.f1 > 1 OR metrics.f1 < 0", "OR is not possible"),
        ("(metrics.f1 > 1)", "brackets around conditions are not possible"),
        ("NOT metrics.f1 > 1", "NOT is only possible in"),
        ("params.x = 'a", "the quote before the value of params.x is not closed"),
        ("params.x = 'it''s'", "a text with one kind of quotes inside is written in the other kind"),
        ("0.5 < metrics.f1", "0.5 is not a field; write a field first"),
        ("'x' = params.x", "'x' is not a field"),
        ("status = 'done'", "'done' is not a status; there are SCHEDULED, RUNNING"),
        ("start_time > 'yesterday'", "start_time is compared with a time such as '2026-03-31'"),
        ("run_id IN 'a'", "the values of run_id are written in brackets"),
        ("run_id IN ('a'", "the bracket after run_id is not closed"),
        ("params.x IS EMPTY", "NULL is missing after IS"),
        ("metrics.f1 > 1; DROP TABLE runs", "AND is missing before ;"),
        ("params.x = 'a' -- c", "AND is missing before --"),
    ],
)
def test_a_filter_that_is_not_valid_says_what_is_wrong_in_one_sentence(written: str, cause: str) -> None:
    with pytest.raises(BadFilter) as caught:
        parse_filter(written)
    assert cause in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "value", ["x' OR tags.a = 'b", 'x" AND metrics.f1 > "0', "a AND b", "--", "%' LIKE '%", "", "`"]
)
def test_a_value_stays_one_value(value: str) -> None:
    assert in_mlflow(joined([condition("params.p", "=", value)])) == [("parameter", "p", "=", value)]


@pytest.mark.parametrize("name", ["a b", "a'b", "x = 'y' AND z", "a.b-c/d", 'q"q', "metrics.x"])
def test_a_name_stays_one_name(name: str) -> None:
    assert in_mlflow(joined([condition(f"metrics.{name}", "<", "1")])) == [("metric", name, "<", "1")]


@pytest.mark.parametrize(
    ("kind", "written", "meant"),
    [
        ("metrics", "rmse < 0.3", "metrics.rmse < 0.3"),
        ("metrics", "val/loss>=2", "metrics.`val/loss` >= 2"),
        ("params", "depth=3", "params.depth = '3'"),
        ("params", "a b != x = y", "params.`a b` != 'x = y'"),
        ("params", "depth = '3'", "params.depth = '3'"),
        ("tags", "team ilike %Risk%", "tags.team ILIKE '%Risk%'"),
        ("tags", "team IS NULL", "tags.team IS NULL"),
    ],
)
def test_a_comparison_without_quotes_is_one_condition(kind: str, written: str, meant: str) -> None:
    assert in_mlflow(joined([comparison(kind, written)])) == in_mlflow(meant)


def test_a_comparison_without_operator_is_refused() -> None:
    with pytest.raises(BadFilter, match="'rmse' is not a comparison; write NAME = VALUE"):
        comparison("metrics", "rmse")
