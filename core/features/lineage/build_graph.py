"""Build lineage graphs: from a batch or a model version back to its data, and from a data version forward."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from core.access.permissions import Action
from core.entities import (
    Actor,
    Commit,
    Edge,
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
from core.features.lineage.provenance import DataSource, data_sources
from core.features.lineage.version_data import data_of_all_versions, view_data
from core.features.scoring.batches import find_batch, list_batches
from core.features.stores import Stores
from core.features.takeover.acceptances import find_acceptance
from core.texts import text


@dataclass
class _Graph:
    """The nodes and edges of a graph under construction. Adding a node or an edge twice has no effect."""

    stores: Stores
    nodes: dict[str, Node] = field(default_factory=dict)
    edges: dict[tuple[str, str], Edge] = field(default_factory=dict)
    commits: dict[str, dict[int, Commit]] = field(default_factory=dict)
    tables: dict[str, Table] = field(default_factory=dict)

    def add(self, node: Node) -> str:
        """Add *node* and return its id."""
        self.nodes.setdefault(node.id, node)
        return node.id

    def link(self, source: str, target: str, label: str) -> None:
        if (source, target) not in self.edges:
            self.edges[source, target] = Edge(source=source, target=target, label=label)

    def table(self, name: str) -> Table:
        """Return the table; the catalog is asked once. Raises TableNotFound."""
        if name not in self.tables:
            self.tables[name] = self.stores.catalog.resolve(name)
        return self.tables[name]

    def commit(self, key: TableVersion) -> Commit | None:
        """Return the commit of a version, or None if the log no longer has it. A table's history is read once."""
        if key.table not in self.commits:
            history = self.stores.engine.history(self.table(key.table))
            self.commits[key.table] = {commit.version: commit for commit in history}
        return self.commits[key.table].get(key.version)

    def lineage(self, root: str) -> Lineage:
        return Lineage(root=root, nodes=tuple(self.nodes.values()), edges=tuple(self.edges.values()))


def lineage_of_model(stores: Stores, actor: Actor, key: ModelVersionKey) -> Lineage:
    """Return a model version with its run, data, code and decisions, and with its batches.

    A lost run or data version is a node with a problem.

    Raises:
        ModelVersionNotFound, RegistryUnavailable, Forbidden
    """
    stores.audit.require(actor, Action.LINEAGE_READ, str(key))
    graph = _Graph(stores)
    version = stores.models.version(key)
    root = _add_version(graph, version, _runs_of(stores, [version]))
    _add_acceptance(graph, key.model)
    _add_decisions(graph, stores.decisions.list(model=key.model), only=key.version)
    for batch in list_batches(stores, actor):
        if batch.key == key:
            _add_batch(graph, batch)
    return graph.lineage(root)


def lineage_of_every_version(stores: Stores, actor: Actor, model: str) -> Lineage:
    """Return all versions of a model with runs, data and decisions, in a constant number of registry calls."""
    stores.audit.require(actor, Action.LINEAGE_READ, model)
    graph = _Graph(stores)
    versions = stores.models.versions(model)
    runs = _runs_of(stores, versions)
    for version in versions:
        _add_version(graph, version, runs)
    _add_acceptance(graph, model)
    _add_decisions(graph, stores.decisions.list(model=model))
    return graph.lineage(model_node(versions[0].key) if versions else "")


def lineage_of_batch(stores: Stores, actor: Actor, batch_id: str) -> Lineage:
    """Return a batch with the data that it scored, its model version and the lineage of that. Raises BatchNotFound."""
    stores.audit.require(actor, Action.LINEAGE_READ, batch_id)
    batch = find_batch(stores, actor, batch_id)
    graph = _Graph(stores)
    try:
        version = stores.models.version(batch.key)
    except CoreError as error:
        graph.add(_model(batch.key, problem=str(error)))
    else:
        _add_version(graph, version, _runs_of(stores, [version]))
    _add_acceptance(graph, batch.model)
    _add_decisions(graph, stores.decisions.list(model=batch.model), only=batch.model_version)
    return graph.lineage(_add_batch(graph, batch))


