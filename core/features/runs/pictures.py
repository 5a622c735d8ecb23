"""Pictures of a model version: read from the artifacts of its run, as training wrote them."""

from __future__ import annotations

import tempfile
from pathlib import Path

from core.access.permissions import Action
from core.entities import Actor, ModelVersionKey
from core.errors import ArtifactNotFound, BadFile
from core.features.stores import Stores
from core.learning.pictures.pictures import FILE, MAX_BYTES, Pictures, from_json


def version_pictures(stores: Stores, actor: Actor, key: ModelVersionKey) -> Pictures | None:
    """Return the pictures that the run of a model version logged; None if it logged none.

    Raises:
        ModelVersionNotFound, and what run_pictures raises.
    """
    stores.audit.require(actor, Action.MODEL_READ, str(key))
    run_id = stores.models.version(key).run_id
    return run_pictures(stores, actor, run_id) if run_id else None


def run_pictures(stores: Stores, actor: Actor, run_id: str) -> Pictures | None:
    """Return the pictures that a run logged; None if it logged none.

    Raises:
        BadFile: the file is too large, or not as training writes it.
        RunNotFound, RegistryUnavailable, StorageUnavailable, Forbidden
    """
    stores.audit.require(actor, Action.RUN_READ, run_id)
    folder = str(Path(FILE).parent)
    try:
        listed = next((entry for entry in stores.runs.artifacts(run_id, folder) if entry.path == FILE), None)
        if listed is None:
            return None
        if (listed.size_bytes or 0) > MAX_BYTES:
            raise BadFile(
                "{file} has {size:,} bytes; at most {most:,} are read.",
                file=FILE,
                size=listed.size_bytes,
                most=MAX_BYTES,
            )
        with tempfile.TemporaryDirectory(prefix="modelledger-") as into:
            return from_json(stores.runs.download(run_id, Path(into), path=FILE).read_bytes())
    except ArtifactNotFound:
        return None
