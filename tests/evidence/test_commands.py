"""Evidence by the command line: heads, verification against a file, dossiers and bundles."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from core.cli import main
from core.commands.options import get_stores
from core.features.stores import Stores
from tests.evidence.by_hand import by_hand

Out = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def _stores_of_this_test(sample_stores: Stores) -> Iterator[None]:
    get_stores.cache_clear()
    yield
    get_stores.cache_clear()


def test_a_head_is_kept_in_a_file_and_the_log_verified_against_it(
    sample_stores: Stores, tmp_path: Path, capsys: Out
) -> None:
    file = tmp_path / "head.txt"
    assert main(["audit", "head", str(file), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["note"] in file.read_text(encoding="utf-8")
    assert main(["audit", "verify", "--against", str(file), "--json"]) == 0
    verdict = json.loads(capsys.readouterr().out)
    assert (verdict["ok"], verdict["first_broken"]) == (True, None)
    assert verdict["signed_head"]
    by_hand(sample_stores, f"DELETE FROM heads; DELETE FROM events WHERE sequence > {told['events'] - 4}")
    assert main(["audit", "verify", "--json"]) == 0  # the chain alone does not see it
    capsys.readouterr()
    assert main(["audit", "verify", "--against", str(file), "--json"]) == 1
    verdict = json.loads(capsys.readouterr().out)
    assert (verdict["ok"], verdict["first_broken"]) == (False, told["events"] - 3)


def test_a_head_is_printed_where_no_file_is_named(capsys: Out) -> None:
    assert main(["audit", "head"]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith("Head of the audit log")
    assert main(["audit", "key", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["key"] in printed


def test_a_file_that_cannot_be_read_or_written_is_one_line(tmp_path: Path, capsys: Out) -> None:
    for command in (
        ["audit", "verify", "--against", str(tmp_path / "none.txt")],
        ["audit", "head", str(tmp_path / "no" / "folder.txt")],
        ["dossier", "iris_classifier/1", str(tmp_path / "no" / "folder.pdf")],
        ["dossier", "iris_classifier/99", str(tmp_path / "d.pdf")],
        ["verify-bundle", str(tmp_path / "none.zip")],
        ["bundle", "iris_classifier/1", str(tmp_path / "b.zip"), "--as", "scientist"],
    ):
        assert main(command) == 1, command
        said = capsys.readouterr().err
        assert said.count("\n") == 1
        assert "Traceback" not in said


def test_dossier_and_bundle_are_written_and_the_bundle_holds(tmp_path: Path, capsys: Out) -> None:
    for name, start in (("d.pdf", b"%PDF"), ("d.html", b"<!doctype html>"), ("b.zip", b"PK")):
        command = "bundle" if name == "b.zip" else "dossier"
        assert main([command, "iris_classifier/1", str(tmp_path / name), "--json"]) == 0
        assert (tmp_path / name).read_bytes().startswith(start)
        assert json.loads(capsys.readouterr().out)["bytes"] == (tmp_path / name).stat().st_size
    key = tmp_path / "key.txt"
    assert main(["audit", "key", "--json"]) == 0
    key.write_text(json.loads(capsys.readouterr().out)["key"] + "\n")
    assert main(["verify-bundle", str(tmp_path / "b.zip"), "--key", str(key), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["ok"] is True
