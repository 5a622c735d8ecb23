"""The stamp of a prediction batch: what a scoring is pinned to, on every row that it writes and in its commit."""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

import pyarrow as pa

from core.entities import ModelVersion, PredictionBatch, Table, TableVersion
from core.errors import BadInput

# Key of a batch in the metadata of its commit.
BATCH = "modelledger.batch"

# Columns that every prediction row carries before the columns of its source row.
STAMP = ("batch_id", "scored_at", "model", "model_version", "run_id", "source_table", "source_version")
ANSWER = ("prediction", "probability")


@dataclass(frozen=True, kw_only=True)
class Scoring:
    """What is pinned at the entrance of a scoring, the same on every engine."""

    version: ModelVersion
    source: Table
    data: TableVersion
    into: Table
    batch_id: str
    rows: int
    time: datetime
    actor: str

    @property
    def transaction(self) -> str:
        """Names the write: the same batch is written once."""
        return f"batch-{self.batch_id}"

    def stamp(self) -> dict[str, pa.Scalar]:
        """The value of each column of STAMP, the same on every row."""
        values = (
            pa.scalar(self.batch_id, pa.string()),
            pa.scalar(self.time, pa.timestamp("us", tz="UTC")),
            pa.scalar(self.version.model, pa.string()),
            pa.scalar(self.version.version, pa.int64()),
            pa.scalar(self.version.run_id, pa.string()),
            pa.scalar(self.data.table, pa.string()),
            pa.scalar(self.data.version, pa.int64()),
        )
        return dict(zip(STAMP, values, strict=True))

    def check_columns(self, names: Collection[str]) -> None:
        """Raises BadInput: the data has columns that predictions need for themselves."""
        taken = {*STAMP, *ANSWER} & set(names)
        if taken:
            raise BadInput(
                f"{self.data} has columns that predictions need for themselves ({', '.join(sorted(taken))}); "
                "rename them."
            )

    def metadata(self) -> dict[str, str]:
        """What the commit tells of the batch, so that batches are listed without reading rows."""
        told = {
            "batch_id": self.batch_id,
            "model": self.version.model,
            "model_version": self.version.version,
            "run_id": self.version.run_id,
            "source_table": self.data.table,
            "source_version": self.data.version,
            "rows": self.rows,
            "time": self.time.isoformat(),
            "actor": self.actor,
        }
        return {BATCH: json.dumps(told), "modelledger.actor": self.actor}

    def batch(self, written: int) -> PredictionBatch:
        """The batch, once it is version *written* of its table."""
        return PredictionBatch(
            batch_id=self.batch_id,
            model=self.version.model,
            model_version=self.version.version,
            run_id=self.version.run_id,
            source=self.data,
            into=TableVersion(table=self.into.name, version=written),
            rows=self.rows,
            time=self.time,
            actor=self.actor,
        )
