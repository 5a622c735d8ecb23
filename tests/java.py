"""The Java of tests on Spark: looked for once, told that it lives minutes, ended where no test on Spark follows."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator

import pytest

from core.delta.spark import java as spark_java
from core.errors import EngineUnavailable

# Compiling for hours to come, and collecting in parallel, costs such a process more than it gives. Read by every java
# command, so also by servers and executors.
SHORT_LIFE = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC -XX:-UsePerfData"


@pytest.fixture(scope="session")
def java() -> Iterator[None]:
    """Without Java a test is skipped with what to install, except under CI=true."""
    try:
        spark_java.require_java()
    except EngineUnavailable as error:
        if os.environ.get("CI") == "true":
            raise
        pytest.skip(str(error))
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("JDK_JAVA_OPTIONS", SHORT_LIFE)
        yield


def end_java() -> None:
    """Ends this process's Spark session, if it has one: its files share it, the rest is spared its memory."""
    if "core.delta.spark.session" in sys.modules:
        from core.delta.spark import session

        session.close()
