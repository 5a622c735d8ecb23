"""The heap: what lives is kept out of each rerun's collection, and what died in between is found all the same."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator

import pytest

from pages._server import heap


class Cycle:
    """Garbage that only a collection finds."""

    def __init__(self) -> None:
        self.me = self


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[float]]:
    """The time that the module sees, in its only place."""
    now = [1_000.0]
    monkeypatch.setattr(heap.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(heap, "_next_whole", 0.0)
    gc.unfreeze()
    gc.disable()
    yield now
    gc.enable()
    gc.unfreeze()


def test_what_lives_is_left_out_of_the_next_collection(clock: list[float]) -> None:
    assert gc.get_freeze_count() == 0
    heap.keep_collections_short()
    assert gc.get_freeze_count() > 10_000
    assert len(gc.get_objects(generation=2)) < 1_000


def test_garbage_that_was_kept_out_is_collected_with_the_next_whole(clock: list[float]) -> None:
    heap.keep_collections_short()
    gone = weakref.ref(Cycle())
    heap.keep_collections_short()
    gc.collect()  # what Streamlit does after a rerun
    assert gone() is not None
    clock[0] += 19
    heap.keep_collections_short()
    assert gone() is not None
    clock[0] += 2
    heap.keep_collections_short()
    assert gone() is None
