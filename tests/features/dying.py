"""A process of its own that decides and dies (SIGKILL) at a step."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from core.audit.decisions import ModelLock
from core.bootstrap import open_stores
from core.database.engine import Database
from core.database.tables import locks
from core.entities import Actor, RequestStatus, Role, Stage
from core.features.monitoring import reconcile
from core.features.promotion import apply_decision, decide, roll_back
from core.features.stores import Stores
from core.settings import load_settings
from tests.features.forked import start

STEPS = (
    "before the lock",
    "before the decision",
    "before the registry",
    "halfway in the registry",
    "before the aliases",
    "after the registry",
    "before the outcome",
    "after the lock",
)
MANAGER = Actor(name="manager", roles=frozenset({Role.MANAGER}), channel="test")


def run_and_die(stores: Stores, step: str, verb: str, argument: str) -> None:
    """A process of its own carries *verb* out and is killed at *step*."""
    child = start(decide_and_die, str(stores.settings.home), step, verb, argument)
    assert child.wait() == -signal.SIGKILL, child.error


def expire_locks(stores: Stores) -> None:
    """What a minute of waiting does: the lease of the dead promoter runs out."""
    database = Database(stores.settings.database)
    with database.write() as connection:
        changed = connection.execute(sa.update(locks).values(expires=sa.text("'2000-01-01T00:00:00.000000+00:00'")))
        assert changed.rowcount == 1
    database.close()


def die(*_: Any, **__: Any) -> Any:
    os.kill(os.getpid(), signal.SIGKILL)


def then_die(whole: Callable[..., Any]) -> Callable[..., Any]:
    return lambda *given, **options: die(whole(*given, **options))


def prepare(stores: Stores, step: str) -> None:
    """Puts the end of this process where *step* says."""
    models, decisions = stores.models, stores.decisions
    if step == "before the lock":
        decisions.lock = die  # type: ignore[method-assign]
    elif step == "before the decision":
        decide.begin_decision = roll_back.begin_decision = die
    elif step == "before the registry":
        apply_decision.finish_decision = reconcile.finish_decision = die
    elif step == "halfway in the registry":
        whole = models.set_stages

        def half(model: str, stages: dict[int, Stage], **_: Any) -> None:
            whole(model, {n: stage for n, stage in stages.items() if stage is not Stage.PRODUCTION})
            die()

        models.set_stages = half  # type: ignore[method-assign]
    elif step == "before the aliases":
        models._sync_aliases = die  # type: ignore[attr-defined]
    elif step == "after the registry":
        apply_decision.current_stages = die
    elif step == "before the outcome":
        whole_move = decisions.change_status

        def last(request_id: str, before: RequestStatus, after: RequestStatus, **changes: Any) -> Any:
            done = whole_move(request_id, before, after, **changes)
            return die() if after is RequestStatus.APPROVED else done

        decisions.change_status = last  # type: ignore[method-assign]
    elif step == "after the lock":
        ModelLock.release = then_die(ModelLock.release)  # type: ignore[method-assign]
    else:
        raise AssertionError(step)


def decide_and_die(home: str, step: str, verb: str, argument: str) -> None:
    """What the process does."""
    stores = open_stores(load_settings(home=Path(home)))
    prepare(stores, step)
    if verb == "approve":
        decide.approve(stores, MANAGER, argument, reason="the numbers hold")
    elif verb == "roll_back":
        roll_back.roll_back(stores, MANAGER, argument, reason="complaints")
    else:
        reconcile.resolve_request(stores, MANAGER, argument, reason="restart")
