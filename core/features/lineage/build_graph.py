"""Build lineage graphs: from a batch or a model version back to its data, and from a data version forward."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from core.access.permissions import Action
from core.delta.catalog import RegisteredTables
from core.entities import (
    Actor,
    Commit,
    DataSource,
    Edge,
    Fact,
    Identity,
    IdentityVerdict,
    Lineage,
    ModelVersion,
    ModelVersionKey,
    Node,
    NodeKind,
    PredictionBatch,
    PromotionRequest,
    Run,
    Table,
    TableVersion,
)
from core.errors import CoreError
from core.features.lineage.identity import KnownFacts, Recorded, identity_of, scored_facts
from core.features.lineage.provenance import provenance, sharing_datasets
from core.features.lineage.version_data import recorded_data, view_data, why_not_opened
from core.features.scoring.batches import find_batch, list_batches
from core.features.stores import Stores
from core.features.takeover.acceptances import find_acceptance
from core.learning.kpis import metric_text
from core.texts import text


@dataclass
class Graph:
    """The nodes and edges of a graph under construction. Adding a node or an edge twice has no effect."""

    stores: Stores
    nodes: dict[str, Node] = field(default_factory=dict)
    edges: dict[tuple[str, str], Edge] = field(default_factory=dict)
    commits: dict[str, dict[int, Commit]] = field(default_factory=dict)
    known: KnownFacts = field(default_factory=dict)
    registered: RegisteredTables = field(init=False)

    def __post_init__(self) -> None:
        self.registered = self.stores.catalog.registered()

    def add(self, node: Node) -> str:
        """Add *node* and return its id."""
        self.nodes.setdefault(node.id, node)
        return node.id

    def link(self, source: str, target: str, label: str) -> None:
        if (source, target) not in self.edges:
            self.edges[source, target] = Edge(source=source, target=target, label=label)

    def commit(self, table: Table, version: int) -> Commit | None:
        """Return the commit of a version, or None if the log no longer has it. A table's history is read once."""
        if table.uri not in self.commits:
            history = self.stores.engine.history(table)
            self.commits[table.uri] = {commit.version: commit for commit in history}
        return self.commits[table.uri].get(version)

    def lineage(self, root: str) -> Lineage:
        return Lineage(root=root, nodes=tuple(self.nodes.values()), edges=tuple(self.edges.values()))


def lineage_of_model(stores: Stores, actor: Actor, key: ModelVersionKey) -> Lineage:
    """Return a model version with its run, data, code and decisions, and with its batches.

    A lost run or data version is a node with a problem.

    Raises:
        ModelVersionNotFound, RegistryUnavailable, Forbidden
    """
    stores.audit.require(actor, Action.LINEAGE_READ, str(key))
    graph = Graph(stores)
    version = stores.models.version(key)
    root = _add_versions(graph, [version])
    _add_acceptance(graph, key.model)
    _add_decisions(graph, stores.decisions.list(model=key.model), only=key.version)
    for batch in list_batches(stores, actor):
        if batch.key == key:
            add_batch(graph, batch)
    return graph.lineage(root)


def lineage_of_every_version(stores: Stores, actor: Actor, model: str) -> Lineage:
    """Return all versions of a model with runs, data and decisions, in a constant number of registry calls."""
    stores.audit.require(actor, Action.LINEAGE_READ, model)
    graph = Graph(stores)
    versions = stores.models.versions(model)
    _add_versions(graph, versions)
    _add_acceptance(graph, model)
    _add_decisions(graph, stores.decisions.list(model=model))
    return graph.lineage(model_node(versions[0].key) if versions else "")


def lineage_of_batch(stores: Stores, actor: Actor, batch_id: str) -> Lineage:
    """Return a batch with the data that it scored, its model version and the lineage of that. Raises BatchNotFound."""
    stores.audit.require(actor, Action.LINEAGE_READ, batch_id)
    batch = find_batch(stores, actor, batch_id)
    graph = Graph(stores)
    try:
        version = stores.models.version(batch.key)
    except CoreError as error:
        graph.add(_model(batch.key, problem=str(error)))
    else:
        _add_versions(graph, [version])
    _add_acceptance(graph, batch.model)
    _add_decisions(graph, stores.decisions.list(model=batch.model), only=batch.model_version)
    return graph.lineage(add_batch(graph, batch))


def model_node(key: ModelVersionKey) -> str:
    """Return the id of a model version's node."""
    return f"model {key}"


def commit_node(key: TableVersion) -> str:
    """Return the id of a data version's node."""
    return f"commit {key}"


def batch_node(batch_id: str) -> str:
    """Return the id of a batch's node."""
    return f"batch {batch_id}"


