"""A process that asks for and approves versions in turn: `python -m tests.services.promoting HOME NAME ROUNDS`."""

from __future__ import annotations

import sys
from pathlib import Path

from core.bootstrap import open_stores
from core.entities import Actor, ModelVersionKey, Role, Stage
from core.errors import AlreadyDecided, DatabaseUnavailable, GatesFailed, Overtaken
from core.services.decide import approve, request_promotion
from core.settings import load_settings

MODEL = "iris_classifier"

if __name__ == "__main__":
    home, name, rounds = sys.argv[1:]
    policies = {"*": [{"gate": "stage_changes"}, {"gate": "data_recorded"}]}
    stores = open_stores(load_settings(home=Path(home), policies=policies))
    asker = Actor(name=f"scientist-{name}", roles=frozenset({Role.SCIENTIST}), channel="test")
    decider = Actor(name=f"manager-{name}", roles=frozenset({Role.MANAGER}), channel="test")
    for turn in range(int(rounds)):
        key = ModelVersionKey(model=MODEL, version=(int(name) + turn) % 3 + 1)
        try:
            asked = request_promotion(
                stores, asker, model=key.model, version=key.version, to=Stage.PRODUCTION, reason="my turn"
            )
            done = approve(stores, decider, asked.id, reason="my turn")
            serving = [number for number, stage in done.stages.items() if stage == Stage.PRODUCTION.value]
            assert serving == [str(key.version)], f"{key} was approved, in Production: {serving}"
            print("won", key)
        except (AlreadyDecided, GatesFailed, Overtaken, DatabaseUnavailable) as error:
            print("told", type(error).__name__, error)
