"""Which model versions were trained on which versions of a table."""

from __future__ import annotations

from core.access.permissions import Action
from core.entities import Actor, ModelVersionKey
from core.features.lineage.identity import KnownFacts
from core.features.lineage.version_data import data_of_all_versions, identities_of
from core.features.stores import Stores


def versions_trained(stores: Stores, actor: Actor, table: str) -> dict[int, tuple[ModelVersionKey, ...]]:
    """Return the model versions trained on each version of *table*, newest first.

    A model that another table of the same name trained is left out. Makes a constant number of registry calls. Raises
    RegistryUnavailable.
    """
    stores.audit.require(actor, Action.MODEL_READ)
    name = _registered_name(stores, table)
    trained: dict[int, list[ModelVersionKey]] = {}
    claiming = [
        (version, about)
        for version, sources in data_of_all_versions(stores)
        if (about := [s for s in sources if s.is_training and s.key is not None and s.key.table == name])
    ]
    runs = stores.runs.get_many([version.run_id for version, _ in claiming if version.run_id])
    known: KnownFacts = {}
    for version, about in claiming:
        found = identities_of(stores, runs.get(version.run_id or ""), version, about, known)
        others = {source.version for source, identity in found if identity.is_contradicted}
        for number in {s.key.version for s in about if s.key is not None} - others:
            trained.setdefault(number, []).append(version.key)
    return {number: tuple(models) for number, models in trained.items()}


def _registered_name(stores: Stores, table: str) -> str:
    """Return the name that claims about *table* are resolved to: of several names of one address the first."""
    registered = stores.catalog.registered().find(table)
    return registered.name if registered else table
