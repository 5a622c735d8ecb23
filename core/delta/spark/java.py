"""The Java that Spark runs on, and Delta's jars: found, or one sentence that says what to install."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from core.errors import EngineUnavailable

OLDEST_JAVA = 17
DELTA_JAR = "delta-spark_"

# Transitive dependencies of delta-spark that pip's pyspark already ships: 27 MB to fetch instead of 174.
SHIPPED_WITH_PYSPARK = (
    "org.apache.hadoop:hadoop-client-api",
    "org.apache.hadoop:hadoop-client-runtime",
    "org.apache.parquet:parquet-hadoop",
    "org.apache.logging.log4j:log4j-slf4j2-impl",
    "org.apache.logging.log4j:log4j-api",
    "org.apache.logging.log4j:log4j-core",
    "org.slf4j:slf4j-api",
    "com.fasterxml.jackson.core:jackson-databind",
    "com.fasterxml.jackson.datatype:jackson-datatype-jdk8",
    "org.roaringbitmap:RoaringBitmap",
    "com.google.code.findbugs:jsr305",
)

_VERSION = re.compile(r'version "(\d+)')


def require_java() -> str:
    """The Java command that Spark will start. Raises EngineUnavailable where there is none or it is too old."""
    home = os.environ.get("JAVA_HOME")
    java = str(Path(home) / "bin" / "java") if home else shutil.which("java")
    advice = f"Install Java {OLDEST_JAVA} (Debian: apt-get install openjdk-17-jre-headless) or point JAVA_HOME at one."
    if java is None or not Path(java).is_file():
        where = f"JAVA_HOME is {home}, but no java is in it." if home else "No java is on this machine's PATH."
        raise EngineUnavailable(f"Spark needs Java {OLDEST_JAVA} or newer. {where} {advice}")
    try:
        answer = subprocess.run([java, "-version"], capture_output=True, text=True, timeout=30, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise EngineUnavailable(f"{java} does not start: {error}. {advice}") from error
    found = _VERSION.search(answer.stderr + answer.stdout)
    if found is None or int(found[1]) < OLDEST_JAVA:
        told = found[1] if found else "a version that it does not tell"
        raise EngineUnavailable(f"Spark needs Java {OLDEST_JAVA} or newer; {java} is {told}. {advice}")
    return java


def needed_jars() -> tuple[str, str]:
    """How the names of the two jars end that this Python's pyspark and delta-spark need. Raises EngineUnavailable."""
    try:
        delta, spark = version("delta-spark"), version("pyspark")
    except PackageNotFoundError as error:
        raise EngineUnavailable(
            f"The Spark engine needs the package {error.name}; install requirements.txt."
        ) from error
    family = ".".join(spark.split(".")[:2])
    return f"{DELTA_JAR}{family}_2.13-{delta}.jar", f"delta-storage-{delta}.jar"


def jars_in(folder: str) -> str:
    """Delta's jars in *folder* as Spark's comma-separated list.

    Raises EngineUnavailable if they are not there, or are those of another version.
    """
    place = Path(folder).expanduser()
    jars = sorted(place.glob("*.jar")) if place.is_dir() else []
    if not _are_all_among(jars):
        others = [jar.name for jar in jars if DELTA_JAR in jar.name]
        holds = f"holds {', '.join(others)} and not" if others else "does not hold Delta's jars"
        wanted = f" {' and '.join(needed_jars())}" if others else ""
        raise EngineUnavailable(
            f"MODELLEDGER_SPARK_JARS names {folder}, which {holds}{wanted}; copy the jars of "
            f"{cache_folder() / 'jars'} on a machine that has started Spark once."
        )
    return ",".join(str(jar.resolve()) for jar in jars)


def delta_jars(folder: str | None) -> tuple[str, ...]:
    """Delta's own jars in *folder* or among the fetched ones, without what they need, of which Spark has newer ones."""
    place = Path(folder).expanduser() if folder else cache_folder() / "jars"
    return tuple(str(jar.resolve()) for jar in sorted(place.glob("*delta-*.jar")))


def cache_folder() -> Path:
    """Where fetched jars are kept: a folder of our own, since a half-filled ~/.m2 makes the resolver fail."""
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "modelledger" / "ivy"


def are_jars_cached() -> bool:
    """Whether Delta's jars were fetched before, in the versions that are needed now."""
    return _are_all_among(cache_folder().glob("jars/*.jar"))


def _are_all_among(jars: Iterable[Path]) -> bool:
    names = [jar.name for jar in jars]
    return all(any(name.endswith(needed) for name in names) for needed in needed_jars())
