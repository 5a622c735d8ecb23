"""The state at an earlier moment, as Overview, Models and Lineage show it."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from core.features.history.as_of import ModelAsOf, StageDecision, StateAsOf
from core.features.history.lineage_as_of import lineage_of_state
from core.features.monitoring.findings import findings_about_model, findings_about_version
from pages._audit import finding_views
from pages._lineage import lineage_graph
from pages._runs.metric_columns import metric_cells
from pages._runs.run_tables import metric_names
from pages._ui import escaping, messages, pickers
from pages._ui.texts import t

# More models than this are a table.
_CARDS = 3


def show_overview(state: StateAsOf) -> None:
    """Show what was in Production, which requests were pending, which findings were open and what had been scored."""
    st.subheader(t("In Production at that moment"))
    if not state.models:
        st.caption(t("No model had been trained."))
    if len(state.models) > _CARDS:
        _production_table(state)
    else:
        for model in state.models:
            with st.container(border=True):
                _production(model)
    st.subheader(t("Pending requests"))
    _table(
        [
            {
                t("Request"): request.id,
                t("Model version"): str(request.key),
                t("Stage"): messages.label(request.to),
                t("Requested by"): request.requested_by,
                t("Requested"): request.requested_at,
                t("Reason"): request.request_reason,
            }
            for request in state.waiting
        ],
        empty=t("No request was pending."),
        times=(t("Requested"),),
        key="as_of_waiting",
    )
    st.subheader(t("Open findings"))
    if not state.findings:
        st.caption(t("No finding was open."))
    finding_views.summary(state.findings, border=True, at=state.moment.time)
    st.subheader(t("Predictions until then"))
    _table(
        [
            {
                t("Time"): batch.time,
                t("Model version"): batch.model_version,
                t("Data version"): batch.source,
                t("Written to"): batch.into,
                t("Rows"): batch.rows,
                t("By"): batch.actor,
            }
            for batch in reversed(state.batches)
        ],
        empty=t("Nothing had been scored."),
        times=(t("Time"),),
        key="as_of_batches",
    )


def show_models(state: StateAsOf) -> str | None:
    """Show the versions of one model at that moment, with the decision that gave each its stage. Return its name."""
    if not state.models:
        st.caption(t("No model had been trained."))
        return None
    name = pickers.choose(t("Model"), [model.name for model in state.models], "models_model")
    model = next((model for model in state.models if model.name == name), None)
    if model is None:
        return None
    _production(model)
    finding_views.summary(findings_about_model(state.findings, model.name), at=state.moment.time)
    # The log keeps an undefined value as the text NaN, Infinity or -Infinity.
    measured = [{name: float(value) for name, value in version.metrics.items()} for version in model.versions]
    _table(
        [
            {
                t("Version"): version.version,
                t("Stage"): messages.label(version.stage),
                t("Trained on"): str(version.data) if version.data else t("not in the log"),
                t("Trained"): version.trained,
                t("Trained by"): version.trained_by,
                t("Decided by"): ", ".join(version.decision.decided_by) if version.decision else None,
                t("Decided"): version.decision.time if version.decision else None,
                t("Reason"): version.decision.reason if version.decision else None,
                t("Event"): version.decision.sequence if version.decision else None,
                **cells,
            }
            for version, cells in zip(model.versions, metric_cells(measured, metric_names(measured)), strict=True)
        ],
        empty=t("The model had no version."),
        times=(t("Trained"), t("Decided")),
        key="as_of_versions",
    )
    return model.name


def show_lineage(state: StateAsOf) -> None:
    """Show the lineage of a model version at that moment: its data, its decision and its predictions."""
    keys = {str(version.key): version.key for model in state.models for version in model.versions}
    st.caption(t("At an earlier moment, lineage starts from a model version."))
    linked = _linked_version(state)
    index = list(keys).index(linked) if linked in keys else 0
    chosen = pickers.choose(t("Model version"), list(keys), "as_of_lineage", index=index, of=linked)
    if chosen is None:
        st.caption(t("No model had been trained."))
        return
    finding_views.summary(findings_about_version(state.findings, keys[chosen]), at=state.moment.time)
    graph = lineage_of_state(state, keys[chosen])
    lineage_graph.draw(graph, key="as_of_graph")
    st.subheader(t("Lineage as a table"))
    escaping.table(lineage_graph.table(graph), key="as_of_words")


def _linked_version(state: StateAsOf) -> str:
    """Return the model version that a link to the lineage of a version or of a prediction batch names."""
    address = st.query_params
    scored = {batch.batch_id: batch.model_version for batch in state.batches}
    version = f"{address.get('lineage_model', '')}/{address.get('lineage_version', '')}"
    return scored.get(address.get("lineage_batch", ""), version)


def _production(model: ModelAsOf) -> None:
    production = model.production
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(f"**{messages.plain(model.name)}**", width="content")
        if production is None:
            st.badge(t("no version in Production"), icon=":material/circle:", color="gray")
        else:
            messages.badge(production.stage)
            st.markdown(t("version {version}", version=production.version), width="content")
    if production is None or production.decision is None:
        return
    decision = production.decision
    facts = [
        t("trained on {data}", data=messages.plain(production.data))
        if production.data
        else t("trained on data that the log does not name"),
        t("since {time}", time=messages.local_time(decision.time)),
        t("state as found, accepted by {names}", names=messages.plain(", ".join(decision.decided_by)))
        if decision.is_acceptance
        else t("approved by {names}", names=messages.plain(", ".join(decision.decided_by))),
    ]
    if decision.requested_by:
        facts.append(t("requested by {name}", name=messages.plain(decision.requested_by)))
    st.caption(" · ".join(facts))
    escaping.text(decision.reason)


def _production_table(state: StateAsOf) -> None:
    """Show one line per model, those in Production first."""
    rows: list[dict[str, object]] = []
    for model in sorted(state.models, key=lambda model: (model.production is None, model.name)):
        production, decision = model.production, model.production.decision if model.production else None
        rows.append(
            {
                t("Model"): model.name,
                t("In Production"): t("version {version}", version=production.version) if production else None,
                t("Trained on"): str(production.data) if production and production.data else None,
                t("Since"): decision.time if decision else None,
                t("Decision"): _decision_word(decision) if decision else None,
                t("Decided by"): ", ".join(decision.decided_by) if decision else None,
                t("Reason"): decision.reason if decision else None,
            }
        )
    _table(rows, empty="", times=(t("Since"),), key="as_of_production")


def _decision_word(decision: StageDecision) -> str:
    return t("accepted as found") if decision.is_acceptance else t("approved")


def _table(rows: list[dict[str, object]], *, empty: str, times: tuple[str, ...], key: str) -> None:
    if not rows:
        st.caption(empty)
        return
    columns = {name: messages.time_column(name) for name in times}
    escaping.table(pd.DataFrame(rows), style=messages.coloured, placeholder="–", column_config=columns, key=key)
