"""A home that cannot be used, on the command line: one line that says what to do, no traceback; doctor says it too."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import Answer, Command

ROOT = Path(__file__).resolve().parents[2]
# The rights of the file system hold for root too, once it may not overrule them.
AS_ANYBODY = ("setpriv", "--inh-caps=-dac_override", "--bounding-set=-dac_override") if os.geteuid() == 0 else ()


@pytest.fixture
def taken(tmp_path: Path) -> Path:
    (tmp_path / "taken").touch()
    return tmp_path / "taken"


@pytest.fixture
def theirs(tmp_path: Path) -> Path:
    (tmp_path / "theirs").mkdir(mode=0o555)
    return tmp_path / "theirs"


def by_anybody(home: Path, *arguments: str) -> Answer:
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("MODELLEDGER_", "MLFLOW_"))}
    done = subprocess.run(
        [*AS_ANYBODY, sys.executable, "-m", "core", *arguments],
        cwd=ROOT,
        env=kept | {"MODELLEDGER_HOME": str(home)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    return Answer(done.returncode, done.stdout, done.stderr)


def refused(answer: Answer, *says: str) -> None:
    assert (answer.code, answer.out) == (1, "")
    assert answer.err.count("\n") == 1
    assert all(said in answer.err for said in says), answer.err


def told_by_doctor(answer: Answer, home: Path) -> None:
    assert answer.code == 1
    assert "Traceback" not in answer.err
    checks = {check["name"]: check for check in answer.json}
    assert checks["home"]["ok"] is False
    assert "MODELLEDGER_HOME" in checks["home"]["advice"]
    assert checks["MODELLEDGER_HOME"]["detail"] == str(home)


@pytest.mark.parametrize("below", ["", "home"])
def test_a_file_is_no_home_and_none_is_below_it(
    command: Command, taken: Path, monkeypatch: pytest.MonkeyPatch, below: str
) -> None:
    home = taken / below if below else taken
    monkeypatch.setenv("MODELLEDGER_HOME", str(home))
    for arguments in (("tables",), ("demo",), ("audit", "verify")):
        refused(command(*arguments, "--json"), "MODELLEDGER_HOME", str(home), "another folder")
    told_by_doctor(command("doctor", "--json"), home)


def test_a_home_of_a_user_who_is_not_there_is_no_home(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODELLEDGER_HOME", "~no_such_user_here/home")
    for arguments in (("tables",), ("doctor",)):
        refused(command(*arguments, "--json"), "MODELLEDGER_HOME", "~no_such_user_here", "another folder")


def test_a_home_that_may_not_be_made_is_no_home(theirs: Path) -> None:
    refused(by_anybody(theirs / "home", "tables", "--json"), "MODELLEDGER_HOME", "another folder")
    told_by_doctor(by_anybody(theirs / "home", "doctor", "--json"), theirs / "home")


def test_a_home_that_may_only_be_read_is_no_home(theirs: Path) -> None:
    refused(by_anybody(theirs, "tables", "--json"), f"{theirs}/modelledger.db", "is writable")
    told_by_doctor(by_anybody(theirs, "doctor", "--json"), theirs)
