"""Reproduction of a model version."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

from core.entities.data import TableVersion
from core.entities.models import ModelVersionKey


class Reproduced(str, Enum):
    """The verdict on a reproduction from the pinned data version and parameters."""

    REPRODUCED = "reproduced"
    WITHIN_TOLERANCE = "within tolerance"
    DIVERGED = "diverged"
    IMPOSSIBLE = "impossible"


@dataclass(frozen=True, kw_only=True)
class Reproduction:
    """Reproduction of a model version. Only this verdict is kept, in the audit log.

    *metrics* maps each KPI to the logged and the reproduced value. *answers* counts the test rows with the same answer
    from both models, and all test rows. *changed* names the differences: packages, code.
    """

    model: ModelVersionKey
    verdict: Reproduced
    why: str
    data: TableVersion | None = None
    metrics: Mapping[str, tuple[float | None, float | None]] = field(default_factory=dict)
    answers: tuple[int, int] | None = None
    changed: tuple[str, ...] = ()