def _add_versions(graph: Graph, versions: Sequence[ModelVersion]) -> str:
    """Add versions with their runs, data and code. Return the id of the first version's node."""
    runs = graph.stores.runs.get_many([version.run_id for version in versions if version.run_id])
    # For one version a further call finds runs that logged the same dataset.
    related = sharing_datasets(graph.stores, next(iter(runs.values()), None)) if len(versions) == 1 else runs.values()
    reader = provenance(graph.stores, related)
    for version in versions:
        run = runs.get(version.run_id or "")
        add_version(graph, version, run, reader.sources(run, version))
    return model_node(versions[0].key) if versions else ""


def add_version(graph: Graph, version: ModelVersion, run: Run | None, sources: Sequence[DataSource]) -> str:
    """Add a model version with its run, its data and its code. Return the id of its node."""
    model = graph.add(_model(version.key, stage=version.stage.value, aliases=version.aliases))
    run_node = graph.add(_run_node(version, run))
    graph.link(run_node, model, text("registered as"))
    for source, recorded in recorded_data(run, version, sources):
        use = text("trained") if source.is_training else text("evaluated")
        graph.link(add_data(graph, source, recorded), run_node, use)
    commit = run.tags.get("mlflow.source.git.commit") if run else None
    if commit:
        named = {"source": run.tags.get("mlflow.source.name", "")} if run else {}
        code = Node(
            id=f"code {commit}",
            kind=NodeKind.CODE,
            label=commit[:10],
            subject=commit,
            detail={"commit": commit, **named},
        )
        graph.link(graph.add(code), run_node, text("ran"))
    return model


def _model(key: ModelVersionKey, *, stage: str = "", aliases: Iterable[str] = (), problem: str | None = None) -> Node:
    detail = {"stage": stage} if stage else {}
    detail |= {"aliases": ", ".join(aliases)} if aliases else {}
    return Node(
        id=model_node(key), kind=NodeKind.MODEL, label=str(key), subject=str(key), detail=detail, problem=problem
    )


def _run_node(version: ModelVersion, run: Run | None) -> Node:
    run_id = version.run_id or "no run"
    problem: str | None = None
    if run is None:
        if version.run_id:
            problem = text("the run does not exist: it was erased, or it never existed")
        else:
            problem = text("the version names no run")
    elif run.is_deleted:
        problem = text("the run was deleted")
    detail = {}
    if run is not None:
        detail = {"status": run.status.value, "user": run.user or "", "experiment": run.experiment}
        detail |= {name: metric_text(value, 6) for name, value in run.metrics.items()}
    label = run.name if run and run.name else run_id[:10]
    subject = f"run {run_id}" if version.run_id else f"run of {version.key}"
    return Node(id=subject, kind=NodeKind.RUN, label=label, subject=run_id, detail=detail, problem=problem)


def add_data(graph: Graph, source: DataSource, recorded: Recorded) -> str:
    """Add the data of a claim, with a problem if its rows cannot be shown. Return the id of the node.

    Data that is not what *recorded* describes has a node of its own: the commit that has its name did not make it.
    """
    problems = [*source.findings, *([source.weak] if source.weak else [])]
    detail = {"known by": source.source_of_truth} if source.source_of_truth else {}
    if source.key is not None and source.resolved is not None:
        node, subject = commit_node(source.key), str(source.key)
        if source.claimed != source.resolved.name:
            detail["claimed as"] = source.claimed or ""
        identity = _identity(graph, source.resolved, source.key.version, recorded)
        if identity is not None and identity.is_contradicted:
            return _add_replaced(graph, source, identity, detail)
        if node in graph.nodes:
            return node
        facts, problem = _commit_facts(graph, source, source.resolved, source.key.version)
        if identity is not None and identity.verdict is IdentityVerdict.UNCLEAR:
            problems += identity.notes
        detail = facts | detail
    else:
        # The subject of a node links to the page of a registered table.
        node, subject, problem = f"data {source}", "", why_not_opened(source)
        if source.claimed is None and source.version is None:
            node = f"data {source.source_of_truth} {problem}"
    problems = list(dict.fromkeys([*problems, *([problem] if problem else [])]))
    label = text("unknown data") if source.claimed is None and source.version is None else str(source)
    return graph.add(
        Node(
            id=node,
            kind=NodeKind.COMMIT,
            label=label,
            subject=subject,
            detail=detail,
            problem="; ".join(problems) or None,
        )
    )


def _identity(graph: Graph, table: Table, version: int, recorded: Recorded) -> Identity | None:
    with suppress(CoreError):  # the problem of the node says what is wrong with the table
        return identity_of(graph.stores, table, version, recorded, known=graph.known)
    return None


