"""The head-to-head comparison that Promotions shows beside the gates is of the same versions, files and time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from core.access.permissions import Action
from core.entities import Actor, GateCheck, ModelVersionKey
from core.features.head_to_head.comparison_of_check import comparison_of_check
from core.features.stores import Stores

KEY = ModelVersionKey(model="iris_classifier", version=3)


def check(rival: str | None, files: str) -> GateCheck:
    evidence: dict[str, Any] = {"candidate": {"artifact": {"sha256": files}}, "production": {"model_version": rival}}
    return GateCheck(at=datetime.now(UTC), gates=(), evidence=evidence)


def record(stores: Stores, actor: Actor, first: str, files: str, data: str) -> None:
    with stores.audit.recording(actor, Action.MODEL_COMPARE, str(KEY)) as event:
        event.after = {"first": first, "second": str(KEY), "data": data, "artifacts": {str(KEY): files}}


def test_newest_comparison_with_the_same_rival_and_files_counts(sample_stores: Stores, scientist: Actor) -> None:
    record(sample_stores, scientist, "iris_classifier/1", "aa", "iris@1")
    between = datetime.now(UTC)
    record(sample_stores, scientist, "iris_classifier/1", "aa", "iris@2")
    record(sample_stores, scientist, "iris_classifier/1", "bb", "iris@3")
    record(sample_stores, scientist, "iris_classifier/2", "aa", "iris@4")

    def data(check: GateCheck, until: datetime | None = None) -> str | None:
        comparison = comparison_of_check(sample_stores, scientist, KEY, check, until=until)
        return None if comparison is None else str(comparison["data"])

    assert data(check("iris_classifier/1", "aa")) == "iris@2"
    assert data(check("iris_classifier/1", "aa"), until=between) == "iris@1"
    assert data(check("iris_classifier/1", "aa"), until=between - timedelta(days=1)) is None
    assert data(check("iris_classifier/1", "bb")) == "iris@3"
    assert data(check("iris_classifier/1", "cc")) is None
    assert data(check(None, "aa")) is None
    assert data(GateCheck(at=between, gates=(), evidence=None)) is None
