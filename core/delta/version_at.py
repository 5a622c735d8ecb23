"""The version of a table at an earlier time, by the times of its commits."""

from __future__ import annotations

from datetime import datetime

from core.delta.engine import DeltaEngine
from core.entities import Table
from core.errors import VersionNotFound

# The newest commits are read first, then so many times as many.
_FIRST, _TIMES = 100, 10


def version_at(engine: DeltaEngine, table: Table, time: datetime, *, shown: str = "") -> int:
    """Return the newest version that was committed by *time*; *shown* is the time as a person wrote it.

    A commit's time comes from its writer's clock or from its file; Delta makes the times of a table rise.

    Raises:
        VersionNotFound: the oldest commit in the log is later.
    """
    limit = _FIRST
    while True:
        commits = engine.history(table, limit=limit)
        version = next((commit.version for commit in commits if commit.timestamp <= time), None)
        if version is not None or len(commits) < limit:
            break
        limit *= _TIMES
    if version is None:
        raise VersionNotFound(
            "{table} had no version at {time}. Its oldest known version is of {oldest:%Y-%m-%d %H:%M:%S} UTC.",
            table=table.name,
            time=shown or f"{time:%Y-%m-%d %H:%M:%S} UTC",
            oldest=commits[-1].timestamp,
        )
    if version == commits[0].version:
        return engine.latest_version(table)  # refused if a commit after this one is missing
    return version
