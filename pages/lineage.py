"""Lineage: from a prediction or a model version back to its commits, and from a data version forward."""

from __future__ import annotations

from datetime import datetime

import pandas as pd
import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from core.access.permissions import Action
from core.delta.catalog import split_version
from core.entities import Lineage, Node, NodeKind
from core.errors import CoreError
from core.features.data.browse import list_tables, table_history
from core.features.lineage.build_graph import impact_of_version, lineage_of_batch, lineage_of_model
from core.features.monitoring.findings import list_findings
from core.features.runs.models import list_models
from core.features.scoring.batches import list_batches
from pages._audit import finding_views
from pages._history import as_of
from pages._lineage import lineage_graph
from pages._ui import escaping, links, messages, pickers, session

# Facts of a node that are times, in ISO 8601.
TIMES = ("time", "decided at")
FROM_MODEL, FROM_BATCH, FROM_DATA = "a model version", "a prediction batch", "a data version"

actor = session.require(Action.LINEAGE_READ)
stores = session.stores()


def start() -> Lineage | None:
    """What to trace, as the address says or as it is picked."""
    how = st.segmented_control(
        "Start from",
        [FROM_MODEL, FROM_BATCH, FROM_DATA],
        default=FROM_MODEL,
        required=True,
        key="lineage_from",
        bind="query-params",
    )
    first, second = st.columns(2)
    if how == FROM_MODEL:
        models = [one for one in list_models(stores, actor) if one.versions]
        name = pickers.model(models, "lineage_model", at=first)
        chosen = next((one for one in models if one.name == name), None)
        key = pickers.model_version(chosen, "lineage_version", at=second) if chosen else None
        return lineage_of_model(stores, actor, key) if key else None
    if how == FROM_BATCH:
        batches = list_batches(stores, actor)
        words = {b.batch_id: f"{b.into} · {b.key} on {b.source} · {messages.local(b.time)}" for b in batches}
        batch_id = pickers.choose("Batch", list(words), "lineage_batch", words=words)
        return lineage_of_batch(stores, actor, batch_id) if batch_id else None
    table = pickers.table(list_tables(stores, actor), "lineage_table", at=first)
    if table is None:
        return None
    version = pickers.data_version(table_history(stores, actor, table), "lineage_data", at=second)
    return None if version is None else impact_of_version(stores, actor, table, version)


def details(node: Node, left: DeltaGenerator, right: DeltaGenerator) -> None:
    """What is known of one node, and the way to its page."""
    with left:
        st.markdown(f"**{lineage_graph.kind_word(node).capitalize()}** {messages.plain(node.label)}")
        if node.problem:
            st.error(messages.plain(node.problem), icon=":material/error:")
        finding_views.brief(findings.get(node.id, ()))
        link(node)
    facts = {"name": node.subject, **{name: told(name, value) for name, value in node.detail.items()}}
    escaping.table(
        pd.DataFrame({"Fact": list(facts), "Value": list(facts.values())}),
        at=right,
        key="lineage_facts",
    )


def told(name: str, value: str) -> str:
    """One fact of a node; a time as times are told everywhere."""
    return messages.local(datetime.fromisoformat(value), seconds=True) if name in TIMES and value else str(value)


def link(node: Node) -> None:
    if node.kind is NodeKind.COMMIT and node.subject:
        table, version = split_version(node.subject)
        links.link("tables", "Look at the rows", tables_table=table, tables_version=str(version))
    elif node.kind is NodeKind.MODEL:
        model, _, number = node.subject.rpartition("/")
        links.link("models", "Look at the model", models_model=model, models_version=number)
    elif node.kind is NodeKind.RUN and not node.problem:
        links.link("runs", "Look at the run", runs=node.subject)
    elif node.kind is NodeKind.DECISION:
        links.link("promotions", "Look at the decision", promotions_request=node.subject)
    elif node.kind is NodeKind.BATCH:
        links.link("predictions", "Look at the rows", predictions_batch=node.subject)


st.title("Lineage")
graph = None
try:
    then = as_of.state(stores, actor)
    if then is not None:
        as_of.lineage(then)
        st.stop()
    graph = start()
    findings = lineage_graph.findings_of(graph, list_findings(stores, actor)) if graph else {}
except CoreError as error:
    messages.show_error(error)
    st.stop()
if graph is None:
    st.info(
        "There is nothing to trace yet. Train a model on the page **Training**, or score a table on **Predictions**."
    )
    st.stop()
problems = [node for node in graph.nodes if node.problem]
if problems:
    st.warning(
        f"{len(problems)} of {len(graph.nodes)} nodes have a problem; they are marked with !", icon=":material/warning:"
    )
if findings:
    st.warning(
        f"{len(findings)} of {len(graph.nodes)} nodes have an open finding; they are marked with !",
        icon=":material/policy_alert:",
    )
clicked = lineage_graph.draw(graph, findings, key="lineage_graph")
if clicked and clicked != st.session_state.get("lineage_clicked"):
    pickers.ask("lineage_node", clicked)
st.session_state["lineage_clicked"] = clicked
labels = {node.id: f"{lineage_graph.kind_word(node)}: {node.label}" for node in graph.nodes}
ids = list(labels)
picker, known = st.columns([2, 3], gap="medium")
chosen = pickers.choose(
    "Node", ids, "lineage_node", words=labels, at=picker, index=ids.index(graph.root), of=graph.root
)
details(next(node for node in graph.nodes if node.id == chosen), picker, known)
st.subheader("The same in words")
escaping.table(lineage_graph.table(graph, findings), key="lineage_table_view")
