"""A process that promotes a version in each round, at the same moment as seven others promote theirs."""

from __future__ import annotations

from dataclasses import dataclass
from multiprocessing.queues import Queue
from multiprocessing.synchronize import Barrier
from pathlib import Path

from core.bootstrap import open_stores
from core.entities import Actor, ModelVersionKey, Role, Stage
from core.errors import Overtaken
from core.features.promotion.decide import approve
from core.features.promotion.request_promotion import count_decisions, request_promotion
from core.settings import load_settings

MODEL = "iris_classifier"
# The gates are not what is looked at here: each of the promotions would be let through.
POLICIES = {"*": [{"gate": "stage_changes"}, {"gate": "data_recorded"}]}
LONGEST_ROUND_S = 120.0


@dataclass(frozen=True, kw_only=True)
class Told:
    """How it ended for one: *serving* is what the winner found in Production then, *loss* the words to a loser."""

    decider: str
    version: int
    is_winner: bool
    serving: tuple[int, ...] = ()
    loss: str = ""


def promote_in_rounds(home: str, number: int, rounds: int, start: Barrier, told: Queue[Told]) -> None:
    """Holds a version that is not in Production and a request for it; who wins goes on with the one it replaced."""
    stores = open_stores(load_settings(home=Path(home), policies=POLICIES))
    asker = Actor(name=f"scientist-{number}", roles=frozenset({Role.SCIENTIST}), channel="test")
    decider = Actor(name=f"manager-{number}", roles=frozenset({Role.MANAGER}), channel="test")
    key, asked = ModelVersionKey(model=MODEL, version=number), None
    for _ in range(rounds):
        if asked is None:
            asked = request_promotion(
                stores, asker, model=key.model, version=key.version, to=Stage.PRODUCTION, reason="my turn"
            )
        sight = count_decisions(stores, decider, MODEL)
        start.wait(LONGEST_ROUND_S)
        try:
            done = approve(stores, decider, asked.id, reason="my turn", seen_decisions=sight)
        except Overtaken as error:
            told.put(Told(decider=decider.name, version=key.version, is_winner=False, loss=str(error)))
        else:
            serving = tuple(int(n) for n, stage in done.stages.items() if stage == Stage.PRODUCTION.value)
            told.put(Told(decider=decider.name, version=key.version, is_winner=True, serving=serving))
            key, asked = ModelVersionKey(model=MODEL, version=int(done.previous or 0)), None
        start.wait(LONGEST_ROUND_S)  # until the round has been looked at