def _add_replaced(graph: Graph, source: DataSource, identity: Identity, detail: Mapping[str, str]) -> str:
    """Add data that is gone, because another table or other rows have its name. It has no page to link to."""
    recorded = {c.fact: c.recorded for c in identity.comparisons if c.recorded is not None}
    return graph.add(
        Node(
            id=f"replaced {source} {recorded.get(Fact.TABLE_ID) or recorded.get(Fact.COMMIT_TIME)}",
            kind=NodeKind.COMMIT,
            label=text("{data} as it was", data=str(source)),
            subject="",
            detail={fact.value.replace("_", " "): value for fact, value in recorded.items()} | dict(detail),
            problem="; ".join((*source.findings, *identity.contradictions)),
        )
    )


def _commit_facts(graph: Graph, source: DataSource, table: Table, version: int) -> tuple[dict[str, str], str | None]:
    view = view_data(graph.stores, source)
    if view.problem is not None:
        return {}, view.problem
    try:
        commit = graph.commit(table, version)
    except CoreError as error:
        return {}, str(error)
    detail = {}
    if commit is not None:
        detail = {
            "operation": commit.operation,
            "time": commit.timestamp.isoformat(timespec="seconds"),
            "user": commit.claimed_by or "",
            "rows added": "" if commit.rows_added is None else str(commit.rows_added),
        }
    return detail, view.why_unreadable


def _add_decisions(graph: Graph, requests: Iterable[PromotionRequest], *, only: int | None = None) -> None:
    for request in requests:
        if (only is not None and request.version != only) or model_node(request.key) not in graph.nodes:
            continue
        node = graph.add(
            Node(
                id=f"decision {request.id}",
                kind=NodeKind.DECISION,
                label=f"{request.to.value}: {request.status.value}",
                subject=request.id,
                detail=dict(_request_facts(request)),
                problem=text("unfinished") if request.status.value == "unfinished" else None,
            )
        )
        graph.link(model_node(request.key), node, request.kind.value)


def _add_acceptance(graph: Graph, model: str) -> None:
    """Add the acceptance of the model's state as found to the versions that it names."""
    acceptance = find_acceptance(graph.stores, model)
    if acceptance is None:
        return
    for number, stage in acceptance.stages.items():
        key = ModelVersionKey(model=model, version=number)
        if model_node(key) not in graph.nodes:
            continue
        node = graph.add(
            Node(
                id=f"acceptance {key}",
                kind=NodeKind.DECISION,
                label=text("{stage}: accepted as found", stage=stage.value),
                subject="",
                detail={
                    "stage": stage.value,
                    "accepted by": acceptance.actor,
                    "accepted at": acceptance.time.isoformat(timespec="seconds"),
                    "reason": acceptance.reason,
                    "event": str(acceptance.sequence),
                },
            )
        )
        graph.link(model_node(key), node, text("as found"))


def _request_facts(request: PromotionRequest) -> Iterator[tuple[str, str]]:
    yield "kind", request.kind.value
    yield "to", request.to.value
    yield "status", request.status.value
    yield "requested by", request.requested_by
    yield "why asked", request.request_reason
    if request.decided_by:
        yield "decided by", request.decided_by
    if request.decided_at:
        yield "decided at", request.decided_at.isoformat(timespec="seconds")
    if request.reason:
        yield "reason", request.reason


def add_batch(graph: Graph, batch: PredictionBatch) -> str:
    """Add a batch with the data that it scored and its model version. Return the id of its node."""
    node = graph.add(
        Node(
            id=batch_node(batch.batch_id),
            kind=NodeKind.BATCH,
            label=text("{batch} ({rows} rows)", batch=batch.into, rows=batch.rows),
            subject=batch.batch_id,
            detail={
                "into": str(batch.into),
                "rows": str(batch.rows),
                "scored": str(batch.source),
                "with": str(batch.key),
                "by": batch.actor,
                "time": batch.time.isoformat(timespec="seconds"),
            },
        )
    )
    if model_node(batch.key) not in graph.nodes:
        graph.add(_model(batch.key))
    graph.link(model_node(batch.key), node, text("predicted"))
    source = batch_source(graph.registered, batch)
    graph.link(add_data(graph, source, scored_facts(batch)), node, text("scored in"))
    return node


def batch_source(registered: RegisteredTables, batch: PredictionBatch) -> DataSource:
    """Return the data that a batch scored: its commit's metadata claims a table, which may not be registered."""
    table, version = batch.source.table, batch.source.version
    return DataSource(claimed=table, resolved=registered.find(table), version=version, source_of_truth="")
