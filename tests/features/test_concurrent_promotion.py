"""Eight processes promote at once, many times: never two in Production, one at the end, every loser is notified."""

from __future__ import annotations

import queue
from multiprocessing.queues import Queue

import pytest

from core.bootstrap import open_stores
from core.entities import Actor, ModelVersionKey, RequestStatus, Stage
from core.features.monitoring.reconcile import find_differences
from core.features.promotion.decide import approve
from core.features.promotion.request_promotion import request_promotion
from core.features.stores import Stores
from core.settings import load_settings
from tests.features.forked import Child, context, start
from tests.features.promoting import LONGEST_ROUND_S, MODEL, POLICIES, Told, promote_in_rounds

PROCESSES = 8


@pytest.mark.both_databases
@pytest.mark.parametrize("rounds", [5, pytest.param(200, marks=pytest.mark.slow)])
def test_one_version_is_in_production_whatever_happens_at_once(
    sample_stores: Stores, scientist: Actor, manager: Actor, auditor: Actor, rounds: int
) -> None:
    """Nine versions: one serves, each process holds another one of the rest."""
    stores = open_stores(load_settings(home=sample_stores.settings.home, policies=POLICIES))
    trained = stores.models.version(ModelVersionKey(model=MODEL, version=3))
    for _ in range(3, PROCESSES + 1):
        stores.models.register(MODEL, source=str(trained.source), run_id=str(trained.run_id), tags=trained.tags)
    first = request_promotion(
        stores, scientist, model=MODEL, version=PROCESSES + 1, to=Stage.PRODUCTION, reason="the first"
    )
    approve(stores, manager, first.id, reason="the first")

    gate, told = context.Barrier(PROCESSES + 1), context.Queue()
    home = str(stores.settings.home)
    promoters = [start(promote_in_rounds, home, number, rounds, gate, told) for number in range(1, PROCESSES + 1)]
    try:
        for _ in range(rounds):
            gate.wait(LONGEST_ROUND_S)
            one_round(stores, promoters, told)
            gate.wait(LONGEST_ROUND_S)
    except BaseException:
        gate.abort()
        print("\n".join(promoter.error for promoter in promoters))
        raise
    assert [promoter.wait() for promoter in promoters] == [0] * PROCESSES, [promoter.error for promoter in promoters]

    approved = stores.decisions.list(statuses=(RequestStatus.APPROVED,))
    assert len(approved) == rounds + 1
    assert stores.decisions.list(statuses=(RequestStatus.UNFINISHED,)) == ()
    assert find_differences(stores, auditor) == ()
    assert stores.audit.unfinished() == ()
    assert stores.audit.verify().ok
    outcomes = [event.outcome.value for event in stores.audit.search(action="promotion.decide", limit=None)]
    assert outcomes.count("success") == rounds + 1
    assert outcomes.count("denied") == rounds * (PROCESSES - 1)


def one_round(stores: Stores, promoters: list[Child], told: Queue[Told]) -> None:
    """Looks at the registry all the time that they are at it, then at how it ended for each."""
    said: list[Told] = []
    while len(said) < PROCESSES:
        assert len(in_production(stores)) <= 1, "two versions were in Production at once"
        try:
            said.append(told.get(timeout=0.1))
        except queue.Empty:
            assert all(promoter.process.is_alive() for promoter in promoters), "one of them died"
    (winner,) = [one for one in said if one.is_winner]
    assert winner.serving == (winner.version,)
    assert in_production(stores) == [winner.version]
    assert len({one.version for one in said}) == PROCESSES, "each promotes another version"
    for one in said:
        if one is not winner:
            assert f"{winner.decider} moved {MODEL}/{winner.version} to Production meanwhile" in one.loss


def in_production(stores: Stores) -> list[int]:
    return [v.version for v in stores.models.versions(MODEL) if v.stage is Stage.PRODUCTION]
