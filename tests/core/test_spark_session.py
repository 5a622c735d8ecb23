"""What stands between this machine and a Spark session, without Java: jars, a master that is silent, a lost server."""

from __future__ import annotations

import gc
import socket
import warnings
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from core.delta.spark import java as spark_java
from core.delta.spark import session
from core.delta.spark.engine import SparkEngine
from core.delta.spark.errors import translate
from core.delta.spark.session import SparkSettings
from core.errors import EngineUnavailable

DELTA, STORAGE = spark_java.needed_jars()


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of fetched jars, empty; Java is there and ends at once, as it does where a package is not found."""
    java = tmp_path / "jdk" / "bin" / "java"
    java.parent.mkdir(parents=True)
    java.write_text('#!/bin/sh\n[ "$1" = -version ] && echo \'openjdk version "17.0.9"\' >&2 && exit 0\nexit 1\n')
    java.chmod(0o755)
    monkeypatch.setenv("JAVA_HOME", str(tmp_path / "jdk"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    jars = tmp_path / "cache" / "modelledger" / "ivy" / "jars"
    jars.mkdir(parents=True)
    return jars


def test_jars_that_are_not_fetched_yet_are_told_with_what_the_first_use_needs(cache: Path) -> None:
    found = SparkEngine("local[*]").check()
    assert "Delta's jars are not fetched yet: the first use needs a package registry" in found
    assert "MODELLEDGER_SPARK_JARS" in found


def test_fetched_jars_count_in_the_version_that_is_needed(cache: Path) -> None:
    (cache / "io.delta_delta-spark_4.0_2.13-4.0.0.jar").touch()
    (cache / "io.delta_delta-storage-4.0.0.jar").touch()
    assert not spark_java.are_jars_cached()
    (cache / f"io.delta_{DELTA}").touch()
    assert not spark_java.are_jars_cached(), "a fetch that broke off"
    (cache / f"io.delta_{STORAGE}").touch()
    assert spark_java.are_jars_cached()
    assert "not fetched" not in SparkEngine("local[*]").check()


def test_folder_with_jars_of_another_version_says_which_it_holds_and_which_are_needed(cache: Path) -> None:
    for name in ("delta-spark_4.0_2.13-4.0.0.jar", "delta-storage-4.0.0.jar"):
        (cache / name).touch()
    with pytest.raises(EngineUnavailable, match=r"which contains delta-spark_4.0_2.13-4.0.0.jar and not") as refused:
        SparkEngine("local[*]", jars=str(cache)).check()
    assert DELTA in str(refused.value)


def why_not(engine: SparkEngine) -> str:
    """Why no session opens. Pyspark leaves the pipe of a Java that ended open: it is collected here, without a word."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        try:
            _ = engine.session
        except EngineUnavailable as error:
            return str(error)
        finally:
            gc.collect()
            gc.collect()
    raise AssertionError("a session without Java")


@pytest.mark.parametrize("left", [[], ["io.delta_delta-spark_4.0_2.13-4.0.0.jar"], [f"io.delta_{DELTA}"]])
def test_fetch_that_failed_is_told_in_one_sentence(cache: Path, left: list[str]) -> None:
    for name in left:
        (cache / name).touch()
    told = why_not(SparkEngine("local[*]"))
    assert told.startswith("Spark could not fetch Delta's jars from the package registry. ")
    assert "MODELLEDGER_SPARK_JARS" in told
    assert "\n" not in told


def test_java_that_ends_although_the_jars_are_there_is_not_blamed_on_the_registry(cache: Path) -> None:
    for name in (DELTA, STORAGE):
        (cache / f"io.delta_{name}").touch()
    told = why_not(SparkEngine("local[*]"))
    assert "its Java process ended at once" in told
    assert "registry" not in told


@pytest.mark.parametrize("kind", ["spark", "sc"])
def test_master_that_does_not_answer_is_told_with_its_address(cache: Path, kind: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound and not listening: nobody answers, and nobody else can
        master = f"{kind}://127.0.0.1:{taken.getsockname()[1]}"
        for ask in (SparkEngine(master).check, lambda: SparkEngine(master).session):
            with pytest.raises(EngineUnavailable, match=f"No Spark answers at {master}") as refused:
                ask()
            assert "change MODELLEDGER_SPARK_MASTER" in str(refused.value)


@pytest.fixture
def lost_server() -> Iterator[list[str]]:
    """A Connect session that is open; what is asked of its server is written down."""
    asked: list[str] = []

    class Session(SimpleNamespace):
        release_session_on_close = True

        def stop(self) -> None:
            asked.append("release" if self.release_session_on_close else "close")

    session._open = (SparkSettings(master="sc://127.0.0.1:1"), Session())
    yield asked
    session._open = None


def test_server_that_is_lost_is_not_asked_to_release_its_session(lost_server: list[str]) -> None:
    """Spark asks for more than half a minute before it believes that nobody answers; the work did that once already."""
    found = translate(ConnectionError("Connection refused"))
    assert type(found) is EngineUnavailable
    assert lost_server == ["close"]


def test_server_that_is_there_is_told_that_its_session_ends(lost_server: list[str]) -> None:
    session.close()
    assert lost_server == ["release"]
