"""Rows of a prediction batch, read from the engine and not by the product's own services."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from core.entities import PredictionBatch
from core.features.stores import Stores


def rows_of_batch(stores: Stores, batch: PredictionBatch) -> pa.Table:
    """Return the rows that *batch* wrote, at its own version of its table."""
    rows = stores.engine.read(stores.catalog.resolve(batch.into.table), version=batch.into.version)
    return rows.filter(pc.equal(rows.column("batch_id"), batch.batch_id))
