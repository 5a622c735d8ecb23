"""Claims about data: what a run and a model version say about the data that they used, and the table that is meant."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from core.entities.data import Table, TableVersion


class DataUse(str, Enum):
    """What a run did with its data."""

    TRAINING = "training"
    EVALUATION = "evaluation"


@dataclass(frozen=True, kw_only=True)
class DataSource:
    """A data version that a run or a model version claims to have used.

    *claimed* is the table as the claim names it; None if no claim names a table. *resolved* is the registered table
    that is meant; None if it is not registered here. *version* is None if no claim names a version of a Delta table.
    *table_id* is the id of the Delta table, where it was logged. *weak* is the reason why the claim may be wrong
    although nothing contradicts it. *source_of_truth* names the claim. *findings* contradict it or say what is missing;
    *other_versions* are the versions that less trusted claims name.
    """

    claimed: str | None
    resolved: Table | None = None
    version: int | None
    source_of_truth: str
    context: DataUse = DataUse.TRAINING
    table_id: str | None = None
    weak: str | None = None
    findings: tuple[str, ...] = ()
    other_versions: tuple[int, ...] = ()

    @property
    def table(self) -> str | None:
        """The registered name of the table; the table as claimed if it is not registered."""
        return self.resolved.name if self.resolved else self.claimed

    @property
    def key(self) -> TableVersion | None:
        """The data version, if its table is registered and its version is known: only then may it be opened."""
        if self.resolved is None or self.version is None:
            return None
        return TableVersion(table=self.resolved.name, version=self.version)

    @property
    def is_weak(self) -> bool:
        return self.weak is not None

    @property
    def is_training(self) -> bool:
        return self.context is DataUse.TRAINING

    def __str__(self) -> str:
        """TABLE@N, with a question mark for each part that is unknown."""
        return f"{self.table or '?'}@{'?' if self.version is None else self.version}"
