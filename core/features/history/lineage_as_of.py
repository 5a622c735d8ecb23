"""Lineage of a model version at an earlier time: data, run, decision and predictions, from the audit log alone."""

from __future__ import annotations

from core.access.permissions import Action
from core.entities import Actor, Edge, Lineage, ModelVersionKey, Node, NodeKind
from core.errors import ModelVersionNotFound
from core.features.history.as_of import StateAsOf, VersionAsOf, state_at
from core.features.history.moment import Moment
from core.features.lineage.build_graph import batch_node, model_node
from core.features.stores import Stores
from core.learning.kpis import metric_text
from core.texts import text


def lineage_at(stores: Stores, actor: Actor, key: ModelVersionKey, moment: Moment) -> tuple[VersionAsOf, Lineage]:
    """Return a version and its lineage as they were at *moment*.

    Raises:
        ModelVersionNotFound: the version did not exist yet.
        Forbidden.
    """
    stores.audit.require(actor, Action.LINEAGE_READ, str(key))
    state = state_at(stores, actor, moment)
    graph = lineage_of_state(state, key)
    return next(v for model in state.models for v in model.versions if v.key == key), graph


def lineage_of_state(state: StateAsOf, key: ModelVersionKey) -> Lineage:
    """Build the lineage of *key* from a state.

    Raises:
        ModelVersionNotFound: the version did not exist yet.
    """
    version = state.version(key)
    if version is None:
        raise ModelVersionNotFound(
            "{key} did not exist at {moment:%Y-%m-%d %H:%M} UTC.", key=str(key), moment=state.moment.time
        )
    root = model_node(key)
    nodes = [
        Node(id=root, kind=NodeKind.MODEL, label=str(key), subject=str(key), detail={"stage": version.stage.value})
    ]
    edges: list[Edge] = []
    _add_origin(version, root, nodes, edges)
    _add_decision(version, root, nodes, edges)
    for batch in state.batches:
        if batch.model_version == str(key):
            node = batch_node(batch.batch_id)
            detail = {"scored": batch.source, "by": batch.actor, "time": batch.time.isoformat(timespec="seconds")}
            label = batch.into
            if batch.rows is not None:
                label = text("{table} ({rows} rows)", table=batch.into, rows=batch.rows)
            nodes.append(Node(id=node, kind=NodeKind.BATCH, label=label, subject=batch.batch_id, detail=detail))
            edges.append(Edge(source=root, target=node, label="predicted"))
    return Lineage(root=root, nodes=tuple(nodes), edges=tuple(edges))


def _add_origin(version: VersionAsOf, root: str, nodes: list[Node], edges: list[Edge]) -> None:
    if version.run_id is None:
        problem = text("registered outside ModelLedger; no inspection had recorded the run by then")
        nodes.append(Node(id="run unknown", kind=NodeKind.RUN, label="unknown", subject="", problem=problem))
        edges.append(Edge(source="run unknown", target=root, label="registered as"))
        return
    run = f"run {version.run_id}"
    detail = (
        {"user": version.trained_by or "", "ended": version.trained.isoformat(timespec="seconds")}
        if version.trained
        else {"seen first": version.seen.isoformat(timespec="seconds")}
        if version.seen
        else {}
    )
    detail |= {
        name: metric_text(value, 6) if isinstance(value, float) else str(value)
        for name, value in version.metrics.items()
    }
    nodes.append(Node(id=run, kind=NodeKind.RUN, label=version.run_id[:10], subject=version.run_id, detail=detail))
    edges.append(Edge(source=run, target=root, label="registered as"))
    if version.data is not None:
        data = f"commit {version.data}"
        nodes.append(Node(id=data, kind=NodeKind.COMMIT, label=str(version.data), subject=str(version.data)))
        edges.append(Edge(source=data, target=run, label="trained"))


def _add_decision(version: VersionAsOf, root: str, nodes: list[Node], edges: list[Edge]) -> None:
    decision = version.decision
    if decision is None:
        return
    detail = {
        "decided by": ", ".join(decision.decided_by),
        "decided at": decision.time.isoformat(timespec="seconds"),
        "reason": decision.reason,
        "requested by": decision.requested_by or "",
        "why asked": decision.request_reason or "",
        "event": str(decision.sequence),
    }
    label = version.stage.value
    if decision.is_acceptance:
        label = text("{stage}: accepted as found", stage=version.stage.value)
        detail = {**detail, "decided by": "", "accepted by": detail["decided by"]}
    node = f"decision {decision.sequence}"
    nodes.append(Node(id=node, kind=NodeKind.DECISION, label=label, subject=decision.request or "", detail=detail))
    edges.append(Edge(source=root, target=node, label="stage"))
