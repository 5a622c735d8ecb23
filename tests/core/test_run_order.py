"""The order of runs."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta

import pytest

from core.entities import Run, RunStatus
from core.errors import BadFilter
from core.registry.search.order import RunOrder, parse_order

NEW = datetime(2026, 11, 1, tzinfo=UTC)


def run(name: str, *, age_h: int = 0, seconds: float | None = None, f1: float | None = None, depth: str = "") -> Run:
    started = NEW - timedelta(hours=age_h)
    return Run(
        run_id=name,
        name=name,
        experiment="e",
        status=RunStatus.FINISHED,
        started=started,
        ended=None if seconds is None else started + timedelta(seconds=seconds),
        user="u",
        params={"depth": depth} if depth else {},
        metrics={} if f1 is None else {"f1": f1},
        tags={},
        data=None,
    )


def names(order: str, *runs: Run) -> str:
    return "".join(found.name for found in parse_order(order).sorted(runs))


def test_undefined_values_come_after_numbers_and_absent_ones_last_in_both_directions() -> None:
    runs = (run("a", f1=math.nan), run("b"), run("c", f1=0.2), run("d", f1=math.inf), run("e", f1=0.9))
    assert names("metrics.f1 ASC", *runs) == "cedab"
    assert names("metrics.f1 DESC", *runs) == "decab"


def test_equal_values_stay_newest_first() -> None:
    runs = (run("a", f1=1), run("b", age_h=1, f1=1), run("c", age_h=2, f1=2))
    assert names("metrics.f1", *runs) == "abc"
    assert names("metrics.f1 desc", *runs) == "cab"


def test_params_that_are_numbers_are_compared_as_numbers() -> None:
    runs = (run("a", depth="10"), run("b", depth="9"), run("c", depth="auto"))
    assert names("params.depth ASC", *runs) == "bac"


def test_runs_are_ordered_by_duration_start_and_name() -> None:
    runs = (run("b", seconds=5), run("a", age_h=1, seconds=50), run("c", age_h=2))
    assert names("duration DESC", *runs) == "abc"
    assert names("attributes.start_time ASC", *runs) == "cab"
    assert names("name", *runs) == "abc"


@pytest.mark.parametrize(
    ("written", "field", "ascending"),
    [
        ("metrics.rmse ASC", "metrics.rmse", True),
        ("metric.`val loss` desc", "metrics.val loss", False),
        ("metrics.val/loss", "metrics.val/loss", True),
        ("tags.mlflow.user DESC", "tags.mlflow.user", False),
        ("Created DESC", "start_time", False),
        ("run_name", "name", True),
    ],
)
def test_an_order_is_written_as_in_mlflow(written: str, field: str, ascending: bool) -> None:
    order = parse_order(written)
    assert order == RunOrder(field=field, ascending=ascending)
    assert parse_order(str(order)) == order


@pytest.mark.parametrize("written", ["", "rmse", "metrics.f1 down", "foo.bar ASC", "metrics."])
def test_an_order_that_does_not_exist_is_refused_with_the_orders_that_do(written: str) -> None:
    with pytest.raises(BadFilter, match=r"is not an order of runs.*start_time.*metrics\.rmse ASC"):
        parse_order(written)
