"""How many rows one call to MLflow requests."""

from __future__ import annotations

from core.registry.search.call_size import CallSize


def test_fast_answers_lead_to_500_rows_a_call_and_slow_ones_to_fewer() -> None:
    size = CallSize()
    assert size.rows == 100
    for _ in range(5):
        size.adapt(size.rows, size.rows * 0.0005)  # 0.5 ms a run
    assert size.rows == 500
    size.adapt(500, 5.0)  # a busy server: 10 ms a run
    assert size.rows == 40
    size.adapt(40, 60.0)
    assert size.rows == 20


def test_the_last_page_says_nothing_about_the_next_unless_it_was_slow() -> None:
    size = CallSize()
    size.adapt(3, 0.03)
    assert size.rows == 100
    size.adapt(30, 3.0)
    assert size.rows == 20
