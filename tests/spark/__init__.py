"""What helpers here assert is told as what tests assert is."""

import pytest

pytest.register_assert_rewrite("tests.spark.loans", "tests.spark.slow", "tests.spark.walk")
