"""The origin of a model version: its run, every data version that it claims with findings, its code and its lineage."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from core.access.permissions import Action
from core.entities import Actor, DataSource, Identity, Lineage, ModelVersion, ModelVersionKey, PredictionBatch, Run
from core.features.lineage.build_graph import lineage_of_model
from core.features.lineage.identity import identity_of_batch
from core.features.lineage.version_data import DataView, data_of, run_of, view_content
from core.features.stores import Stores


@dataclass(frozen=True, kw_only=True)
class Origin:
    """*run* is None if the version names no run, or a run that no longer exists. *code* is as `code_of` returns it.

    *identities* says of each entry of *data* whether it trained the version; None where nothing can be compared.
    """

    version: ModelVersion
    run: Run | None
    data: tuple[DataSource, ...]
    identities: tuple[Identity | None, ...]
    code: Mapping[str, str]
    graph: Lineage


# The tags that describe a run's code, and our short name for each.
CODE_TAGS = {
    "mlflow.source.git.commit": "commit",
    "mlflow.source.git.repoURL": "repository",
    "mlflow.source.git.branch": "branch",
    "mlflow.source.name": "source",
    "mlflow.source.type": "type",
    "mlflow.project.entryPoint": "entry_point",
}


def check_content(stores: Stores, actor: Actor, key: ModelVersionKey) -> tuple[DataView, ...]:
    """Return the data of a model version, its rows compared with those of the training by content SHA-256.

    Reads every row of the data whose hash the training logged. Data that cannot be read keeps its problem.

    Raises:
        ModelVersionNotFound, RegistryUnavailable, Forbidden
    """
    stores.audit.require(actor, Action.LINEAGE_READ, str(key))
    version = stores.models.version(key)
    views = data_of(stores, run_of(stores, version), version)
    return tuple(view_content(stores, view) for view in views)


def check_batch(stores: Stores, actor: Actor, batch: PredictionBatch) -> Identity | None:
    """Return whether the table that *batch* scored is the one that has its name now; None if this cannot be compared.

    Only the log is read.
    """
    stores.audit.require(actor, Action.LINEAGE_READ, batch.batch_id)
    table = stores.catalog.registered().find(batch.source.table)
    return None if table is None else identity_of_batch(stores, batch, table)


def origin_of_model(stores: Stores, actor: Actor, key: ModelVersionKey, *, with_content: bool = False) -> Origin:
    """Return the origin of a model version. A run or data version that is lost is a finding, not an error.

    *with_content* reads every row of the data and compares its content SHA-256 with the one that the training logged.

    Raises:
        ModelVersionNotFound, RegistryUnavailable, Forbidden
    """
    stores.audit.require(actor, Action.LINEAGE_READ, str(key))
    version = stores.models.version(key)
    run = run_of(stores, version)
    views = data_of(stores, run, version)
    if with_content:
        views = tuple(view_content(stores, view) for view in views)
    data = tuple(_with_finding(view) for view in views)
    return Origin(
        version=version,
        run=replace(run, data=data) if run else None,
        data=data,
        identities=tuple(view.identity for view in views),
        code=code_of(run),
        graph=lineage_of_model(stores, actor, key),
    )


def code_of(run: Run | None) -> dict[str, str]:
    """Return what a run says about its code: commit, repository, branch, source, type and entry_point."""
    tags = run.tags if run else {}
    return {name: tags[tag] for tag, name in CODE_TAGS.items() if tags.get(tag)}


def _with_finding(view: DataView) -> DataSource:
    """Return the source of *view*; a weak claim, rows that are gone and rows of other data are further findings."""
    source = view.source
    further = view.doubts if source.claimed and source.version is not None else ()
    return replace(source, findings=(*source.findings, *filter(None, [source.weak]), *further))
