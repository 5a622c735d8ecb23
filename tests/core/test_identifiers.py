"""Names and texts keep their characters on the way through SQL, as the databases themselves read them."""

from __future__ import annotations

import duckdb
import pytest
import sqlglot

from core.identifiers import quote_ansi, quote_spark, quote_spark_text

NAMES = ["plain", "two words", 'a "quoted" one', "a `quoted` one", "it's", "a.b", "x; DROP TABLE t --", "back\\slash"]


@pytest.mark.parametrize("name", NAMES)
def test_name_is_one_column_in_duckdb(name: str) -> None:
    assert duckdb.sql(f"SELECT 1 AS {quote_ansi(name)}").columns == [name]


@pytest.mark.parametrize("name", NAMES)
def test_name_is_one_column_in_spark(name: str) -> None:
    (column,) = sqlglot.parse_one(f"SELECT {quote_spark(name)}", read="spark").expressions
    assert column.name == name


@pytest.mark.parametrize("text", NAMES)
def test_text_is_one_literal_in_spark(text: str) -> None:
    (literal,) = sqlglot.parse_one(f"SELECT {quote_spark_text(text)}", read="spark").expressions
    assert (literal.is_string, literal.name) == (True, text)
