"""The metadata of a prediction batch: the pinned model and data version, in every row and in the commit."""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

import pyarrow as pa

from core.entities import ModelVersion, PredictionBatch, Table, TableVersion
from core.errors import BadInput

# The key of the batch in the metadata of its commit.
BATCH = "modelledger.batch"

# The columns of a prediction row: STAMP, then ANSWER, then the columns of the scored row.
STAMP = ("batch_id", "scored_at", "model", "model_version", "run_id", "source_table", "source_version")
ANSWER = ("prediction", "probability")


@dataclass(frozen=True, kw_only=True)
class Scoring:
    """A scoring with everything pinned. It is the same on every engine. *table_id* is the Delta id of *source*."""

    version: ModelVersion
    source: Table
    data: TableVersion
    table_id: str
    into: Table
    batch_id: str
    rows: int
    time: datetime
    actor: str

    @property
    def transaction(self) -> str:
        """The name of the write, by which a batch is written only once."""
        return f"batch-{self.batch_id}"

    def stamp(self) -> dict[str, pa.Scalar]:
        """Return the value of each column of STAMP, which is the same on every row."""
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
        """Raise BadInput if the data has a column with a reserved name."""
        taken = {*STAMP, *ANSWER} & set(names)
        if taken:
            raise BadInput(
                "{data} has columns whose names are reserved for predictions: {columns}. Rename them.",
                data=str(self.data),
                columns=", ".join(sorted(taken)),
            )

    def metadata(self) -> dict[str, str]:
        """Return the metadata of the commit, from which batches are listed without reading rows."""
        fields = {
            "batch_id": self.batch_id,
            "model": self.version.model,
            "model_version": self.version.version,
            "run_id": self.version.run_id,
            "source_table": self.data.table,
            "source_version": self.data.version,
            "source_table_id": self.table_id,
            "rows": self.rows,
            "time": self.time.isoformat(),
            "actor": self.actor,
        }
        return {BATCH: json.dumps(fields), "modelledger.actor": self.actor}

    def batch(self, written: int) -> PredictionBatch:
        """Return the batch after it was written as version *written* of its table."""
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
            source_table_id=self.table_id or None,
        )
