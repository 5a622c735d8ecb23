"""A process that decides and dies (SIGKILL) at a step: `python -m tests.services.dying HOME STEP VERB ARGUMENT`."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Any

from core.bootstrap import open_stores
from core.entities import Actor, RequestStatus, Role, Stage
from core.services import carry_out, decide
from core.services.stores import Stores
from core.settings import load_settings

STEPS = (
    "before the decision",
    "before the registry",
    "halfway in the registry",
    "after the registry",
    "before the outcome",
)
MANAGER = Actor(name="manager", roles=frozenset({Role.MANAGER}), channel="test")


def die(*_: Any, **__: Any) -> Any:
    os.kill(os.getpid(), signal.SIGKILL)


def prepare(stores: Stores, step: str) -> None:
    """Puts the end of this process where *step* says."""
    if step == "before the decision":
        decide.begin = die
    elif step == "before the registry":
        carry_out.finish = die
    elif step == "halfway in the registry":
        whole = stores.models.set_stages

        def half(model: str, stages: dict[int, Stage]) -> None:
            whole(model, {n: stage for n, stage in stages.items() if stage is not Stage.PRODUCTION})
            die()

        stores.models.set_stages = half  # type: ignore[method-assign]
    elif step == "after the registry":
        carry_out.current_stages = die
    elif step == "before the outcome":
        whole_move = stores.decisions.move

        def last(request_id: str, before: RequestStatus, after: RequestStatus, **changes: Any) -> Any:
            done = whole_move(request_id, before, after, **changes)
            return die() if after is RequestStatus.APPROVED else done

        stores.decisions.move = last  # type: ignore[method-assign]
    else:
        raise AssertionError(step)


if __name__ == "__main__":
    home, step, verb, argument = sys.argv[1:]
    stores = open_stores(load_settings(home=Path(home)))
    prepare(stores, step)
    if verb == "approve":
        decide.approve(stores, MANAGER, argument, reason="the numbers hold")
    else:
        decide.roll_back(stores, MANAGER, argument, reason="complaints")
