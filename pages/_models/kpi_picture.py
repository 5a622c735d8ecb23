"""A KPI over the versions of a model, with the versions that were in Production marked."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import plotly.graph_objects as go
import streamlit as st

from core.entities import Stage
from core.features.history.stage_timeline import ModelTimeline, StagePeriod
from core.features.runs.compare import direction
from core.features.runs.models import ModelSummary, VersionSummary
from core.features.runs.version_deltas import TestedOn, VersionDelta, deltas_to_production
from core.learning.kpis import is_kpi, is_lower_better, main_kpi
from pages._runs.run_tables import delta_label, metric_names, number
from pages._ui import charts, messages, pickers
from pages._ui.texts import t

_PRODUCTION_COLOUR = "#009E73"


def choose_kpi(model: ModelSummary) -> str | None:
    """Return the KPI that the viewer chose, by default the model's main KPI; None where no version has a KPI."""
    names = [name for name in metric_names(version.metrics for version in model.versions) if is_kpi(name)]
    if not names:
        return None
    return pickers.choose(t("KPI"), names, "models_kpi", index=names.index(main_kpi(names) or names[0]), of=model.name)


def draw(model: ModelSummary, timeline: ModelTimeline | None, kpi: str) -> None:
    """Show *kpi* over the versions, oldest first. A hollow point was not tested on the rows of Production's test."""
    deltas = deltas_to_production(model)
    shown = [version for version in reversed(model.versions) if math.isfinite(version.metrics.get(kpi, math.nan))]
    if not shown:
        st.caption(t("No version has a finite value of {metric}.", metric=messages.plain(kpi)))
        return
    in_production: dict[int, list[StagePeriod]] = {}
    for version, period in timeline.in_stage(Stage.PRODUCTION) if timeline else ():
        in_production.setdefault(version.version, []).append(period)
    title = t("{metric} over versions (lower is better)", metric=kpi) if is_lower_better(kpi) else None
    st.markdown(f"**{messages.plain(title or t('{metric} over versions', metric=kpi))}**")
    figure = go.Figure()
    _add_rings(figure, shown, kpi, model.production, in_production)
    figure.add_scatter(
        name=charts.plain(kpi),
        mode="lines",
        x=[version.version for version in shown],
        y=[version.metrics[kpi] for version in shown],
        line={"color": charts.colours()[0], "width": 1.5},
        hoverinfo="skip",
        showlegend=False,
    )
    for tested_on, name, symbol in (
        (TestedOn.SAME, t("Production's test rows"), "circle"),
        (TestedOn.OTHER, t("other test rows"), "circle-open"),
        (TestedOn.UNKNOWN, t("test rows not known"), "diamond-open"),
    ):
        part = [version for version in shown if _tested_on(version, deltas) is tested_on]
        if part:
            figure.add_scatter(
                name=name if deltas else charts.plain(kpi),
                mode="markers",
                x=[version.version for version in part],
                y=[version.metrics[kpi] for version in part],
                marker={"symbol": symbol, "size": 9, "color": charts.colours()[0], "line": {"width": 2}},
                hovertext=[
                    _words(version, kpi, deltas.get(version.version), in_production.get(version.version, ()))
                    for version in part
                ],
                hoverinfo="text",
            )
    level = next((version.metrics[kpi] for version in shown if version.version == model.production), None)
    if level is not None:
        figure.add_hline(y=level, line_dash="dash", line_width=1, line_color="#808A93")
    figure.update_layout(
        margin={"l": 12, "r": 12, "t": 8, "b": 12},
        legend={"y": -0.25, "yanchor": "top", "x": 0},
        hoverlabel={"align": "left"},
    )
    numbers = [version.version for version in shown]
    figure.update_xaxes(
        title=t("Version"),
        tickformat="d",
        dtick=max(1, -(-(numbers[-1] - numbers[0]) // 12)),
        range=[numbers[0] - 0.6, numbers[-1] + 0.6],
    )
    charts.show(
        figure,
        alt=t("{metric} over the versions of {model}", metric=kpi, model=model.name),
        key="models_kpis",
        height=360,
    )


def _add_rings(
    figure: go.Figure,
    shown: list[VersionSummary],
    kpi: str,
    production: int | None,
    in_production: dict[int, list[StagePeriod]],
) -> None:
    """Ring the versions that were in Production, and fill the ring of the version that is there now."""
    before = [v for v in shown if v.version in in_production and v.version != production]
    now = [v for v in shown if v.version == production]
    for part, name, fill in ((before, t("was in Production"), 0.0), (now, t("in Production now"), 0.35)):
        if part:
            figure.add_scatter(
                name=name,
                mode="markers",
                x=[version.version for version in part],
                y=[version.metrics[kpi] for version in part],
                marker={
                    "size": 22,
                    "color": f"rgba(0,158,115,{fill})",
                    "line": {"width": 2.5, "color": _PRODUCTION_COLOUR},
                },
                hoverinfo="skip",
            )


def _tested_on(version: VersionSummary, deltas: Mapping[int, VersionDelta]) -> TestedOn:
    """The version in Production was tested on its own test rows."""
    return deltas[version.version].tested_on if version.version in deltas else TestedOn.SAME


def _words(version: VersionSummary, kpi: str, delta: VersionDelta | None, periods: Sequence[StagePeriod]) -> str:
    """Return what a point says on hover, as plotly's HTML."""
    lines = [
        t("version {version}", version=version.version),
        f"{charts.plain(kpi)} {number(version.metrics[kpi])}",
    ]
    if delta is not None and kpi in delta.deltas:
        value = delta.deltas[kpi]
        lines.append(t("{delta} than Production", delta=delta_label(value, direction(kpi, value))))
    for period in periods:
        times = {"start": messages.local_time(period.start), "end": messages.local_time(period.end)}
        if period.end is None:
            lines.append(t("in Production since {start}", start=times["start"]))
        else:
            lines.append(t("in Production from {start} to {end}", **times))
    return "<br>".join(lines)
