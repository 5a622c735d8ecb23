"""Lineage: from a prediction or a model version back to its data, and from a data version forward."""

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
from core.features.history.as_of import state_at
from core.features.lineage.build_graph import lineage_of_batch, lineage_of_model
from core.features.lineage.impact import impact_of_version
from core.features.monitoring.findings import list_findings
from core.features.runs.models import list_versions
from core.features.scoring.batches import list_batches
from core.texts import text
from pages._audit import finding_views
from pages._history import as_of
from pages._lineage import impact_view, lineage_graph
from pages._predictions import batch_views
from pages._ui import escaping, links, messages, pickers, session
from pages._ui.texts import t, translated

# Fields of a node that hold times, in ISO 8601.
TIMES = ("time", "decided at")
FROM_MODEL, FROM_BATCH, FROM_DATA = text("Model version"), text("Prediction batch"), text("Data version")

actor = session.require(Action.LINEAGE_READ)
stores = session.stores()


def start() -> Lineage | None:
    """Return the lineage of the chosen model version, batch or data version; the address keeps the choice."""
    start_from = st.segmented_control(
        t("Start from"),
        [FROM_MODEL, FROM_BATCH, FROM_DATA],
        default=FROM_MODEL,
        format_func=translated,
        required=True,
        key="lineage_from",
        bind="query-params",
    )
    left, right = st.columns(2)
    if start_from == FROM_MODEL:
        models = list_versions(stores, actor)
        name = pickers.model(models, "lineage_model", at=left)
        model = next((model for model in models if model.name == name), None)
        key = pickers.model_version(model, "lineage_version", at=right) if model else None
        return lineage_of_model(stores, actor, key) if key else None
    if start_from == FROM_BATCH:
        batches = list_batches(stores, actor)
        labels = {batch.batch_id: f"{batch.into} · {batch_views.label(batch)}" for batch in batches}
        batch_id = pickers.choose(t("Batch"), list(labels), "lineage_batch", labels=labels)
        return lineage_of_batch(stores, actor, batch_id) if batch_id else None
    table = pickers.table(list_tables(stores, actor), "lineage_table", at=left)
    if table is None:
        return None
    version = pickers.data_version(table_history(stores, actor, table), "lineage_data", at=right)
    return None if version is None else impact_view.graph(impact_of_version(stores, actor, table, version))


def details(node: Node, left: DeltaGenerator, right: DeltaGenerator) -> None:
    """Show the fields of one node, its problems and a link to its page."""
    with left:
        st.markdown(f"**{lineage_graph.kind_label(node).capitalize()}** {messages.plain(node.label)}")
        if node.problem:
            st.error(messages.plain(node.problem), icon=":material/error:")
        finding_views.summary(findings.get(node.id, ()))
        link(node)
    fields = {t("name"): node.subject, **{name: field_value(name, value) for name, value in node.detail.items()}}
    escaping.table(
        pd.DataFrame({t("Field"): list(fields), t("Value"): list(fields.values())}),
        at=right,
        key="lineage_facts",
    )


def field_value(name: str, value: str) -> str:
    """Return the value of a node's field; a time in the viewer's zone."""
    return messages.local_time(datetime.fromisoformat(value), seconds=True) if name in TIMES and value else str(value)


def link(node: Node) -> None:
    """Draw a link to the page of the node."""
    if node.kind is NodeKind.COMMIT and node.subject:
        table, version = split_version(node.subject)
        links.link("tables", t("Show rows"), tables_table=table, tables_version=str(version))
    elif node.kind is NodeKind.MODEL:
        model, _, number = node.subject.rpartition("/")
        links.link("models", t("Show model version"), models_model=model, models_version=number)
    elif node.kind is NodeKind.RUN and not node.problem:
        links.link("runs", t("Show run"), runs=node.subject)
    elif node.kind is NodeKind.DECISION and not node.subject and "event" in node.detail:
        links.link("audit", t("Show event"), audit_event=node.detail["event"])
    elif node.kind is NodeKind.DECISION and node.subject:
        links.link("promotions", t("Show decision"), promotions_request=node.subject)
    elif node.kind is NodeKind.BATCH:
        links.link("predictions", t("Show rows"), predictions_batch=node.subject)


st.title(t("Lineage"))
graph = None
try:
    if (moment := session.moment()) is not None:
        as_of.show_lineage(state_at(stores, actor, moment))
        st.stop()
    graph = start()
    findings = lineage_graph.findings_by_node(graph, list_findings(stores, actor)) if graph else {}
except CoreError as error:
    messages.show_error(error)
    st.stop()
if graph is None:
    st.info(t("No lineage yet. Train a model on the page **Training**, or score a table on **Predictions**."))
    st.stop()
problems = [node for node in graph.nodes if node.problem]
if problems:
    st.warning(
        t("Nodes with a problem, marked with !: {count} of {total}.", count=len(problems), total=len(graph.nodes)),
        icon=":material/warning:",
    )
if findings:
    st.warning(
        t(
            "Nodes with an open finding, marked with !: {count} of {total}.",
            count=len(findings),
            total=len(graph.nodes),
        ),
        icon=":material/policy_alert:",
    )
clicked = lineage_graph.draw(graph, findings, key="lineage_graph")
if clicked and clicked != st.session_state.get("lineage_clicked"):
    pickers.preselect("lineage_node", clicked)
st.session_state["lineage_clicked"] = clicked
labels = {node.id: f"{lineage_graph.kind_label(node)}: {node.label}" for node in graph.nodes}
ids = list(labels)
left, right = st.columns([2, 3], gap="medium")
chosen = pickers.choose(
    t("Node"), ids, "lineage_node", labels=labels, at=left, index=ids.index(graph.root), of=graph.root
)
details(next(node for node in graph.nodes if node.id == chosen), left, right)
st.subheader(t("Lineage as a table"))
escaping.table(lineage_graph.table(graph, findings), key="lineage_table_view")
