"""The heap of a server with many sessions: Streamlit has all of it looked through for garbage after every rerun."""

from __future__ import annotations

import gc
import time

_EVERY_S = 20.0

_next_whole = 0.0


def keep_collections_short() -> None:
    """At the end of a rerun: what lives, the libraries before all, is kept out of the collection that Streamlit makes.

    That collection stops every session, and with a hundred of them it is nearly all that the server does. So the
    whole heap is looked through once in 20 seconds, which no session's end has to wait longer for.
    """
    global _next_whole
    now = time.monotonic()
    if now >= _next_whole:
        _next_whole = now + _EVERY_S
        gc.unfreeze()
        gc.collect()
    gc.freeze()
