"""Eight processes that promote at once: never two in Production, exactly one at the end, and every loser is told."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from core.bootstrap import open_stores
from core.entities import Actor, RequestStatus, Stage
from core.services.reconcile import differences
from core.services.stores import Stores
from core.settings import load_settings
from tests.services.promoting import MODEL

ROOT = Path(__file__).resolve().parent.parent.parent
PROCESSES, ROUNDS = 8, 3


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def team_stores(request: pytest.FixtureRequest, sample_stores: Stores, monkeypatch: pytest.MonkeyPatch) -> Stores:
    """The sample workspace, its log, decisions and jobs on either database."""
    if request.param == "sqlite":
        return sample_stores
    server = request.getfixturevalue("postgres")
    monkeypatch.setenv("MODELLEDGER_DATABASE_URL", server.new_database())
    return open_stores(load_settings(home=sample_stores.settings.home))


def test_one_version_is_in_production_whatever_happens_at_once(team_stores: Stores, auditor: Actor) -> None:
    command = [sys.executable, "-m", "tests.services.promoting", str(team_stores.settings.home)]
    promoters = [
        subprocess.Popen(
            [*command, str(number), str(ROUNDS)], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        for number in range(PROCESSES)
    ]
    most, looks = watch(team_stores, lambda: any(promoter.poll() is None for promoter in promoters))
    answers = [promoter.communicate(timeout=300) for promoter in promoters]
    assert [promoter.returncode for promoter in promoters] == [0] * PROCESSES, [error for _, error in answers]
    said = [line for out, _ in answers for line in out.splitlines()]

    assert looks > 10
    assert most <= 1, "two versions were in Production at once"
    assert len(said) == PROCESSES * ROUNDS, "each was told how it ended"
    won = [line for line in said if line.startswith("won")]
    assert won
    stages = [v.stage for v in team_stores.models.versions(MODEL)]
    assert stages.count(Stage.PRODUCTION) == 1
    approved = team_stores.decisions.list(statuses=(RequestStatus.APPROVED,))
    assert len(approved) == len(won)
    assert team_stores.decisions.list(statuses=(RequestStatus.UNFINISHED,)) == ()
    assert differences(team_stores, auditor) == ()
    assert team_stores.audit.verify().ok
    assert team_stores.audit.unfinished() == ()


def watch(stores: Stores, going_on: Callable[[], bool]) -> tuple[int, int]:
    """The most versions that were seen in Production at one moment, and how often somebody looked."""
    most = looks = 0
    while going_on():
        serving = [v for v in stores.models.versions(MODEL) if v.stage is Stage.PRODUCTION]
        most, looks = max(most, len(serving)), looks + 1
        time.sleep(0.1)
    return most, looks
