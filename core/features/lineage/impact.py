"""Impact: what depends on a data version, and which model versions may depend on it without saying so."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from core.access.permissions import Action
from core.entities import (
    Actor,
    DataSource,
    Lineage,
    ModelVersion,
    ModelVersionKey,
    NodeKind,
    Table,
)
from core.errors import DataUnreadable
from core.features.lineage.build_graph import Graph, add_batch, add_data, add_version, batch_source
from core.features.lineage.identity import Recorded, identity_of_batch
from core.features.lineage.version_data import data_of_all_versions, identities_of, is_about, why_not_opened
from core.features.scoring.batches import list_batches
from core.features.stores import Stores
from core.texts import joined, text


@dataclass(frozen=True, kw_only=True)
class Unresolved:
    """A model version that may have used the data although no claim that can be read says so; *why* in one sentence."""

    key: ModelVersionKey
    stage: str
    why: str


@dataclass(frozen=True, kw_only=True)
class Replaced:
    """A model version or a batch that used the data which had this name before; *why* in one sentence."""

    kind: NodeKind
    subject: str
    why: str


@dataclass(frozen=True, kw_only=True)
class Impact:
    """What depends on a data version.

    *graph* holds the models that were trained on it or evaluated with it, their batches, and the batches that scored
    it. *evaluated* are the models that only evaluated with it. *unresolved* are the versions whose data is unknown, by
    name and then newest first: the answer may be incomplete by as many. *versions* is the number of all versions.
    *replaced* are the model versions and batches that used other data under the name of this data version.
    """

    graph: Lineage
    evaluated: tuple[ModelVersionKey, ...]
    unresolved: tuple[Unresolved, ...]
    versions: int
    replaced: tuple[Replaced, ...]


def impact_of_version(stores: Stores, actor: Actor, table: str, version: int) -> Impact:
    """Return what depends on *version* of *table*, which is a registered name, or a path or URI in any spelling.

    A version whose log or files are gone is answered too.

    Raises:
        TableNotFound, VersionNotFound, RegistryUnavailable, Forbidden
    """
    stores.audit.require(actor, Action.LINEAGE_READ, f"{table}@{version}")
    resolved = stores.catalog.registered().find(table) or stores.catalog.resolve(table)
    _check_version(stores, resolved, version)
    graph = Graph(stores)
    data = DataSource(claimed=resolved.name, resolved=resolved, version=version, source_of_truth="")
    root = add_data(graph, data, Recorded())
    used: list[tuple[ModelVersion, tuple[DataSource, ...]]] = []
    unresolved: list[Unresolved] = []
    total = 0
    for model_version, sources in data_of_all_versions(stores):
        total += 1
        if any(_is(source, resolved, version) for source in sources):
            used.append((model_version, sources))
        elif why := next(_doubts(sources, resolved, version), None):
            unresolved.append(Unresolved(key=model_version.key, stage=model_version.stage.value, why=why))
    runs = stores.runs.get_many([model_version.run_id for model_version, _ in used if model_version.run_id])
    replaced: list[Replaced] = []
    dependent: dict[ModelVersionKey, tuple[DataSource, ...]] = {}
    for model_version, sources in used:
        run, named = runs.get(model_version.run_id or ""), _named(sources, resolved)
        about = [source for source in named if _is(source, resolved, version)]
        identities = [
            found for source, found in identities_of(stores, run, model_version, named, graph.known) if source in about
        ]
        if identities and all(identity.is_contradicted for identity in identities):
            why = joined(identities[0].contradictions)
            replaced.append(Replaced(kind=NodeKind.MODEL, subject=str(model_version.key), why=why))
        else:
            # Other data that is unknown says nothing about this data version.
            known = [source for source in named if source.claimed is not None or source.version is not None]
            add_version(graph, model_version, run, known)
            dependent[model_version.key] = named
    for batch in list_batches(stores, actor):
        is_source = _is(batch_source(graph.registered, batch), resolved, version)
        scored = identity_of_batch(stores, batch, resolved) if is_source else None
        if batch.key in dependent or (is_source and (scored is None or not scored.is_contradicted)):
            add_batch(graph, batch)
        elif scored is not None:
            why = joined(scored.contradictions)
            replaced.append(Replaced(kind=NodeKind.BATCH, subject=batch.batch_id, why=why))
    return Impact(
        graph=graph.lineage(root),
        evaluated=tuple(
            key
            for key, sources in dependent.items()
            if not any(_is(source, resolved, version) and source.is_training for source in sources)
        ),
        unresolved=tuple(unresolved),
        versions=total,
        replaced=tuple(replaced),
    )


def _check_version(stores: Stores, table: Table, version: int) -> None:
    """Raise if the table has no such version; a version that is lost existed."""
    try:
        stores.engine.snapshot(table, version=version)
    except DataUnreadable:
        return


def _is(source: DataSource, table: Table, version: int) -> bool:
    return source.version == version and is_about(source, table)


def _named(sources: tuple[DataSource, ...], table: Table) -> tuple[DataSource, ...]:
    """Return *sources* with *table* where they mean it, so that one node stands for all its spellings."""
    return tuple(replace(source, resolved=table) if is_about(source, table) else source for source in sources)


def _doubts(sources: tuple[DataSource, ...], table: Table, version: int) -> Iterator[str]:
    """Yield the reasons why a version may have used *table* at *version* although no claim says so."""
    is_known = any(source.key is not None for source in sources if source.is_training)
    for source in sources:
        is_table = is_about(source, table)
        if version in source.other_versions and (is_table or source.claimed is None):
            yield text(
                "{data} is claimed, and a less trusted claim names version {version}.", data=source, version=version
            )
        elif is_table and source.version is None:
            yield text("No version is known. {why}", why=" ".join(source.findings)).strip()
        elif source.resolved is None and not is_table and (source.version is not None or not is_known):
            yield why_not_opened(source)
