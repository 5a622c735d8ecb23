"""Which model versions were trained on which versions of a table."""

from __future__ import annotations

from core.access.permissions import Action
from core.entities import Actor, ModelVersionKey
from core.features.lineage.provenance import data_sources
from core.features.stores import Stores


def versions_trained(stores: Stores, actor: Actor, table: str) -> dict[int, tuple[ModelVersionKey, ...]]:
    """Data version -> model versions, newest first; a constant number of registry calls. Raises RegistryUnavailable."""
    stores.audit.require(actor, Action.MODEL_READ)
    versions = stores.models.versions()
    unstamped = [v.run_id for v in versions if v.data is None and v.run_id]
    runs = stores.runs.get_many(unstamped) if unstamped else {}
    found: dict[int, list[ModelVersionKey]] = {}
    for version in versions:
        for source in data_sources(runs.get(version.run_id or ""), version):
            if source.key is not None and source.key.table == table:
                found.setdefault(source.key.version, []).append(version.key)
    return {number: tuple(keys) for number, keys in found.items()}
