"""Limit the time of a whole call.

MLflow's own timeout is per read: a server that sends a byte now and then would never reach it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

# These calls move a model's files, which can be large: each read has a timeout, the whole call has none.
_FILE_CALLS = frozenset({"log_artifact", "log_artifacts"})


def call_within(limit_s: float, call: Callable[[], Any]) -> Any:
    """Return what *call* returns, or raise what it raises; raise TimeoutError after *limit_s*.

    After a timeout the call continues in a daemon thread, which does not keep the process alive. Whether the server
    did what was requested is unknown then.
    """
    results: list[Any] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            results.append(call())
        except BaseException as error:  # noqa: BLE001 -- raised again in the caller's thread
            errors.append(error)

    thread = threading.Thread(target=run, daemon=True, name="mlflow-call")
    thread.start()
    thread.join(limit_s)
    if errors:
        raise errors[0]
    if not results:
        raise TimeoutError(f"no complete answer within {limit_s:g} s")
    return results[0]


class BoundedClient:
    """An MLflow client whose every call ends within *limit_s*, except calls that move files."""

    def __init__(self, client: Any, limit_s: float) -> None:
        self._client, self._limit_s = client, limit_s

    def __getattr__(self, name: str) -> Any:
        attribute = getattr(self._client, name)
        if not callable(attribute) or name in _FILE_CALLS:
            return attribute
        return lambda *args, **options: call_within(self._limit_s, lambda: attribute(*args, **options))
