"""What training a model version again needs: its run, its pinned rows, its artifact and its recipe."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from core.delta.content_hash import content_sha256
from core.entities import DataSource, ModelVersionKey, Recipe, Run, Table, TableVersion
from core.errors import DataUnreadable, EngineFailed, ModelUnloadable, NotFound, NotReproducible, RecipeNotFound
from core.features.lineage.identity import identity_of
from core.features.lineage.version_data import recorded_data, why_not_opened
from core.features.stores import Stores
from core.features.training.logged_recipe import logged_recipe, refuse_external
from core.jobs.progress import Progress
from core.learning.safety.inspect_model import ModelInfo, inspect_model
from core.texts import joined, text


@dataclass(frozen=True, kw_only=True)
class PinnedTraining:
    """The run that trained *key*, and the data version that it recorded."""

    key: ModelVersionKey
    run: Run
    table: Table
    data: TableVersion


def pinned_training(
    stores: Stores, key: ModelVersionKey, run: Run | None, sources: Sequence[DataSource]
) -> PinnedTraining:
    """Return the training of *key*. *sources* are the training data that *run* claims, the most trusted first.

    Raises:
        NotReproducible: the run or the data is unknown, the data is not that of the training, or something outside of
            ModelLedger trained the version.
    """
    if run is None:
        raise NotReproducible("The run is not in MLflow, so its parameters are unknown.")
    source = sources[0]
    if source.claimed is None and source.version is None:
        raise NotReproducible("The run names no data version, so the training rows are unknown.")
    table, data = source.resolved, source.key
    if table is None or data is None:
        raise NotReproducible("{why}", why=why_not_opened(source))
    try:
        refuse_external(run, data)
    except RecipeNotFound as error:
        raise NotReproducible("{why}", why=str(error)) from error
    _require_training_data(stores, key, run, sources)
    return PinnedTraining(key=key, run=run, table=table, data=data)


def read_training_data(stores: Stores, training: PinnedTraining, watch: Progress) -> pa.Table:
    """Return the rows of the data version. Raises NotReproducible if they cannot be read or are other rows."""
    data = training.data
    try:
        verdict = stores.engine.readable(training.table, data.version)
        if not verdict.is_readable:
            raise NotReproducible("{data} can no longer be read: {reason}", data=str(data), reason=verdict.reason)
        rows = stores.engine.read(training.table, version=data.version)
    except (NotFound, DataUnreadable, EngineFailed) as error:
        raise NotReproducible("{data} cannot be read: {reason}", data=str(data), reason=str(error)) from error
    digest, logged = content_sha256(rows.schema, rows.to_batches()), training.run.tags.get("delta.content_sha256")
    watch.line(text("{rows} rows, content SHA-256 {digest}", rows=rows.num_rows, digest=digest))
    if logged is not None and logged != digest:
        raise NotReproducible(
            "{data} no longer holds the training rows: their content SHA-256 was {logged}, and now it is {digest}.",
            data=str(data),
            logged=logged,
            digest=digest,
        )
    return rows


def read_artifact(stores: Stores, key: ModelVersionKey, folder: Path) -> tuple[Path, ModelInfo]:
    """Download the model below *folder* and return its own folder and description. Raises NotReproducible."""
    try:
        artifact = stores.models.download(key, folder)
        return artifact, inspect_model(artifact)
    except (NotFound, ModelUnloadable) as error:
        raise NotReproducible(
            "The artifact cannot be read, so there is no model to compare with: {reason}", reason=str(error)
        ) from error


def recipe_of(training: PinnedTraining, info: ModelInfo) -> Recipe:
    """Return the recipe that the run logged. Raises NotReproducible."""
    try:
        return logged_recipe(training.run, training.key, training.data, info)
    except RecipeNotFound as error:
        raise NotReproducible("{why}", why=str(error)) from error


def _require_training_data(stores: Stores, key: ModelVersionKey, run: Run, sources: Sequence[DataSource]) -> None:
    """Raise if a table is not the one of the training. Another table passes if its rows are equal."""
    for source, recorded in recorded_data(run, stores.models.version(key), sources):
        if source.resolved is None or source.version is None:
            continue
        identity = identity_of(stores, source.resolved, source.version, recorded)
        if identity is None or not identity.is_contradicted:
            continue
        with suppress(DataUnreadable, EngineFailed):  # then what the log says counts
            identity = identity_of(stores, source.resolved, source.version, recorded, with_content=True) or identity
        if identity.is_contradicted:
            raise NotReproducible("{why}", why=joined(identity.contradictions))
