"""Fixtures for evidence: days that pass."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from tests.clock import datetime_at

Day = Callable[[int], datetime]


# Where the time is read when the log, requests and decisions are written.
_CLOCKS = (
    "core.audit.log",
    "core.features.promotion.decide",
    "core.features.promotion.apply_decision",
    "core.features.scoring.score",
    "core.features.monitoring.findings",
    "core.features.history.moment",
)


@pytest.fixture(scope="session")
def tomorrow() -> datetime:
    """Noon of the day from which days are counted, the same for a whole run."""
    return datetime.now(UTC).replace(hour=12, minute=0, second=0, microsecond=0) + timedelta(days=1)


@pytest.fixture
def day(monkeypatch: pytest.MonkeyPatch, tomorrow: datetime) -> Day:
    """day(3) makes it noon of the third day from now on: the log, requests and decisions are written then."""
    return days(monkeypatch, tomorrow)


def days(monkeypatch: pytest.MonkeyPatch, start: datetime) -> Day:
    """The same for a fixture of a wider scope."""

    def go(number: int) -> datetime:
        now = start + timedelta(days=number)
        moved = datetime_at(lambda: now)
        for module in _CLOCKS:
            monkeypatch.setattr(f"{module}.datetime", moved, raising=False)
        return now

    return go
