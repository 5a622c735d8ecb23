"""As of a date: the one picker, in the address, and what stood then as each page shows it."""

from __future__ import annotations

from datetime import date, datetime

import pandas as pd
import streamlit as st

from core.entities import Actor
from core.features.history.as_of import ModelAsOf, StateAsOf, end_of_day, state_at
from core.features.history.lineage_as_of import lineage_of_state
from core.features.monitoring.findings import findings_about_model, findings_about_version
from core.features.stores import Stores
from pages._audit import finding_views
from pages._lineage import lineage_graph
from pages._ui import escaping, messages, pickers

_KEY = "as_of"


def moment() -> datetime | None:
    """The picker: the end of the chosen day in UTC, so that a link shows everybody the same; None for today."""
    with st.sidebar:
        day = st.date_input(
            "As of (end of the day, UTC)",
            value=None,
            format="YYYY-MM-DD",
            max_value="today",
            key=_KEY,
            bind="query-params",
            help="Shows what stood then, from the audit log. Empty: what stands now.",
        )
    return end_of_day(day) if isinstance(day, date) else None


def bound() -> datetime | None:
    """The same picker where a page shows the log itself: a line says that it ends there."""
    chosen = moment()
    if chosen is not None:
        st.info(
            f"Events until the end of {chosen:%Y-%m-%d} (UTC), and findings as they stood then.",
            icon=":material/history:",
        )
    return chosen


def state(stores: Stores, actor: Actor) -> StateAsOf | None:
    """What stood on the chosen day, with a line that says so; None where no day is chosen."""
    chosen = moment()
    if chosen is None:
        return None
    found = state_at(stores, actor, chosen)
    st.info(
        f"As it stood at the end of {chosen:%Y-%m-%d} (UTC), read from the audit log up to event {found.events}. "
        "What was changed outside ModelLedger is not in it. Clear the date in the sidebar to see today.",
        icon=":material/history:",
    )
    return found


def overview(found: StateAsOf) -> None:
    """What served then, what waited, what had been scored."""
    st.subheader("In Production then")
    if not found.models:
        st.caption("No model was trained yet.")
    for model in found.models:
        with st.container(border=True):
            _serving(model)
    st.subheader("Waited for a decision")
    _table(
        [
            {
                "Request": request.id,
                "Model version": str(request.key),
                "To": messages.word(request.to),
                "Asked by": request.requested_by,
                "Asked": request.requested_at,
                "Why": request.request_reason,
            }
            for request in found.waiting
        ],
        empty="Nothing waited.",
        times=("Asked",),
        key="as_of_waiting",
    )
    st.subheader("Open findings")
    if not found.findings:
        st.caption("No finding was open.")
    finding_views.brief(found.findings, border=True, at=found.moment)
    st.subheader("Predictions made by then")
    _table(
        [
            {
                "When": batch.time,
                "Model version": batch.model_version,
                "Read": batch.source,
                "Wrote": batch.into,
                "Rows": batch.rows,
                "By": batch.actor,
            }
            for batch in reversed(found.batches)
        ],
        empty="None.",
        times=("When",),
        key="as_of_batches",
    )


def models(found: StateAsOf) -> None:
    """The versions of one model as they stood, with the decision that put each into its stage."""
    if not found.models:
        st.caption("No model was trained yet.")
        return
    name = pickers.choose("Model", [model.name for model in found.models], "models_model")
    model = next((one for one in found.models if one.name == name), None)
    if model is None:
        return
    _serving(model)
    finding_views.brief(findings_about_model(found.findings, model.name), at=found.moment)
    _table(
        [
            {
                "Version": version.version,
                "Stage": messages.word(version.stage),
                "Trained on": str(version.data) if version.data else "not in the log",
                "Trained": version.trained,
                "Trained by": version.trained_by,
                "Decided by": ", ".join(version.decision.decided_by) if version.decision else None,
                "Decided": version.decision.time if version.decision else None,
                "Why": version.decision.reason if version.decision else None,
                "Event": version.decision.sequence if version.decision else None,
                **version.metrics,
            }
            for version in model.versions
        ],
        empty="It had no version.",
        times=("Trained", "Decided"),
        key="as_of_versions",
    )


def lineage(found: StateAsOf) -> None:
    """A model version back to its data and forward to its decision and predictions, as it stood."""
    keys = {str(v.key): v.key for model in found.models for v in model.versions}
    chosen = pickers.choose("Model version", list(keys), "as_of_lineage")
    if chosen is None:
        st.caption("No model was trained yet.")
        return
    finding_views.brief(findings_about_version(found.findings, keys[chosen]), at=found.moment)
    graph = lineage_of_state(found, keys[chosen])
    lineage_graph.draw(graph, key="as_of_graph")
    st.subheader("The same in words")
    escaping.table(lineage_graph.table(graph), key="as_of_words")


def earlier(one: datetime | None, other: datetime | None) -> datetime | None:
    """The earlier of two bounds, either of which may be open."""
    return min((bound for bound in (one, other) if bound is not None), default=None)


def _serving(model: ModelAsOf) -> None:
    serving = model.production
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(f"**{messages.plain(model.name)}**", width="content")
        if serving is None:
            st.badge("nothing in Production", icon=":material/circle:", color="gray")
        else:
            messages.badge(serving.stage)
            st.markdown(f"version {serving.version}", width="content")
    if serving is None or serving.decision is None:
        return
    decision = serving.decision
    by = messages.plain(", ".join(decision.decided_by))
    asked = f", asked for by {messages.plain(decision.requested_by)}" if decision.requested_by else ""
    data = messages.plain(serving.data) if serving.data else "data that the log does not name"
    st.caption(f"trained on {data} · since {messages.local(decision.time)} · approved by {by}{asked}")
    escaping.text(decision.reason)


def _table(rows: list[dict[str, object]], *, empty: str, times: tuple[str, ...], key: str) -> None:
    if not rows:
        st.caption(empty)
        return
    columns = {name: messages.time_column(name) for name in times}
    escaping.table(pd.DataFrame(rows), style=messages.coloured, placeholder="–", column_config=columns, key=key)
