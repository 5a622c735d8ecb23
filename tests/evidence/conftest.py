"""Fixtures for evidence: days that pass."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from core.features.stores import Stores
from tests.clock import datetime_at

Day = Callable[[int], datetime]


@pytest.fixture
def day(monkeypatch: pytest.MonkeyPatch, sample_stores: Stores) -> Day:
    """day(3) makes it noon of the third day from now on: the log, requests and decisions are written then."""
    start = datetime.now(UTC).replace(hour=12, minute=0, second=0, microsecond=0) + timedelta(days=1)

    def go(number: int) -> datetime:
        now = start + timedelta(days=number)
        moved = datetime_at(lambda: now)
        for module in (
            "core.audit.log",
            "core.features.promotion.decide",
            "core.features.promotion.apply_decision",
            "core.features.scoring.score",
            "core.features.monitoring.findings",
        ):
            monkeypatch.setattr(f"{module}.datetime", moved, raising=False)
        return now

    return go
