"""One run on a page: what it logged, what was changed after it had ended, its files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd
import plotly.graph_objects as go
import streamlit as st

from core.entities import Actor, MetricPoint, Run
from core.features.runs.runs import RunView, show_run
from core.features.stores import Stores
from pages._runs.run_tables import metric_names, number, short
from pages._ui import charts, escaping, links, messages, pickers


def details(stores: Stores, actor: Actor, runs: Sequence[Run]) -> None:
    """Which of the compared runs, and everything about it."""
    words = {run.run_id: short(run) for run in runs}
    run_id = pickers.choose("Run", list(words), "runs_detail", words=words)
    if run_id is None:
        return
    view = show_run(stores, actor, run_id)
    _headline(view)
    left, right = st.columns(2)
    left.markdown("**Params**")
    escaping.table(_pairs(view.run.params), at=left, alt="Params")
    right.markdown("**Tags**")
    escaping.table(_pairs(view.run.tags), at=right, alt="Tags")
    st.markdown("**Metrics**")
    if view.history:
        escaping.table(_points(view), column_config={"Time": messages.time_column("Time")}, alt="Metrics")
    else:
        st.caption("It logged no metric.")
    _curves({name: points for name, points in view.history.items() if len({point.step for point in points}) > 1})
    st.markdown("**Files**")
    rows = [{"File": item.path, "Bytes": item.size_bytes} for item in view.artifacts if not item.is_folder]
    if rows:
        escaping.table(pd.DataFrame(rows), alt="Files of the run")
    else:
        st.caption("It logged no file, or its files are gone.")


def _headline(view: RunView) -> None:
    run = view.run
    with st.container(horizontal=True, vertical_alignment="center"):
        messages.badge(run.status)
        st.caption(f"trained on {messages.plain(run.data) if run.data else 'unknown data'}", width="content")
        st.caption(f"by {messages.plain(run.user or 'nobody known')}", width="content")
        st.caption(f"{messages.local(run.started, seconds=True)} – {messages.local(run.ended)}", width="content")
        for version in view.versions:
            links.link(
                "models",
                messages.plain(version.key),
                models_model=version.model,
                models_version=str(version.version),
            )
    for note in view.notes:
        st.warning(messages.plain(note), icon=":material/warning:")
    for name, points in view.late.items():
        told = ", ".join(
            f"{number(point.value)} at {messages.local(point.timestamp, seconds=True)}" for point in points
        )
        st.warning(messages.plain(f"{name} was changed after the run had ended: {told}."), icon=":material/history:")


def _points(view: RunView) -> pd.DataFrame:
    """Every logged value; those after the end are marked."""
    return pd.DataFrame(
        [
            {
                "Metric": name,
                "Value": number(point.value),
                "Step": point.step,
                "Time": point.timestamp,
                "When": "▲ after the run ended" if point in view.late.get(name, ()) else "during the run",
            }
            for name in metric_names([view.run])
            for point in view.history[name]
        ]
    )


def _curves(histories: Mapping[str, Sequence[MetricPoint]]) -> None:
    """Metrics that were logged at several steps, as lines."""
    if not histories:
        return
    figure = go.Figure()
    for name, points in histories.items():
        figure.add_scatter(
            name=charts.plain(name),
            x=[point.step for point in points],
            y=[point.value for point in points],
            mode="lines+markers",
        )
    figure.update_layout(xaxis_title="Step")
    figure.update_xaxes(automargin=True).update_yaxes(automargin=True)
    charts.show(figure, alt=f"{', '.join(histories)} over steps", key="runs_curves")


def _pairs(values: Mapping[str, str]) -> pd.DataFrame:
    return pd.DataFrame({"Name": list(values), "Value": list(values.values())})
