"""Live: a tick reruns the page only after a change, and never within a run of the page."""

from __future__ import annotations

import pytest
import streamlit as st

from core.access.identity import demo_actor
from core.entities import Stage
from core.features.open_requests.pending_for import latest_change
from core.features.promotion.request_promotion import request_promotion
from core.features.stores import Stores
from pages._live import live
from pages._ui import navigation
from tests.pages.conftest import MODEL, Opened

MANAGER, AUDITOR, SCIENTIST = (demo_actor(name, channel="test") for name in ("manager", "auditor", "scientist"))
# The function below the fragment.
tick = live._tick.__wrapped__


@pytest.fixture
def reruns(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    asked: list[str] = []
    monkeypatch.setattr(st, "rerun", lambda: asked.append("rerun"))
    return asked


def test_tick_reruns_the_page_after_a_change_and_only_then(sample_stores: Stores, reruns: list[str]) -> None:
    drawn = latest_change(sample_stores, MANAGER)
    tick(sample_stores, MANAGER, drawn, iter([1]))
    assert reruns == []
    request_promotion(sample_stores, SCIENTIST, model=MODEL, version=1, to=Stage.STAGING, reason="r")
    tick(sample_stores, MANAGER, drawn, iter([0]))  # within the page's own run, which may be deciding something
    assert reruns == []
    tick(sample_stores, MANAGER, drawn, iter([1]))
    assert reruns == ["rerun"]


def test_page_as_of_a_day_does_not_watch_the_log(
    opened: Opened, sample_stores: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    watched: list[object] = []
    monkeypatch.setattr(live, "watch", lambda *_: watched.append(1))
    opened("overview", as_of="2026-01-01")
    assert watched == []
    opened("overview")
    assert watched == [1]


def test_navigation_and_title_count_what_is_pending(sample_stores: Stores, monkeypatch: pytest.MonkeyPatch) -> None:
    titles: list[str] = []
    monkeypatch.setattr(st, "Page", lambda _file, **values: titles.append(values["title"]))
    navigation._sections(MANAGER, {"promotions": 2, "audit": 0})
    assert "Promotions (2)" in titles
    assert "Audit log" in titles


def test_failure_of_a_tick_is_shown(sample_stores: Stores, reruns: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[str] = []
    monkeypatch.setattr(st, "error", lambda sentence, **_: shown.append(sentence))
    nobody = AUDITOR.__class__(name="nobody", roles=frozenset(), channel="test")
    tick(sample_stores, nobody, 0, iter([1]))
    assert reruns == []
    assert len(shown) == 1
    assert "nobody" in shown[0]
