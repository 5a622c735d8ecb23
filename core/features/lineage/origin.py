"""The origin of a model version: its run, every data version that it claims with findings, its code and its lineage."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from core.access.permissions import Action
from core.entities import Actor, DataSource, Lineage, ModelVersion, ModelVersionKey, Run
from core.features.lineage.build_graph import lineage_of_model
from core.features.lineage.version_data import DataView, data_of, run_of
from core.features.stores import Stores


@dataclass(frozen=True, kw_only=True)
class Origin:
    """*run* is None if the version names no run, or a run that no longer exists. *code* holds the values of _CODE."""

    version: ModelVersion
    run: Run | None
    data: tuple[DataSource, ...]
    code: Mapping[str, str]
    graph: Lineage


# The tags that describe a run's code, and our short name for each.
_CODE = {
    "mlflow.source.git.commit": "commit",
    "mlflow.source.git.repoURL": "repository",
    "mlflow.source.git.branch": "branch",
    "mlflow.source.name": "source",
    "mlflow.source.type": "type",
    "mlflow.project.entryPoint": "entry_point",
}


def origin_of_model(stores: Stores, actor: Actor, key: ModelVersionKey) -> Origin:
    """Return the origin of a model version. A run or data version that is lost is a finding, not an error.

    Raises:
        ModelVersionNotFound, RegistryUnavailable, Forbidden
    """
    stores.audit.require(actor, Action.LINEAGE_READ, str(key))
    version = stores.models.version(key)
    run = run_of(stores, version)
    tags = run.tags if run else {}
    data = tuple(_with_finding(view) for view in data_of(stores, run, version))
    return Origin(
        version=version,
        run=replace(run, data=data) if run else None,
        data=data,
        code={name: tags[tag] for tag, name in _CODE.items() if tags.get(tag)},
        graph=lineage_of_model(stores, actor, key),
    )


def _with_finding(view: DataView) -> DataSource:
    """Return the source of *view*; a weak claim, and rows that cannot be shown, are further findings."""
    source = view.source
    further = [source.weak, view.why_unreadable if source.claimed and source.version is not None else None]
    return replace(source, findings=(*source.findings, *filter(None, further)))
