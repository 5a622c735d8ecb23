"""Charts: one plotly template for all of them, with colours that are readable on light and on dark."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
import plotly.graph_objects as go
import streamlit as st

from core.escaping import visible
from pages._ui.texts import t

# The colours of Okabe and Ito, on white also Tol's muted ones, in an order that keeps a contrast of 3:1.
LIGHT = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#332288", "#882255", "#7A7A1F", "#4D4D4D")
DARK = ("#E69F00", "#56B4E9", "#009E73", "#F0E442", "#CC79A7", "#D55E00", "#0072B2")
_CONFIG = {"displaylogo": False, "modeBarButtonsToRemove": ["select2d", "lasso2d", "autoScale2d"]}


def is_dark() -> bool:
    """Return whether the viewer uses the dark theme."""
    return st.context.theme.type == "dark"


def colours() -> tuple[str, ...]:
    """Return the colours of the viewer's theme, in the order of use."""
    return DARK if is_dark() else LIGHT


def ink() -> str:
    """Return the colour of texts and error bars in the viewer's theme."""
    return "#E6EBF0" if is_dark() else "#17212B"


def template() -> go.layout.Template:
    """Return the template of all charts: a light grid, a transparent background, the colours of the theme."""
    grid = "#33414E" if is_dark() else "#E3E8ED"
    axis = {
        "gridcolor": grid,
        "zerolinecolor": grid,
        "linecolor": grid,
        "ticks": "outside",
        "tickcolor": grid,
        "automargin": True,
    }
    return go.layout.Template(
        layout={
            "colorway": list(colours()),
            "font": {"color": ink(), "size": 13, "family": "Source Sans, Source Sans Pro, sans-serif"},
            "title": {"font": {"size": 15}, "x": 0, "xanchor": "left"},
            "paper_bgcolor": "rgba(0,0,0,0)",
            "plot_bgcolor": "rgba(0,0,0,0)",
            "xaxis": axis,
            "yaxis": axis,
            "margin": {"l": 12, "r": 12, "t": 40, "b": 12},
            "legend": {"orientation": "h", "y": -0.2},
            "hoverlabel": {"font": {"size": 13}},
        }
    )


def show(figure: go.Figure, *, alt: str, key: str | None = None, height: int = 320) -> None:
    """Draw *figure* with the template; *alt* describes it in words."""
    figure.update_layout(template=template(), height=height)
    st.plotly_chart(figure, theme=None, key=key, config=_CONFIG, alt=visible(alt))


def show_selectable(figure: go.Figure, *, alt: str, key: str, height: int) -> list[Any] | None:
    """Draw *figure* as `show` does. Return the custom data of the mark that the viewer clicked just now, or None."""
    picked = f"{key}.picked"

    def keep() -> None:
        # Streamlit forgets the selection of a figure that has changed by the next run; here it is still known.
        points = st.session_state[key]["selection"]["points"]
        st.session_state[picked] = points[0].get("customdata") if points else None

    figure.update_layout(template=template(), height=height)
    st.plotly_chart(
        figure,
        theme=None,
        key=key,
        config=_CONFIG,
        alt=visible(alt),
        on_select=keep,
        selection_mode="points",
    )
    data: list[Any] | None = st.session_state.pop(picked, None)
    return data


def bar(values: Mapping[str, float], *, title: str, x: str = "", y: str = "") -> go.Figure:
    """Return one bar per name, in the order given, labelled with its value."""
    figure = go.Figure(
        go.Bar(
            x=[plain(name) for name in values],
            y=list(values.values()),
            text=[f"{v:,.4g}" for v in values.values()],
            textposition="auto",
        )
    )
    figure.update_layout(title=title, xaxis_title=x, yaxis_title=y)
    figure.update_xaxes(type="category")
    return figure


def grouped_shares(groups: Mapping[str, pd.Series], *, title: str) -> go.Figure:
    """Return the share of each class, one colour per group. *groups* maps a group's name to its class labels."""
    figure = go.Figure()
    for name, labels in groups.items():
        shares = labels.astype(str).value_counts(normalize=True).sort_index()
        figure.add_bar(
            name=plain(name), x=[plain(label) for label in shares.index], y=shares, text=[f"{s:.0%}" for s in shares]
        )
    figure.update_layout(title=title, barmode="group", yaxis_title=t("share of rows"), yaxis_tickformat=".0%")
    return figure


def grouped_histogram(groups: Mapping[str, pd.Series], *, title: str, bins: int = 30) -> go.Figure:
    """Return the distribution of each group's numbers; the bars of a group sum to 1."""
    figure = go.Figure()
    for name, numbers in groups.items():
        figure.add_histogram(name=plain(name), x=numbers, histnorm="probability", nbinsx=bins, opacity=0.65)
    figure.update_layout(title=title, barmode="overlay", yaxis_title=t("share of rows"), yaxis_tickformat=".0%")
    return figure


def line(x: Sequence[object], series: Mapping[str, Sequence[float | None]], *, title: str, x_title: str) -> go.Figure:
    """Return one line with points per series over the same *x*; a missing value is a gap."""
    figure = go.Figure()
    for name, values in series.items():
        figure.add_scatter(name=plain(name), x=list(x), y=list(values), mode="lines+markers")
    figure.update_layout(title=title, xaxis_title=x_title)
    versions = [value for value in x if isinstance(value, int)]
    if len(versions) == len(x):
        # Versions are whole numbers: no tick between two of them.
        span = max(versions) - min(versions) if versions else 0
        figure.update_xaxes(tickformat="d", dtick=max(1, -(-span // 12)))
    return figure


def plain(value: object) -> str:
    """Return *value* escaped for plotly, which reads some HTML in names and titles."""
    return html.escape(visible(value), quote=False)
