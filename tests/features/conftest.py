"""Tests of features start on an empty workspace whose databases are up to date."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def _migrated(migrated_home: Path) -> None:
    """Each test has its own copy."""
