"""What the command line prints for a person: what has parts is below its name, nothing is cut or run together."""

from __future__ import annotations

import json

import pytest

from core.commands.output import write_answer


@pytest.fixture(autouse=True)
def terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "60")


def shown(capsys: pytest.CaptureFixture[str], document: object) -> list[str]:
    write_answer(document, as_json=False)
    return [text.rstrip() for text in capsys.readouterr().out.splitlines()]


def test_a_record_is_one_line_for_each_key(capsys: pytest.CaptureFixture[str]) -> None:
    document = {"model": "iris/1", "code": {"commit": "ab", "branch": "main"}, "decisions": []}
    assert shown(capsys, document) == ["model      iris/1", "code       commit=ab, branch=main", "decisions  –"]


def test_a_record_too_long_for_its_line_is_laid_out_below_its_key(capsys: pytest.CaptureFixture[str]) -> None:
    document = {"run": {"id": "1" * 30, "name": "2" * 30, "code": {"commit": "3" * 50, "branch": "main"}}}
    told = ["run:", f"  id    {'1' * 30}", f"  name  {'2' * 30}", "  code:", f"    commit  {'3' * 50}"]
    assert shown(capsys, document) == [*told, "    branch  main"]


def test_records_by_name_are_a_table(capsys: pytest.CaptureFixture[str]) -> None:
    document = {"metrics": {"f1": {"logged": 0.5, "again": 0.25}, "rmse": {"logged": 2, "again": None}}}
    told = ["metrics:", "  name  logged  again", "  f1    0.5     0.25", "  rmse  2       –"]
    assert shown(capsys, document) == told


def test_records_that_hold_tables_are_below_each_other(capsys: pytest.CaptureFixture[str]) -> None:
    document = [{"name": name, "versions": [{"version": 1, "stage": "None"}]} for name in ("a", "b")]
    of_one = ["versions:", "  version  stage", "  1        None"]
    assert shown(capsys, document) == ["name      a", *of_one, "", "name      b", *of_one]


def test_an_address_longer_than_its_column_is_folded(capsys: pytest.CaptureFixture[str]) -> None:
    address = "sqlite:////" + "long/" * 20 + "mlflow.db"
    told = shown(capsys, [{"name": "mlflow", "is": address}, {"name": "home", "is": "here"}])
    assert "".join(text[6:].strip() for text in told[1:]) == f"{address}here"
    assert max(map(len, told)) <= 60


def test_one_json_document_has_it_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    document = {"metrics": {"f1": {"logged": 0.5}}, "empty": {}, "none": None}
    write_answer(document, as_json=True)
    assert json.loads(capsys.readouterr().out) == document
