"""Find Java and Delta's jars for Spark, or report what to install."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from core.errors import EngineUnavailable
from core.texts import text

MIN_JAVA = 17
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
    """Return the Java command that Spark starts. Raises EngineUnavailable if there is none or it is too old."""
    home = os.environ.get("JAVA_HOME")
    java = str(Path(home) / "bin" / "java") if home else shutil.which("java")
    advice = text(
        "Install Java {oldest} (Debian: apt-get install openjdk-17-jre-headless), or set JAVA_HOME to its folder.",
        oldest=MIN_JAVA,
    )
    if home and not Path(str(java)).is_file():
        raise EngineUnavailable(
            "Spark needs Java {oldest} or newer. JAVA_HOME is {home}, which contains no java. {advice}",
            oldest=MIN_JAVA,
            home=home,
            advice=advice,
        )
    if java is None or not Path(java).is_file():
        raise EngineUnavailable(
            "Spark needs Java {oldest} or newer. There is no java on this machine's PATH. {advice}",
            oldest=MIN_JAVA,
            advice=advice,
        )
    try:
        answer = subprocess.run([java, "-version"], capture_output=True, text=True, timeout=30, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise EngineUnavailable(
            "{java} does not start: {cause}. {advice}", java=java, cause=str(error), advice=advice
        ) from error
    java_version = _VERSION.search(answer.stderr + answer.stdout)
    if java_version is None:
        raise EngineUnavailable(
            "Spark needs Java {oldest} or newer, and {java} does not report its version. {advice}",
            oldest=MIN_JAVA,
            java=java,
            advice=advice,
        )
    if int(java_version[1]) < MIN_JAVA:
        raise EngineUnavailable(
            "Spark needs Java {oldest} or newer; {java} is version {version}. {advice}",
            oldest=MIN_JAVA,
            java=java,
            version=java_version[1],
            advice=advice,
        )
    return java


def needed_jars() -> tuple[str, str]:
    """Return the ends of the names of the two jars that the installed delta-spark needs. Raises EngineUnavailable."""
    try:
        delta, spark = version("delta-spark"), version("pyspark")
    except PackageNotFoundError as error:
        raise EngineUnavailable(
            "The Spark engine needs the package {package}; install requirements.txt.", package=str(error.name)
        ) from error
    family = ".".join(spark.split(".")[:2])
    return f"{DELTA_JAR}{family}_2.13-{delta}.jar", f"delta-storage-{delta}.jar"


def jars_in(folder: str) -> str:
    """Return the jars in *folder* as Spark's comma-separated list.

    Raises EngineUnavailable if Delta's jars are missing or have another version.
    """
    path = Path(folder).expanduser()
    jars = sorted(path.glob("*.jar")) if path.is_dir() else []
    other_versions = [jar.name for jar in jars if DELTA_JAR in jar.name]
    if not _has_needed(jars) and other_versions:
        raise EngineUnavailable(
            "MODELLEDGER_SPARK_JARS names {folder}, which contains {existing} and not {needed}. Copy the jars from "
            "{source} on a machine that has started Spark once.",
            folder=folder,
            existing=", ".join(other_versions),
            needed=" and ".join(needed_jars()),
            source=str(cache_folder() / "jars"),
        )
    if not _has_needed(jars):
        raise EngineUnavailable(
            "MODELLEDGER_SPARK_JARS names {folder}, which does not contain Delta's jars. Copy the jars from {source} "
            "on a machine that has started Spark once.",
            folder=folder,
            source=str(cache_folder() / "jars"),
        )
    return ",".join(str(jar.resolve()) for jar in jars)


def delta_jars(folder: str | None) -> tuple[str, ...]:
    """Return Delta's own jars in *folder* or in the cache, without their dependencies, which Spark has itself."""
    path = Path(folder).expanduser() if folder else cache_folder() / "jars"
    return tuple(str(jar.resolve()) for jar in sorted(path.glob("*delta-*.jar")))


def cache_folder() -> Path:
    """Return ModelLedger's own folder for fetched jars: an incomplete ~/.m2 makes the resolver fail."""
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "modelledger" / "ivy"


def are_jars_cached() -> bool:
    """Return whether Delta's jars were fetched before, in the needed versions."""
    return _has_needed(cache_folder().glob("jars/*.jar"))


def _has_needed(jars: Iterable[Path]) -> bool:
    names = [jar.name for jar in jars]
    return all(any(name.endswith(needed) for name in names) for needed in needed_jars())
