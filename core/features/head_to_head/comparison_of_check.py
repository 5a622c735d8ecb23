"""The head-to-head comparison that belongs to a check of gates: of the same two versions, with the same model files."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from core.access.permissions import Action
from core.entities import Actor, GateCheck, ModelVersionKey
from core.features.head_to_head.head_to_head import comparisons_of
from core.features.stores import Stores


def comparison_of_check(
    stores: Stores, actor: Actor, key: ModelVersionKey, check: GateCheck, *, until: datetime | None = None
) -> Mapping[str, Any] | None:
    """Return the newest comparison of *key* with the version that *check* compares with, as `serialize` wrote it.

    The candidate had the files of the check's evidence then. A comparison after *until* does not count.

    Raises:
        Forbidden.
    """
    stores.audit.require(actor, Action.MODEL_READ, str(key))
    if check.evidence is None or check.compared_with is None:
        return None
    artifact = (check.evidence.get("candidate") or {}).get("artifact") or {}
    for event in comparisons_of(stores, key):
        after = event.after
        if (
            after.get("first") == check.compared_with
            and after["artifacts"].get(str(key)) == artifact.get("sha256")
            and (until is None or event.time <= until)
        ):
            return after
    return None
