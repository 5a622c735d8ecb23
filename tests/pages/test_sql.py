"""The page SQL: any version by address, what was read is said, and what is refused is told in a sentence."""

from __future__ import annotations

import pytest

from core.features.stores import Stores
from tests.pages.conftest import Opened, said


def test_address_holds_the_query_and_the_versions_read_are_said(opened: Opened, sample_stores: Stores) -> None:
    test = opened("sql", sql_query="SELECT count(*) AS n FROM iris_training_data VERSION AS OF 0")
    assert not test.error
    assert list(test.dataframe[0].value["n"]) == [50]
    plain = said(test).replace("\\", "").replace("\u2060", "")
    assert "1 row · read from iris_training_data@0" in plain


def test_two_columns_of_one_name_are_both_shown(opened: Opened, sample_stores: Stores) -> None:
    test = opened("sql", sql_query="SELECT 1 AS a, 2 AS a FROM iris_training_data LIMIT 1")
    assert not test.exception
    assert test.dataframe[0].value.to_numpy().tolist() == [[1, 2]]


@pytest.mark.parametrize(
    ("sql", "says"),
    [
        ("DROP TABLE iris_training_data", "Write one SELECT"),
        ("SELECT * FROM iris_training_data@v1", "VERSION AS OF"),
        ("SELECT * FROM nowhere", "no table 'nowhere'"),
        ("SELECT * FROM iris_training_data VERSION AS OF 99", "version 99 was requested"),
        ("SELECT * FROM read_csv('/etc/passwd')", "Table functions are not supported here"),
        ("SELECT colour FROM iris_training_data", "colour"),
        ("SELECT '<b>' FROM", "The SQL cannot be parsed"),
    ],
)
def test_what_cannot_be_run_is_told_in_a_sentence(opened: Opened, sample_stores: Stores, sql: str, says: str) -> None:
    test = opened("sql", sql_query=sql)
    assert not test.exception
    assert any(says in one.value.replace("\\", "") for one in test.error)
    assert not test.dataframe