def impact_of_version(stores: Stores, actor: Actor, table: str, version: int) -> Lineage:
    """Return the models that were trained on a data version, their batches, and the batches that scored the version."""
    stores.audit.require(actor, Action.LINEAGE_READ, f"{table}@{version}")
    resolved, data = stores.pin(table, version)
    stores.engine.snapshot(resolved, version=version)
    graph = _Graph(stores)
    root = _add_commit(graph, DataSource(table=data.table, version=version, source_of_truth=""))
    trained = [model_version for model_version, keys in data_of_all_versions(stores) if data in keys]
    runs = _runs_of(stores, trained)
    for model_version in trained:
        _add_version(graph, model_version, runs)
    models = {model_version.key for model_version in trained}
    for batch in list_batches(stores, actor):
        if batch.key in models or batch.source == data:
            _add_batch(graph, batch)
    return graph.lineage(root)


def model_node(key: ModelVersionKey) -> str:
    """Return the id of a model version's node."""
    return f"model {key}"


def commit_node(key: TableVersion) -> str:
    """Return the id of a data version's node."""
    return f"commit {key}"


def batch_node(batch_id: str) -> str:
    """Return the id of a batch's node."""
    return f"batch {batch_id}"


def _runs_of(stores: Stores, versions: Iterable[ModelVersion]) -> dict[str, Run]:
    return stores.runs.get_many([version.run_id for version in versions if version.run_id])


def _add_version(graph: _Graph, version: ModelVersion, runs: dict[str, Run]) -> str:
    run = runs.get(version.run_id or "")
    model = graph.add(_model(version.key, stage=version.stage.value, aliases=version.aliases))
    run_node = graph.add(_run_node(version, run))
    graph.link(run_node, model, text("registered as"))
    for claim in data_sources(run, version):
        graph.link(_add_commit(graph, claim), run_node, text("trained"))
    commit = run.tags.get("mlflow.source.git.commit") if run else None
    if commit:
        source = {"source": run.tags.get("mlflow.source.name", "")} if run else {}
        code = Node(
            id=f"code {commit}",
            kind=NodeKind.CODE,
            label=commit[:10],
            subject=commit,
            detail={"commit": commit, **source},
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
        detail |= {name: f"{value:g}" for name, value in run.metrics.items()}
    label = run.name if run and run.name else run_id[:10]
    subject = f"run {run_id}" if version.run_id else f"run of {version.key}"
    return Node(id=subject, kind=NodeKind.RUN, label=label, subject=run_id, detail=detail, problem=problem)


def _add_commit(graph: _Graph, source: DataSource) -> str:
    """Add the commit of a data version, with a problem if its rows cannot be shown. Return the id of the node."""
    if source.table is None or source.version is None:
        if source.version is None:
            number, label = "", text("unknown data")
        else:
            number, label = f"@{source.version}", text("unknown table @{version}", version=source.version)
        return graph.add(
            Node(
                id=f"commit unknown{number}",
                kind=NodeKind.COMMIT,
                label=label,
                subject="",
                problem="; ".join(source.findings) or text("the run does not name the table"),
            )
        )
    key = TableVersion(table=source.table, version=source.version)
    if commit_node(key) in graph.nodes:
        return commit_node(key)
    detail, problem = _commit_facts(graph, source, key)
    problems = [*source.findings, *([problem] if problem else [])]
    return graph.add(
        Node(
            id=commit_node(key),
            kind=NodeKind.COMMIT,
            label=str(key),
            subject=str(key),
            detail=detail | ({"known by": source.source_of_truth} if source.source_of_truth else {}),
            problem="; ".join(problems) or None,
        )
    )


def _commit_facts(graph: _Graph, source: DataSource, key: TableVersion) -> tuple[dict[str, str], str | None]:
    view = view_data(graph.stores, source, resolve=graph.table)
    if view.problem is not None:
        return {}, view.problem
    try:
        commit = graph.commit(key)
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


def _add_decisions(graph: _Graph, requests: Iterable[PromotionRequest], *, only: int | None = None) -> None:
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


def _add_acceptance(graph: _Graph, model: str) -> None:
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


def _add_batch(graph: _Graph, batch: PredictionBatch) -> str:
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
    source = DataSource(table=batch.source.table, version=batch.source.version, source_of_truth="")
    graph.link(_add_commit(graph, source), node, text("scored in"))
    return node
