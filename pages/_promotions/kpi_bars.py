"""The KPIs of candidate and Production as a picture: a row per KPI, with the bounds of the gates and the intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import plotly.graph_objects as go
import streamlit as st
from plotly.subplots import make_subplots

from core.entities import GateCheck, GateNumbers
from core.learning.comparison.compare_models import Verdict
from core.learning.kpis import is_kpi, is_lower_better
from pages._models import head_to_head
from pages._runs.run_tables import WORSE_COLOUR, metric_names, number
from pages._ui import charts, messages
from pages._ui.charts import plain
from pages._ui.texts import t

# More KPIs than these are in the table beside the picture.
_MOST = 6
_ROW_PX = 68
# Values that differ by less than this part of the larger one are drawn as dots on a part of the axis.
_CLOSE = 0.25
_RIVAL = "#7F8C99"
_LARGEST = 1e308


def draw(
    check: GateCheck, mine: Mapping[str, float], theirs: Mapping[str, float], *, candidate: str, rival: str, key: str
) -> bool:
    """Draw the KPIs *mine* of the candidate beside *theirs*. Return False where there is none to draw."""
    names = [
        name
        for name in metric_names([mine])
        if is_kpi(name) and abs(mine[name]) < _LARGEST  # NaN is not smaller
    ][:_MOST]
    if not names:
        return False
    bounds = {name: _bounds(check, name) for name in names}
    figure = make_subplots(
        rows=len(names), cols=1, vertical_spacing=0.36 / len(names), subplot_titles=[_title(name) for name in names]
    )
    figure.update_annotations(font={"size": 13}, xanchor="left", x=0)
    for row, name in enumerate(names, start=1):
        reference = theirs.get(name)
        values = [mine[name]] if reference is None or not abs(reference) < _LARGEST else [mine[name], reference]
        labels = [(candidate, charts.colours()[0]), (rival, _RIVAL)][: len(values)]
        low, high = _range([*values, *(numbers.bound for numbers, _ in bounds[name] if numbers.bound is not None)])
        _add_values(figure, row, labels, values, is_close=low != 0 and high != 0)
        figure.update_xaxes(range=[low, high], row=row, col=1)
        for numbers, passed in bounds[name]:
            _add_bound(figure, row, numbers, passed=passed)
    # Each value stands beside its mark: the axes of the rows differ, and their ticks would only fill the picture.
    figure.update_xaxes(showticklabels=False, ticks="", showgrid=False, zeroline=False)
    figure.update_yaxes(visible=False, range=[-0.6, 1.6])
    figure.update_layout(
        barmode="overlay",
        bargap=0.25,
        legend={"orientation": "h", "y": 1.0, "yref": "container", "yanchor": "top", "x": 0, "traceorder": "normal"},
        margin={"t": 66, "b": 8},
    )
    charts.show(
        figure, alt=_alt(names, mine, theirs, bounds, candidate, rival), key=key, height=70 + _ROW_PX * len(names)
    )
    return True


def draw_intervals(check: GateCheck, comparison: Mapping[str, Any] | None, *, rival: str, key: str) -> None:
    """Draw the differences on the same rows with their intervals, from *comparison* and from the gates, per data."""
    by_data: dict[str, dict[str, Any]] = {}
    if comparison is not None:
        by_data[comparison["data"]] = dict(comparison["metrics"])
    for gate in check.gates or ():
        numbers = gate.numbers
        if numbers is not None and numbers.data is not None and numbers.difference is not None:
            by_data.setdefault(numbers.data, {}).setdefault(numbers.kpi, _interval(numbers))
    for data, metrics in by_data.items():
        ordered = {name: metrics[name] for name in metric_names([metrics])}
        figure = head_to_head.intervals(ordered)
        title = t("Difference to {rival} on the same rows of {data}", rival=rival, data=data)
        st.markdown(f"**{messages.plain(title)}**")
        figure.update_layout(margin={"t": 8})
        charts.show(figure, alt=title, key=f"{key}_{data}", height=80 + 34 * len(ordered))


def _interval(numbers: GateNumbers) -> dict[str, Any]:
    lower = is_lower_better(numbers.kpi)
    low, high = numbers.low, numbers.high
    verdict = Verdict.NO_DIFFERENCE
    if low is not None and high is not None and lower is not None and (low > 0 or high < 0):
        verdict = Verdict.BETTER if (low > 0) is not lower else Verdict.WORSE
    return {"difference": numbers.difference, "low": low, "high": high, "verdict": verdict.value}


def _bounds(check: GateCheck, name: str) -> list[tuple[GateNumbers, bool]]:
    return [
        (gate.numbers, gate.passed)
        for gate in check.gates or ()
        if gate.numbers is not None and gate.numbers.kpi == name and gate.numbers.bound is not None
    ]


def _range(shown: Sequence[float]) -> tuple[float, float]:
    """Return the part of the axis that is drawn: from 0 where the values differ clearly, else around the values."""
    low, high = min(shown), max(shown)
    largest = max(abs(low), abs(high))
    if low >= 0 and high - low >= _CLOSE * largest:
        return 0.0, high * 1.25
    pad = max(high - low, 0.02 * largest, 1e-9) * 0.5
    return low - pad, high + 1.6 * pad


def _add_values(
    figure: go.Figure,
    row: int,
    labels: Sequence[tuple[str, str]],
    values: Sequence[float],
    *,
    is_close: bool,
) -> None:
    """Draw one bar per value, or one dot where the axis does not begin at 0; the candidate is the upper one."""
    for (name, colour), value, place in zip(labels, values, (1, 0), strict=False):
        common = {
            "name": plain(name),
            "legendgroup": name,
            "showlegend": row == 1,
            "text": [f" {number(value)}"],
            "hovertemplate": f"{plain(name)}: {value:.6g}<extra></extra>",
        }
        if is_close:
            figure.add_scatter(
                x=[value],
                y=[place],
                mode="markers+text",
                textposition="middle right",
                marker={"size": 13, "color": colour, "symbol": "circle" if place else "diamond"},
                row=row,
                col=1,
                **common,
            )
        else:
            figure.add_bar(
                x=[value],
                y=[place],
                orientation="h",
                marker={"color": colour},
                textposition="outside",
                cliponaxis=False,
                row=row,
                col=1,
                **common,
            )


def _add_bound(figure: go.Figure, row: int, numbers: GateNumbers, *, passed: bool) -> None:
    colour = charts.template().layout.font.color if passed else WORSE_COLOUR
    figure.add_vline(x=numbers.bound, line={"dash": "dash", "width": 2, "color": colour}, row=row, col=1)
    figure.add_annotation(
        text=f"{'✓' if passed else '✕'} {_words(numbers)}",
        x=1,
        xref="x domain" if row == 1 else f"x{row} domain",
        y=1.0,
        yref="y domain" if row == 1 else f"y{row} domain",
        xanchor="right",
        yanchor="bottom",
        showarrow=False,
        font={"color": colour, "size": 12},
    )


def _words(numbers: GateNumbers) -> str:
    sign = "≤" if numbers.is_most else "≥"
    return t("gate: {sign} {bound}", sign=sign, bound=number(numbers.bound))


def _title(name: str) -> str:
    return plain(t("{metric} (lower is better)", metric=name) if is_lower_better(name) else name)


def _alt(
    names: Sequence[str],
    mine: Mapping[str, float],
    theirs: Mapping[str, float],
    bounds: Mapping[str, Sequence[tuple[GateNumbers, bool]]],
    candidate: str,
    rival: str,
) -> str:
    rows = [
        " ".join([f"{name} {number(mine[name])} / {number(theirs.get(name))}", *(_words(b) for b, _ in bounds[name])])
        for name in names
    ]
    return t("KPIs of {candidate} / {rival}: {rows}", candidate=candidate, rival=rival, rows="; ".join(rows))
