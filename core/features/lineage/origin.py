"""Where a model version came from: its run, every data version it claims with findings, its code, its lineage."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from core.access.permissions import Action
from core.entities import Actor, Lineage, ModelVersion, ModelVersionKey, Run
from core.errors import CoreError, RunNotFound
from core.features.lineage.build_graph import lineage_of_model
from core.features.lineage.provenance import DataSource, data_sources
from core.features.stores import Stores


@dataclass(frozen=True, kw_only=True)
class Origin:
    """*run* is None where the version names no run or one that is not there any more."""

    version: ModelVersion
    run: Run | None
    data: tuple[DataSource, ...]
    code: Mapping[str, str]
    graph: Lineage


# What MLflow (and we) tag a run's code with, and the plain word for it.
_CODE = {
    "mlflow.source.git.commit": "commit",
    "mlflow.source.git.repoURL": "repository",
    "mlflow.source.git.branch": "branch",
    "mlflow.source.name": "source",
    "mlflow.source.type": "type",
    "mlflow.project.entryPoint": "entry_point",
}


def origin_of_model(stores: Stores, actor: Actor, key: ModelVersionKey) -> Origin:
    """Raises ModelVersionNotFound, RegistryUnavailable, Forbidden. A lost run or data version is a finding instead."""
    stores.audit.require(actor, Action.LINEAGE_READ, str(key))
    version = stores.models.version(key)
    run = _run(stores, version.run_id)
    tags = run.tags if run else {}
    return Origin(
        version=version,
        run=run,
        data=tuple(_checked(stores, source) for source in data_sources(run, version)),
        code={word: tags[tag] for tag, word in _CODE.items() if tags.get(tag)},
        graph=lineage_of_model(stores, actor, key),
    )


def _run(stores: Stores, run_id: str | None) -> Run | None:
    if not run_id:
        return None
    try:
        return stores.runs.get(run_id)
    except RunNotFound:
        return None


def _checked(stores: Stores, source: DataSource) -> DataSource:
    """Adds whether the rows can still be shown."""
    if source.table is None or source.version is None:
        return source
    try:
        verdict = stores.engine.readable(stores.catalog.resolve(source.table), source.version)
    except CoreError as error:
        return replace(source, findings=(*source.findings, str(error)))
    if verdict.is_readable:
        return source
    return replace(source, findings=(*source.findings, f"{verdict.verdict.value}: {verdict.reason}"))
