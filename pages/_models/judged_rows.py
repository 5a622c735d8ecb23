"""The pickers of the table version on whose rows a model version is judged."""

from __future__ import annotations

from streamlit.delta_generator import DeltaGenerator

from core.entities import Actor, ModelVersionKey
from core.features.data.browse import list_tables, table_history
from core.features.runs.models import ModelSummary
from core.features.stores import Stores
from pages._ui import pickers
from pages._ui.texts import t

_VERSIONS_OFFERED = 200


def pick_rows(
    stores: Stores,
    actor: Actor,
    model: ModelSummary,
    key: ModelVersionKey,
    state: str,
    *,
    at: tuple[DeltaGenerator, ...],
) -> tuple[str, int | None] | None:
    """Return the chosen table and its version; the first choice is the table on which *key* was trained.

    *state* begins the names of both choices in the address. *at* are the places of both pickers.
    """
    tables = [table.name for table in list_tables(stores, actor) if table.problem is None]
    trained_on = next((data.table for v in model.versions if v.version == key.version for data in v.data), None)
    index = tables.index(trained_on) if trained_on in tables else 0
    table = pickers.choose(t("Table"), tables, state, at=at[0], index=index)
    if table is None:
        return None
    version = pickers.any_version(
        lambda most: table_history(stores, actor, table, limit=most),
        f"{state}_version",
        most=_VERSIONS_OFFERED,
        at=at[1],
    )
    return table, version
