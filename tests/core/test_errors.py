"""Errors: a message is made from its template and values; a library's error is quoted by its first line."""

from __future__ import annotations

import pickle

import pytest

from core.errors import BadFile, TableNotFound, VersionNotFound, first_line


def test_message_is_made_from_template_and_values() -> None:
    error = VersionNotFound("{table} has no version {requested}; it has {last:,}.", table="sales", requested=99, last=0)
    assert str(error) == "sales has no version 99; it has 0."
    assert error.template == "{table} has no version {requested}; it has {last:,}."
    assert error.values == {"table": "sales", "requested": 99, "last": 0}
    assert error.requested == 99  # type: ignore[attr-defined]


def test_doubled_brace_of_a_template_with_values_is_one_brace() -> None:
    assert str(BadFile("Write {{}} in {file}.", file="a.json")) == "Write {} in a.json."


def test_template_without_values_is_used_as_it_is() -> None:
    assert str(BadFile("Write {} or {{}}.")) == "Write {} or {{}}."


def test_braces_of_a_value_are_kept() -> None:
    assert str(TableNotFound("There is no table {table}.", table="{0} {{x}}")) == "There is no table {0} {{x}}."


def test_formatted_message_with_braces_from_data_is_not_formatted_again() -> None:
    for name in ("{table}", "{missing}", "{", "}}", "{table.__class__}"):
        assert str(TableNotFound(f"There is no table {name}.", table=name)) == f"There is no table {name}."


def test_error_keeps_template_and_values_between_processes() -> None:
    error = pickle.loads(pickle.dumps(TableNotFound("There is no table {table}.", table="{x}")))
    assert (str(error), error.template, error.table) == (
        "There is no table {x}.",
        "There is no table {table}.",
        "{x}",
    )


@pytest.mark.parametrize(
    ("message", "line"),
    [
        ("Cast failed.\n  at row 3", "Cast failed"),
        ("\n\n  two blank lines before  \nmore", "two blank lines before"),
        ("", "ValueError"),
        ("<urllib3.connection.HTTPConnection object at 0x7f3a>: refused", "refused"),
        ("x" * 500, "x" * 399 + "…"),
    ],
)
def test_first_line_of_an_error(message: str, line: str) -> None:
    assert first_line(ValueError(message)) == line
