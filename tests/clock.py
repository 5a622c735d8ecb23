"""A clock for tests: datetime, whose now is what the test says."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime


def datetime_at(moment: Callable[[], datetime]) -> type[datetime]:
    """datetime to put into a module in place of its own; now() is asked of *moment* each time."""

    class Moved(datetime):
        @classmethod
        def now(cls, tz: object = None) -> datetime:  # type: ignore[override]
            return moment()

    return Moved
