"""Errors: a message is made from its template and values; a library's error is quoted by its first line."""

from __future__ import annotations

import ast
import pickle
from pathlib import Path
from string import Formatter

import pytest

from core import errors
from core.errors import BadFile, CoreError, TableNotFound, VersionNotFound, first_line


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


def test_first_argument_of_an_error_with_values_is_a_template() -> None:
    names = {name for name, value in vars(errors).items() if isinstance(value, type) and issubclass(value, CoreError)}
    problems, checked = [], 0
    for folder in ("core", "pages"):
        for file in sorted(Path(folder).rglob("*.py")):
            for call in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
                if not (isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id in names):
                    continue
                if not call.args or not call.keywords:
                    continue
                checked += 1
                template, given = call.args[0], {keyword.arg for keyword in call.keywords}
                if not (isinstance(template, ast.Constant) and isinstance(template.value, str)):
                    problems.append(f"{file}:{call.lineno}: not a literal")
                elif None not in given:  # ** passes values that only the call itself shows
                    fields = {field for _, field, _, _ in Formatter().parse(template.value) if field is not None}
                    problems += [f"{file}:{call.lineno}: no value for {field}" for field in sorted(fields - given)]
    assert not problems
    assert checked > 200


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
