"""Charts of runs: bars, a parameter against a KPI, and a KPI over data versions."""

from __future__ import annotations

import math
from collections.abc import Sequence

import plotly.graph_objects as go

from core.entities import Run, TableVersion
from core.features.runs.compare import Comparison, is_version
from core.learning.kpis import is_lower_better
from pages._runs.run_tables import data_label, header, number, run_label
from pages._ui import charts
from pages._ui.charts import plain
from pages._ui.texts import t

SYMBOLS = ("circle", "square", "diamond", "cross", "triangle-up", "x")


def colour(position: int) -> str:
    """Return the colour of the group at *position*, in the viewer's theme."""
    palette = charts.colours()
    return palette[position % len(palette)]


def axis_label(run: Run, found: Comparison) -> str:
    """Return the label below a bar: the model version of the run, or else the first characters of its id."""
    label = header(run, found)
    return plain(label) if label != run_label(run) or is_version(run.run_id) else run.run_id[:8]


def bars(found: Comparison, metric: str) -> go.Figure:
    """Return one bar per run in the order of the table, coloured by data version; the baseline is a dashed line."""
    figure = go.Figure()
    for position, label in enumerate(_data_labels(found.runs)):
        part = [run for run in found.runs if data_label(run) == label]
        figure.add_bar(
            name=plain(label),
            x=[axis_label(run, found) for run in part],
            y=[_finite(run.metrics.get(metric)) for run in part],
            text=[plain(run_label(run)) for run in part],
            textposition="none",
            marker={"color": colour(position)},
            hovertemplate=f"%{{text}}<br>{plain(label)}<br>{plain(metric)} %{{y:.4f}}<extra></extra>",
        )
    _add_baseline(figure, found, metric)
    figure.update_layout(yaxis_title=_axis(metric), legend_title_text="", barmode="overlay")
    figure.update_xaxes(
        categoryorder="array", categoryarray=[axis_label(run, found) for run in found.runs], type="category"
    )
    return figure


def scatter(found: Comparison, param: str, metric: str) -> go.Figure:
    """Return one point per run: a parameter (or the data version) against a metric."""
    figure = go.Figure()
    for position, label in enumerate(_data_labels(found.runs)):
        part = [run for run in found.runs if data_label(run) == label and _finite(run.metrics.get(metric)) is not None]
        figure.add_scatter(
            name=plain(label),
            mode="markers",
            x=[param_value(run, param) for run in part],
            y=[run.metrics[metric] for run in part],
            text=[plain(run_label(run)) for run in part],
            marker={"color": colour(position), "symbol": SYMBOLS[position % len(SYMBOLS)], "size": 11},
            hovertemplate=(
                f"%{{text}}<br>{plain(param)} %{{x}}<br>{plain(metric)} %{{y:.4f}}<extra>{plain(label)}</extra>"
            ),
        )
    _add_baseline(figure, found, metric)
    figure.update_layout(xaxis_title=plain(param), yaxis_title=_axis(metric), legend_title_text="")
    return figure


def trained_on(run: Run) -> list[TableVersion]:
    """Return the data versions that trained the run, also of tables that are not registered."""
    return [
        TableVersion(table=source.table, version=source.version)
        for source in run.data
        if source.is_training and source.table is not None and source.version is not None
    ]


def over_versions(runs: Sequence[Run], metric: str) -> go.Figure:
    """Return a metric over the data versions of the runs, with a line through the newest run of each version."""
    figure = go.Figure()
    points = [
        (version, run) for run in runs for version in trained_on(run) if _finite(run.metrics.get(metric)) is not None
    ]
    for position, table in enumerate(dict.fromkeys(version.table for version, _ in points)):
        part = sorted(
            ((version.version, run) for version, run in points if version.table == table),
            key=lambda point: (point[0], point[1].started is not None and point[1].started.timestamp()),
        )
        newest = dict(part)
        shade = colour(position)
        figure.add_scatter(
            name=plain(t("{table}, newest run", table=table)),
            mode="lines",
            x=list(newest),
            y=[run.metrics[metric] for run in newest.values()],
            line={"color": shade},
            hoverinfo="skip",
        )
        figure.add_scatter(
            name=plain(table),
            mode="markers",
            x=[number for number, _ in part],
            y=[run.metrics[metric] for _, run in part],
            text=[plain(run_label(run)) for _, run in part],
            marker={"color": shade, "symbol": SYMBOLS[position % len(SYMBOLS)], "size": 10},
            hovertemplate=f"%{{text}}<br>{plain(table)}@%{{x}}<br>{plain(metric)} %{{y:.4f}}<extra></extra>",
        )
    figure.update_layout(xaxis_title=t("Data version"), yaxis_title=_axis(metric))
    figure.update_xaxes(dtick=1 if len({version.version for version, _ in points}) <= 12 else None, tickformat="d")
    return figure


def _add_baseline(figure: go.Figure, found: Comparison, metric: str) -> None:
    """Add a dashed line where all runs have the same baseline."""
    level = _finite(found.baseline.metrics.get(metric)) if found.baseline is not None else None
    if level is not None:
        label = t("Baseline {value}", value=number(level))
        figure.add_hline(y=level, line_dash="dash", line_color="#808A93", annotation_text=label)


def _data_labels(runs: Sequence[Run]) -> list[str]:
    return sorted(dict.fromkeys(data_label(run) for run in runs))


def _axis(metric: str) -> str:
    return plain(t("{metric} (lower is better)", metric=metric) if is_lower_better(metric) else metric)


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def param_value(run: Run, name: str) -> float | str | None:
    """Return a parameter, as a number if it is one; for DataV the data version, also of runs with another claim."""
    if name == "DataV" and trained_on(run):
        return float(trained_on(run)[0].version)
    value = run.params.get(name)
    if value is None:
        return None
    try:
        return float(value)
    except ValueError:
        return value
