"""A model version made again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

from core.entities.data import TableVersion
from core.entities.models import ModelVersionKey


class Reproduced(str, Enum):
    """How a model version came out when it was made again from its data version and its parameters."""

    REPRODUCED = "reproduced"
    WITHIN_TOLERANCE = "within tolerance"
    DIVERGED = "diverged"
    IMPOSSIBLE = "impossible"


@dataclass(frozen=True, kw_only=True)
class Reproduction:
    """A model version made again. Nothing of it is kept but this, in the audit log.

    *metrics* maps each KPI to what its run logged and what came out again; *answers* counts the test rows that the
    stored model and the new one answer alike, of how many; *changed* names what is not as it was: packages, code.
    """

    model: ModelVersionKey
    verdict: Reproduced
    why: str
    data: TableVersion | None = None
    metrics: Mapping[str, tuple[float | None, float | None]] = field(default_factory=dict)
    answers: tuple[int, int] | None = None
    changed: tuple[str, ...] = ()
