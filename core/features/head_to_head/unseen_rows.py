"""Unseen rows: the rows of a data version on which neither of two models was trained."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from core.entities import ModelVersionKey, Run, TableVersion
from core.errors import CoreError
from core.features.lineage.provenance import data_sources
from core.features.lineage.version_data import identities_of
from core.features.stores import Stores
from core.features.training.logged_recipe import logged_recipe
from core.learning.frames import column_kind, hash_rows
from core.learning.safety.inspect_model import ModelInfo
from core.learning.training import training_rows
from core.texts import joined, text


def is_unseen(
    stores: Stores,
    rows: pa.Table,
    data: TableVersion,
    key: ModelVersionKey,
    run: Run | None,
    info: ModelInfo,
    *,
    read: dict[TableVersion, pa.Table],
) -> tuple[np.ndarray, str]:
    """Return which of *rows*, read from *data*, *key* was not trained on: a mask (rows,), and a note for people.

    Rows are compared by their values, so a copy of a training row counts as a training row. A version whose training
    rows are unknown excludes none, and the note says so. *read* keeps what was read for the next call.
    """
    everything = np.ones(rows.num_rows, dtype=bool)
    trained_on, note = training_data(stores, data, key, run)
    if run is None or trained_on is None:
        return everything, note
    try:
        recipe = logged_recipe(run, key, trained_on, info)
        table = stores.catalog.resolve(trained_on.table, registered_only=True)
        if trained_on not in read:
            read[trained_on] = stores.engine.read(table, version=trained_on.version)
        trained = training_rows(read[trained_on], recipe)
    except CoreError as error:
        return everything, unknown(key, str(error))
    seen = is_among(rows, trained)
    return ~seen, training_rows_note(key, int(seen.sum()), rows.num_rows)


def training_data(
    stores: Stores, data: TableVersion, key: ModelVersionKey, run: Run | None
) -> tuple[TableVersion | None, str]:
    """Return the version of the table of *data* on which *key* was trained; None and a note if there is none."""
    sources = data_sources(stores, run)
    trained_on = sources[0].key
    if run is None or trained_on is None:
        return None, text("Which rows {model} was trained on is unknown; none was left out.", model=key)
    if trained_on.table != data.table:
        return None, text("{model} was trained on {trained_on}.", model=key, trained_on=trained_on)
    for source, identity in identities_of(stores, run, None, sources):
        if source == sources[0] and identity.is_contradicted:
            return None, unknown(key, joined(identity.contradictions))
    return trained_on, ""


def unknown(key: ModelVersionKey, reason: str) -> str:
    """Return the note that no row was left out, because the training rows of *key* are unknown."""
    return text(
        "Which rows {model} was trained on is unknown, so none was left out: {reason}", model=key, reason=reason
    )


def training_rows_note(key: ModelVersionKey, count: int, rows: int) -> str:
    """Return the note that *count* of *rows* rows were training rows of *key*."""
    return text(
        "{count} of {rows} rows were training rows of {model} and were left out.", count=count, rows=rows, model=key
    )


def is_among(rows: pa.Table, trained: pa.Table) -> np.ndarray:
    """Return which of *rows* have the values of a row of *trained* in the columns that both have: a mask (rows,)."""
    columns = shared_columns(rows, trained)
    return np.isin(hash_rows(rows, columns), hash_rows(trained, columns))


def shared_columns(*tables: pa.Table) -> tuple[str, ...]:
    """Return the names of the columns that all *tables* have in one kind, and that can be hashed."""

    def is_shared(name: str) -> bool:
        kinds = {column_kind(table.schema.field(name).type) for table in tables if name in table.column_names}
        return all(name in table.column_names for table in tables) and len(kinds) == 1 and None not in kinds

    return tuple(sorted(filter(is_shared, tables[0].column_names)))
