"""Spark is chosen on a machine that cannot run it: every page says so in one sentence and goes on; doctor says so."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from core.bootstrap import open_stores
from core.cli import main
from core.commands import options
from core.entities import Actor
from core.errors import EngineUnavailable
from core.features.scoring.score import score
from core.settings import load_settings
from tests.pages.conftest import ROOT, Opened, said

PAGES = sorted(path.stem for path in (ROOT / "pages").glob("*.py"))


@dataclass(frozen=True)
class Lack:
    """What a machine lacks; *make* arranges it, *told* begins the sentence and *advice* is in it."""

    make: Callable[[Path, pytest.MonkeyPatch], None]
    told: str
    advice: str


def no_java_home(folder: Path, environment: pytest.MonkeyPatch) -> None:
    environment.setenv("JAVA_HOME", str(folder / "nothing"))


def nothing_on_the_path(folder: Path, environment: pytest.MonkeyPatch) -> None:
    environment.delenv("JAVA_HOME", raising=False)
    environment.setenv("PATH", str(folder))


def java_of(version: str) -> Callable[[Path, pytest.MonkeyPatch], None]:
    def make(folder: Path, environment: pytest.MonkeyPatch) -> None:
        program = folder / "jdk" / "bin" / "java"
        program.parent.mkdir(parents=True)
        program.write_text(f"#!/bin/sh\necho 'openjdk version \"{version}\" 2022-01-18' >&2\n")
        program.chmod(0o755)
        environment.setenv("JAVA_HOME", str(folder / "jdk"))

    return make


def empty_jars(folder: Path, environment: pytest.MonkeyPatch) -> None:
    java_of("17.0.9")(folder, environment)
    (folder / "jars").mkdir()
    environment.setenv("MODELLEDGER_SPARK_JARS", str(folder / "jars"))


INSTALL = "Install Java 17 (Debian: apt-get install openjdk-17-jre-headless), or set JAVA_HOME to its folder."
LACKS = {
    "JAVA_HOME is wrong": Lack(no_java_home, "Spark needs Java 17 or newer. JAVA_HOME is ", INSTALL),
    "no java": Lack(
        nothing_on_the_path, "Spark needs Java 17 or newer. There is no java on this machine's PATH.", INSTALL
    ),
    "java is old": Lack(java_of("11.0.2"), "Spark needs Java 17 or newer; ", f"bin/java is version 11. {INSTALL}"),
    "no jars": Lack(
        empty_jars, "MODELLEDGER_SPARK_JARS names ", "which does not contain Delta's jars. Copy the jars from "
    ),
}


@pytest.fixture(params=LACKS.values(), ids=LACKS.keys())
def lack(request: pytest.FixtureRequest, sample: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lack:
    """The sample workspace with Spark as its engine, on such a machine."""
    lack: Lack = request.param
    lack.make(tmp_path, monkeypatch)
    monkeypatch.setenv("MODELLEDGER_ENGINE", "spark")
    monkeypatch.setenv("MODELLEDGER_SPARK_MASTER", "local[*]")
    return lack


def test_every_page_says_what_is_missing_and_goes_on(lack: Lack, opened: Opened) -> None:
    for page in PAGES:
        test = opened(page, "admin" if page == "admin" else "scientist")
        assert not test.exception, page
        banner = test.warning[0].value.replace("\\", "")
        assert banner.startswith(lack.told), page
        assert lack.advice in banner, page
        assert "Traceback" not in said(test), page
        assert test.title, page


def test_rows_that_are_asked_for_are_refused_with_the_same_sentence(lack: Lack, opened: Opened) -> None:
    test = opened("tables", "scientist", tables_table="iris_training_data", tables_tab="Rows")
    assert not test.exception
    # The banner, and where the rows would be (and in the tab that compares rows).
    assert sum(lack.told in one.value.replace("\\", "") for one in test.warning) > 1
    # The history is read from the log, without Spark.
    history = opened("tables", "scientist", tables_table="iris_training_data", tables_tab="History")
    assert 3 in [len(frame.value) for frame in history.dataframe]


def test_doctor_says_so_in_one_line_and_ends_with_1(
    lack: Lack, opened: Opened, capfd: pytest.CaptureFixture[str]
) -> None:
    options.get_stores.cache_clear()
    assert main(["doctor", "--json"]) == 1
    out, err = capfd.readouterr()
    assert "Traceback" not in out + err
    (engine,) = [check for check in json.loads(out) if check["name"] == "engine"]
    assert not engine["ok"]
    assert engine["advice"].startswith(lack.told)
    assert len(engine["advice"].splitlines()) == 1
    assert main(["show", "iris_training_data@0"]) == 1
    out, err = capfd.readouterr()
    assert err.startswith(lack.told) or lack.told in err
    assert (err.count("\n"), "Traceback" in err) == (1, False)
    options.get_stores.cache_clear()


def test_a_service_refuses_with_the_sentence_and_writes_nothing(lack: Lack, scientist: Actor) -> None:
    stores = open_stores(load_settings())
    with pytest.raises(EngineUnavailable) as refused:
        score(stores, scientist, model="iris_classifier", model_version=1, table="iris_training_data", into="guessed")
    assert str(refused.value).startswith(lack.told)
    assert "guessed" not in {table.name for table in stores.catalog.tables()}
