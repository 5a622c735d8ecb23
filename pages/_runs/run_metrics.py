"""The metrics of one run on a page: the last values, curves over steps, and the system metrics apart from the KPIs."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import pandas as pd
import plotly.graph_objects as go
import streamlit as st

from core.entities import Actor, MetricHistory
from core.features.runs.runs import RunView, metric_curves
from core.features.stores import Stores
from core.learning.kpis import SYSTEM_PREFIX
from pages._runs.run_tables import metric_names, number
from pages._ui import charts, escaping, messages, pickers
from pages._ui.texts import t, tn

_FIRST_CURVES = 3


def metrics(stores: Stores, actor: Actor, view: RunView) -> None:
    """Show the last value of each metric, the curves of the chosen ones, every value, and the system metrics."""
    names = metric_names([view.run.metrics])
    own = [name for name in names if not name.startswith(SYSTEM_PREFIX)]
    system = [name for name in names if name.startswith(SYSTEM_PREFIX)]
    st.markdown(f"**{t('Metrics')}**")
    if not own:
        st.caption(t("The run logged no metrics."))
    else:
        escaping.table(
            _last_values(view, own),
            placeholder="–",
            column_config={t("Time"): messages.time_column(t("Time"))},
            alt=t("Metrics of the run"),
        )
        if view.unread:
            st.caption(
                tn(
                    "The server is asked metric by metric: the history of {n} metric was not read.",
                    "The server is asked metric by metric: the histories of {n} metrics were not read.",
                    len(view.unread),
                )
            )
        curved = [name for name in own if name in view.unread or _is_curve(view.history[name])]
        _curves(stores, actor, view.run.run_id, curved, "runs_curves")
        with st.expander(t("Logged values"), icon=":material/list:", key="runs_values"):
            escaping.table(
                _values(view, own),
                column_config={t("Time"): messages.time_column(t("Time"))},
                alt=t("Logged values"),
            )
    if system:
        with st.expander(
            tn("{n} system metric", "{n} system metrics", len(system)), icon=":material/memory:", key="runs_system"
        ):
            rows = [
                {t("Metric"): name.removeprefix(SYSTEM_PREFIX), t("Value"): number(view.run.metrics[name])}
                for name in system
            ]
            escaping.table(pd.DataFrame(rows), alt=t("System metrics"))
            _curves(stores, actor, view.run.run_id, system, "runs_system_curves", first=0)


def _is_curve(history: MetricHistory) -> bool:
    return len({point.step for point in history.points}) > 1


def _last_values(view: RunView, names: Sequence[str]) -> pd.DataFrame:
    """Return one row per metric; a metric with a value from after the end of the run has a mark."""
    rows = []
    for name in names:
        history = view.history.get(name)
        last = max(history.points, key=lambda point: (point.step, point.timestamp)) if history else None
        rows.append(
            {
                t("Metric"): name,
                t("Value"): number(view.run.metrics[name]),
                t("Step"): last.step if last else None,
                t("Time"): last.timestamp if last else None,
                t("Values"): _count(history) if history else None,
                t("Logged"): _logged(name in view.late) if history else None,
            }
        )
    return pd.DataFrame(rows)


def _values(view: RunView, names: Sequence[str]) -> pd.DataFrame:
    return pd.DataFrame(
        [
            {
                t("Metric"): name,
                t("Value"): number(point.value),
                t("Step"): point.step,
                t("Time"): point.timestamp,
                t("Logged"): _logged(point in view.late.get(name, ())),
            }
            for name in names
            if name in view.history
            for point in view.history[name].points
        ]
    )


def _logged(is_late: bool) -> str:
    return t("▲ after the run ended") if is_late else t("during the run")


def _count(history: MetricHistory) -> str:
    return f"{history.total:,}" if history.total is not None else t("more than {n:,}", n=len(history.points))


def _curves(
    stores: Stores, actor: Actor, run_id: str, names: Sequence[str], key: str, *, first: int = _FIRST_CURVES
) -> None:
    """Let the viewer choose among the metrics with several steps, and draw them as lines."""
    if not names:
        return
    with st.container(horizontal=True, vertical_alignment="bottom"):
        chosen = pickers.choose_some(t("Curves"), list(names), key, default=list(names)[:first])
        is_log = st.toggle(t("Logarithmic axis"), key=f"{key}_log", bind="query-params")
    if not chosen:
        return
    histories = metric_curves(stores, actor, run_id, chosen)
    figure = go.Figure()
    for name, history in histories.items():
        points = sorted(history.points, key=lambda point: (point.step, point.timestamp))
        figure.add_scatter(
            name=charts.plain(name),
            x=[point.step for point in points],
            y=[point.value if math.isfinite(point.value) else None for point in points],
            mode="lines+markers" if len(points) <= 50 else "lines",
            hovertemplate=f"{charts.plain(name)}<br>{t('Step')} %{{x}}<br>%{{y:.6g}}<extra></extra>",
        )
    figure.update_layout(xaxis_title=t("Step"), yaxis_type="log" if is_log else "linear", showlegend=True)
    figure.update_layout(legend={"orientation": "h", "y": 1.02, "yanchor": "bottom"})
    figure.update_xaxes(automargin=True).update_yaxes(automargin=True)
    charts.show(figure, alt=t("{metrics} over steps", metrics=", ".join(histories)), key=f"{key}_chart")
    for sentence in _left_out(histories, is_log=is_log):
        st.caption(messages.plain(sentence))


def _left_out(histories: Mapping[str, MetricHistory], *, is_log: bool) -> list[str]:
    """Say which values the chart does not show."""
    sentences = []
    for name, history in histories.items():
        n = len(history.points)
        undefined = sum(not math.isfinite(point.value) for point in history.points)
        negative = sum(point.value <= 0 for point in history.points if math.isfinite(point.value))
        if history.is_sampled and history.total is not None:
            sentences.append(t("{metric}: {n:,} of {total:,} values are read.", metric=name, n=n, total=history.total))
        elif history.is_sampled:
            sentences.append(t("{metric}: {n:,} values of a longer curve are read.", metric=name, n=n))
        if undefined:
            sentences.append(t("{metric}: NaN or infinite values that are not drawn: {n:,}.", metric=name, n=undefined))
        if is_log and negative:
            sentences.append(t("{metric}: values that are not positive: {n:,}.", metric=name, n=negative))
    return sentences
