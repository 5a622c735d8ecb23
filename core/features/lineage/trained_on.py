"""Which model versions were trained on which versions of a table."""

from __future__ import annotations

from core.access.permissions import Action
from core.entities import Actor, ModelVersionKey
from core.features.lineage.version_data import data_of_all_versions
from core.features.stores import Stores


def versions_trained(stores: Stores, actor: Actor, table: str) -> dict[int, tuple[ModelVersionKey, ...]]:
    """Return the model versions trained on each version of *table*, newest first.

    Makes a constant number of registry calls. Raises RegistryUnavailable.
    """
    stores.audit.require(actor, Action.MODEL_READ)
    trained: dict[int, list[ModelVersionKey]] = {}
    for version, keys in data_of_all_versions(stores):
        for key in keys:
            if key.table == table:
                trained.setdefault(key.version, []).append(version.key)
    return {number: tuple(models) for number, models in trained.items()}
