"""Batches of predictions."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from core.entities.data import TableVersion
from core.entities.models import ModelVersionKey


@dataclass(frozen=True, kw_only=True)
class PredictionBatch:
    """One scoring: the model version, the data version, and the table that holds the predictions.

    *source_table_id* is the Delta table id of the scored table; None in batches of earlier releases.
    """

    batch_id: str
    model: str
    model_version: int
    run_id: str | None
    source: TableVersion
    into: TableVersion
    rows: int
    time: datetime
    actor: str
    source_table_id: str | None = None

    @property
    def key(self) -> ModelVersionKey:
        return ModelVersionKey(model=self.model, version=self.model_version)
