"""A bound on one whole answer: MLflow's own timeout is per read, which a server that drips bytes never meets."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

# These move a model's files, which may be large: each read is bounded, the whole is not.
_FILES = frozenset({"log_artifact", "log_artifacts"})


def within(limit_s: float, call: Callable[[], Any]) -> Any:
    """What *call* returns or raises, or TimeoutError after *limit_s*.

    The call goes on in a thread that nobody waits for, not at the end of the process either; whether what it asked
    for is done, is not known then.
    """
    done: list[Any] = []
    failed: list[BaseException] = []

    def run() -> None:
        try:
            done.append(call())
        except BaseException as error:  # noqa: BLE001 -- carried over to the caller's thread
            failed.append(error)

    thread = threading.Thread(target=run, daemon=True, name="mlflow-call")
    thread.start()
    thread.join(limit_s)
    if failed:
        raise failed[0]
    if not done:
        raise TimeoutError(f"no whole answer within {limit_s:g} s")
    return done[0]


class BoundedClient:
    """An MLflow client each of whose calls ends within *limit_s*."""

    def __init__(self, client: Any, limit_s: float) -> None:
        self._client, self._limit_s = client, limit_s

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._client, name)
        if not callable(found) or name in _FILES:
            return found
        return lambda *args, **options: within(self._limit_s, lambda: found(*args, **options))
